package Bench::Results;

# results.json: what was measured, by figure, with every sample.

use strict;
use warnings;

use JSON::PP ();

sub read {
    my ($class, $path) = @_;
    return bless { figures => {} }, $class if !-e $path;
    open my $file, '<:raw', $path or die "$path: $!\n";
    local $/;
    return bless JSON::PP->new->utf8->decode(<$file>), $class;
}

sub store {
    my ($self, $figure) = @_;
    $self->{figures}{ $figure->{name} } = $figure;
    return;
}

# Those of these names that there are.
sub figures {
    my ($self, @names) = @_;
    return [grep { defined } map { $self->{figures}{$_} } @names];
}

sub write {
    my ($self, $path) = @_;
    open my $file, '>:raw', "$path.new" or die "$path.new: $!\n";
    print {$file} JSON::PP->new->utf8->canonical->pretty->encode({%$self});
    close $file or die "$path.new: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

1;
