# How often an idle manager wakes up: its voluntary context switches.

use strict;
use warnings;

+{
    title   => 'idle: wake-ups of the manager',
    measure => sub {
        my $run     = shift;
        my @who     = ('ours', 'original');
        my $seconds = $run->size(5, 0.5);
        my %kinds   = (
            'Parallel::Prefork, 10 workers'                  => [10],
            'Parallel::Prefork::SpareWorkers, of 40 workers' => [40, min_spare_workers => 5, max_spare_workers => 10],
        );
        for my $kind (sort keys %kinds) {
            my $samples = $run->in_turn($run->size(2, 1), \@who, sub {
                my $who     = shift;
                my $workers = $kind =~ /Spare/ ? 5 : 10;
                my $program = $run->start($run->perl($who, 'stay-manager.pl', @{ $kinds{$kind} }),
                    stdin => $run->marks($workers));
                $program->mark('end');
                $run->rest($run->size(1, 0.3));
                my $before = $run->status($program->pid, 'voluntary_ctxt_switches');
                $run->rest($seconds);
                return ($run->status($program->pid, 'voluntary_ctxt_switches') - $before) / $seconds;
            });
            $run->row(name => $kind, unit => 'a second', better => 'less', who => \@who, goal => 0, digits => 1,
                samples => $samples);
        }
        return;
    },
};
