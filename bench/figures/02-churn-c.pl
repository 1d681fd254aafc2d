# The same with pf_start. Three bare loops show where the time goes. One only has the library in its process. One also does
# the least that a manager has to do. One also makes all system calls of pf_start.

use strict;
use warnings;

use Bench::Run qw(over);

+{
    title   => 'churn from C: workers that exit at once',
    measure => sub {
        my $run   = shift;
        my $forks = $run->size(5000, 200);
        my %program = (
            'bare C'                    => ['churn-bare'],
            'bare C, linked'            => ['churn-bare-linked'],
            'bare C, linked, with care' => ['churn-careful-linked'],
            'bare C, linked, complete'  => ['churn-careful-linked', 'complete'],
            'ours'                      => ['churn-manager'],
        );
        for my $pool (1, 10, 100) {
            my $seconds = $run->in_turn($run->size(21, 1), [sort keys %program], sub {
                my $who = shift;
                my ($name, @how) = @{ $program{$who} };
                return $run->seconds($run->compiled($name, $forks, $pool, @how), $forks) / $forks;
            });
            $run->speed_row(
                name    => "pool of $pool",
                base    => 'bare C',
                seconds => $seconds,
                who     => ['ours', grep { /,/ } sort keys %program],
                goal    => 0.97,
                note    => $run->per_second($seconds->{'bare C'}, 'bare C'),
            );
            my $complete = $seconds->{'bare C, linked, complete'};
            $run->row(
                name    => "pool of $pool, against the complete loop",
                unit    => 'of its speed',
                better  => 'more',
                samples => { ours => over($complete, $seconds->{ours}) },
                who     => ['ours'],
            );
        }
        return;
    },
};
