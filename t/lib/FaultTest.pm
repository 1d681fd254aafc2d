package FaultTest;

# What the fault suite shares: each case runs at a small size in script/test, and at its full one
# in script/soak; what it saw goes into a table.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(scale figure on_the_original);

# scale(full => 20_000, quick => 400): how many times to try.
sub scale {
    my %size = @_;
    return $size{ $ENV{PREFORK_FULL} ? 'full' : 'quick' };
}

# figure('what was tried' => 'what was seen'): a line of script/soak's table.
sub figure {
    my ($tried, $seen) = @_;
    print "# figure: $tried | $seen\n";
    return;
}

# Whether the module under test is 0.18: a case may have to ask other things of it.
sub on_the_original {
    require Parallel::Prefork;
    return !Parallel::Prefork::Core->can('library_version');
}

1;
