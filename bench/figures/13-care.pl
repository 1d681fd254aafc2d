# What it costs that the manager takes care of its workers: the forks of workers that exit at once, with all of it on
# against none of it, and the call by which a worker says that it goes on. A bare loop whose workers do the least of it shows
# what the system takes for that.

use strict;
use warnings;

+{
    title   => 'care: limits of time, the record of exits, the death of the manager',
    measure => sub {
        my $run   = shift;
        my $forks = $run->size(4000, 100);
        my %host  = (
            'Perl' => sub { return $run->perl('ours', 'churn-care.pl', @_) },
            'C'    => sub { return $run->compiled('churn-care', @_) },
        );
        for my $host (sort keys %host) {
            my $seconds = $run->in_turn($run->size(15, 1), ['ours, off', 'ours'], sub {
                my $who = shift;
                my @all = $who eq 'ours' ? 'all' : ();
                return $run->seconds($host{$host}->($forks, 10, @all), $forks) / $forks;
            });
            $run->speed_row(
                name    => "churn in $host, pool of 10, all on",
                base    => 'ours, off',
                seconds => $seconds,
                who     => ['ours'],
                goal    => 0.95,
                note    => $run->per_second($seconds->{'ours, off'}, 'off'),
            );
        }
        my %bare = (
            'bare C, complete'          => ['complete'],
            'bare C, complete, limited' => ['complete', 'limited'],
        );
        my $seconds = $run->in_turn($run->size(15, 1), [sort keys %bare], sub {
            my @how = @{ $bare{ $_[0] } };
            return $run->seconds($run->compiled('churn-careful-linked', $forks, 10, @how), $forks) / $forks;
        });
        $run->speed_row(
            name    => 'churn in C, pool of 10, the least of it in a bare loop',
            base    => 'bare C, complete',
            seconds => $seconds,
            who     => ['bare C, complete, limited'],
        );
        my %tick = (
            'Perl' => [200, $run->perl('ours', 'tick.pl', $run->size(2_000_000, 10_000))],
            'C'    => [50, $run->compiled('tick', $run->size(5_000_000, 10_000))],
        );
        for my $host (sort keys %tick) {
            my ($goal, $command) = @{ $tick{$host} };
            my $ns = $run->in_turn($run->size(7, 1), ['ours'], sub { return $run->start($command)->line });
            $run->row(name => "tick in $host", unit => 'ns', better => 'less', samples => $ns, who => ['ours'],
                goal => $goal, digits => 0);
        }
        return;
    },
};
