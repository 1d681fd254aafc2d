# The wait of a worker: it ends for a handle that is readable, for a signal that tells the worker to stop and for the
# end of the manager, and for nothing else; and handlers of the program's run as they would without it.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use Facts;
use PidNamespace;
use ProcessTest;

# Workers that say something, and a manager that listens and signals them.
my $POOL = <<'PERL';
use POSIX ();
use Time::HiRes ();
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
our ($pm, @statuses, @pids) = ();
pipe my $there, my $is_there or die "pipe: $!";
sub say_so { return syswrite $is_there, "@_\n" }
sub heard { chomp(my $line = readline $there); return $line }
sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }
sub fact { my ($name, $value) = @_; return syswrite STDOUT, "$name = $value\n" }
sub nobody_is_readable { return select(my $fd = '', undef, undef, $_[0]) }

# Forks so many workers, and stops the run.
sub workers {
    my ($number, $work, %options) = @_;
    my $class = delete $options{class} || 'Parallel::Prefork';
    my $started = 0;
    $pm = $class->new(
        max_workers   => $number,
        trap_signals  => { TERM => 'TERM' },
        after_fork    => sub { push @pids, $_[1]; $_[0]->signal_received('enough') if ++$started == $number },
        on_child_reap => sub { push @statuses, $_[2] },
        %options,
    );
    $pm->start($work);
    return;
}

# What a worker does that has nothing to do but to leave.
sub wait_for_the_end {
    say_so('there', $pm->stopping);
    exit 99 if $pm->wait_readable;
    exit(($pm->stopping eq 'signal') ? 7 : 98);
}

sub all_have_ended {
    $pm->wait_all_children;
    fact(statuses => join ' ', map { $_ & 127 ? "signal $_" : $_ >> 8 } @statuses);
    return;
}
PERL

sub pool_facts {
    my ($title, $source, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return facts($title, $POOL . $source, deadline => 30, %options);
}

# Signals that stop

for my $signal (qw(TERM INT QUIT)) {
    my %fact = pool_facts($signal, filled(<<'PERL', SIGNAL => "'$signal'"));
workers(2, \&wait_for_the_end);
heard() for 1 .. 2;
$pm->signal_all_children(SIGNAL);
all_have_ended();
PERL
    is $fact{statuses}, '7 7', "$signal ends the wait, and not the worker";
}

my %aimed = pool_facts('aimed', <<'PERL', deadline => 60);
for my $round (0 .. 9) {
    workers(10, sub {
        say_so('there', $pm->stopping);
        my $turns = $round * 300 * $pm->worker_index;
        1 while --$turns > 0;
        1 while $pm->wait_readable;
        exit 7;
    });
    heard() for 1 .. 10;
    $pm->signal_all_children('TERM');
    $pm->wait_all_children;
}
all_have_ended();
PERL
is $aimed{statuses}, join(' ', (7) x 100), 'TERM at about the moment of the wait ends it, each time';

my %served = pool_facts('a request', <<'PERL');
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, Blocking => 0) or die "listen: $@";
workers(1, sub {
    my $answers = 0;
    while (my ($ready) = $pm->wait_readable($listener)) {
        fact(handle => $ready == $listener ? 'as given' : $ready);
        my $client = $ready->accept or next;
        say_so('served');
        $client->blocking(1);
        my $line = <$client>;
        print {$client} "you said $line";
        $answers++;
    }
    exit $answers;
});
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport) or die "connect: $@";
heard();
$pm->signal_all_children('TERM');
# TERM has come to the worker: nothing else can tell than that it is not there any more for the system.
my $pending = 1;
while ($pending) {
    open my $status, '<', "/proc/$pids[0]/status" or last;
    $pending = grep { /^(?:Sig|Shd)Pnd:.*[1-9a-f]/ } <$status>;
}
print {$client} "hello\n";
fact(answer => scalar(readline $client) =~ s/\n//r);
all_have_ended();
PERL
is $served{handle},   'as given',       'wait_readable returns the handle that it was given';
is $served{answer},   'you said hello', 'a request that is under way when TERM comes is answered';
is $served{statuses}, 1,                '... and then the worker leaves';

my %ignored = pool_facts('INT is ignored', <<'PERL');
workers(1, sub {
    $SIG{INT} = 'IGNORE';
    $pm->stopping;
    say_so('there');
    kill INT => $$;
    my @found = $pm->wait_readable([], 0.2);
    fact(ignored => scalar(@found) . $pm->stopping);
    wait_for_the_end();
});
heard();
heard();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $ignored{ignored},  0, 'a signal that the program ignores does not stop the worker';
is $ignored{statuses}, 7, '... and another one does';

my %blocked = pool_facts('TERM is blocked', <<'PERL');
workers(1, sub {
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGTERM()));
    pipe my $readable, my $writing or die "pipe: $!";
    syswrite $writing, 'x';
    my $turns = 0;
    $turns++ || say_so('there'), nobody_is_readable(0.01) while $pm->wait_readable($readable);
    exit($turns > 0 ? 7 : 8);
});
heard();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $blocked{statuses}, 7, 'TERM ends the wait even if the program blocks it and a handle is always readable';

my %spare = pool_facts('SpareWorkers', <<'PERL');
workers(3, sub {
    say_so('there', $pm->stopping);
    $pm->wait_readable;
    exit 7;
}, class => 'Parallel::Prefork::SpareWorkers', min_spare_workers => 3, max_spare_workers => 3,
    trap_signals => { TERM => 'USR1' },
    # What fails in the manager leaves nothing wrong in its workers.
    before_fork  => sub { eval { $_[0]->stopping } });
heard() for 1 .. 3;
$pm->min_spare_workers(1);
$pm->max_spare_workers(1);
$pm->on_child_reap(sub { push @statuses, $_[2]; $_[0]->signal_received('enough') if @statuses == 2 });
$pm->start(sub { exit 9 });
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $spare{statuses}, '7 7 7', 'SpareWorkers: the signal for those that are too many ends the wait, whatever it is';

my %more = pool_facts('fast_exit', <<'PERL');
workers(2, sub {
    say_so('there', $pm->stopping);
    $pm->wait_readable;
    $pm->finish(7);
}, fast_exit => 1);
heard() for 1 .. 2;
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $more{statuses}, '7 7', 'workers with fast_exit leave their wait';

my %returned = pool_facts('start without code', <<'PERL');
my $started = 0;
$pm = Parallel::Prefork->new(
    max_workers   => 2,
    after_fork    => sub { $_[0]->signal_received('enough') if ++$started == 2 },
    on_child_reap => sub { push @statuses, $_[2] },
);
if (!$pm->start) {
    wait_for_the_end();
}
heard() for 1 .. 2;
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $returned{statuses}, '7 7', 'workers of a start without code leave their wait';

my %taint = pool_facts('perl -T', <<'PERL', switches => ['-T']);
workers(1, \&wait_for_the_end);
heard();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $taint{statuses}, 7, 'under taint checks a worker leaves its wait';

# The end of the manager

my $KILLED = $POOL . <<'PERL';
workers(2, sub {
    my ($manager, $is_first) = (getppid, FIRST);
    $pm->stopping if $is_first;
    say_so('there');
    if (!$is_first) {
        nobody_is_readable(0.01) while getppid == $manager;
    }
    my @found = $pm->wait_readable;
    fact(left => scalar(@found) . ' ' . $pm->stopping);
});
heard() for 1 .. 2;
syswrite STDOUT, "there\n";
sleep 60;
PERL
my %killed = (
    'while they wait'  => filled($KILLED, FIRST => 1),
    'before they wait' => filled($KILLED, FIRST => 0),
);
for my $when (sort keys %killed) {
    my $program = start_program("use strict;\nuse warnings;\n$killed{$when}", deadline => 30);
    is $program->line, 'there', "two workers, $when" or diag $program->err;
    $program->signal('KILL');
    is $program->line, 'left = 0 manager gone', "$when: a worker leaves when the manager is killed" for 1 .. 2;
    ok eventually(sub { !$program->members }), "... and nobody is left";
}

SKIP: {
    my @under = new_pid_namespace() or skip 'no PID namespaces here', 1;
    my %inside = pool_facts('PID 1', <<'PERL', under => \@under);
workers(2, \&wait_for_the_end);
heard() for 1 .. 2;
$pm->signal_all_children('TERM');
all_have_ended();
PERL
    is $inside{statuses}, '7 7', 'workers of a manager that is PID 1 wait, and leave';
}

# Handlers of the program's

my %own = pool_facts('a handler of its own', <<'PERL');
workers(1, sub {
    my @handled = ();
    $SIG{TERM} = sub { push @handled, "first $_[0]" };
    $pm->stopping;
    say_so('there');
    $pm->wait_readable;
    fact(first => "@handled");
    exit 7;
});
heard();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $own{first}, 'first TERM', 'a handler in %SIG of the worker runs, and the wait ends';

my %local = pool_facts('local $SIG{TERM}', <<'PERL');
workers(1, sub {
    my $handled = '';
    $pm->stopping;
    {
        local $SIG{TERM} = sub { $handled .= $_[0] };
        $pm->wait_readable([], 0);
        kill TERM => $$;
        fact(ends => scalar(my @found = $pm->wait_readable) . $pm->stopping);
    }
    fact(handled => $handled);
    $pm->wait_readable;
    kill TERM => $$;
    exit 7;
});
all_have_ended();
PERL
is $local{handled},  'TERM',    'local $SIG{TERM} after the first wait: the handler runs';
is $local{ends},     '0signal', '... and the wait ends';
is $local{statuses}, 7,         '... and when it is over the next wait takes the signal again';

my %usr1 = pool_facts('USR1', <<'PERL');
workers(1, sub {
    my $handled = 0;
    $SIG{USR1} = sub { $handled++ };
    $pm->stopping;
    say_so('there');
    my ($early, @found) = 0;
    do {
        my $begun = now();
        push @found, $pm->wait_readable([], 0.1);
        $early++ if now() - $begun < 0.1;
    } until $handled >= 5;
    fact(early => $early);
    fact(found => scalar(@found) . $pm->stopping);
});
heard();
kill(USR1 => @pids), nobody_is_readable(0.02) until @statuses || !$pm->wait_all_children(0.02);
all_have_ended();
PERL
is $usr1{early}, 0, 'USR1 does not end the wait before its time, and its handler runs meanwhile';
is $usr1{found}, 0, '... which then returns nothing, and the worker is not to stop';

for my $kind (qw(deferred immediate)) {
    my %dies = pool_facts("a $kind handler", filled(<<'PERL', SAFE => $kind eq 'deferred' ? 1 : 0));
workers(1, sub {
    my $action = POSIX::SigAction->new(sub { die "out\n" });
    $action->safe(SAFE);
    POSIX::sigaction($_, $action) for POSIX::SIGUSR1(), POSIX::SIGTERM();
    $pm->stopping;
    say_so('there');
    for my $name (qw(usr1 term)) {
        eval { $pm->wait_readable; 1 } or fact($name => $@ =~ s/\n//r);
        say_so('again') if $name eq 'usr1';
    }
    my $set = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, $set);
    fact(blocked => scalar grep { $set->ismember($_) } POSIX::SIGHUP(), POSIX::SIGINT(), POSIX::SIGCHLD());
    exit($pm->wait_readable ? 99 : 7);
});
heard();
nobody_is_readable(0.1);
$pm->signal_all_children('USR1');
heard();
nobody_is_readable(0.1);
$pm->signal_all_children('TERM');
all_have_ended();
PERL
    is $dies{usr1},     'out', "a $kind handler of USR1 may die out of the wait";
    is $dies{term},     'out', '... and so may one of TERM';
    is $dies{blocked},  0,     '... no signal is blocked after that';
    is $dies{statuses}, 7,     '... and the next wait ends';
}

my %child = pool_facts('a child of a worker', <<'PERL');
workers(1, sub {
    $pm->stopping;
    for my $kind (qw(default handler)) {
        local $SIG{TERM} = $kind eq 'handler' ? sub { POSIX::_exit(5) } : 'DEFAULT';
        $pm->stopping;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            say_so('there');
            sleep 1 while 1;
        }
        say_so($pid);
        waitpid $pid, 0;
        fact("$kind child" => $?);
    }
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        eval { $pm->wait_readable };
        fact(refused => $@ =~ s/ at .*//sr);
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
    fact(worker => $pm->stopping || 'goes on');
});
for (1 .. 2) {
    my ($pid) = grep { $_ ne 'there' } heard(), heard();
    kill TERM => $pid;
}
all_have_ended();
PERL
is $child{'default child'}, 15,        'a child that the worker has forked dies by TERM';
is $child{'handler child'}, 5 << 8,    '... or has the handler of the program';
is $child{worker},          'goes on', '... and the worker has not been told to stop';
is $child{refused}, 'wait_readable: this is a worker\'s call, and this process is a child of the worker',
    'a child of the worker cannot wait by its object';

SKIP: {
    skip 'this perl has no threads', 1 if !$Config{useithreads};
    my %threads = pool_facts('a worker with threads', <<'PERL');
use threads;
workers(5, sub {
    threads->create(sub { nobody_is_readable(0.01) while 1 })->detach;
    say_so('there', $pm->stopping);
    1 until $pm->stopping or $pm->wait_readable([], 0.0001);
    POSIX::_exit($pm->wait_readable ? 8 : 7);
});
heard() for 1 .. 5;
$pm->signal_all_children('TERM');
all_have_ended();
PERL
    is $threads{statuses}, '7 7 7 7 7', 'TERM ends the wait of a worker with other threads, whichever gets it';
}

# Handles and times

my %times = pool_facts('time-outs', <<'PERL');
workers(1, sub {
    my $begun = now();
    my @nothing = ($pm->wait_readable([], 0.1), $pm->wait_readable(undef, 0.1));
    fact(early => now() - $begun < 0.2 ? 1 : 0);
    fact(found => scalar(@nothing));
    fact(why => '<' . $pm->stopping . '>');
    fact(scalar => defined(scalar $pm->wait_readable([], 0)) ? 1 : 0);
});
all_have_ended();
PERL
is $times{early},  0,    'a time-out lets a wait last so long, with and without a list';
is $times{found},  0,    '... it returns the empty list';
is $times{why},    '<>', '... and the worker is not to stop';
is $times{scalar}, 0,    '... in scalar context it is undef';

my %turns = pool_facts('several handles', <<'PERL');
workers(1, sub {
    my (@readable, @writing) = ();
    for my $i (0 .. 2) {
        pipe $readable[$i], $writing[$i] or die "pipe: $!";
        syswrite $writing[$i], 'x' if $i != 1;
    }
    my %place = map { fileno($readable[$_]) => $_ } 0 .. 2;
    fact(turns => join ' ', map { $place{ fileno $pm->wait_readable(@readable) } } 1 .. 4);
    fact(list  => join ' ', map { $place{ fileno(($pm->wait_readable(\@readable, 5))[0]) } } 1 .. 2);
    fact(number => $pm->wait_readable(fileno $readable[2]) == fileno($readable[2]) ? 'itself' : 'another');
    my ($glob) = do { open local *IN, '<&', $readable[0] or die; $pm->wait_readable(*IN) };
    fact(glob => $glob);
    close $writing[1];
    fact(end => $place{ fileno $pm->wait_readable($readable[1]) });
    syswrite $writing[0], "one\ntwo\n";
    my $line = readline $readable[0];
    fact(line => $line =~ s/\n//r);
    fact(buffered => scalar(my @found = $pm->wait_readable([$readable[0]], 0)));
});
all_have_ended();
PERL
is $turns{turns},  '0 2 0 2',   'of several handles that are readable each has its turn';
is $turns{list},   '0 2',       '... in a list with a time-out, too';
is $turns{number}, 'itself',    'the number of a file is returned as it was given';
is $turns{glob},   '*main::IN', 'a glob is returned as it was given';
is $turns{end},    1,           'a handle at its end is readable';
is $turns{buffered}, 1,         'what perl has read, and the program has not, is readable';

my %wrong = pool_facts('wrong handles', <<'PERL');
package Tied { sub TIEHANDLE { return bless [] } }
workers(1, sub {
    open my $closed, '<', '/dev/null' or die;
    close $closed;
    open my $memory, '<', \'text' or die;
    tie *TIED, 'Tied';
    my %arguments = (
        closed => [$closed], memory => [$memory], tied => [\*TIED], undef => [STDIN => undef], word => ['word'],
        hash => [{}], negative => [-1], number => [987_654], time => [[], 'soon'], past => [[], -1], more => [[], 1, 2],
    );
    for my $name (sort keys %arguments) {
        eval { $pm->wait_readable(@{ $arguments{$name} }); 1 } and next;
        fact($name => $@ =~ s/ at \S+ line \d+\.?\n//r);
    }
});
all_have_ended();
PERL
my %because = (
    closed   => qr/^wait_readable: 'GLOB\(.*' is closed$/,
    memory   => qr/^wait_readable: 'GLOB\(.*' has no file descriptor$/,
    tied     => qr/^wait_readable: 'GLOB\(.*' is tied, and has no file of its own$/,
    undef    => qr/^wait_readable: 'STDIN' is no file handle/,
    word     => qr/^wait_readable: 'word' is no file handle, nor the number of an open file$/,
    hash     => qr/^wait_readable: 'HASH\(.*' is no file handle/,
    negative => qr/^wait_readable: '-1' is no file handle/,
    number   => qr/^wait_readable: '987654' is not open$/,
    time     => qr/^wait_readable: 'soon' is no number of seconds$/,
    past     => qr/^wait_readable: '-1' is no number of seconds, 0 or more$/,
    more     => qr/^wait_readable: '2' is one argument too many/,
);
like $wrong{$_}, $because{$_}, "a wrong argument is refused: $_" for sort keys %because;

# Processes and objects

my %which = pool_facts('current', <<'PERL');
fact('before' => defined(Parallel::Prefork->current) ? 1 : 0);
workers(1, sub {
    fact(worker => Parallel::Prefork->current == $pm ? 'its own' : 'another');
    my $outer = $pm;
    @pids = @statuses = ();
    workers(1, sub {
        fact(inner => Parallel::Prefork->current == $pm ? 'its own' : 'another');
        $pm->stopping;
        say_so('there');
        $pm->wait_readable;
        exit 7;
    });
    fact(outer => Parallel::Prefork->current == $outer ? 'its own' : 'another');
    heard();
    $pm->signal_all_children('TERM');
    $pm->wait_all_children;
    fact(nested => $statuses[0] >> 8);
    fact(worker_is => $outer->stopping || 'going on');
});
fact('manager' => defined(Parallel::Prefork->current) ? 1 : 0);
for my $method (qw(wait_readable stopping stop_fd)) {
    eval { $pm->$method };
    fact($method => $@ =~ s/ at \S+ line \d+\.?\n//r);
}
all_have_ended();
PERL
is $which{before},    0,          'before start there is no current manager';
is $which{manager},   0,          '... nor is there in the manager itself';
is $which{worker},    'its own',  'current is the object of which the process is a worker';
is $which{inner},     'its own',  '... in the worker of a worker its own';
is $which{outer},     'its own',  '... and in a worker that has become a manager that of which it is one';
is $which{nested},    7,          'the worker of a worker leaves its wait';
is $which{worker_is}, 'going on', '... and its manager, a worker, is not told to stop';
is $which{$_}, "$_: this is a worker's call, and this process is no worker", "$_ dies in the manager"
    for qw(wait_readable stopping stop_fd);

my %select = pool_facts('stop_fd', <<'PERL');
workers(1, sub {
    my $fd = $pm->stop_fd;
    vec(my $watched = '', $fd, 1) = 1;
    fact(before => scalar select(my $ready = $watched, undef, undef, 0));
    say_so('there');
    my $found = 0;
    # TERM may interrupt it, and is seen then.
    $found = select($ready = $watched, undef, undef, 20) until $found > 0;
    fact(after => $found . $pm->stopping);
    fact(same  => $pm->stop_fd == $fd ? 1 : 0);
});
heard();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
is $select{before}, 0,         'stop_fd is not readable as long as the worker is not to stop';
is $select{after},  '1signal', '... and is then';
is $select{same},   1,         '... and stays the same descriptor';

my %nested = pool_facts('a worker that becomes a manager by the same object', <<'PERL');
my $top = $$;
$pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'USR1' });
$pm->after_fork(sub { $_[0]->signal_received('enough') });
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
$pm->stopping;
$pm->{in_child} = 0;
$pm->on_child_reap(sub { push @statuses, $_[2] });
if (!$pm->start) {
    say_so('there');
    $pm->wait_readable;
    exit(($pm->stopping eq 'signal') ? 7 : 98);
}
heard();
# It has to wait by now, or its signal would have its default action.
select undef, undef, undef, 0.01 until ready_to_stop((keys %{ $pm->{worker_pids} })[0]);
$pm->signal_all_children('USR1');
all_have_ended();

# Whether a process has a handler for USR1.
sub ready_to_stop {
    my ($pid) = @_;
    open my $status, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!";
    my ($caught) = map { /^SigCgt:\s*(\w+)/ ? hex $1 : () } <$status>;
    return $caught & 1 << POSIX::SIGUSR1() - 1;
}
PERL
is $nested{statuses}, 7, 'its workers know the signal for one that is too many';

SKIP: {
    skip 'this perl has no threads', 1 if !$Config{usethreads};
    my %thread = pool_facts('a thread of the worker', <<'PERL');
use threads;
workers(1, sub {
    fact(thread => threads->create(sub { defined(Parallel::Prefork->current) ? 'an object' : 'none' })->join);
    fact(worker => Parallel::Prefork->current == $pm ? 'its own' : 'another');
});
all_have_ended();
PERL
    is "$thread{thread}, $thread{worker}", 'none, its own', 'current is for the thread that the worker began with';
}

my %closed = pool_facts('descriptors that the worker closes', <<'PERL');
my $has_come = 0;
local $SIG{USR2} = sub { $has_come = 1 };
workers(1, sub {
    $pm->stopping;
    POSIX::close($_) for 3 .. 60;
    # Others have the numbers now, and nobody writes to them.
    my @others = map { pipe my $read, my $write or die "pipe: $!"; ($read, $write) } 1 .. 28;
    kill USR2 => getppid;
    exit($pm->wait_readable($others[0]) ? 99 : 7);
}, graceful_timeout => 20);
select undef, undef, undef, 0.01 until $has_come;
# It does not sleep anywhere else.
select undef, undef, undef, 0.01 until sleeps($pids[0]);
$pm->signal_all_children('TERM');
all_have_ended();

sub sleeps {
    my ($pid) = @_;
    open my $stat, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!";
    return <$stat> =~ /\) S /;
}
PERL
is $closed{statuses}, 7, 'a worker that has closed all descriptors leaves for a signal that comes while it waits';

done_testing;
