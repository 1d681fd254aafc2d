# Contract 8: workers are made by perl's own fork, with all that it does for a program, and
# have the signal mask of the manager.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use File::Temp ();
use Test::More;

my $file = File::Temp->new;
facts('buffered output', <<'PERL', args => ["$file"]);
use Parallel::Prefork;
open my $fh, '>', $ARGV[0] or die $!;
pipe my $wait, my $hold or die $!;
my ($pm, $forks);
$pm = Parallel::Prefork->new(
    max_workers  => 2,
    trap_signals => {},
    before_fork  => sub {
        $forks++;
        print {$fh} "before fork $forks\n";
    },
    after_fork   => sub { $pm->signal_received('up') if $forks == 2 },
);
$pm->start(sub {
    close $hold;
    sysread $wait, my $end, 1;
    print {$fh} "worker\n";
});
close $hold;
$pm->wait_all_children;
print {$fh} "end\n";
PERL
is_deeply [sort split /\n/, do { local $/; scalar readline $file }],
    ['before fork 1', 'before fork 2', 'end', 'worker', 'worker'],
    'what the manager had in its buffers at a fork is written once, and so is what workers write';

my %pending = facts('pending signals', <<'PERL');
use POSIX ();
my $heard = 0;
BEGIN {
    # The signals get through and the fork happens in one statement: no handler runs between them.
    *CORE::GLOBAL::fork = sub {
        my $both = POSIX::SigSet->new(POSIX::SIGUSR1(), POSIX::SIGTERM());
        my $old  = POSIX::SigSet->new;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $both, $old) or die $!;
        kill $_, $$ for qw(USR1 TERM);
        return (POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old), CORE::fork())[1];
    };
}
use Parallel::Prefork;
$SIG{USR1} = sub { $heard++ };
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => undef });
$pm->start(sub { print "worker = $heard '", $pm->signal_received, "'\n" });
print "manager = $heard ", $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

is $pending{worker},  "0 ''",   'signals that are pending at the fork are not the worker\'s';
is $pending{manager}, '1 TERM', "signals that are pending at the fork are the manager's";

my %mask = facts('the signal mask', <<'PERL');
use POSIX ();
use Parallel::Prefork;
sub mask {
    my $mask = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, $mask) or die $!;
    return join ' ', grep { $mask->ismember($_) } 1 .. 31;
}
my $show = <<'SHOW';
use POSIX;
my $mask = POSIX::SigSet->new;
POSIX::sigprocmask(SIG_BLOCK, POSIX::SigSet->new, $mask) or die $!;
print "$ARGV[0] exec = ", join(' ', grep { $mask->ismember($_) } 1 .. 31), "\n";
SHOW
sub worker {
    my ($name, $exec) = @_;
    my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => { TERM => 'TERM', HUP => 'TERM', USR1 => undef },
        on_child_reap => sub { $_[0]->signal_received('reaped') });
    $pm->start(sub {
        if ($exec) { exec $^X, '-e', $show, $name or die $! }
        print "$name worker = ", mask(), "\n";
    });
    print "$name manager = ", mask(), "\n";
}
print "plain = ", mask(), "\n";
worker('plain', $_) for 0, 1;
POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGUSR2(), POSIX::SIGHUP())) or die $!;
print "blocked = ", mask(), "\n";
worker('blocked', $_) for 0, 1;
PERL

isnt $mask{plain}, $mask{blocked}, 'two masks to compare';
for my $name (qw(plain blocked)) {
    is $mask{"$name worker"},  $mask{$name}, "a worker has the signal mask of the manager ($name)";
    is $mask{"$name exec"},    $mask{$name}, "a program that a worker execs has the signal mask of the manager ($name)";
    is $mask{"$name manager"}, $mask{$name}, "start leaves the manager's signal mask as it was ($name)";
}

my %hooked = facts('a mask from before_fork', <<'PERL');
use POSIX ();
use Parallel::Prefork;
my $usr2 = POSIX::SigSet->new(POSIX::SIGUSR2());
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { POSIX::sigprocmask(POSIX::SIG_BLOCK(), $usr2) or die $! },
    on_child_reap => sub { $_[0]->signal_received('reaped') },
);
$pm->start(sub {
    my $mask = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, $mask) or die $!;
    print "worker = ", ($mask->ismember(POSIX::SIGUSR2()) ? 'blocked' : 'open'), ' ',
        ($mask->ismember(POSIX::SIGTERM()) ? 'blocked' : 'open'), "\n";
});
PERL

is $hooked{worker}, 'blocked open', 'a signal that before_fork blocks is blocked in the worker, and no other';

my %global = facts('CORE::GLOBAL::fork', <<'PERL');
my $calls = 0;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        $calls++;
        return CORE::fork();
    };
}
use Parallel::Prefork;
my $pm;
$pm = Parallel::Prefork->new(max_workers => 3, trap_signals => {},
    after_fork => sub { $pm->signal_received('up') if $calls == 3 });
$pm->start(sub { exit 0 });
print "calls = $calls\n";
$pm->wait_all_children;
PERL

cmp_ok $global{calls}, '==', 3, 'a fork that the program put into CORE::GLOBAL is called for every worker';

done_testing;
