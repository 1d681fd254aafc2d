# A program with much data: what a move to huge pages before the fork costs, and what it saves.

use strict;
use warnings;

use Bench::Run qw(member);

+{
    title   => 'huge_pages: a manager with much data',
    measure => sub {
        my $run = shift;
        my @who = ('ours', 'ours, huge_pages');
        my %row = (better => 'less', who => \@who);
        for my $megabytes (@{ $run->size([50, 150, 500], [10]) }) {
            my $forks   = $run->size(200, 40);
            my $samples = $run->in_turn($run->size(5, 1), \@who, sub {
                my $who = shift;
                my %is;
                for my $pool (1, 10) {
                    my $program = $run->start(
                        $run->perl($who, 'data-churn.pl', $megabytes, $pool, '_exit', $run->options($who)),
                        stdin => $run->marks($forks));
                    my ($begin, $first, $end) = map { $program->mark($_) } qw(begin first end);
                    $program->end;
                    $is{$pool} = 1000 * ($end - $first) / ($forks - 1);
                    $is{first} = 1000 * ($first - $begin) if $pool == 1;
                }
                my $program = $run->start($run->perl($who, 'data-memory.pl', $megabytes, $run->options($who)));
                while ((my $line = $program->line) ne 'done') {
                    my ($when, $process, $whole, $private, $tables) = split / /, $line;
                    $is{"$when $process whole"} = $whole / 1024;
                    $is{"$when $process"} = $private / 1024;
                    $is{"$when $process tables"} = $tables;
                }
                return \%is;
            });
            my $pick = sub { return (samples => member($samples, $_[0])) };
            $run->row(%row, $pick->('first'), name => "$megabytes MB: from start to the first worker", unit => 'ms');
            $run->row(%row, $pick->(1), name => "$megabytes MB: fork, exit and wait, one at a time", unit => 'ms');
            # On a busy machine a few forks may be over before the clock is read twice.
            my $rate = member($samples, 10);
            $run->row(%row, better => 'more', name => "$megabytes MB: respawn rate, pool of 10", unit => 'workers a second',
                digits => 0, samples => { map { $_ => [map { 1000 / ($_ || 0.001) } @{ $rate->{$_} }] } keys %$rate });
            $run->row(%row, $pick->('begun manager tables'), name => "$megabytes MB: page tables of the manager",
                unit => 'kB', digits => 0);
            $run->row(%row, $pick->('begun worker tables'), name => "$megabytes MB: page tables of a worker",
                unit => 'kB', digits => 0);
            $run->row(%row, $pick->('begun manager whole'), name => "$megabytes MB: memory of the manager",
                unit => 'MB', digits => 0);
            $run->row(%row, $pick->('read worker'), name => "$megabytes MB: a worker's own memory, all data read",
                unit => 'MB', digits => 1);
            $run->row(%row, $pick->('written worker'),
                name => "$megabytes MB: a worker's own memory, a tenth of the data written", unit => 'MB', digits => 1);
        }
        return;
    },
};
