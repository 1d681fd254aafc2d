# Workers of a program with much data leave by exit: how long perl's global destruction takes.

use strict;
use warnings;

+{
    title   => 'fast_exit: workers that exit from a program with much data',
    measure => sub {
        my $run = shift;
        my @who = ('ours', 'ours, fast_exit', 'original');
        my $megabytes = $run->size(150, 10);
        my $forks     = $run->size(15, 3);
        my $ms = $run->in_turn($run->size(5, 1), \@who, sub {
            my $who     = shift;
            my $program = $run->start(
                $run->perl($who, 'data-churn.pl', $megabytes, 1, 'exit', $run->options($who)),
                stdin => $run->marks($forks));
            my ($first, $end) = map { $program->mark($_) } qw(first end);
            $program->end;
            return 1000 * ($end - $first) / ($forks - 1);
        });
        $run->row(name => "$megabytes MB: fork, exit and wait, one at a time", unit => 'ms', better => 'less',
            who => \@who, samples => $ms);
        return;
    },
};
