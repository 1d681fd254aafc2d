# Contracts 14 and 15: SIGCHLD may be somebody else's. Modules put functions in C in its place that perl does not know of (EV,
# Async::Interrupt); handlers of the program change $SIG{CHLD} at any time, also while start sleeps. The pool is reaped and filled all
# the same, and what the program has put there stays.
use strict;
use warnings;

use File::Temp ();
use lib "t/lib";
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(EV Async::Interrupt));

# The first 200 workers end at once; the last one of all looks how many of them are zombies. A subclass whose _wait does not
# block takes a turn of a loop where the manager would sleep. With 0.18, which looks after each fork, few are.
my $filling = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
TAKES_SIGCHLD_BEFORE
{
    package Mine;
    our @ISA = ('Parallel::Prefork');
    our $turn = sub { select undef, undef, undef, 0.05 };
    sub _wait {
        my ($self, $blocking) = @_;
        my @ended = $self->SUPER::_wait(0);
        return @ended if @ended || !$blocking;
        $turn->();
        return $self->SUPER::_wait(0);
    }
}
my $pm = CLASS->new({ max_workers => 200, err_respawn_interval => 0, trap_signals => { TERM => 'TERM', USR1 => '' } });
my $manager = $$;
TAKES_SIGCHLD
sub zombies {
    my $zombies = 0;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $stat, '<', $file or next;
        my ($state, $parent) = (<$stat> // '') =~ /\) (\S) (\d+)/ or next;
        $zombies++ if $parent == $manager && $state eq 'Z';
    }
    return $zombies;
}
if (!$pm->start) {
    # Opened here, it has a position of its own: where this one's byte has gone.
    open my $count, '>>', $ENV{FORKS} or die;
    syswrite $count, '.';
    my $forks = sysseek $count, 0, 1;
    exit 0 if $forks <= 200;
    if ($forks == 400) {
        print zombies() < 100 ? "few zombies\n" : 'zombies: ' . zombies() . "\n";
        kill 'USR1', $manager;
    }
    sleep 1 while 1;
}
$pm->signal_all_children('TERM');
# wait_all_children of 0.18 looks a whole second for the last one.
$pm->wait_all_children(20);
print 'left: ', $pm->num_workers, ', ', zombies(), "\n";
PERL

my %taker = (
    'EV'                         => ['use EV;', 'our $w = EV::child(0, 0, sub { }); $Mine::turn = sub { my $t = EV::timer(0.05, 0, sub { EV::break() }); EV::run() };'],
    'EV, loaded late'            => ['', 'require EV; our $w = EV::child(0, 0, sub { }); $Mine::turn = sub { my $t = EV::timer(0.05, 0, sub { EV::break() }); EV::run() };'],
    'Async::Interrupt'           => ['use Async::Interrupt;', 'our $i = Async::Interrupt->new(cb => sub { }, signal => "CHLD");'],
    'a handler of the program'   => ['', '$SIG{CHLD} = sub { };'],
    'nobody'                     => ['', '$SIG{CHLD} = "DEFAULT";'],
);
for my $name (sort keys %taker) {
    for my $class (qw(Parallel::Prefork Mine)) {
        my ($before, $after) = @{ $taker{$name} };
        my $program = $filling =~ s/CLASS/$class/r =~ s/TAKES_SIGCHLD_BEFORE/$before/r =~ s/TAKES_SIGCHLD/$after/r;
        my $forks = File::Temp->new;
        my $p = run($program, deadline => 60, env => { FORKS => "$forks" });
        is $p->err, '', "SIGCHLD is taken by: $name";
        is $p->out, "few zombies\nleft: 0, 0\n", "... $class reaps and fills the pool";
    }
}

# The real disposition, as the system has it, after an immediate handler has changed it during the sleep of start.
my $changing = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(ualarm);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({ max_workers => 1, after_fork => sub { ualarm(200_000) } });
$SIG{CHLD} = BEFORE;
my $changed = 0;
my $action = POSIX::SigAction->new(sub {
    if (!$changed++) {
        $SIG{CHLD} = AFTER;
        ualarm(200_000);
    }
    else {
        $pm->signal_received('enough');
        LEAVES;
    }
}, POSIX::SigSet->new, 0);
$action->safe(0);
POSIX::sigaction(POSIX::SIGALRM(), $action);
our $seen = 0;
if (!eval { $pm->start or exec 'sleep', 60; 1 }) { print 'left: ', $@ }
open my $status, '<', '/proc/self/status' or die;
my %mask = map { /^Sig(Ign|Cgt):\s*(\S+)/ ? ($1 => hex(substr $2, -8)) : () } <$status>;
my $bit = 1 << POSIX::SIGCHLD() - 1;
print $mask{Ign} & $bit ? 'ignored' : $mask{Cgt} & $bit ? 'handled' : 'default', "\n";
$pm->signal_all_children('KILL');
if (!($mask{Ign} & $bit)) {
    $pm->wait_all_children;
    my $child = fork // die;
    exit 0 if !$child;
    select undef, undef, undef, 0.1 while waitpid($child, 0) != $child;
    print "seen\n" if $seen;
}
PERL
for my $case (
    ["'DEFAULT'", 'sub { $main::seen++ }', "handled\nseen\n"],
    ["'IGNORE'",  'sub { $main::seen++ }', "handled\nseen\n"],
    ["'DEFAULT'", "'IGNORE'",              "ignored\n"],
    ['$SIG{CHLD}', "'IGNORE'",             "ignored\n"],
    ['$SIG{CHLD}', "'DEFAULT'",            "default\n"],
    ['$SIG{CHLD}', 'sub { $main::seen++ }', "handled\nseen\n"],
) {
    my ($before, $after, $expected) = @$case;
    for my $leaves ('1', 'die "by die\n"') {
        my $program = $changing =~ s/BEFORE/$before/r =~ s/AFTER/$after/r =~ s/LEAVES/$leaves/r;
        my $p = run($program, deadline => 30);
        is $p->err, '', "\$SIG{CHLD} from $before to $after during the sleep";
        is $p->out, ($leaves eq '1' ? '' : "left: by die\n") . $expected, '... is what it is afterwards' . ($leaves eq '1' ? '' : ', when the handler dies, too');
    }
}

done_testing;
