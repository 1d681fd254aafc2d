# From kill(2) to the return of start.

use strict;
use warnings;
use utf8;

use Bench::Run qw(minus);
use Bench::Statistics qw(median quantile);

+{
    title   => 'TERM to an idle pool, until start returns',
    measure => sub {
        my $run = shift;
        my $samples = $run->in_turn($run->size(5, 1), ['bare Perl', 'ours'], sub {
            my $who  = shift;
            my $name = $who eq 'bare Perl' ? 'term-bare.pl' : 'term-manager.pl';
            return [$run->start($run->perl($who, $name, $run->size(2000, 50)))->lines];
        });
        for my $part ([0.5, 'median', 100], [0.999, '99.9th percentile']) {
            my ($quantile, $name, $goal) = @$part;
            my %us = map { my $who = $_; $who => [map { quantile($quantile, @$_) } @{ $samples->{$who} }] }
                keys %$samples;
            $run->row(
                name     => $name,
                unit     => 'µs over a bare handler',
                better   => 'less',
                digits   => 0,
                samples  => { ours => minus($us{ours}, $us{'bare Perl'}) },
                who      => ['ours'],
                goal     => $goal,
                note     => sprintf('bare Perl: %.0f µs', median(@{ $us{'bare Perl'} })),
                raw      => $goal ? $samples : \%us,
                raw_unit => 'µs',
            );
        }
        return;
    },
};
