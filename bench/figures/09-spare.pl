# SpareWorkers: from the moment when the last spare worker turns busy to the next one running.

use strict;
use warnings;

use Bench::Run qw(minus);
use Bench::Statistics qw(median);

+{
    title   => 'SpareWorkers: the last spare worker turns busy, until the next one runs',
    measure => sub {
        my $run     = shift;
        my @who     = ('ours', 'original');
        my $workers = $run->size(25, 3);
        my $samples = $run->in_turn($run->size(3, 1), ['bare Perl', @who], sub {
            my $who     = shift;
            my $name    = $who eq 'bare Perl' ? 'spare-bare.pl' : 'spare-manager.pl';
            my $program = $run->start($run->perl($who, $name, $workers));
            # The lines of two workers may come in either order, each kind by itself in its own.
            my %times = (begun => [], busy => []);
            my $pairs = $who eq 'bare Perl' ? 0 : 1;
            while (@{ $times{begun} } < $workers || @{ $times{busy} } < $workers - $pairs) {
                my ($what, $time) = split / /, $program->line;
                push @{ $times{$what} }, $time;
            }
            # A manager's first worker is nobody's successor.
            shift @{ $times{begun} } if $pairs;
            my $count = @{ $times{begun} };
            return median(map { 1000 * ($times{begun}[$_] - $times{busy}[$_]) } 0 .. $count - 1);
        });
        my $bare = $samples->{'bare Perl'};
        $run->row(name => 'latency', unit => 'ms over a bare fork', better => 'less', who => \@who, goal => 5,
            samples => { map { $_ => minus($samples->{$_}, $bare) } keys %$samples },
            raw => $samples, raw_unit => 'ms', note => sprintf 'bare Perl: %.2f ms', median(@$bare));
        return;
    },
};
