package Bench::Check;

# What --quick is for: checks that all figures have been measured, and that the files can be read.

use strict;
use warnings;

use Bench::Results ();

# check(DIRECTORY, \@names, \@all): what there is of @names, in one line; dies of what is not. @all are those that may be
# there from other runs, and are in the plot as well.
sub check {
    my ($directory, $names, $all) = @_;
    my $results = Bench::Results->read("$directory/results.json");
    my $figures = $results->figures(@$names);
    my ($rows, $values, %missing) = (0, 0);
    @$figures == @$names or die "results.json has not all of: @$names\n";
    for my $figure (@$figures) {
        @{ $figure->{rows} } or die "$figure->{name} has no rows\n";
        for my $row (@{ $figure->{rows} }) {
            $rows++;
            for my $value (@{ $row->{values} }) {
                _value($figure, $row, $value);
                $missing{"$value->{who}: $value->{missing}"} = 1 if $value->{missing};
                $values++ if !$value->{missing};
            }
        }
    }
    my $bars  = _svg("$directory/results.svg");
    my $shown = grep { !$_->{missing} } map { @{ $_->{values} } } map { @{ $_->{rows} } } @{ $results->figures(@$all) };
    $bars == $shown or die "results.svg has $bars bars for $shown values\n";
    return scalar @$names . " figures, $rows rows, $values values"
        . join '', map { "; $_" } sort keys %missing;
}

sub _value {
    my ($figure, $row, $value) = @_;
    return if $value->{missing};
    my @odd = grep { !defined || !/\A-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\z/i } @{ $value->{samples} };
    die "$figure->{name}, $row->{name}, $value->{who}: not a number: @odd\n" if @odd;
    die "$figure->{name}, $row->{name}, $value->{who}: no samples\n" if !@{ $value->{samples} };
    return;
}

# Whether its elements are closed as they were opened, and its text is escaped. Returns the number of bars.
sub _svg {
    my $path = shift;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    my $svg = do { local $/; <$file> };
    my $attribute = qr/\s+[\w:-]+="[^"<&]*"/;
    my ($bars, @open) = (0);
    while ($svg =~ /\G(?:<(\w+)$attribute*\s*(\/?)>|<\/(\w+)>|(?:[^<&]|&(?:amp|lt|gt);)+)/gc) {
        my ($opened, $is_empty, $closed) = ($1, $2, $3);
        $bars++ if defined $opened && $opened eq 'rect';
        push @open, $opened if defined $opened && !$is_empty;
        next if !defined $closed;
        my $expected = pop @open;
        defined $expected && $expected eq $closed or die "$path: </$closed> is not what is open\n";
    }
    my $at = pos($svg) || 0;
    $at == length $svg && !@open or die "$path is not well formed at character $at: @open\n";
    return $bars;
}

1;
