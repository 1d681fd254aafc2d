# A signal for the manager that comes while it forks, in a program with another thread. Perl's own fork blocks signals
# in one thread only, so the other one gets it; with a thread of a library perl before 5.42 crashes.

use strict;
use warnings;

use lib 't/lib';
use OtherThread qw(check_signals_during);

check_signals_during('fork');
