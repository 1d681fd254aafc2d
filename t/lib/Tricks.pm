package Tricks;

# What a build may be without, see perl/internals/README.md. A test of such a thing alone is skipped there.

use strict;
use warnings;

use Exporter 'import';

use Parallel::Prefork;

our @EXPORT = qw(has_trick);

sub has_trick {
    my $name = shift;
    return Parallel::Prefork::Core::has_trick($name);
}

1;
