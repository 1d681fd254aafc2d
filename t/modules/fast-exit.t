# What a worker with fast_exit does of its handles and objects, and what it leaves out, as the POD says.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use RealModules;
use Test::More;
use TextFiles;

need_modules(qw(PerlIO::gzip));

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

{
    package Thing;

    sub TIEHANDLE { return bless [] }

    sub DESTROY {
        syswrite STDOUT, "destroyed\n";
        return;
    }
}

my ($fast_exit, $dir) = @ARGV;
our ($handle, $thing);
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    fast_exit     => $fast_exit,
    on_child_reap => sub { $_[0]->signal_received('enough') },
});
$pm->start(sub {
    WORKER;
});
$pm->wait_all_children;
PERL

# What is in the file that a worker has written to, with the code given; and what it says.
sub worker_leaves {
    my ($fast_exit, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $dir = File::Temp->newdir;
    my $p = run(filled($program, WORKER => $code), args => [$fast_exit, "$dir"], deadline => 30);
    is $p->status, 0, 'the manager ends as it should' or diag $p->err;
    my @files = grep { -f } glob "$dir/*";
    return {
        said   => $p->out,
        warned => $p->err,
        text   => @files ? slurp($files[0]) : undef,
        left   => scalar(() = glob "$dir/*"),
    };
}

for my $fast (0, 1) {
    is worker_leaves($fast, <<'PERL')->{text}, 'text', "fast_exit => $fast: a handle is flushed";
open $handle, ">", "$dir/file" or die $!;
print $handle "text";
PERL

    my $zipped = worker_leaves($fast, <<'PERL')->{text};
require PerlIO::gzip;
open $handle, ">:gzip", "$dir/file" or die $!;
print $handle "text" x 1000;
PERL
    # The last four bytes are the length of what was written, and only there if the end is.
    is unpack('V', substr $zipped, -4), 4000, "fast_exit => $fast: a layer writes its end";

    is worker_leaves($fast, <<'PERL')->{text}, "text\n", "fast_exit => $fast: the process behind a pipe is waited for";
open $handle, "|-", qq(read -r line; sleep 0.2; echo "\$line" > $dir/file) or die $!;
print $handle "text\n";
PERL

    is worker_leaves($fast, <<'PERL')->{said}, "destroyed\n", "fast_exit => $fast: what a sub has is destroyed";
my $inside = bless [], "Thing";
exit 0;
PERL
}

# What is left out.
my %destroyed = (
    'an object in a global variable' => '$thing = bless [], "Thing"',
    'a tied handle'                  => 'tie *HANDLE, "Thing"',
    'an object in a circle'          => <<'PERL',
$thing = bless [], "Thing";
$thing->[0] = $thing;
PERL
);
for my $what (sort keys %destroyed) {
    is worker_leaves(0, $destroyed{$what})->{said}, "destroyed\n", "without fast_exit, $what is destroyed";
    is worker_leaves(1, $destroyed{$what})->{said}, '', "with fast_exit, $what is not destroyed";
}

my $folder = <<'PERL';
require File::Temp;
$thing = File::Temp->newdir(DIR => $dir);
PERL
is worker_leaves(0, $folder)->{left}, 0, 'without fast_exit, a folder that an object stands for is removed';
is worker_leaves(1, $folder)->{left}, 1, 'with fast_exit, a folder that an object stands for stays';

my $full = <<'PERL';
open $handle, ">", "/dev/full" or die $!;
print $handle "text";
PERL
like worker_leaves(0, $full)->{warned}, qr/unable to close filehandle/,
    'without fast_exit, perl warns of what could not be written';
is worker_leaves(1, $full)->{warned}, '', 'with fast_exit, perl does not warn of what could not be written';

done_testing;
