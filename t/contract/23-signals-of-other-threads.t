# Signals that are another thread's, in a program with a manager: that thread gets them.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use ProcessTest;

plan skip_all => 'this perl has no ithreads' if !$Config{useithreads};

my %program = (
    'the main thread gets a signal for the process while another one manages' => [ <<'PERL', "got TERM\n" ],
use threads;
use threads::shared;
use Parallel::Prefork;
use POSIX ();

my $is_running = 1;
my $is_ready :shared = 0;
my $process = $$;
$SIG{TERM} = sub { $is_running = 0 };
threads->create(sub {
    # While it makes a thread perl blocks signals in the one that makes it.
    select undef, undef, undef, 0.01 until $is_ready;
    my $pm = Parallel::Prefork->new({ max_workers => 2, trap_signals => { USR1 => 'TERM' } });
    # More than once: one that comes while main handles another one goes to this thread. Whoever adopts the worker is to
    # get none: it may be the PID 1 of a container, which runs these tests.
    $pm->start(sub {
        while (getppid == $process && kill TERM => $process) {
            select undef, undef, undef, 0.2;
        }
    });
})->detach;
$is_ready = 1;
my $left = 100;
select undef, undef, undef, 0.1 while $is_running && $left--;
print $is_running ? "got none\n" : "got TERM\n";
POSIX::_exit(0);
PERL
    'a thread gets the SIGPIPE of its own write' => [ <<'PERL', "died 5 times\n" ],
use threads;
use threads::shared;
use Parallel::Prefork;
use Socket;

my $died :shared = 0;
$SIG{PIPE} = sub { };
my $pm = Parallel::Prefork->new({ max_workers => 1 });
my $manager = $$;
my $thread = threads->create(sub {
    select undef, undef, undef, 0.3;
    for (1 .. 5) {
        local $SIG{PIPE} = sub { die "broken pipe\n" };
        socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, 0 or die "socketpair: $!\n";
        close $there;
        eval { syswrite $here, 'x'; 1 } or $died++;
    }
    kill TERM => $manager;
});
$pm->start(sub { sleep 60 });
$pm->wait_all_children;
$thread->join;
print "died $died times\n";
PERL
    'a thread gets the SIGSEGV of its own access' => [ <<'PERL', "caught segv\nend\n" ],
use threads;
use Parallel::Prefork;

$| = 1;
$SIG{SEGV} = sub { die "segv\n" };
my $pm = Parallel::Prefork->new({ max_workers => 1 });
my $manager = $$;
my $thread = threads->create(sub {
    select undef, undef, undef, 0.3;
    my $read = eval { unpack 'P4', pack 'J', 1 };
    print "caught $@";
    kill TERM => $manager;
});
$pm->start(sub { sleep 60 });
$pm->wait_all_children;
$thread->join;
print "end\n";
PERL
    'a child that a thread has forked gets its signals' => [ <<'PERL', "handled\n" ],
use threads;
use Parallel::Prefork;
use POSIX ();

my ($reader, $writer);
$SIG{USR1} = sub {
    syswrite $writer, "handled\n";
    POSIX::_exit(0);
};
my $pm = Parallel::Prefork->new({ max_workers => 1 });
my $manager = $$;
my $thread = threads->create(sub {
    select undef, undef, undef, 0.3;
    pipe $reader, $writer or die "pipe: $!\n";
    my $child = fork;
    defined $child or die "fork: $!\n";
    if (!$child) {
        syswrite $writer, "begun\n";
        select undef, undef, undef, 0.1 for 1 .. 50;
        POSIX::_exit(9);
    }
    close $writer;
    <$reader>;
    kill USR1 => $child;
    # Its end the manager may see first.
    my $line = <$reader>;
    kill TERM => $manager;
    return $line;
});
$pm->start(sub { sleep 60 });
$pm->wait_all_children;
print $thread->join;
PERL
    'an immediate handler finds the actions that perl has set' => [ <<'PERL', "safe 1\n" ],
use threads;
use Parallel::Prefork;
use POSIX qw(sigaction SIGUSR1 SIGUSR2);

my $pm = Parallel::Prefork->new({ max_workers => 1 });
my $manager = $$;
$SIG{USR2} = sub { };
my $safe;
sigaction(SIGUSR1, POSIX::SigAction->new(sub {
    my $old = POSIX::SigAction->new;
    sigaction(SIGUSR2, undef, $old);
    $safe = $old->safe ? 1 : 0;
}));
threads->create(sub {
    select undef, undef, undef, 0.3;
    kill USR1 => $manager;
    select undef, undef, undef, 0.3;
    kill TERM => $manager;
})->detach;
$pm->start(sub { sleep 60 });
$pm->wait_all_children;
print "safe $safe\n";
POSIX::_exit(0);
PERL
);

my %running = map { $_ => start_program("\$| = 1;\n$program{$_}[0]", deadline => 20) } sort keys %program;
for my $name (sort keys %program) {
    my $p = $running{$name};
    $p->wait;
    is $p->out, $program{$name}[1], $name or diag $p->err;
}

done_testing;
