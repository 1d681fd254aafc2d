# What a worker with fast_exit does of its handles and objects, and what it leaves out, as the POD says.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(PerlIO::gzip));

# What is in the file that a worker has written to, with the code given; and what it says.
sub worker_leaves {
    my ($fast_exit, $code) = @_;
    my $dir = File::Temp->newdir;
    my $p = run(<<"PERL", args => [$fast_exit, "$dir"], deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
{
    package Thing;
    sub TIEHANDLE { return bless [] } sub DESTROY { syswrite STDOUT, "destroyed\\n" };
}
my (\$fast_exit, \$dir) = \@ARGV;
our (\$handle, \$thing);
my \$pm = Parallel::Prefork->new({ max_workers => 1, fast_exit => \$fast_exit, on_child_reap => sub { \$_[0]->signal_received('enough') } });
\$pm->start(sub { $code });
\$pm->wait_all_children;
PERL
    is $p->status, 0, 'the manager ends as it should' or diag $p->err;
    my ($file) = grep { -f } glob "$dir/*";
    my $text = defined $file && do { open my $fh, '<:raw', $file or die "$file: $!"; local $/; readline $fh };
    return { said => $p->out, warned => $p->err, text => $text, left => scalar(() = glob "$dir/*") };
}

for my $fast (0, 1) {
    is worker_leaves($fast, 'open $handle, ">", "$dir/file" or die $!; print $handle "text"')->{text}, 'text', "fast_exit => $fast: a handle is flushed";

    my $zipped = worker_leaves($fast, 'require PerlIO::gzip; open $handle, ">:gzip", "$dir/file" or die $!; print $handle "text" x 1000')->{text};
    # The last four bytes are the length of what was written, and only there if the end is.
    is unpack('V', substr $zipped, -4), 4000, "fast_exit => $fast: a layer writes its end";

    my $piped = worker_leaves($fast, 'open $handle, "|-", q(read -r line; sleep 0.2; echo "$line" >) . "$dir/file" or die $!; print $handle "text\n"')->{text};
    is $piped, "text\n", "fast_exit => $fast: the process at the end of a pipe is waited for";
    is worker_leaves($fast, 'my $inside = bless [], "Thing"; exit 0')->{said}, "destroyed\n", "fast_exit => $fast: what a sub has is destroyed";
}

# What is left out.
my %destroyed = (
    'an object in a global variable' => '$thing = bless [], "Thing"',
    'a tied handle'                  => 'tie *HANDLE, "Thing"',
    'an object in a circle'          => '$thing = bless [], "Thing"; $thing->[0] = $thing',
);
for my $what (sort keys %destroyed) {
    is worker_leaves(0, $destroyed{$what})->{said}, "destroyed\n", "without fast_exit, $what is destroyed";
    is worker_leaves(1, $destroyed{$what})->{said}, '', '... with it, it is not';
}
my $folder = 'require File::Temp; $thing = File::Temp->newdir(DIR => $dir)';
is worker_leaves(0, $folder)->{left}, 0, 'without fast_exit, a folder that an object stands for is removed';
is worker_leaves(1, $folder)->{left}, 1, '... with it, it stays';

my $full = 'open $handle, ">", "/dev/full" or die $!; print $handle "text"';
like worker_leaves(0, $full)->{warned}, qr/unable to close filehandle/, 'without fast_exit, perl warns of what could not be written';
is worker_leaves(1, $full)->{warned}, '', '... with it, it does not';

done_testing;
