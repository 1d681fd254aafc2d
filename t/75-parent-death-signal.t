# pdeathsig: workers that end with their manager, however that ends.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Facts;
use PidNamespace;
use ProcessTest;

# A manager that is killed; PREPARE and WORK are code. All workers hold a pipe, which is at its end when they are gone.
my $MANAGER = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;
pipe my $lives, my $held or die "pipe: $!";
pipe my $there, my $is_there or die "pipe: $!";
my $manager = fork // die "fork: $!";
if (!$manager) {
    close $_ for $lives, $there;
    my $pm = Parallel::Prefork->new(max_workers => 3, pdeathsig => 'KILL', OPTIONS);
    PREPARE;
    $pm->start(sub {
        $SIG{TERM} = 'IGNORE';
        WORK;
        syswrite $is_there, "$$\n";
        sleep 30 while 1;
    });
    POSIX::_exit(0);
}
close $_ for $held, $is_there;
my @workers = map { scalar readline $there } 1 .. 3;
kill KILL => $manager;
waitpid $manager, 0;
print "killed\n";
sysread $lives, my $byte, 1;
print "gone\n";
PERL

sub killed {
    my ($name, %code) = @_;
    my $program = start_program(filled($MANAGER, OPTIONS => '', PREPARE => '', WORK => '', %code), deadline => 30,
        $code{under} ? (under => delete $code{under}) : ());
    is $program->line, 'killed', "$name: the manager is killed";
    is $program->line, 'gone',   '... and its workers with it';
    is $program->wait, 0,        '... the program ends as it should';
    return;
}

killed('workers that wait');
killed('a signal by its number', OPTIONS => 'pdeathsig => 9');
killed('set between new and start', OPTIONS => 'pdeathsig => undef', PREPARE => '$pm->pdeathsig("SIGKILL")');
killed('SpareWorkers', PREPARE => <<'PERL');
    require Parallel::Prefork::SpareWorkers;
    $pm = Parallel::Prefork::SpareWorkers->new(max_workers => 3, min_spare_workers => 3, pdeathsig => 'KILL');
PERL

SKIP: {
    skip 'only root can become another user', 3 if $> != 0;
    killed('workers that have become another user', WORK => <<'PERL');
        $> = $< = 65534;
        die "setuid: $!" if $> == 0;
        $pm->stopping;
PERL
}

SKIP: {
    my @namespace = new_pid_namespace();
    skip 'no PID namespace can be made here', 1 if !@namespace;
    my $source  = filled($MANAGER, OPTIONS => '', PREPARE => '', WORK => '');
    my $program = start_program($source, under => \@namespace, deadline => 30);
    is $program->line, 'killed', 'in a PID namespace: the manager is killed';
    is $program->line, 'gone',   '... and its workers with it';
}

# At a moment that is swept over the life of the manager, from before its first fork.
my %swept = facts('a manager that is killed early', <<'PERL', deadline => 100);
use POSIX ();
use Time::HiRes qw(sleep);
use Parallel::Prefork;
pipe my $lives, my $held or die "pipe: $!";
my $killed = 0;
for my $round (1 .. 60) {
    my $manager = fork // die "fork: $!";
    if (!$manager) {
        close $lives;
        Parallel::Prefork->new(max_workers => 20, pdeathsig => 'KILL')->start(sub { sleep 30 while 1 });
        POSIX::_exit(0);
    }
    sleep 0.0002 * $round;
    kill KILL => $manager;
    waitpid $manager, 0;
    $killed += $? == 9;
}
close $held;
sysread $lives, my $byte, 1;
print "killed = $killed\n";
PERL
is $swept{killed}, 60, 'managers that are killed at any moment leave no worker behind';

my %without = facts('without pdeathsig', <<'PERL');
use POSIX ();
use Parallel::Prefork;
pipe my $there, my $is_there or die "pipe: $!";
my $manager = fork // die "fork: $!";
if (!$manager) {
    Parallel::Prefork->new(max_workers => 1)->start(sub { syswrite $is_there, "$$\n"; sleep 30 while 1 });
    POSIX::_exit(0);
}
chomp(my $worker = readline $there);
kill KILL => $manager;
waitpid $manager, 0;
select undef, undef, undef, 0.2;
print 'alive = ', kill(0 => $worker), "\n";
kill KILL => $worker;
PERL
is $without{alive}, 1, 'without it a worker goes on';

my %child = facts('a child of the worker', <<'PERL');
use POSIX ();
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    pdeathsig     => 'KILL',
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    my $child = fork // die "fork: $!";
    if (!$child) {
        eval { $pm->stopping };
        POSIX::_exit(4);
    }
    waitpid $child, 0;
    print "status = $?\n";
});
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $child{status}, 4 << 8, 'a child of the worker that asks whether it is to leave is sent nothing';

my %wrong = facts('wrong values', <<'PERL');
use Parallel::Prefork;
my $refused = qr/\Apdeathsig must be the name or the number of a signal, not '/;
for my $value ('NONE', -9, '-KILL', 4711, [9]) {
    eval { Parallel::Prefork->new(pdeathsig => $value) };
    print ref $value ? 'array' : $value, ' = ', $@ =~ $refused ? 'refused' : "taken $@", "\n";
}
my $pm = Parallel::Prefork->new(pdeathsig => 0);
print 'none = ', $pm->pdeathsig, "\n";
PERL
is_deeply \%wrong, { (map { $_ => 'refused' } 'NONE', -9, '-KILL', 4711, 'array'), none => 0 },
    'what is no signal is refused';

SKIP: {
    require Config;
    skip 'this perl has no threads', 1 if !$Config::Config{usethreads};
    my %thread = facts('a thread', <<'PERL');
use threads;
use Parallel::Prefork;
my $said = threads->create(sub {
    my $pm = Parallel::Prefork->new(max_workers => 1, pdeathsig => 'TERM', trap_signals => {});
    eval { $pm->start(sub { }); 1 } ? 'nothing' : $@;
})->join;
print 'said = ', $said =~ /the parent death signal is sent when the thread ends that forks/ ? 'refused' : $said, "\n";
PERL
    is $thread{said}, 'refused', 'start in another thread is refused';
}

done_testing;
