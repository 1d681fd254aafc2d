#!/usr/bin/perl

# Contract 6: in a worker the trapped signals and CHLD are 'DEFAULT' in %SIG, by every way to look at it, and
# can be set, localized and deleted like any other.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# The original warns about children that it does not know, which is not the matter here.
sub worker {
    my ($code, %options) = @_;
    my $more    = $options{more} || '';
    my $manager = $options{manager} || '';
    my $p       = run(<<"PERL", deadline => 30);
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;
my \$pm = Parallel::Prefork->new({ max_workers => 1, trap_signals => { TERM => 'TERM', USR1 => 'TERM', $more } });
my \$alias = \\\$SIG{TERM};
sub say { my \@said = map { defined \$_ ? \$_ : 'undef' } \@_; syswrite STDOUT, "\@said\\n"; return }
sub action { my \$action = POSIX::SigAction->new; POSIX::sigaction(\$_[0], undef, \$action); return ref \$action->handler || \$action->handler }
$manager;
if (\$pm->start) { \$pm->wait_all_children; exit 0 }
$code;
kill TERM => getppid;
exit 0;
PERL
    is $p->err, '', 'no warning' if !$options{may_warn};
    return $p->out;
}

is worker('say(@SIG{qw(TERM USR1 CHLD)});'), "DEFAULT DEFAULT DEFAULT\n", 'DEFAULT by name';
is worker('say(map { action($_) } POSIX::SIGTERM(), POSIX::SIGUSR1(), POSIX::SIGCHLD());'), "DEFAULT DEFAULT DEFAULT\n",
    '... for the system too';
is worker('my %copy = %SIG; say(@copy{qw(TERM USR1 CHLD)}); say(scalar grep { ref } values %SIG);'),
    "DEFAULT DEFAULT DEFAULT\n0\n", '... in a copy and in a walk through all';
is worker('say($$alias); $$alias = "IGNORE"; say($SIG{TERM}, action(POSIX::SIGTERM())); $SIG{TERM} = "DEFAULT"'),
    "DEFAULT\nIGNORE IGNORE\n", '... by a reference that the manager took';

is worker('for (1 .. 3) { $SIG{TERM} = sub { say("caught") }; kill TERM => $$; $SIG{TERM} = "DEFAULT"; say($SIG{TERM}) }'),
    "caught\nDEFAULT\n" x 3, 'a handler can be set and taken out again';
is worker('for (1 .. 3) { { local $SIG{TERM} = sub { say("caught") }; kill TERM => $$ } say($SIG{TERM}, action(POSIX::SIGTERM())) }'),
    "caught\nDEFAULT DEFAULT\n" x 3, '... and localized';
is worker('for (1 .. 2) { { local @SIG{qw(TERM CHLD)} = ("IGNORE") x 2; say(@SIG{qw(TERM CHLD)}) } say(@SIG{qw(TERM CHLD)}) }'),
    "IGNORE IGNORE\nDEFAULT DEFAULT\n" x 2, '... two at once';
# Before perl 5.36 what is stored in the localized hash stays, in any program.
my $localizes = do { local $SIG{WINCH} = 'DEFAULT'; { local %SIG; $SIG{WINCH} = 'IGNORE' } $SIG{WINCH} // '' } eq 'DEFAULT';
is worker('for (1 .. 2) { { local %SIG; $SIG{TERM} = "IGNORE" } say($SIG{TERM}, action(POSIX::SIGTERM()), action(POSIX::SIGCHLD())) }'),
    ($localizes ? "DEFAULT DEFAULT DEFAULT\n" : "IGNORE IGNORE DEFAULT\n") x 2, '... all of them, and what comes back is no handler of the manager';
is worker('for (1 .. 3) { delete $SIG{TERM}; delete $SIG{CHLD}; say($SIG{TERM}, action(POSIX::SIGTERM())); '
        . '$SIG{TERM} = sub { say("caught") }; kill TERM => $$ } $SIG{TERM} = "DEFAULT"'),
    "undef DEFAULT\ncaught\n" x 3, '... and deleted';
is worker('$SIG{CHLD} = sub { say("a child") }; my $pid = fork; exit 0 if !$pid; select undef, undef, undef, 0.01 while waitpid($pid, 1) == 0; '
        . 'say($SIG{CHLD} ? "still" : "gone"); $SIG{CHLD} = "DEFAULT"'),
    "a child\nstill\n", 'CHLD as well';

# What there is in the place of perl's own %SIG, or beside the usual signals.
is worker('say(@SIG{qw(TERM CHLD)}); $SIG{CHLD} = "IGNORE"; $SIG{CHLD} = "DEFAULT"; say($SIG{CHLD})', more => 'CHLD => undef'),
    "DEFAULT DEFAULT\nDEFAULT\n", 'CHLD may be one of trap_signals';
is worker('say(action(POSIX::SIGABRT()), map { $SIG{$_} } qw(IOT ABRT))', more => "IOT => undef, ABRT => undef"), "DEFAULT DEFAULT DEFAULT\n",
    '... and two names of one signal';
is worker('say(map { $SIG{$_} } 1 .. 2)', manager => '*SIG = {}'), "undef undef\n", 'another hash may be in its place';
is worker('say(@SIG{qw(TERM CHLD)})', manager => 'require Tie::Hash; my %copy = %SIG; tie %SIG, "Tie::StdHash"; %SIG = %copy'),
    "DEFAULT DEFAULT\n", '... or it may be tied';

# What a handler of the program's has captured goes in a worker that knows that it is one, and can be signalled.
is worker('say("worker")', manager => 'our $manager = $$; { my $guard = bless []; $SIG{USR1} = sub { $guard } }
    sub DESTROY { return if $$ == $manager; my $mask = POSIX::SigSet->new; POSIX::sigprocmask(0, POSIX::SigSet->new, $mask);
        say("gone", $pm->{in_child}, $mask->ismember(POSIX::SIGTERM())) }'), "gone 1 0\nworker\n", 'what goes with a handler goes late enough';
is worker('say("worker")', manager => 'our $manager = $$; { my $guard = bless []; $SIG{USR1} = sub { $guard } }
    sub DESTROY { %{ $pm->{trap_signals} } = () if $$ != $manager }'), "worker\n", '... and may change trap_signals';

# A worker of a worker is one too.
is worker('my $inner = Parallel::Prefork->new({ max_workers => 1, trap_signals => { TERM => "TERM", HUP => "TERM" } }); '
        . 'say(map { ref } @SIG{qw(TERM HUP CHLD)}); '
        . 'if (!$inner->start) { say(@SIG{qw(TERM HUP CHLD USR1)}, action(POSIX::SIGTERM())); kill TERM => getppid; exit 0 } '
        . '$inner->wait_all_children;'),
    "CODE CODE CODE\nDEFAULT DEFAULT DEFAULT DEFAULT DEFAULT\n", 'a worker that becomes a manager has handlers, and its workers have none';
is worker('$pm->{in_child} = 0; for (1 .. 2) { $SIG{TERM} = sub { $pm->signal_received("TERM") }; '
        . 'if (!$pm->start) { say(@SIG{qw(TERM USR1 CHLD)}, action(POSIX::SIGTERM())); delete $SIG{TERM}; kill TERM => getppid; exit 0 } '
        . '$pm->wait_all_children; say(ref $SIG{TERM}, $SIG{CHLD}) }', may_warn => 1),
    "DEFAULT DEFAULT DEFAULT DEFAULT\nCODE DEFAULT\n" x 2, '... by the same object, too';

done_testing;
