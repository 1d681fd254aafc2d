# A limit of 64 descriptors with 200 workers, a full /tmp, a read-only /tmp, no /proc: each works,
# or ends with one clear message.

use strict;
use warnings;

use File::Spec;
use File::Temp ();
use Test::More;

use lib 't/lib';
use FaultTest;
use ProcessTest;

my $workers = scale(full => 200, quick => 200);
my $trials  = scale(full => 30,  quick => 1);

# Named from this folder: some of these cover up /tmp, and the tree may be there.
my $dir = File::Temp->newdir('.faults-XXXXXX', DIR => -d '.cache' ? '.cache' : '.');
my $here = File::Spec->rel2abs(File::Spec->curdir);
my @inc = map { /\A\Q$here\E\// ? '-I' . File::Spec->abs2rel($_) : "-I$_" } grep { !ref } @INC;
my $program = "$dir/program.pl";

open my $source, '>', $program or die "cannot write $program: $!";
print {$source} <<'PERL';
use strict;
use warnings;
use POSIX ();

$| = 1;
my ($class, $workers, $file) = @ARGV;
eval "require $class; 1" or die $@;
my (%alive, $descriptors, $before);

# Without /proc, by trying them.
sub descriptors {
    my $open = 0;
    for my $number (0 .. 255) {
        my $copy = POSIX::dup($number);
        $open += defined $copy && POSIX::close($copy);
    }
    return $open;
}

my $pm = $class->new({
    max_workers       => $workers,
    min_spare_workers => $workers,
    max_spare_workers => $workers,
    $file ? (scoreboard_file => $file) : (),
    trap_signals      => { TERM => 'TERM' },
    on_child_reap     => sub { delete $alive{ $_[1] } or print "stranger\n" },
    after_fork        => sub {
        my ($pm, $pid) = @_;
        $alive{$pid} = 1;
        $before ||= descriptors();
        $pm->signal_received('full') if keys %alive == $workers;
    },
});
until ($pm->signal_received eq 'TERM') {
    if (!$pm->start) {
        $SIG{TERM} = 'DEFAULT';
        $pm->set_status('B') if $pm->can('set_status');
        select undef, undef, undef, 0.05 while 1;
    }
    if ($pm->signal_received eq 'full') {
        $descriptors = descriptors() - $before;
        print 'workers ', $pm->num_workers, ", more descriptors: $descriptors\n";
        $pm->signal_all_children('TERM');
        my $left = $pm->wait_all_children(30);
        print "left $left, not reaped ", scalar(keys %alive), "\n";
        kill TERM => $$;
    }
}
print "done\n";
PERL
close $source or die "cannot write $program: $!";

# The program in a shell that has set the stage; SHELL gets the command as "$@".
sub staged {
    my ($shell, @args) = @_;
    my $p = start_program(undef, deadline => 40,
        command => ['/bin/sh', '-c', "$shell\nexec \"\$@\"", 'sh', $^X, @inc, $program, @args]);
    $p->wait;
    return $p;
}

# With a mount namespace of its own, where the tree is at another place as well.
sub in_namespace {
    my ($shell, @args) = @_;
    my $p = start_program(undef, deadline => 40, command => ['unshare', '--mount', '/bin/sh', '-c',
        "mount --bind . /mnt && cd /mnt && $shell || exit 99\nexec \"\$@\"", 'sh', $^X, @inc, $program, @args]);
    $p->wait;
    return $p;
}

my %seen;

sub works {
    my ($name, $p, $count) = @_;
    my $ok = $p->out =~ /^workers $count, more descriptors: 0$/m && $p->out =~ /^left 0, not reaped 0$/m
        && $p->out =~ /^done$/m && $p->status == 0;
    ok $ok, "$name: works" or diag substr($p->out, -600), substr $p->err, 0, 600;
    is $p->err, '', "$name: without a complaint" if $ok;
    $seen{$name}{ $ok ? 'works' : $p->timed_out ? 'hung' : 'status ' . $p->status }++;
    return;
}

sub refuses {
    my ($name, $p, $message) = @_;
    my @lines = split /\n/, $p->err;
    my $ok = @lines == 1 && $lines[0] =~ $message && $p->status != 0 && $p->out eq '';
    ok $ok, "$name: one clear message"
        or diag "status ", $p->status, "\n", substr($p->out, 0, 300), substr $p->err, 0, 900;
    my $seen
        = $ok            ? "says '$lines[0]'" =~ s/\S*faults\S*//gr =~ s/ at \S+ line.*/'/r
        : $p->timed_out ? 'hung'
        :                  'status ' . $p->status;
    $seen{$name}{$seen}++;
    return;
}

my ($base, $spare) = ('Parallel::Prefork', 'Parallel::Prefork::SpareWorkers');

for (1 .. $trials) {
    works("64 descriptors, $workers workers", staged('ulimit -n 64', $base, $workers), $workers);
    works("64 descriptors, $workers workers, a scoreboard", staged('ulimit -n 64', $spare, $workers), $workers);
    unlink "$dir/scoreboard";
    works("64 descriptors, $workers workers, a scoreboard file",
        staged('ulimit -n 64', $spare, $workers, "$dir/scoreboard"), $workers);
}

# None left at all: perl itself needs some to be loaded; so the program uses them up.
{
    my $uses_them_up = <<'PERL';
while (defined(my $fd = POSIX::dup(0))) { }
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 1,
    min_spare_workers => 1,
});
$pm->start or POSIX::_exit(3);
PERL
    my @perl = ($^X, @inc, '-MPOSIX', "-M$spare", '-e', $uses_them_up);
    my $p = start_program(undef, deadline => 20, command => ['/bin/sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', @perl]);
    $p->wait;
    refuses('no descriptor left', $p, qr/\Apipe2?: Too many open files/);
}

SKIP: {
    skip 'root is needed for a mount namespace', 1 if $> != 0;
    my $why = `unshare --mount true 2>&1`;
    skip "no mount namespace here: $why", 1 if $?;

    # A full /tmp: no byte and no inode is free.
    my $full = 'mount -t tmpfs -o size=4k,nr_inodes=3 none /tmp && head -c 4096 /dev/zero > /tmp/big && : > /tmp/small';
    my $read_only = 'mount -t tmpfs none /tmp && mount -o remount,ro /tmp';
    my $no_proc = 'umount -l /proc';
    for (1 .. $trials) {
        works('a full /tmp', in_namespace($full, $spare, 3), 3);
        refuses('a full /tmp, a scoreboard file there', in_namespace($full, $spare, 3, '/tmp/scoreboard'),
            qr{\Afailed to create scoreboard file:/tmp/scoreboard:No space left on device});
        refuses('a /tmp without a byte free, a scoreboard file there',
            in_namespace($full =~ s/nr_inodes=3/nr_inodes=9/r, $spare, 3, '/tmp/scoreboard'),
            qr{\Afailed to create scoreboard file:/tmp/scoreboard:No space left on device});
        works('a read-only /tmp', in_namespace($read_only, $spare, 3), 3);
        refuses('a read-only /tmp, a scoreboard file there', in_namespace($read_only, $spare, 3, '/tmp/scoreboard'),
            qr{\Afailed to create scoreboard file:/tmp/scoreboard:Read-only file system});
        works('no /proc', in_namespace($no_proc, $base, 3), 3);
        works('no /proc, a scoreboard', in_namespace($no_proc, $spare, 3), 3);
    }
}

for my $name (sort keys %seen) {
    my %times = %{ $seen{$name} };
    figure($name, join ', ', map { $times{$_} > 1 ? "$_ ($times{$_} times)" : $_ } sort keys %times);
}

done_testing;
