#!/usr/bin/perl

# The loop of start in C does what the loop in Perl does, and gives way to it where Perl code has a
# part in it: overridden methods, at whatever moment, values that only perl can judge, files that
# cannot be read any more.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;

my $dir = File::Temp->newdir;

sub said {
    my ($program, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $source = "use strict;\nuse warnings;\nuse Parallel::Prefork;\n$program";
    my $p = start_program($source, args => \@args, deadline => 30);
    is $p->wait, 0, 'the manager ends as it should' or diag $p->err;
    return $p->out;
}

# A class whose objects say in the manager when they go.
my $SAYS_GONE = <<'PERL';
{
    package SaysGone;
    our @ISA = 'Parallel::Prefork';
    my $manager = $$;
    sub DESTROY {
        print "gone\n" if $$ == $manager;
        return;
    }
}
PERL

# By symbol table, from a hook, between two starts, for a time, and into the very same sub.
my $override = <<'PERL';
my ($how) = @ARGV;
my $calls = 0;

sub fewer_than_four {
    $calls++;
    return $_[0]->num_workers < 4;
}

sub override {
    no warnings 'redefine';
    *Parallel::Prefork::_decide_action = \&fewer_than_four;
    return;
}

my $pm = Parallel::Prefork->new(max_workers => 2, trap_signals => { USR1 => 'KILL' });
my $forks = 0;
$pm->after_fork(sub {
    $forks++;
    override() if $how eq 'hook' && $forks == 1;
    $_[0]->signal_received('enough') if $forks == 4;
});
# Two workers are all there is to be without the override.
$SIG{ALRM} = sub { $pm->signal_received('too late') };
if ($how ne 'hook') {
    $pm->on_child_reap(sub { $_[0]->signal_received('enough') });
    $pm->start(sub { exit 0 });
    $pm->on_child_reap(undef);
    $pm->wait_all_children;
    $forks = 0;
}
override() if $how eq 'between';
if ($how eq 'body') {
    undef &Parallel::Prefork::_decide_action;
    eval <<'CODE' or die $@;
sub Parallel::Prefork::_decide_action {
    $calls++;
    return $_[0]->num_workers < 4;
}
1;
CODE
}
no warnings 'redefine';
local *Parallel::Prefork::max_workers = sub {
    $calls++;
    return 4;
} if $how eq 'local';
alarm 5;
$pm->start(sub { sleep 30 });
print 'ended by ', $pm->signal_received, $calls ? ', called' : ', not called', "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

my %overridden = (
    hook    => 'a method that a hook overrides is called',
    between => 'a method that is overridden between two starts is called',
    local   => 'a method that is overridden for a time is called',
    body    => 'a method that gets another body is called',
);
is said($override, $_), "ended by enough, called\n", $overridden{$_} for sort keys %overridden;

# The first bodies are known by their addresses, which perl is not to give to others: so each is held twice.
my $bodies = <<'PERL';
use B ();
my @perl = qw(_decide_action _max_wait _on_child_reap _wait num_workers signal_received);
my @held = grep { B::svref_2object(Parallel::Prefork->can($_))->ROOT->targ == 2 } @perl;
print join(' ', 'held:', sort @held), "\n";
PERL
is said($bodies), "held: _decide_action _max_wait _on_child_reap _wait num_workers signal_received\n",
    'a body that is freed leaves its address to no other';

# What a handler prints while the handles are flushed for a fork.
is said(<<'PERL', "$dir/lines"), "each line once\n", 'what a handler prints as a fork flushes is written once';
my ($file) = @ARGV;
open my $out, '>', $file or die "$file: $!";
my $handled = 0;
my $manager = $$;
$SIG{USR1} = sub {
    $handled++;
    print {$out} "line\n";
};
{
    package Slow;
    require PerlIO;
    sub PUSHED { return bless [], $_[0] }
    sub WRITE {
        my (undef, $text) = @_;
        kill USR1 => $$ if $$ == $manager;
        return length $text;
    }
}
binmode STDERR, ':via(Slow)';
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    trap_signals  => {},
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
print STDERR 'x';
$pm->start(sub { exit 0 });
$pm->wait_all_children;
close $out;
open my $in, '<', $file or die "$file: $!";
my $lines = () = <$in>;
print $handled == $lines && $lines ? "each line once\n" : "handled $handled, lines $lines\n";
PERL

# An object that is false ends nothing, and keeps nothing from going on.
is said(<<'PERL'), "went on: 3 forks\n", 'a false object as signal_received does not end start';
{
    package False;
    use overload
        'bool'   => sub { return 0 },
        '""'     => sub { return '' },
        'eq'     => sub { return 0 },
        fallback => 1;
}
my $forks = 0;
my $pm = Parallel::Prefork->new(
    max_workers => 1,
    after_fork  => sub {
        $_[0]{signal_received} = bless [], 'False' if ++$forks == 1;
        $_[0]->signal_received('enough') if $forks == 3;
    },
);
alarm 20;
$pm->start(sub { exit 0 });
print "went on: $forks forks\n";
$pm->wait_all_children;
PERL

# Between the forks that fill a pool it looks only where there may be something to see.
is said(<<'PERL'), "before the pool was full\n", 'a child that exits is reaped while the pool fills';
my $pool = 2000;
my $workers;
my $pm = Parallel::Prefork->new(
    max_workers   => $pool,
    on_child_reap => sub {
        $workers //= $_[0]->num_workers;
        $_[0]->signal_received('enough');
    },
);
$pm->start(sub { exit 0 });
$pm->wait_all_children;
print $workers < $pool ? "before the pool was full\n" : "after $workers forks\n";
PERL

is said(<<'PERL'), "old old new\n", 'a staggered signal that is due is sent while the pool fills';
my $pool = 2000;
pipe my $from, my $to or die "pipe: $!";
pipe my $ready, my $is_ready or die "pipe: $!";
my $pm = Parallel::Prefork->new(
    max_workers  => 2,
    trap_signals => { HUP => ['TERM', 0.05], USR1 => 'KILL' },
);
$pm->start(sub {
    $SIG{TERM} = sub {
        syswrite $to, 'old ';
        exit 0;
    };
    syswrite $is_ready, '.';
    if ($pm->worker_index) {
        sysread $ready, my $mark, 1 for 1, 2;
        kill HUP => getppid;
    }
    sleep 30;
});
$pm->max_workers($pool);
$pm->start(sub {
    if ($pm->worker_index == $pool - 1) {
        syswrite $to, "new\n";
        kill USR1 => getppid;
    }
    sleep 30;
});
$pm->wait_all_children;
print scalar <$from>;
PERL

# Nothing is looked for in the file system any more once the module is loaded.
is said(<<'PERL', "$dir"), "done\n", 'files of the module that have gone since it was loaded are not missed';
my ($dir) = @ARGV;
@INC = ();
chdir $dir or die "$dir: $!";
my $seen = 0;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { },
    on_child_reap => sub {
        $seen = keys %{ $_[0]{worker_pids} };
        $_[0]->signal_received('IO');
    },
);
$pm->start(sub { exit 0 });
$pm->wait_all_children;
eval { $pm->max_workers('x') };
my $is_explained = $@ =~ /\Amax_workers must be a number, 0 or more, not 'x' at \S+ line \d+\.$/;
print $seen && $is_explained ? "done\n" : "seen $seen, $@";
PERL

is said(<<'PERL'), "5\n", 'an accessor gives a copy of the value';
my $pm = Parallel::Prefork->new;
$_ = 77 for $pm->max_workers(5), $pm->max_workers;
print $pm->max_workers, "\n";
PERL

is said(<<'PERL'), "6 7\n", 'an accessor of a subclass may have a name of any alphabet';
use utf8;
{
    package Named;
    our @ISA = 'Parallel::Prefork';
    __PACKAGE__->mk_accessors('größe');
}
my $pm = Named->new;
$pm->größe(6);
print join(' ', $pm->größe, $pm->größe(7)), "\n";
PERL

# A worker is one before anything can throw.
is said(<<'PERL'), "in the worker: no hash, in_child 1, TERM ends it\n", 'an error in a new worker leaves it a worker';
our $is_forking = 0;
{
    package Throws;
    our @ISA = 'Parallel::Prefork';
    sub trap_signals {
        die "no hash\n" if $main::is_forking;
        return shift->SUPER::trap_signals(@_);
    }
}
pipe my $from, my $to or die "pipe: $!";
my $pm = Throws->new(
    max_workers => 1,
    before_fork => sub { $is_forking = 1 },
    after_fork  => sub { $_[0]->signal_received('enough') },
);
my $manager = $$;
if (!eval { $pm->start; 1 } || $$ != $manager) {
    syswrite $to, 'in the worker: ' . ($@ =~ s/\n//r) . ", in_child $pm->{in_child}\n";
    sleep 30;
    exit 1;
}
$is_forking = 0;
chomp(my $line = <$from>);
$pm->signal_all_children('TERM');
$pm->on_child_reap(sub { print "$line, TERM ends it\n" if $_[2] == 15 });
$pm->wait_all_children(10);
PERL

# SIGCHLD has another handler in the sleep only: what a program saves and puts back is perl's own.
is said(<<'PERL'), "1 0\n" x 2, 'POSIX::sigaction finds a safe handler for SIGCHLD, without siginfo';
use POSIX qw(SIGCHLD SA_SIGINFO);
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
for (1 .. 2) {
    $pm->start(sub { select undef, undef, undef, 0.05 });
    my $action = POSIX::SigAction->new;
    POSIX::sigaction(SIGCHLD, undef, $action);
    printf "%d %d\n", $action->safe, $action->flags & SA_SIGINFO;
    POSIX::sigaction(SIGCHLD, $action);
}
PERL

# A manager object does not outlive a %SIG that was localized around it.
is said($SAYS_GONE . <<'PERL'), "gone\n" x 3, 'a manager with a hook goes with a localized %SIG';
for (1 .. 3) {
    local %SIG = %SIG;
    my $pm = SaysGone->new(
        max_workers   => 1,
        on_child_reap => sub { $_[0]->signal_received('enough') },
    );
    $pm->start(sub { exit 0 });
}
PERL

# Without a hook start is C, up to what somebody has to do in Perl.
is said(<<'PERL'), <<'SAID', 'start returns what it is asked for: nothing, a scalar, a list';
$| = 1;
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { USR1 => 'KILL' });
pipe my $from, my $to or die "pipe: $!";
sub tell_and_stay {
    my $text = join ' ', map { defined ? $_ : 'undef' } @_;
    syswrite $to, "worker $text\n";
    kill USR1 => getppid;
    sleep 30;
}
for my $how (qw(void scalar list)) {
    my @got = ('nothing');
    if    ($how eq 'void')   { $pm->start }
    elsif ($how eq 'scalar') { @got = scalar $pm->start }
    else                     { @got = (1, $pm->start, 2) }
    tell_and_stay("$how:", @got) if $pm->{in_child};
    print scalar <$from>, "manager $how: @got\n";
    $pm->wait_all_children;
}
PERL
worker void: nothing
manager void: nothing
worker scalar: undef
manager scalar: 1
worker list: 1 2
manager list: 1 1 2
SAID

is said($SAYS_GONE . <<'PERL'), <<'SAID', 'the object and the code live on when they go during start';
use Time::HiRes ();
$| = 1;
my $text = "worker\n";
my $code = sub {
    print $text;
    kill USR1 => getppid;
    sleep 30;
};
{
    my $pm = SaysGone->new(max_workers => 0, trap_signals => { USR1 => 'KILL' });
    my $real = $pm;
    $SIG{ALRM} = sub {
        undef $code;
        $code = 'other';
        undef $pm;
        $real->max_workers(1);
        undef $real;
    };
    Time::HiRes::alarm(0.1);
    $pm->start($code);
    print "signalled\n";
}
PERL
worker
signalled
gone
SAID

is said(<<'PERL'), "worker\nsignalled\n", 'the object and the code live on when they go as start begins';
$| = 1;
{
    package Code;
    use overload
        'bool' => sub {
            kill HUP => $$;
            return 1;
        },
        '&{}' => sub { return $_[0][0] };
}
my $code = bless [sub {
    print "worker\n";
    kill USR1 => getppid;
    sleep 30;
}], 'Code';
my @pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { USR1 => 'KILL' });
my $real = $pm[0];
$SIG{HUP} = sub {
    undef $code;
    @pm = ();
};
$pm[0]->start($code);
print "signalled\n";
$real->wait_all_children;
PERL

is said(<<'PERL'), "after_fork on_child_reap\n", 'hooks that a handler sets while start runs are called';
my @called;
my $pm = Parallel::Prefork->new(max_workers => 0);
$SIG{ALRM} = sub {
    $pm->after_fork(sub { push @called, 'after_fork' });
    $pm->on_child_reap(sub {
        push @called, 'on_child_reap';
        $_[0]->signal_received('enough');
    });
    $pm->max_workers(1);
};
alarm 1;
$pm->start(sub { exit 0 });
print "@called\n";
PERL

is said(<<'PERL'), "ends\n", 'a hook may leave start by last';
no warnings 'exiting';
my $pm = Parallel::Prefork->new(max_workers => 1, after_fork => sub { last START });
alarm 20;
START: while (1) {
    $pm->start(sub { exit 0 });
}
$pm->after_fork(undef);
$pm->wait_all_children;
print "ends\n";
PERL

my $stored = <<'PERL';
my ($has_hook) = @ARGV;
{
    package Note;
    my $manager = $$;
    sub DESTROY {
        print "gone\n" if $$ == $manager;
        return;
    }
}
my $pm = Parallel::Prefork->new(
    max_workers   => 3,
    trap_signals  => { USR1 => 'KILL' },
    on_child_reap => $has_hook ? sub { } : undef,
);
$pm->start(sub {
    kill USR1 => getppid if $pm->worker_index == 2;
    sleep 30;
});
$pm->{worker_pids}{$_} = bless {}, 'Note' for keys %{ $pm->{worker_pids} };
$pm->wait_all_children;
print "waited\n";
PERL
is said($stored, 0), "gone\n" x 3 . "waited\n",
    'wait_all_children lets go of what the program has stored for a worker';
is said($stored, 1), "gone\n" x 3 . "waited\n",
    'wait_all_children lets go of it before on_child_reap is called for the next';

# Of start and wait_all_children, what was called last is what is under way.
is said(<<'PERL'), "start, wait: left 0, start, end\n", 'a handler may wait for all workers, and start goes on';
my @seen = 'start';
my $pm = Parallel::Prefork->new(max_workers => 2);
$SIG{USR2} = sub {
    $pm->signal_all_children('KILL');
    push @seen, 'wait: left ' . $pm->wait_all_children(20);
    push @seen, 'start';
};
open my $once, '+>', undef or die "temporary file: $!";
$pm->start(sub {
    my $is_first = !-s $once;
    if ($pm->worker_index == 1) {
        syswrite $once, '.';
        kill $is_first ? 'USR2' : 'TERM', getppid;
    }
    sleep 30;
});
$pm->wait_all_children;
print join(', ', @seen, 'end'), "\n";
PERL

is said(<<'PERL'), "USR1 USR2\n", 'signals that come together are acted on one after the other';
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { USR1 => undef, USR2 => 'KILL' });
my $code = sub {
    kill $_ => getppid for qw(STOP USR1 USR2 CONT);
    sleep 30;
};
my @got;
for (1, 2) {
    $pm->start($code);
    push @got, $pm->signal_received;
}
$pm->wait_all_children;
print "@got\n";
PERL

is said($SAYS_GONE . <<'PERL'), "gone\n" x 3, 'a manager without a hook goes with a localized %SIG';
for (1 .. 3) {
    local %SIG = %SIG;
    my $pm = SaysGone->new(max_workers => 1, trap_signals => { USR1 => 'KILL' });
    $pm->start(sub {
        kill USR1 => getppid;
        sleep 30;
    });
    $pm->wait_all_children;
}
PERL

done_testing;
