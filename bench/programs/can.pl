# can.pl METHOD
#
# Exits with 0 if the module has such a method.

use strict;
use warnings;

use Parallel::Prefork;

exit !Parallel::Prefork->can($ARGV[0]);
