package Bench::Statistics;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(median quantile summary);

# The value below which this part (0 to 1) of the samples lies.
sub quantile {
    my ($part, @samples) = @_;
    @samples = sort { $a <=> $b } @samples;
    my $place = $part * $#samples;
    my $below = int $place;
    my $above = $below < $#samples ? $below + 1 : $below;
    return $samples[$below] + ($place - $below) * ($samples[$above] - $samples[$below]);
}

sub median { return quantile(0.5, @_) }

sub summary {
    my @samples = @_;
    my %part = (min => 0, q1 => 0.25, median => 0.5, q3 => 0.75, max => 1);
    return { map { $_ => quantile($part{$_}, @samples) } keys %part };
}

1;
