package HeldWorker;

# A part of programs whose workers stay until the manager lets them go by closing its end of a pipe.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw($BE_HELD);

our $BE_HELD = <<'PERL';
# Waits until the other end of the pipe is closed, in naps: perl would notice a signal that came just before a long
# sleep only at the end of it.
sub be_held {
    my $hold = shift;
    vec(my $set = '', fileno $hold, 1) = 1;
    1 until select(my $released = $set, undef, undef, 0.05) > 0;
    return;
}
PERL

1;
