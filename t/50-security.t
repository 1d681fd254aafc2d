# What SECURITY.md says: the scoreboard file, what a program that is exec'd inherits, and what a
# worker that is in the hands of somebody else can and cannot do to the manager.

use strict;
use warnings;

use Fcntl qw(:mode);
use File::Find ();
use File::Temp ();
use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use TextFiles;
use Time::HiRes qw(sleep);

my %calls = (x86_64 => { read => 0, fcntl => 72 }, aarch64 => { read => 63, fcntl => 25 });
my $calls = $calls{ (POSIX::uname())[4] };

# The scoreboard file.
{
    my $dir = File::Temp->newdir;
    my $new = <<'PERL';
use Parallel::Prefork::SpareWorkers;
my ($file, $umask) = @ARGV;
umask oct $umask;
my $pm = eval {
    Parallel::Prefork::SpareWorkers->new({ max_workers => 1, min_spare_workers => 1, scoreboard_file => $file });
};
print $pm ? 'made' : $@;
PERL
    spew("$dir/file", 'precious');
    link "$dir/file", "$dir/hard" or die "link: $!";
    symlink 'file', "$dir/soft"       or die "symlink: $!";
    symlink 'nowhere', "$dir/dangling" or die "symlink: $!";
    for my $name (qw(file hard soft dangling)) {
        like run($new, args => ["$dir/$name", 22])->out, qr/\Afailed to create scoreboard file:/,
            "what is there already is refused: $name";
    }
    is slurp("$dir/file"), 'precious', 'a file that is refused is left as it is';
    ok !-e "$dir/nowhere", 'a link that leads nowhere is not followed';
    for my $umask ('000', '022', '277', '777') {
        is run($new, args => ["$dir/with-$umask", $umask])->out, 'made', "umask $umask: the file is made";
        is sprintf('%04o', S_IMODE((stat "$dir/with-$umask")[2])), '0600', "umask $umask: mode 0600";
    }
}

# Programs that are exec'd, by every way that leads there.
{
    my $program = <<'PERL';
use strict;
use warnings;

my ($where, $dir) = @ARGV;
my $look = 'for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ ! -e /proc/self/fd/$fd ] || echo "inherited descriptor $fd";
    done; grep -E " .w.s | /dev/shm| /memfd" /proc/self/maps; echo looked';
my @look = ('/bin/sh', '-c', $look);
exec @look if $where eq 'without us';

require Parallel::Prefork::SpareWorkers;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 1,
    min_spare_workers    => 1,
    scoreboard_file      => "$dir/scoreboard",
    before_fork          => sub { system @look if $where eq 'system in the manager' },
    after_fork           => sub {
        return if $where !~ /exec in the manager|a child/;
        if ($where =~ /a child/) {
            defined(my $pid = fork) or die "fork: $!";
            waitpid $pid, 0 if $pid;
            return if $pid;
        }
        exec @look;
    },
    on_child_reap        => sub { $_[0]->signal_received('TERM') },
});
$pm->start(sub {
    exec @look   if $where eq 'exec in a worker';
    system @look if $where eq 'system in a worker';
});
$pm->wait_all_children;
PERL
    my $without;
    my @places = (
        'without us', 'exec in the manager', 'a child of the manager', 'system in the manager', 'exec in a worker',
        'system in a worker',
    );
    for my $where (@places) {
        my $dir = File::Temp->newdir;
        my $p = run($program, args => [$where, "$dir"], deadline => 20);
        # The shell has descriptors of its own, and what has started the test may have left some.
        $without = $p->out if !defined $without;
        is $p->out =~ s/looked\n\K.*//sr, $without, "$where: nothing of ours is open, or mapped" or diag $p->err;
    }
}

# What is left on the disk.
{
    my $dir = File::Temp->newdir;
    mkdir "$dir/tmp" or die "mkdir: $!";
    my $p = run(<<'PERL', args => ["$dir"], env => { TMPDIR => "$dir/tmp" }, deadline => 20);
use Parallel::Prefork::SpareWorkers;
umask 0;
chdir $ARGV[0] or die "chdir: $!";
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 3,
    min_spare_workers => 2,
    scoreboard_file   => 'scoreboard',
    on_child_reap     => sub { $_[0]->signal_received('TERM') },
});
$pm->start(sub { $pm->set_status('B') });
$pm->wait_all_children;
print "done\n";
PERL
    is $p->out, "done\n", 'a pool has come and gone, with umask 0' or diag $p->err;
    my (@found, @writable);
    File::Find::find(sub {
        push @found, $_ if -f;
        push @writable, $File::Find::name if !-l && (lstat)[2] & (S_IWGRP | S_IWOTH) && $File::Find::name ne "$dir/tmp";
    }, "$dir", 'blib');
    ok !!(grep { $_ eq 'scoreboard' } @found), 'the scoreboard file of a pool is there';
    is_deeply \@writable, [], 'nothing that we make or install can be written to by others';
}

# A worker that is taken over. It goes wild when it is told to, for as long as it lives; two
# honest ones work beside it, and a decoy is a process that nobody may signal.
SKIP: {
    skip 'no numbers of system calls are known for this machine', 1 if !$calls;
    my $pool = <<'PERL';
use strict;
use warnings;
use Fcntl;
use Parallel::Prefork::SpareWorkers qw(:status);
use Time::HiRes qw(sleep);

my ($dir, $decoy, $read, $fcntl, $attack) = @ARGV;
my $most = 0;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 6,
    min_spare_workers    => 2,
    max_spare_workers    => 3,
    err_respawn_interval => 0.05,
    scoreboard_file      => "$dir/scoreboard",
    after_fork           => sub { $most = $_[0]->num_workers + 1 if $_[0]->num_workers >= $most },
    trap_signals         => { TERM => 'TERM', USR1 => undef },
});

# The mappings that are shared, as [address, size], the smaller one first: the numbers, the slots.
sub shared {
    no warnings 'portable';
    open my $maps, '<', '/proc/self/maps' or die "maps: $!";
    my @shared = map { /\A([0-9a-f]+)-([0-9a-f]+) .w.s / ? [hex $1, hex($2) - hex $1] : () } <$maps>;
    return sort { $a->[1] <=> $b->[1] } @shared;
}

sub store {
    my ($address, $bytes) = @_;
    pipe my $out, my $in or die "pipe: $!";
    while (length $bytes) {
        my $some = substr $bytes, 0, 4096, '';
        syswrite $in, $some;
        syscall($read, fileno $out, $address, length $some) == length $some or die "read: $!";
        $address += length $some;
    }
    return;
}

# The line with the flags of a descriptor.
sub flags_of {
    my $fd = shift;
    open my $info, '<', "/proc/self/fdinfo/$fd" or die "fdinfo of $fd: $!";
    return join '', grep { /^flags/ } <$info>;
}

sub pipes { return grep { (readlink "/proc/self/fd/$_" || '') =~ /pipe/ && $_ > 2 } 3 .. 63 }

my %attack = (
    truncate => sub {
        truncate "$dir/scoreboard", 0 or die "truncate: $!";
        sleep 0.01;
    },
    numbers => sub {
        my ($numbers) = shared();
        store($numbers->[0], pack('Ll4', (0xffffffff, 0, 0x7fffffff)[rand 3],
            (0x7fffffff, -0x80000000, 0, 5)[rand 4], (map { (-0x80000000, 0x7fffffff, 0)[rand 3] } 1, 2), rand 4)
            . pack 'lC', (0x7fffffff, -0x80000000, 0, 1)[rand 4], rand 2);
    },
    noise => sub {
        my ($numbers, $slots) = shared();
        store($numbers->[0], join '', map { chr rand 256 } 1 .. 28 + 12 * 8);
        store($slots->[0], join '', map { chr rand 256 } 1 .. 16 * 8);
    },
    slots => sub {
        my ($numbers, $slots) = shared();
        store($slots->[0], join '', map { sprintf "B%-14d\n", $decoy } 1 .. 6);
        # Their owner, and what else is kept of each.
        store($numbers->[0] + 28, pack 'lLCCx2' x 6, map { $decoy, 0, 0, 0 } 1 .. 6);
    },
    pipe => sub {
        # Those who share the flags of our end would wait for ever, and so would who reads.
        for my $fd (pipes()) {
            syscall($fcntl, $fd, F_SETFL, 0) == 0 or die "fcntl: $!";
            open my $end, '>&=', $fd or next;
            for (1 .. 2) {
                next if fork;
                while (1) { syswrite $end, 'x' x 65536 }
            }
        }
        sleep 3600;
    },
);

until ($pm->signal_received eq 'TERM') {
    $pm->start(sub {
        if ($pm->worker_index != 0 || -e "$dir/wild") {
            $SIG{USR2} = sub { $pm->set_status('B') };
            print "honest $$ ", $pm->worker_index, "\n";
            while (1) {
                $pm->set_status(STATUS_IDLE);
                sleep 0.02;
            }
        }
        open my $mark, '>', "$dir/wild" or die "open: $!";
        print 'writable and shared: ', join(' ', map { $_->[1] } shared()), "\n";
        my @pipes = map { flags_of($_) } pipes();
        print 'pipes: ', scalar(@pipes), ', to read: ', scalar(grep { !/1\n\z/ } @pipes), "\n";
        print "wild $$\n";
        # Its end is told to it in a way that it has not spoilt.
        while (1) { $attack{$attack}->() }
    });
    print 'start ended: ', $pm->signal_received, "\n";
}
$pm->signal_all_children('KILL') while $pm->wait_all_children(0.2);
print "at most $most, left ", $pm->num_workers, "\n";
PERL

    my $says_what_hits_it = <<'PERL';
$SIG{$_} = sub { print "hit\n" } for qw(TERM USR1 USR2);
print "up\n";
select undef, undef, undef, 0.05 while 1;
PERL

    for my $attack (qw(truncate numbers noise slots pipe)) {
        my $dir   = File::Temp->newdir;
        my $decoy = start_program($says_what_hits_it, deadline => 30);
        $decoy->line;
        my $p = start_program($pool, deadline => 30,
            args => ["$dir", $decoy->pid, $calls->{read}, $calls->{fcntl}, $attack]);
        my %seen;
        # Where no slot is free, honest workers die before they can say that they are there.
        my $is_alone = $attack eq 'slots';
        while (!$seen{wild} || !$seen{honest} && !$is_alone) {
            my $line = $p->line;
            last if !defined $line;
            $seen{$1} ||= $2 if $line =~ /\A(wild|honest) (\d+)/;
        }
        like $p->out, qr/^writable and shared: \d+ \d+$/m, "$attack: it shares two mappings, and nothing else, with us";
        like $p->out, qr/^pipes: 1, to read: 0$/m, "$attack: it has an end of one pipe, to write to";
        sleep 0.5;
        # A worker's end is noticed, another takes its place; a signal is acted on.
        if (!$is_alone) {
            $p->signal('KILL', $seen{honest});
            ok eventually(sub { !exists $p->children->{ $seen{honest} } }),
                "$attack: an honest worker that dies is reaped";
            ok eventually(sub {
                my $children = $p->children;
                delete $children->{ $seen{wild} };
                grep { $_ ne 'Z' } values %$children;
            }), "$attack: there are honest workers all the time, or again";
        }
        $p->signal('USR1');
        is $p->line_like(qr/\Astart ended/), 'start ended: USR1', "$attack: a signal ends start" or diag $p->err;
        $p->signal('TERM');
        is $p->wait, 0, "$attack: TERM stops the manager, which ends as it should" or diag substr $p->err, 0, 500;
        my ($most) = $p->out =~ /^at most (\d+), left 0$/m;
        ok $most && $most <= 6, "$attack: never more than max_workers" or diag $p->out;
        if ($attack eq 'truncate') {
            is $p->err, '', 'truncate: nobody complains';
        }
        $decoy->signal('KILL');
        $decoy->wait;
        is $decoy->out, "up\n", "$attack: nobody else was signalled";
    }
}

# What the kernel says. The manager keeps its user, its workers change theirs.
SKIP: {
    skip 'root is needed for workers with a user of their own', 1 if $> != 0;
    my $p = run(<<'PERL', deadline => 20);
use POSIX ();
use Parallel::Prefork;
my $nobody = getpwnam 'nobody';
my $pm = Parallel::Prefork->new({ max_workers => 1, on_child_reap => sub { $_[0]->signal_received('TERM') } });
my $manager = $$;
$pm->start(sub {
    POSIX::setgid(65534);
    POSIX::setuid($nobody) or die "setuid: $!";
    print 'signal: ', (kill('TERM', $manager) ? 'sent' : "$!"), "\n";
    print 'memory: ', (open(my $fh, '+<', "/proc/$manager/mem") ? 'open' : "$!"), "\n";
});
PERL
    like $p->out, qr/^signal: Operation not permitted$/m, 'a worker with a user of its own cannot signal the manager'
        or diag $p->err;
    like $p->out, qr/^memory: Permission denied$/m,
        'a worker with a user of its own cannot get at the memory of the manager';
}

done_testing;
