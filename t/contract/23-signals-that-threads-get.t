# A signal for the manager that comes while it looks for children, in a program with another thread: the manager gets
# it.

use strict;
use warnings;

use lib 't/lib';
use OtherThread qw(check_signals_during);

check_signals_during('wait4');
