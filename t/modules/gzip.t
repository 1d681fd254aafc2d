# A worker with fast_exit that has a compressed file open: the layer writes the end of it when it is closed, and the
# file is whole when the manager hears of the worker's end.

use strict;
use warnings;

use File::Temp ();
use lib 't/lib';
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use ProcessTest;
use RealModules;
use Test::More;

need_modules('PerlIO::gzip');

my $program = <<'PERL';
use strict;
use warnings;
use PerlIO::gzip;
use Parallel::Prefork;

my $file = shift;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    open our $handle, '>:gzip', $file or die;
    print {$handle} "line $_\n" for 1 .. 10_000;
    LEAVE;
});
PERL

for my $how ('exit 3', 'return', 'die "the end\n"') {
    my $dir = File::Temp->newdir;
    my $p = run(filled($program, LEAVE => $how), args => ["$dir/file"], deadline => 30);
    my $expected = join '', map { "line $_\n" } 1 .. 10_000;
    my $found;
    ok gunzip("$dir/file", \$found), "a compressed file can be read after a worker has left by $how"
        or diag $GunzipError, $p->err;
    is $found, $expected, "a compressed file is whole after a worker has left by $how";
}

done_testing;
