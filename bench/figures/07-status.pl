# How many times a second a worker of SpareWorkers can set its status.

use strict;
use warnings;

use Bench::Run qw(over);

+{
    title   => 'set_status',
    measure => sub {
        my $run = shift;
        my @who = ('ours', 'original');
        my $rates = $run->in_turn($run->size(7, 1), \@who, sub {
            my $who   = shift;
            my $count = $run->size(500_000, 10_000);
            return $run->start($run->perl($who, 'status.pl', $count))->line;
        });
        $run->row(name => 'calls', unit => 'million a second', better => 'more', samples => $rates, who => \@who);
        $run->row(
            name    => 'calls, ours against the original',
            unit    => 'of the speed of original',
            better  => 'more',
            samples => { ours => $rates->{original} && over($rates->{ours}, $rates->{original}) },
            who     => ['ours'],
            goal    => 8,
            digits  => 1,
        );
        return;
    },
};
