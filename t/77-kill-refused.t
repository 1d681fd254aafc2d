# A worker that is to be killed, as its time is over, and that the manager may not signal: it has become another user,
# and the manager, though root, has not got CAP_KILL, as in a container. The manager says so, once, and goes on.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CProgram;
use Facts;
use ProcessTest;

plan skip_all => 'only root can become another user, and has CAP_KILL only on Linux' if $> != 0 || $^O ne 'linux';

# Runs a command without the right to signal processes of other users. The keeper that ends them all has it.
my $source = File::Temp->new(SUFFIX => '.c');
print {$source} <<'C';
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) != 0)
        return 126;
    execv(argv[1], argv + 1);
    return 127;
}
C
close $source or die "cannot write $source: $!";
my @WITHOUT_CAP_KILL = compile("$source", '-Wall');

# A pool of workers that have become another user, and stay until they may go. GRACE is each of their times.
my $POOL = <<'PERL';
use POSIX ();
use Parallel::Prefork;
our ($pm, @said) = ();
pipe my $there, my $is_there or die "pipe: $!";
pipe my $go, my $may_go      or die "pipe: $!";
sub let_go { syswrite $may_go, 'x'; return }

sub work {
    POSIX::setuid(65534) or die "setuid: $!";
    syswrite $is_there, "$$\n";
    sysread $go, my $byte, 1;
    return;
}

# One that is at work from when it is let go on.
sub hang {
    POSIX::setuid(65534) or die "setuid: $!";
    syswrite $is_there, "$$\n";
    sysread $go, my $byte, 1;
    $pm->busy;
    sysread $go, $byte, 1;
    return;
}

# The manager looks at nothing else before they have become that.
sub pool {
    my ($class, $work, %options) = @_;
    my $workers = $options{max_workers} || 1;
    my $forks   = 0;
    @said = ();
    $pm = $class->new(
        max_workers => 1,
        after_fork  => sub {
            readline $there;
            $_[0]->signal_received('enough') if ++$forks == $workers;
        },
        %options,
    );
    $pm->start($work);
    $pm->after_fork(undef);
    return;
}

# Each that may not be killed is let go when that is said.
$SIG{__WARN__} = sub {
    push @said, $_[0];
    let_go();
};

sub show {
    my $record = $pm->last_exit;
    print 'said = ', scalar(@said), "\n";
    print 'text = ', $said[0] =~ s/\n\z/<newline>/r, "\n" if @said;
    print "end = $record->{status} '$record->{cause}' '$record->{sent_signal}' $record->{grace_over}\n" if $record;
    return;
}
PERL

my $GRACE = 0.2;
my $WHO   = qr/worker 0 \(pid \d+, generation 1\)/;
my $TEXT  = qr/\A$WHO is to be killed, and may not be: Operation not permitted\. .*CAP_KILL/;

sub seen {
    my ($title, $program, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @how = (under => \@WITHOUT_CAP_KILL, deadline => 30);
    return facts($title, ($POOL . $program) =~ s/GRACE/$GRACE/gr, @how, %options);
}

# Each has one worker that may not be killed, and that ends by itself when that was said.
sub said_once {
    my ($title, $program, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %seen = seen($title, "$program\nshow();", %options);
    is $seen{said}, 1, "$title: it is said once";
    like $seen{text}, $TEXT, '... who, and why';
    is $seen{end}, q{0 '' '' 0}, '... and its end, by itself, is not said to be the doing of the manager';
    return %seen;
}

my %alone = said_once('wait_all_children', <<'PERL');
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE);
$pm->signal_all_children('TERM');
print 'left = ', $pm->wait_all_children, "\n";
PERL
like $alone{text}, qr/<newline>\z/, '... as a warning without the place';
is $alone{left}, 0, '... and wait_all_children waits on';

# In start, whose loop is in C. The handler of the warning ends it.
my $IN_START = <<'PERL';
$SIG{__WARN__} = sub {
    push @said, $_[0];
    $pm->signal_received('said');
    let_go();
};
PREPARE
# A busy machine may take so long for the first start that it is said there.
$pm->start(sub { }) if !@said;
print 'start = ', scalar(@said), "\n";
$pm->wait_all_children;
PERL
my $TOLD = q{pool('CLASS', \&work, graceful_timeout => GRACE); $pm->signal_all_children('TERM');};
my $BUSY = q{pool('Parallel::Prefork', \&hang, worker_timeout => GRACE, MORE); let_go();};
my %in_start = (
    graceful_timeout     => $TOLD =~ s/CLASS/Parallel::Prefork/r,
    worker_timeout       => $BUSY =~ s/MORE//r,
    worker_timeout_grace => $BUSY =~ s/MORE/worker_timeout_grace => GRACE, on_worker_timeout => sub { }/r,
    ready_timeout        => q{pool('Parallel::Prefork', \&work, ready_timeout => GRACE);},
    SpareWorkers         => 'use Parallel::Prefork::SpareWorkers;'
        . $TOLD =~ s/CLASS'/Parallel::Prefork::SpareWorkers'/r =~ s/\)/, min_spare_workers => 1)/r,
);
for my $name (sort keys %in_start) {
    my %seen = said_once("start, $name", filled($IN_START, PREPARE => $in_start{$name}));
    is $seen{start}, 1, '... before start returns';
}

# Loops in Perl: a class that overrides what these call.
my $SUBCLASS = <<'PERL';
{
    package Sub;
    our @ISA = 'Parallel::Prefork';
    our $calls = 0;
    sub _wait {
        my ($self, $blocking) = @_;
        $calls++;
        return $self->SUPER::_wait($blocking);
    }
}
PERL
my %overridden = said_once('start of a class with a _wait of its own',
    $SUBCLASS . filled($IN_START, PREPARE => $TOLD =~ s/CLASS/Sub/r) . 'print "calls = $Sub::calls\n";');
ok $overridden{calls}, '... which is called';
said_once('wait_all_children of that class', "$SUBCLASS " . $TOLD =~ s/CLASS/Sub/r . '$pm->wait_all_children;');

# Outside of both.
my %between = said_once('_wait that the program calls', <<'PERL');
$SIG{__WARN__} = sub {
    push @said, $_[0];
    ($!, $@) = (7, 'of the handler');
    let_go();
};
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE);
$pm->signal_all_children('TERM');
($!, $@) = (5, 'mine');
until (@said) {
    print "found = one\n" if $pm->_wait(1);
}
print 'errno = ', $! + 0, "\n";
print "error = $@\n";
$pm->wait_all_children;
PERL
is $between{found}, undef, '... returns nothing then';
is $between{errno}, 5,      '... $! stays';
is $between{error}, 'mine', '... $@ stays';

# Who is told.
my %logged = said_once('log_exits => CODE', <<'PERL');
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE, log_exits => sub {
    my ($manager, $line) = @_;
    print 'manager = ', ($manager == $pm ? 'it' : 'another'), "\n";
    push @said, $line;
    let_go();
});
$SIG{__WARN__} = sub { print "warned = $_[0]" };
$pm->signal_all_children('TERM');
$pm->wait_all_children;
PERL
is $logged{manager}, 'it', '... which is given the manager';
is $logged{warned}, undef, '... in the place of a warning';
unlike $logged{text}, qr/<newline>/, '... and the line has no newline';

said_once('log_exits => 1', <<'PERL');
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE, log_exits => 1);
$pm->signal_all_children('TERM');
$pm->wait_all_children;
PERL

my %several = seen('several workers', <<'PERL');
$SIG{__WARN__} = sub {
    my ($who) = $_[0] =~ /\Aworker (\d+) /;
    push @said, $who;
};
pool('Parallel::Prefork', \&work, max_workers => 3, graceful_timeout => GRACE);
$pm->signal_all_children('TERM') for 1 .. 2;
$pm->wait_all_children(0.1) while @said < 3;
$pm->signal_all_children('TERM');
print 'later = ', $pm->wait_all_children(3 * GRACE), "\n";
print 'who = ', join(' ', sort @said), "\n";
let_go() for 1 .. 3;
print 'left = ', $pm->wait_all_children, "\n";
PERL
is $several{who},   '0 1 2', 'of several workers each is told of once';
is $several{later}, 3,       '... however long the manager waits, and whatever else it sends them';
is $several{left},  0,       '... until they end by themselves';

# A handler that leaves: the manager is as sound as before.
my %leaving = (
    'dies'                    => 'die "no\n"',
    'leaves the block'        => 'no warnings; last SCOPE',
    'waits for all by itself' => '$pm->wait_all_children',
    'runs start'              => 'kill TERM => $$; $pm->start(sub { })',
);
for my $what (sort keys %leaving) {
    for my $in ('start(sub { })', 'wait_all_children') {
        my %seen = seen("a handler of warnings that $what, $in", filled(<<'PERL', WHAT => $leaving{$what}, IN => $in));
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE);
$SIG{__WARN__} = sub {
    push @said, $_[0];
    $pm->signal_received('said');
    let_go();
    WHAT;
};
$pm->signal_all_children('TERM');
SCOPE: {
    $pm->IN;
}
print 'left = ', $pm->wait_all_children, "\n";
print 'said = ', scalar(@said), "\n";
# The next generation is like any other. It may take its time.
$pm->graceful_timeout(0);
$pm->after_fork(sub { $_[0]->signal_received('enough') });
$pm->on_child_reap(sub { print "reaped = $_[2]\n" });
$pm->start(sub { sleep 30 while 1 });
$pm->signal_all_children('TERM');
print 'new = ', $pm->wait_all_children, "\n";
PERL
        is_deeply \%seen, { left => 0, said => 1, reaped => 15, new => 0 },
            '... leaves the manager as it was, and the worker is reaped';
    }
}

# The other worker stays, so that it is not for want of children that the manager looks.
my %taken = seen('a handler of warnings in which the system reaps the worker', <<'PERL');
my $busy = sub {
    if ($pm->worker_index == 0) {
        hang();
        exit 0;
    }
    syswrite $is_there, "$$\n";
    sleep 30 while 1;
};
pool('Parallel::Prefork', $busy, max_workers => 2, worker_timeout => GRACE);
$SIG{__WARN__} = sub {
    my ($pid) = $_[0] =~ /pid (\d+)/;
    local $SIG{CHLD} = 'IGNORE';
    let_go();
    # As long as it is there it may not be signalled.
    select undef, undef, undef, 0.01 until !kill(0, $pid) && $! == POSIX::ESRCH();
    $pm->on_child_reap(sub { $_[0]->signal_received('reaped') });
};
let_go();
$pm->start(sub { });
print 'status = ', $pm->last_exit->{status}, "\n";
$pm->signal_all_children('TERM');
print 'left = ', $pm->wait_all_children, "\n";
PERL
is $taken{status}, -1, '... and nobody tells the manager, which finds out';
is $taken{left},   0,  '... and goes on';

my %exits = seen('a handler of warnings that exits', <<'PERL', status => 7 << 8);
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE);
$SIG{__WARN__} = sub {
    let_go();
    exit 7;
};
$pm->signal_all_children('TERM');
$pm->wait_all_children;
print "returned = yes\n";
PERL
is $exits{returned}, undef, '... ends the program';

my %log_dies = seen('log_exits that dies', <<'PERL');
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE, log_exits => sub {
    let_go();
    die "no\n";
});
$SIG{__WARN__} = sub { push @said, $_[0] };
$pm->signal_all_children('TERM');
print 'left = ', $pm->wait_all_children, "\n";
print "said = @said";
PERL
is $log_dies{said}, 'log_exits died: no', '... is warned of';
is $log_dies{left}, 0,                    '... and the manager waits on';

my %log_leaves = seen('log_exits that leaves the block', <<'PERL');
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE, log_exits => sub {
    let_go();
    no warnings;
    last SCOPE;
});
$SIG{__WARN__} = sub { push @said, $_[0] };
$pm->signal_all_children('TERM');
my $left = 'none';
SCOPE: {
    $left = $pm->wait_all_children;
}
print "left = $left\n";
print "said = @said";
PERL
like $log_leaves{said}, qr/\Alog_exits died: Label not found/, '... cannot';
is $log_leaves{left}, 0, '... and the manager waits on';

my $err;
seen('a program without a handler', <<'PERL', err => \$err);
pool('Parallel::Prefork', \&work, graceful_timeout => GRACE);
delete $SIG{__WARN__};
$pm->signal_all_children('TERM');
$pm->wait_all_children(3 * GRACE);
let_go();
$pm->wait_all_children;
PERL
like $err, qr/$TEXT.*\n\z/, '... has a line on STDERR';
is $err =~ tr/\n//, 1, '... and no other';

# As in 0.18: what the program sends is its own affair.
my %silent = seen('KILL that the program sends', <<'PERL');
for my $grace (0, 3600) {
    my %actions = (USR1 => 'KILL', USR2 => ['KILL', 0.01]);
    pool('Parallel::Prefork', \&work, graceful_timeout => $grace, trap_signals => \%actions);
    $pm->signal_all_children('TERM');
    $pm->signal_all_children('KILL');
    for my $signal (qw(USR1 USR2)) {
        kill $signal => $$;
        $pm->start(sub { });
    }
    print "$grace = ", $pm->wait_all_children(GRACE), ' ', scalar(@said), "\n";
    let_go();
    $pm->wait_all_children;
}
PERL
is $silent{0},    '1 0', '... and may not, is not told of';
is $silent{3600}, '1 0', '... nor while a time to end runs';

done_testing;
