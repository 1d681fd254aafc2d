# Contract 6: in a worker the trapped signals and CHLD are 'DEFAULT' in %SIG, by every way to look at it, and
# can be set, localized and deleted like any other.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# A manager with one worker, in which WORKER is done; IN_MANAGER is done before the fork.
my $program = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({
    max_workers  => 1,
    trap_signals => { TERM => 'TERM', USR1 => 'TERM', map { $_ => undef } @ARGV },
});
my $alias = \$SIG{TERM};

sub say {
    my @said = map { defined $_ ? $_ : 'undef' } @_;
    syswrite STDOUT, "@said\n";
    return;
}

sub action {
    my $action = POSIX::SigAction->new;
    POSIX::sigaction($_[0], undef, $action);
    return ref $action->handler || $action->handler;
}

IN_MANAGER;
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
WORKER;
kill TERM => getppid;
exit 0;
PERL

# worker_says(TEXT, NAME, CODE, in_manager => CODE, trapped => [more signals], may_warn => 1)
sub worker_says {
    my ($expected, $name, $code, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $source = filled($program, IN_MANAGER => $options{in_manager} || '', WORKER => $code);
    my $p = run($source, args => $options{trapped} || [], deadline => 30);
    is $p->out, $expected, $name;
    # The original warns about children that it does not know, which is not the matter here.
    is $p->err, '', "no warning where $name" if !$options{may_warn};
    return;
}

worker_says("DEFAULT DEFAULT DEFAULT\n", 'a worker reads DEFAULT for each trapped signal and for CHLD', <<'PERL');
say(@SIG{qw(TERM USR1 CHLD)});
PERL

worker_says("DEFAULT DEFAULT DEFAULT\n", 'a worker has the default action of these signals for the system', <<'PERL');
say(map { action($_) } POSIX::SIGTERM(), POSIX::SIGUSR1(), POSIX::SIGCHLD());
PERL

worker_says("DEFAULT DEFAULT DEFAULT\n0\n", 'a copy of %SIG has no handler of the manager', <<'PERL');
my %copy = %SIG;
say(@copy{qw(TERM USR1 CHLD)});
say(scalar grep { ref } values %SIG);
PERL

worker_says("DEFAULT\nIGNORE IGNORE\n", 'a reference to $SIG{TERM} works on in a worker', <<'PERL');
say($$alias);
$$alias = "IGNORE";
say($SIG{TERM}, action(POSIX::SIGTERM()));
$SIG{TERM} = "DEFAULT";
PERL

worker_says("caught\nDEFAULT\n" x 3, 'a worker can set a handler and take it out again', <<'PERL');
for (1 .. 3) {
    $SIG{TERM} = sub { say("caught") };
    kill TERM => $$;
    $SIG{TERM} = "DEFAULT";
    say($SIG{TERM});
}
PERL

worker_says("caught\nDEFAULT DEFAULT\n" x 3, 'a worker can localize a handler', <<'PERL');
for (1 .. 3) {
    {
        local $SIG{TERM} = sub { say("caught") };
        kill TERM => $$;
    }
    say($SIG{TERM}, action(POSIX::SIGTERM()));
}
PERL

worker_says("IGNORE IGNORE\nDEFAULT DEFAULT\n" x 2, 'a worker can localize two elements of %SIG at once', <<'PERL');
for (1 .. 2) {
    {
        local @SIG{qw(TERM CHLD)} = ("IGNORE") x 2;
        say(@SIG{qw(TERM CHLD)});
    }
    say(@SIG{qw(TERM CHLD)});
}
PERL

# Before perl 5.36 what is stored in the localized hash stays, in any program.
sub localizes_whole_hash {
    local $SIG{WINCH} = 'DEFAULT';
    {
        local %SIG;
        $SIG{WINCH} = 'IGNORE';
    }
    return ($SIG{WINCH} // '') eq 'DEFAULT';
}
my $after = localizes_whole_hash() ? "DEFAULT DEFAULT DEFAULT\n" : "IGNORE IGNORE DEFAULT\n";
worker_says($after x 2, 'what comes back after a local %SIG in a worker is no handler of the manager', <<'PERL');
for (1 .. 2) {
    {
        local %SIG;
        $SIG{TERM} = "IGNORE";
    }
    say($SIG{TERM}, action(POSIX::SIGTERM()), action(POSIX::SIGCHLD()));
}
PERL

worker_says("undef DEFAULT\ncaught\n" x 3, 'a worker can delete elements of %SIG and set them again', <<'PERL');
for (1 .. 3) {
    delete $SIG{TERM};
    delete $SIG{CHLD};
    say($SIG{TERM}, action(POSIX::SIGTERM()));
    $SIG{TERM} = sub { say("caught") };
    kill TERM => $$;
}
$SIG{TERM} = "DEFAULT";
PERL

worker_says("a child\nstill\n", 'a worker can set a handler of CHLD for children of its own', <<'PERL');
$SIG{CHLD} = sub { say("a child") };
my $pid = fork;
exit 0 if !$pid;
select undef, undef, undef, 0.01 while waitpid($pid, 1) == 0;
say($SIG{CHLD} ? "still" : "gone");
$SIG{CHLD} = "DEFAULT";
PERL

# What there is in the place of perl's own %SIG, or beside the usual signals.
worker_says("DEFAULT DEFAULT\nDEFAULT\n", 'CHLD may be one of trap_signals', <<'PERL', trapped => ['CHLD']);
say(@SIG{qw(TERM CHLD)});
$SIG{CHLD} = "IGNORE";
$SIG{CHLD} = "DEFAULT";
say($SIG{CHLD});
PERL

worker_says("DEFAULT DEFAULT DEFAULT\n", 'trap_signals may name a signal twice', <<'PERL', trapped => [qw(IOT ABRT)]);
say(action(POSIX::SIGABRT()), map { $SIG{$_} } qw(IOT ABRT));
PERL

worker_says("undef undef\n", 'another hash may be in the place of %SIG', <<'PERL', in_manager => '*SIG = {}');
say(map { $SIG{$_} } 1 .. 2);
PERL

worker_says("DEFAULT DEFAULT\n", '%SIG may be tied', 'say(@SIG{qw(TERM CHLD)})', in_manager => <<'PERL');
require Tie::Hash;
my %copy = %SIG;
tie %SIG, "Tie::StdHash";
%SIG = %copy;
PERL

# What a handler of the program's has captured goes in a worker that knows that it is one, and can be signalled.
worker_says("gone 1 0\nworker\n", 'what goes with a handler goes late enough', 'say("worker")', in_manager => <<'PERL');
our $manager = $$;
{
    my $guard = bless [];
    $SIG{USR1} = sub { $guard };
}
sub DESTROY {
    return if $$ == $manager;
    my $mask = POSIX::SigSet->new;
    POSIX::sigprocmask(0, POSIX::SigSet->new, $mask);
    say("gone", $pm->{in_child}, $mask->ismember(POSIX::SIGTERM()));
}
PERL

worker_says("worker\n", 'what goes with a handler may change trap_signals', 'say("worker")', in_manager => <<'PERL');
our $manager = $$;
{
    my $guard = bless [];
    $SIG{USR1} = sub { $guard };
}
sub DESTROY {
    %{ $pm->{trap_signals} } = () if $$ != $manager;
}
PERL

# The first worker ends the first start; the second start has other names.
my $with_other_names = <<'PERL';
if (!$pm->start) {
    kill USR1 => $pm->manager_pid;
    sleep 60;
}
$pm->wait_all_children;
$SIG{HUP} = sub { };
$pm->trap_signals({ TERM => 'TERM', HUP => 'TERM' });
PERL
my %other_names = (in_manager => $with_other_names, may_warn => 1);
worker_says(<<'TEXT', 'trap_signals may be others than when the manager began', <<'PERL', %other_names);
DEFAULT DEFAULT DEFAULT CODE
DEFAULT DEFAULT CODE
TEXT
say(@SIG{qw(TERM HUP CHLD)}, ref $SIG{USR1});
say(map { action($_) } POSIX::SIGTERM(), POSIX::SIGHUP(), POSIX::SIGUSR1());
PERL

worker_says("DEFAULT DEFAULT DEFAULT\n", 'so it is with a tied trap_signals', <<'WORKER', in_manager => <<'PERL');
say(@SIG{qw(TERM HUP CHLD)});
WORKER
$SIG{HUP} = sub { };
{
    package Tied;

    sub TIESCALAR {
        my ($class, $value) = @_;
        return bless \$value, $class;
    }
    sub FETCH { return ${ $_[0] } }
}
tie $pm->{trap_signals}, 'Tied', { TERM => 'TERM', HUP => 'TERM' };
PERL

# A worker of a worker is one too.
worker_says(<<'TEXT', 'a worker that becomes a manager has handlers, and its workers have none', <<'PERL');
CODE CODE CODE
DEFAULT DEFAULT DEFAULT DEFAULT DEFAULT
TEXT
my $inner = Parallel::Prefork->new({
    max_workers  => 1,
    trap_signals => { TERM => "TERM", HUP => "TERM" },
});
say(map { ref } @SIG{qw(TERM HUP CHLD)});
if (!$inner->start) {
    say(@SIG{qw(TERM HUP CHLD USR1)}, action(POSIX::SIGTERM()));
    kill TERM => getppid;
    exit 0;
}
$inner->wait_all_children;
PERL

worker_says(<<'TEXT' x 2, 'a worker may start workers by the same object', <<'PERL', may_warn => 1);
DEFAULT DEFAULT DEFAULT DEFAULT
CODE DEFAULT
TEXT
$pm->{in_child} = 0;
for (1 .. 2) {
    $SIG{TERM} = sub { $pm->signal_received("TERM") };
    if (!$pm->start) {
        say(@SIG{qw(TERM USR1 CHLD)}, action(POSIX::SIGTERM()));
        delete $SIG{TERM};
        kill TERM => getppid;
        exit 0;
    }
    $pm->wait_all_children;
    say(ref $SIG{TERM}, $SIG{CHLD});
}
PERL

done_testing;
