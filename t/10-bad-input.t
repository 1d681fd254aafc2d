# Bad input gets a message that names the option and the value, when it is given and not when
# it is used; what the original only warns of, or stores without a look, still works.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
use ProcessTest;

my %handlers = %SIG;

sub refuses {
    my ($name, $pattern, $code) = @_;
    my $lived = eval { $code->(); 1 };
    $name =~ s/([^ -~])/sprintf '\\x{%X}', ord $1/ge;
    ok !$lived, "$name is refused";
    like $@, $pattern, "the error names it and its value: $name";
    like $@, qr/ at \Q$0\E line \d+/, "the error tells the line that gave it: $name";
    return;
}

my $pm = Parallel::Prefork->new(trap_signals => {});
my $nan = 9**9**9 / 9**9**9;

for my $option (qw(max_workers spawn_interval err_respawn_interval graceful_timeout worker_timeout
    worker_timeout_grace ready_timeout)) {
    for my $value (-1, -0.5, 'many', '', '3 workers', $nan, 9**9**9, [3], {}) {
        my $shown = quotemeta $value;
        refuses("new: $option => '$value'", qr/\b$option must be a number.*'$shown'/,
            sub { Parallel::Prefork->new(trap_signals => {}, $option => $value) });
        refuses("$option('$value')", qr/\b$option must be a number.*'$shown'/,
            sub { $pm->$option($value) });
    }
    my $before = $pm->$option;
    eval { $pm->$option(-1) };
    is $pm->$option, $before, "$option keeps its value when a new one is refused";
    is $pm->$option($_), $_, "$option($_) is taken" for 0, 3, 2.5, '7', '1e1';
}

for my $option (qw(min_spare_workers max_spare_workers heartbeat)) {
    refuses("SpareWorkers: $option", qr/\b$option must be a number.*'-2'/, sub {
        Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 1,
            $option => -2);
    });
}

refuses('max_spare_workers under min_spare_workers',
    qr/max_spare_workers \(1\) must not be less than min_spare_workers \(3\)/, sub {
        Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 3,
            max_spare_workers => 1);
    });

{
    package Number;
    use overload '0+' => sub { return 4 }, fallback => 1;
}
for my $number (!!0, !!1, bless({}, 'Number')) {
    ok eval { Parallel::Prefork->new(trap_signals => {}, max_workers => $number); 1 },
        'what is a number for perl is one: ' . (ref $number || "'$number'");
}

for my $hook (qw(before_fork after_fork on_child_reap)) {
    refuses("new: $hook => 'main::f'", qr/\b$hook must be a code reference, not 'main::f'/,
        sub { Parallel::Prefork->new(trap_signals => {}, $hook => 'main::f') });
    refuses("$hook([])", qr/\b$hook must be a code reference, not 'ARRAY/, sub { $pm->$hook([]) });
    ok eval { $pm->$hook(sub { }); 1 }, "$hook takes code";
    ok eval { $pm->$hook(undef);   1 }, "$hook takes undef";
}
refuses('trap_signals => undef', qr/trap_signals must be a hash reference, not undef/,
    sub { Parallel::Prefork->new(trap_signals => undef) });
my $spare = Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 1);
for my $option (qw(min_spare_workers max_spare_workers heartbeat)) {
    refuses("$option(-4)", qr/\b$option must be a number.*'-4'/, sub { $spare->$option(-4) });
}
refuses('SpareWorkers: start("work")', qr/argument of start must be a code reference/,
    sub { $spare->start('work') });
refuses("scoreboard => 'x'", qr/scoreboard must be an object with the methods child_start/, sub {
    Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 1,
        scoreboard => 'x');
});
refuses('two million slots', qr/room for 1048576 workers at most, not 2000000/, sub {
    Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 1,
        max_workers => 2_000_000);
});
refuses('start("work")', qr/argument of start must be a code reference, not 'work'/,
    sub { $pm->start('work') });

refuses('trap_signals => [...]', qr/\btrap_signals must be a hash reference, not 'ARRAY/,
    sub { Parallel::Prefork->new(trap_signals => ['TERM']) });
for my $action ('FOO', ['FOO', 1], ['FOO'], 4711, -4711, 'SIGFOO', sub { }) {
    my $send = ref $action eq 'ARRAY' ? $action->[0] : $action;
    refuses("trap_signals: the action $send",
        qr/Unrecognized signal name "\Q$send\E" as the value of HUP in trap_signals/,
        sub { Parallel::Prefork->new(trap_signals => { HUP => $action }) });
    refuses("trap_signals(...): the action $send", qr/Unrecognized signal name "\Q$send\E"/,
        sub { $pm->trap_signals({ HUP => $action }) });
}
for my $interval (-1, 'soon', $nan) {
    refuses("trap_signals: the interval $interval",
        qr/trap_signals: the interval for HUP must be a number.*'\Q$interval\E'/,
        sub { Parallel::Prefork->new(trap_signals => { HUP => ['TERM', $interval] }) });
}
ok eval { $pm->trap_signals({ HUP => $_ }); 1 }, 'taken as an action: ' . (defined $_ ? "'$_'" : 'undef')
    for undef, '', 0, 'TERM', 'SIGTERM', '-TERM', 15, -15, ['TERM'], ['TERM', 0.5];

for my $what (undef, 'x', 7, [], sub { }) {
    my $shown = defined $what ? quotemeta "'$what'" : 'undef';
    refuses("new($shown)", qr/new takes a hash reference.*$shown/,
        sub { Parallel::Prefork->new($what) });
}
refuses('signal_all_children("FOO")', qr/Unrecognized signal name "FOO"/,
    sub { $pm->signal_all_children('FOO') });
refuses('an empty status', qr/set_status: the status must be a character/, sub {
    Parallel::Prefork::SpareWorkers->new(trap_signals => {}, min_spare_workers => 1)->set_status('');
});
refuses('a pid that is none', qr/worker_pids: 'abc' is no process id/,
    sub { $pm->{worker_pids}{abc} = 1 });
refuses('importing what there is not', qr/"STATUS_BUSY" is not exported/,
    sub { Parallel::Prefork::SpareWorkers->import('STATUS_BUSY') });

my @warnings;
{
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    my $odd = Parallel::Prefork->new(trap_signals => { FOO => 'TERM' }, fork_delay => -1, mine => 'x');
    is $odd->{mine}, 'x', 'a key that we do not know is kept';
    is $odd->{fork_delay}, -1, 'such a key is kept whatever its value';
}
is scalar(@warnings), 1, 'a trapped signal that does not exist is a warning';
like $warnings[0], qr/No such signal: SIGFOO/, 'the warning names the signal';

# Refused by new, nothing is left behind: no handler, no process, no scoreboard file.
$SIG{TERM} = 'DEFAULT';
my $file = "/tmp/prefork-bad-input-$$";
eval { Parallel::Prefork->new(trap_signals => { TERM => 'FOO' }) };
is $SIG{TERM}, 'DEFAULT', 'a refused new traps nothing';
eval { Parallel::Prefork::SpareWorkers->new(scoreboard_file => '/', min_spare_workers => 1) };
like $@, qr{failed to create scoreboard file:/:.+}, 'a scoreboard that cannot be made says why';
is $SIG{TERM}, 'DEFAULT', 'a new whose scoreboard cannot be made traps nothing';
eval { Parallel::Prefork::SpareWorkers->new(trap_signals => {}, scoreboard_file => $file,
    min_spare_workers => 1, heartbeat => -1) };
ok !-e $file, 'a refused new makes no scoreboard file';

# What programs put into the object directly is not checked, and must do no harm.
my $direct = run(<<'PERL', deadline => 20);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(max_workers => 2);
@$pm{qw(max_workers spawn_interval err_respawn_interval)} = (-3, -1, 'x');
my $several = Parallel::Prefork->new;
$several->$_(1, 2) for qw(max_workers spawn_interval err_respawn_interval);
$SIG{ALRM} = sub { $several->signal_received('enough') };
alarm 1;
print 'several ', $several->start(sub { }), ' left ', $several->wait_all_children, "\n";
$SIG{ALRM} = sub { $pm->signal_received('enough') };
alarm 1;
print 'start ', $pm->start(sub { }), ' left ', $pm->wait_all_children, "\n";
PERL
is $direct->line, 'several 1 left 0', 'several values for an option start nobody';
is $direct->line, 'start 1 left 0', 'nonsense in the members starts nobody';
is $direct->status, 0, 'a manager with nonsense in its members goes on';

# Strings cross into C with their lengths, and numbers that do not fit are none.
my @no_signals = (
    4294967311, -4294967281, 2**63, 2**64 + 15, 1e30, $nan, 9**9**9,
    "TERM\0", "TERM\0KILL", "SIG\0TERM", "SIG", "T\x{C9}RM", "\x{263A}",
);
for my $signal (@no_signals) {
    my $shown = quotemeta $signal;
    refuses("signal_all_children('$signal')", qr/Unrecognized signal name "$shown"/,
        sub { $pm->signal_all_children($signal) });
    refuses("trap_signals: TERM => '$signal'", qr/Unrecognized signal name "$shown"/,
        sub { Parallel::Prefork->new(trap_signals => { TERM => $signal }) });
}
{
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    Parallel::Prefork->new(trap_signals => { "TERM\0X" => 0, "\x{263A}" => 0 });
    is scalar(grep { /^No such signal: SIG(?:TERM\0X|\x{263A}) / } @warned), 2,
        'a name that only begins as that of a signal is none';
    is $SIG{TERM}, 'DEFAULT', 'a name that only begins as that of a signal traps nothing';
}
my $keys = run(<<'PERL', deadline => 20);
use strict;
use warnings;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
);
if (!$pm->start) {
    sleep 1 while 1;
}
my ($pid) = keys %{ $pm->{worker_pids} };
my @others = (
    "0$pid", " $pid", "$pid ", "$pid.5", "$pid\n", "$pid\0",
    "+$pid", $pid + 2**32, "${pid}x", sprintf('%e', $pid),
);
print 'exists: ', scalar(grep { exists $pm->{worker_pids}{$_} } @others), "\n";
delete $pm->{worker_pids}{$_} for @others;
print 'left: ', $pm->num_workers, "\n";
print 'is there: ', exists $pm->{worker_pids}{ $pid + 0 } ? 'yes' : 'no', "\n";
$pm->signal_all_children(9.7);
print 'left: ', $pm->wait_all_children, "\n";
PERL
is $keys->err, '', 'strange keys of worker_pids give no warning';
is $keys->line, 'exists: 0', 'a key of worker_pids that only counts as the number of a worker is none of it';
is $keys->line, 'left: 1', 'to delete such a key takes no worker away';
is $keys->line, 'is there: yes', 'the worker is there by its number';
is $keys->line, 'left: 0', 'a signal of 9.7 is the signal 9';

sub scoreboard_in {
    my $file = shift;
    return Parallel::Prefork::SpareWorkers->new(
        trap_signals      => {},
        scoreboard_file   => $file,
        min_spare_workers => 1,
    );
}

# What a name is made of is what perl's own open makes of it.
utf8::upgrade(my $upgraded = "b\x{E9}");
for my $name ("b\x{E9}", "b\x{263A}", "b\x{E9}\x{263A}", $upgraded) {
    my $dir = File::Temp->newdir;
    open my $own, '>', "$dir/$name" or die $!;
    close $own;
    my ($file) = glob "$dir/*";
    unlink $file or die;
    ok eval { scoreboard_in("$dir/$name"); 1 }, 'a scoreboard may have a name that is not ASCII' or diag $@;
    is_deeply [glob "$dir/*"], [$file], 'a scoreboard of such a name has the name that it has for perl';
}
{
    my $dir = File::Temp->newdir;
    eval { scoreboard_in("$dir/cut\0off") };
    like $@, qr/^failed to create scoreboard file:\Q$dir\E\/cut\0off:No such file/,
        'a NUL in the name of a scoreboard is refused, as open does';
    is_deeply [glob "$dir/*"], [], 'a name with a NUL is not cut there';
}
my $large_numbers = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;
my $pm = Parallel::Prefork::SpareWorkers->new(
    max_workers       => 2,
    min_spare_workers => 1,
    max_spare_workers => $ARGV[0],
    heartbeat         => 1e6,
);
$SIG{ALRM} = sub { $pm->signal_received('enough') };
alarm 1;
if (!$pm->start) {
    sleep 1 while 1;
}
my ($user, $system) = times;
print $user + $system < 0.7 ? "rests\n" : "spins: $user $system\n";
$pm->signal_all_children('TERM');
$pm->wait_all_children;
PERL
for my $max (5e9, 1e18) {
    is run($large_numbers, args => [$max], deadline => 20)->out, "rests\n",
        "a manager with max_spare_workers => $max and a long heartbeat rests";
}

my $tainted = run(<<'PERL', deadline => 20, switches => ['-T']);
use Parallel::Prefork;
eval { Parallel::Prefork->new(max_workers => "x" . substr $ENV{PATH}, 0, 0) };
print $@;
eval { Parallel::Prefork->new(undef) };
print $@;
PERL
is $tainted->err, '', 'under taint checks, bad input gives no other errors';
like $tainted->out, qr/^max_workers must be a number, 0 or more, not 'x' at /m,
    'under taint checks, a bad option gets its message';
like $tainted->out, qr/^new takes a hash reference.*, not undef at /m,
    'under taint checks, a bad argument of new gets its message';

%SIG = %handlers;
done_testing;
