# Contract 1: the members of a manager that programs know from the original are live: they tell what is so, and what a
# program stores in them or deletes from them takes effect.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %read = facts('reading', <<'PERL');
use Parallel::Prefork;
pipe my $wait, my $hold or die $!;
my $pm;
$pm = Parallel::Prefork->new(
    max_workers  => 1,
    trap_signals => {},
    after_fork   => sub {
        push @{ $pm->{forked} }, $_[1];
        $pm->signal_received("up$pm->{generation}");
    },
);
my $worker = sub {
    close $hold;
    print "in worker = $pm->{in_child} $pm->{generation} ",
        ($pm->{manager_pid} == getppid ? 'parent' : 'other'), "\n" if $pm->{generation} == 1;
    sysread $wait, my $end, 1;
};
$pm->start($worker);
my $pids = $pm->{worker_pids};
my ($first) = @{ $pm->{forked} };
print "one = ", (join(',', keys %$pids) eq $first ? 'its pid' : 'another pid'), " => @{[ values %$pids ]}\n";
print "manager = ", ($pm->{in_child} ? 'child' : 'manager'), " $pm->{generation} ",
    ($pm->{manager_pid} == $$ ? 'own pid' : 'other'), " $pm->{signal_received}\n";

$pm->max_workers(2);
$pm->start($worker);
my $second = $pm->{forked}[1];
print "two = ", scalar(keys %$pids), " $pids->{$first} $pids->{$second} $pm->{generation} $pm->{signal_received}\n";
print "stranger = ", (exists $pids->{$$} ? 'there' : 'absent'), "\n";
close $hold;
$pm->wait_all_children;
print "none = ", scalar(keys %{ $pm->{worker_pids} }), ' ', (exists $pids->{$first} ? 'there' : 'gone'), "\n";
PERL

is $read{one},         'its pid => 1',   'worker_pids maps the pid of a worker to its generation';
is $read{'in worker'}, '1 1 parent',     'in a worker, in_child is 1 and manager_pid its parent';
is $read{manager},     'manager 1 own pid up1',
    'in the manager, in_child is false, and generation, manager_pid and signal_received are current';
is $read{two},      '2 1 2 2 up2', 'a worker of an older generation keeps its number beside the new one';
is $read{stranger}, 'absent',      'worker_pids has no pid that is not a worker';
is $read{none},     '0 gone',      'worker_pids is empty when the workers are gone';

my %dropped = facts('deleting from worker_pids', <<'PERL');
use Parallel::Prefork;
pipe my $wait, my $hold or die $!;
my ($pm, @forked, @reaped);
$pm = Parallel::Prefork->new(
    max_workers   => 2,
    trap_signals  => {},
    after_fork    => sub {
        push @forked, $_[1];
        $pm->signal_received('up') if @forked >= 2;
    },
    on_child_reap => sub { push @reaped, $_[1] },
);
my $worker = sub {
    close $hold;
    sysread $wait, my $end, 1;
};
$pm->start($worker);
my $first = $forked[0];
print "deleted = ", delete $pm->{worker_pids}{$first}, ' ', $pm->num_workers, ' ',
    (exists $pm->{worker_pids}{$first} ? 'there' : 'gone'), "\n";
$pm->start($worker);
print "refilled = ", scalar(@forked), ' ', $pm->num_workers, "\n";
$pm->signal_all_children('TERM');
print "waited = ", $pm->wait_all_children, "\n";
print "reaped = ", (join(' ', sort @reaped) eq join(' ', sort @forked[1, 2]) ? 'the others' : 'wrong'), "\n";
close $hold;
print "spared = ", (waitpid($first, 0) == $first ? "status $?" : 'reaped already'), "\n";
PERL

is $dropped{deleted},  '1 1 gone',   'delete on worker_pids gives the generation, and the worker counts no more';
is $dropped{refilled}, '3 2',        'start forks another worker in the place of a deleted one';
is $dropped{waited},   '0',          'wait_all_children does not wait for a deleted worker';
is $dropped{reaped},   'the others', 'on_child_reap hears of the workers that are left';
is $dropped{spared},   'status 0',   'signal_all_children does not signal a deleted worker';

my %added = facts('storing into worker_pids', <<'PERL');
use Parallel::Prefork;
sub own_child {
    my ($reader, $writer) = @_;
    my $pid = fork;
    defined $pid or die $!;
    return $pid if $pid;
    close $writer;
    sysread $reader, my $end, 1;
    exit 0;
}
my ($pm, @forked, @reaped);
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    trap_signals  => {},
    after_fork    => sub { push @forked, $_[1] },
    on_child_reap => sub {
        push @reaped, $_[1];
        $pm->signal_received('reaped');
    },
);
pipe my $wait, my $hold or die $!;
my $mine = own_child($wait, $hold);
my %note = (generation => 7);
$pm->{worker_pids}{$mine} = \%note;
print "reference = ", (($pm->{worker_pids}{$mine} || 0) == \%note ? 'same' : 'other'), "\n";
$pm->{worker_pids}{$mine} = 1;
print "stored = $pm->{worker_pids}{$mine} ", $pm->num_workers, "\n";
close $hold;
$pm->start(sub { });
print "full = ", scalar(@forked), ' ', ("@reaped" eq $mine ? 'mine reaped' : "not mine: @reaped"), ' ',
    $pm->num_workers, "\n";

pipe $wait, $hold or die $!;
my $other = own_child($wait, $hold);
$pm->{worker_pids}{$other} = $pm->{generation};
$pm->signal_all_children('TERM');
print "waited = ", $pm->wait_all_children, ' ', ($reaped[1] == $other ? 'other reaped' : 'not reaped'), "\n";
PERL

is $added{reference}, 'same', 'a reference stored in worker_pids reads back as the same reference';
is $added{stored},    '1 1',  'a pid stored in worker_pids counts as a worker';
is $added{full},      '0 mine reaped 0',
    'a stored pid fills its place in the pool, and start reaps it as a worker';
is $added{waited},    '0 other reaped',
    'signal_all_children and wait_all_children take a stored pid for a worker';

my %stored = facts('storing into other members', <<'PERL', status => 7 << 8);
use Parallel::Prefork;
my ($pm, @seen);
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    trap_signals  => {},
    on_child_reap => sub { $pm->{signal_received} = 'direct' },
);
$pm->{generation} = 41;
print "ended = ", $pm->start(sub { print "worker generation = $pm->{generation}\n" }), ' ', $pm->signal_received, "\n";
print "generation = $pm->{generation}\n";
delete $pm->{signal_received};
print "signal = ", ($pm->signal_received ? 'set' : 'none'), "\n";

$pm->{in_child} = 1;
print "in_child = ", (eval { $pm->start(sub { }); 1 } ? 'lives' : 'dies'), "\n";
delete $pm->{in_child};
print "again = ", $pm->start(sub {
    # A worker that is told that it is none may be a manager itself.
    delete $pm->{in_child};
    print "nested = ", $pm->start(sub { print "grandchild = $pm->{in_child}\n" }), "\n";
    exit 0;
}), "\n";

$pm->{manager_pid} = 1;
$pm->finish(7);
PERL

is $stored{'worker generation'}, 42,         'start counts on from a generation that the program stored';
is $stored{generation},          42,         'the manager shows the same generation';
is $stored{ended},               '1 direct', 'storing into signal_received ends start';
is $stored{signal},              'none',     'deleting signal_received clears it';
is $stored{in_child},            'dies',     'start believes a stored in_child';
is $stored{again},               1,          'start works again when in_child is deleted';
is $stored{nested},              1,          'a worker that deletes in_child can start workers';
is $stored{grandchild},          1,          'the workers of such a worker know that they are children';
# The exit status 7 of that program, checked above, is the promise for manager_pid: finish believes it.

done_testing;
