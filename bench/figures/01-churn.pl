# Workers that exit at once: forks a second.

use strict;
use warnings;

+{
    title   => 'churn in Perl: workers that exit at once',
    measure => sub {
        my $run   = shift;
        my $many  = $run->size(2000, 100);
        my @ours  = ('ours', 'ours, fast_exit', 'ours, on_child_reap');
        my @who   = (@ours, 'original', 'original, on_child_reap', 'forkmanager');
        for my $pool (1, 10, 100) {
            my $seconds = $run->in_turn($run->size(9, 1), ['bare Perl', @who], sub {
                my $who     = shift;
                my $program = $who eq 'bare Perl' ? 'churn-bare.pl'
                    : $who eq 'forkmanager' ? 'churn-forkmanager.pl' : 'churn-manager.pl';
                # It is that slow.
                my $forks = $who eq 'forkmanager' ? $many / 5 : $many;
                return $run->seconds($run->perl($who, $program, $forks, $pool, $run->options($who)), $forks) / $forks;
            });
            $run->speed_row(
                name    => "pool of $pool",
                base    => 'bare Perl',
                seconds => $seconds,
                who     => \@who,
                goals   => { 'ours' => 0.90, 'ours, fast_exit' => 1.10 },
                note    => $run->per_second($seconds->{'bare Perl'}, 'bare Perl'),
            );
        }
        return;
    },
};
