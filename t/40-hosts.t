# Programs that live beside the manager in odd ways, each of which once went wrong: they
# change handlers, override methods, fork, reap and store by themselves, and it goes on.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $DEADLINE = 15;

sub prints {
    my ($name, $expected, $source) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $run = run("use strict;\nuse warnings;\nuse Parallel::Prefork;\n$source", deadline => $DEADLINE);
    is $run->out, $expected, $name or diag $run->err;
    is $run->status, 0, "$name: the program ends by itself";
    return $run;
}

# The exit happens while the program has $SIG{CHLD} for itself, so that ours does not see it.
# With IGNORE nobody is told at all, and the system reaps.
my $workers = 2;
for my $handler (q('DEFAULT'), q('IGNORE'), 'sub { }') {
    prints("$handler as \$SIG{CHLD} while a worker exits in a callback", "replaced\nleft 0\n", <<"PERL");
my (\$forks, \$pm) = (0);
\$pm = Parallel::Prefork->new(
    max_workers          => $workers,
    err_respawn_interval => 0,
    after_fork           => sub {
        my \$pid = \$_[1];
        # start looks for children by itself at first; from the second turn on it has to notice.
        return if ++\$forks < $workers;
        if (\$forks > $workers) {
            print "replaced\\n";
            \$pm->signal_received('enough');
            return;
        }
        local \$SIG{CHLD} = $handler;
        kill KILL => \$pid;
        select undef, undef, undef, 0.01 until dead(\$pid);
    },
);
sub dead {
    open my \$fh, '<', "/proc/\$_[0]/stat" or return 1;
    return <\$fh> =~ /\\) [ZX] /;
}
\$pm->start(sub { sleep 60 });
\$pm->signal_all_children('KILL');
{
    local \$SIG{CHLD} = $handler;
    select undef, undef, undef, 0.01 until !grep { !dead(\$_) } keys %{ \$pm->{worker_pids} };
}
print 'left ', \$pm->wait_all_children, "\\n";
PERL
}

prints('a worker that is stolen together with the exit of another is replaced', "stolen -1\n4 workers\n", <<'PERL');
my ($pm, %status, $victims);
$pm = Parallel::Prefork->new(
    max_workers          => 4,
    err_respawn_interval => 0,
    on_child_reap        => sub { $status{ $_[2] }++ },
);
$SIG{USR1} = sub {
    my ($stolen, $reaped) = sort keys %{ $pm->{worker_pids} };
    kill KILL => $stolen, $reaped;
    waitpid $stolen, 0;
};
if (!fork) {
    select undef, undef, undef, 0.3;
    kill USR1 => getppid;
    exit;
}
my $old = 0;
{
    package Watch;
    our @ISA = ('Parallel::Prefork');

    sub _max_wait {
        $_[0]->signal_received('enough') if $status{-1} && $_[0]->num_workers == 4;
        return 0.05;
    }
}
bless $pm, 'Watch';
$pm->start(sub { sleep 60 });
print 'stolen ', (grep { $_ == -1 } keys %status), "\n", $pm->num_workers, " workers\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

prints('a subclass that keeps a signal to itself', "kept 1\nstart on TERM\nagain on TERM\n", <<'PERL');
our $kept = 0;
{
    package Keeps;
    our @ISA = ('Parallel::Prefork');

    sub signal_received {
        my $self = shift;
        if (@_ && $_[0] eq 'USR1') {
            $kept++;
            return '';
        }
        return $self->SUPER::signal_received(@_);
    }
}
my $pm = Keeps->new(max_workers => 1, trap_signals => { TERM => 'KILL', USR1 => undef });
my $sent = 0;
$pm->after_fork(sub {
    kill USR1 => $$;
    kill TERM => $$;
});
$pm->start(sub { sleep 60 });
print "kept $kept\nstart on ", $pm->signal_received, "\n";
$pm->after_fork(sub { kill TERM => $$ });
$pm->start(sub { sleep 60 });
print 'again on ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

my $hides = prints('a subclass that hides a signal from start', "TERM\n", <<'PERL');
{
    package Hides;
    our @ISA = ('Parallel::Prefork');

    sub signal_received {
        my $self = shift;
        my $signal = $self->SUPER::signal_received(@_);
        return @_ || $signal ne 'USR1' ? $signal : '';
    }
}
my $pm = Hides->new(max_workers => 1, trap_signals => { TERM => 'KILL', USR1 => undef });
if (!fork) {
    select undef, undef, undef, 0.2;
    kill USR1 => getppid;
    select undef, undef, undef, 1;
    kill TERM => getppid;
    exit;
}
$pm->start(sub { sleep 60 });
print $pm->signal_received, "\n";
$pm->wait_all_children;
die 'it has used ' . (times)[0] . " s of CPU\n" if (times)[0] > 0.6;
PERL

prints('a subclass that waits by itself', "reaped 9\nreaped 9\nleft 0\n", <<'PERL');
{
    package Waits;
    our @ISA = ('Parallel::Prefork');

    sub _wait {
        my ($self, $blocking) = @_;
        my $pid = waitpid -1, $blocking ? 0 : 1;
        return $pid > 0 ? ($pid, $?) : ();
    }
}
my $forks = 0;
my $pm = Waits->new(
    max_workers          => 1,
    err_respawn_interval => 0,
    after_fork           => sub { ++$forks < 3 ? kill(KILL => $_[1]) : $_[0]->signal_received('enough') },
    on_child_reap        => sub { print "reaped $_[2]\n" if $_[2] == 9 },
);
$pm->start(sub { sleep 60 });
$pm->signal_all_children('TERM');
print 'left ', $pm->wait_all_children, "\n";
PERL

prints('new in one process, start in its child', "1 left 0\n1 left 0\n", <<'PERL');
use Parallel::Prefork::SpareWorkers;
for my $pm (
    Parallel::Prefork->new(max_workers => 2),
    Parallel::Prefork::SpareWorkers->new(max_workers => 2, min_spare_workers => 2),
) {
    my $daemon = fork;
    if (!$daemon) {
        $pm->after_fork(sub { $pm->signal_received('enough') if keys %{ $pm->{worker_pids} } });
        print $pm->start(sub { sleep 60 });
        $pm->signal_all_children('KILL');
        print ' left ', $pm->wait_all_children, "\n";
        exit;
    }
    waitpid $daemon, 0;
}
PERL

prints('a forked helper that waits for workers that are not its own', "helper 0\nleft 0\n", <<'PERL');
my $pm = Parallel::Prefork->new(max_workers => 2,
    after_fork => sub { $_[0]->signal_received('enough') if $_[0]->num_workers });
$pm->start(sub { sleep 60 });
my $helper = fork;
if (!$helper) {
    print 'helper ', $pm->wait_all_children(5), "\n";
    exit;
}
waitpid $helper, 0;
$pm->signal_all_children('KILL');
print 'left ', $pm->wait_all_children, "\n";
PERL

prints('what is stored for a pid goes with its worker', "0 objects\n2 workers\n", <<'PERL');
our $objects = 0;
{
    package Note;

    sub new {
        $objects++;
        return bless {}, shift;
    }

    sub DESTROY {
        $objects--;
        return;
    }
}
my $forks = 0;
my $pm = Parallel::Prefork->new(
    max_workers   => 2,
    after_fork    => sub { $_[0]->signal_received('enough') if ++$forks > 50 },
    on_child_reap => sub { $_[0]{worker_pids}{ $_[1] } = Note->new },
);
$pm->start(sub { });
$pm->on_child_reap(undef);
$pm->wait_all_children;
print "$objects objects\n";
$pm->after_fork(sub { $_[0]->signal_received('enough') if $_[0]->num_workers });
$pm->start(sub { sleep 60 });
my ($first) = sort keys %{ $pm->{worker_pids} };
$pm->{worker_pids}{$first} = 'mine';
print $pm->num_workers, " workers\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

prints('a hash put in the place of worker_pids', "0 0 1, then 2\n", <<'PERL');
my ($pm, @pids, @seen);
$pm = Parallel::Prefork->new(max_workers => 2, after_fork => sub {
    push @pids, $_[1];
    $pm->{worker_pids} = {} if @pids == 2;    # forgets the first worker
    push @seen, $pm->num_workers;
    $pm->signal_received('enough') if @pids == 3;
});
$pm->start(sub { sleep 60 });
print "@seen, then ", $pm->num_workers, "\n";
kill KILL => @pids;
$pm->wait_all_children;
PERL

prints('an exit that is there when before_fork defers forking', "reaped 9\n", <<'PERL');
my ($pm, $forks) = (undef, 0);
$pm = Parallel::Prefork->new(
    max_workers          => 2,
    err_respawn_interval => 0,
    before_fork          => sub { $pm->_update_spawn_delay(0.2) if $forks },
    after_fork           => sub {
        kill KILL => $_[1] if ++$forks == 1;
        select undef, undef, undef, 0.1;
    },
    on_child_reap        => sub {
        print "reaped $_[2]\n";
        $pm->signal_received('enough');
    },
);
$pm->start(sub { sleep 60 });
$pm->signal_all_children('TERM');
$pm->on_child_reap(undef);
$pm->wait_all_children;
PERL

prints('signals that come faster than their handler runs', "5 forks\n", <<'PERL');
use Time::HiRes qw(setitimer ITIMER_REAL);
my $forks = 0;
my $pm = Parallel::Prefork->new(max_workers => 5,
    after_fork => sub { $_[0]->signal_received('enough') if ++$forks == 5 });
$SIG{ALRM} = sub { select undef, undef, undef, 0.004 };
setitimer(ITIMER_REAL, 0.002, 0.002);
$pm->start(sub {
    setitimer(ITIMER_REAL, 0);
    sleep 60;
});
setitimer(ITIMER_REAL, 0);
print "$forks forks\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

prints('a signal that perl keeps back because the handler of another died', "TERM\n", <<'PERL');
use POSIX qw(SIGHUP SIGTERM SIG_BLOCK SIG_UNBLOCK sigprocmask);
my ($pm, $both) = (undef, POSIX::SigSet->new(SIGHUP, SIGTERM));
$pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'KILL' });
$SIG{HUP} = sub { die "reload\n" };
$pm->after_fork(sub {
    sigprocmask(SIG_BLOCK, $both);
    kill HUP => $$;
    kill TERM => $$;
    sigprocmask(SIG_UNBLOCK, $both);
});
eval { $pm->start(sub { sleep 60 }); 1 } or $@ eq "reload\n" or die;
$pm->after_fork(undef);
$pm->start(sub { sleep 60 });
print $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

prints('errno of the wait stays out of a worker', "255 255 255\n", <<'PERL');
my ($pm, @codes);
open STDERR, '>', '/dev/null';
$pm = Parallel::Prefork->new(max_workers => 1, err_respawn_interval => 0, on_child_reap => sub {
    push @codes, $_[2] >> 8;
    $pm->signal_received('enough') if @codes == 3;
});
$! = 0;
$pm->start(sub { die "without a cause\n" });
$pm->on_child_reap(undef);
$pm->wait_all_children;
print "@codes\n";
PERL

# Signals that come in the smallest moments there are: while the module has called its core, and has
# not gone on. For that, its function is called by one that sends the signal before it returns.
my $then_send = <<'PERL';
sub then_send {
    my ($function, @signals) = @_;
    no strict 'refs';
    no warnings 'redefine';
    my $name = "Parallel::Prefork::Core::$function";
    my $real = \&$name;
    *$name = sub {
        my @returned = $real->(@_);
        if (my $signal = shift @signals) { kill $signal => $$ }
        return wantarray ? @returned : $returned[0];
    };
}
PERL

prints('a signal that comes while the program reads the one before',
    "read HUP\nstart on TERM\n", $then_send . <<'PERL');
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'KILL', HUP => undef });
$pm->after_fork(sub { kill HUP => $$ });
$pm->start(sub { sleep 60 });
then_send(signal_read => 'TERM');
print 'read ', $pm->signal_received, "\n";
$pm->start(sub { sleep 60 });
print 'start on ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

prints('a signal that comes while the program clears the one before', "start on TERM\n", $then_send . <<'PERL');
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'KILL' });
$pm->after_fork(sub {
    then_send(signal_stored => 'TERM');
    $pm->signal_received('');
});
$pm->start(sub { sleep 60 });
print 'start on ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

prints('a signal that comes while another one arrives', "read HUP\nstart on TERM\n", $then_send . <<'PERL');
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'KILL', HUP => undef });
then_send(signal_trapped => 'HUP');
kill TERM => $$;
print 'read ', $pm->signal_received, "\n";
$pm->start(sub { sleep 60 });
print 'start on ', $pm->signal_received, "\n";
PERL

prints('a signal that comes while another one becomes visible', "HUP\nUSR1\nstart on TERM\n", $then_send . <<'PERL');
my $pm = Parallel::Prefork->new(
    max_workers  => 1,
    trap_signals => { TERM => 'KILL', HUP => undef, USR1 => undef },
    after_fork   => sub {
        kill HUP => $$;
        kill TERM => $$;
    },
);
$pm->start(sub { sleep 60 });
print $pm->signal_received, "\n";
then_send(show_next_signal => 'USR1');
$pm->wait_all_children(0.01);
print $pm->signal_received, "\n";
$pm->start(sub { sleep 60 });
print 'start on ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

prints('a signal that comes while start looks, and one behind it', "start on TERM\nstart on HUP\n", <<'PERL');
{
    package Looks;
    our @ISA = ('Parallel::Prefork');

    my $sent = 0;
    sub signal_received {
        my $self   = shift;
        my $signal = $self->SUPER::signal_received(@_);
        kill TERM => $$ if !@_ && $self->num_workers == 1 && !$sent++;
        return $signal;
    }
    sub _decide_action {
        kill HUP => $$ if $sent;
        return $_[0]->SUPER::_decide_action;
    }
}
my $pm = Looks->new(max_workers => 1, trap_signals => { TERM => 'KILL', HUP => undef });
for (1, 2) {
    $pm->start(sub { sleep 60 });
    print 'start on ', $pm->signal_received, "\n";
}
$pm->wait_all_children;
PERL

prints('a signal that comes while a subclass has the one before', "start on TERM\nstart on HUP\n", <<'PERL');
{   package Passes; our @ISA = ('Parallel::Prefork');
    my $sent = 0;
    sub signal_received {
        my $self = shift;
        kill HUP => $$ if @_ && $_[0] eq 'TERM' && !$sent++;
        return $self->SUPER::signal_received(@_);
    } }
my $forked = 0;
my $pm = Passes->new(max_workers => 1, trap_signals => { TERM => 'KILL', HUP => undef });
$pm->after_fork(sub { kill TERM => $$ if !$forked++ });
for (1, 2) {
    $pm->start(sub { sleep 60 });
    print 'start on ', $pm->signal_received, "\n";
}
$pm->wait_all_children;
PERL

for my $way ('last', 'die "no fork\n"', 'exit 0') {
    my $run = run(<<"PERL", deadline => $DEADLINE);
use strict;
use warnings;
use POSIX ();
my \$forks = 0;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        no warnings 'exiting';
        return CORE::fork() if \$main::real;
        $way;
    };
}
use Parallel::Prefork;
sub blocked {
    my \$mask = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, \$mask);
    return \$mask->ismember(POSIX::SIGTERM()) ? 'blocked' : 'free';
}
END { print 'END ', blocked(), "\\n" if !\$main::in_worker }
my \$pm = Parallel::Prefork->new(max_workers => 1);
OUT: { eval { \$pm->start(sub { }) }; }
print 'after ', blocked(), "\\n";
\$main::real = 1;
\$pm->after_fork(sub { \$pm->signal_received('enough') });
print 'start ', \$pm->start(sub {
    \$main::in_worker = 1;
    POSIX::_exit(0);
}), "\\n";
\$pm->wait_all_children;
PERL
    is $run->out, $way eq 'exit 0' ? "END free\n" : "after free\nstart 1\nEND free\n",
        "an override of fork that does $way leaves no signal blocked";
}

done_testing;
