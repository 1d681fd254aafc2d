# Bad input gets a message that names the option and the value, when it is given and not when
# it is used; what the original only warns of, or stores without a look, still works.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
use ProcessTest;

my %handlers = %SIG;

sub refuses {
    my ($name, $pattern, $code) = @_;
    my $lived = eval { $code->(); 1 };
    ok !$lived, "$name is refused";
    like $@, $pattern, '... with its name and value';
    like $@, qr/ at \Q$0\E line \d+/, '... and the line that gave it';
    return;
}

my $pm = Parallel::Prefork->new(trap_signals => {});
my $nan = 9**9**9 / 9**9**9;

for my $option (qw(max_workers spawn_interval err_respawn_interval)) {
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

{ package Number; use overload '0+' => sub { 4 }, fallback => 1; }
for my $number (!!0, !!1, bless({}, 'Number')) {
    ok eval { Parallel::Prefork->new(trap_signals => {}, max_workers => $number); 1 },
        'what is a number for perl is one: ' . (ref $number || "'$number'");
}

for my $hook (qw(before_fork after_fork on_child_reap)) {
    refuses("new: $hook => 'main::f'", qr/\b$hook must be a code reference, not 'main::f'/,
        sub { Parallel::Prefork->new(trap_signals => {}, $hook => 'main::f') });
    refuses("$hook([])", qr/\b$hook must be a code reference, not 'ARRAY/, sub { $pm->$hook([]) });
    ok eval { $pm->$hook(sub { }); $pm->$hook(undef); 1 }, "$hook takes code, and undef";
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
    is $odd->{fork_delay}, -1, 'whatever its value';
}
is scalar(@warnings), 1, 'a trapped signal that does not exist is a warning';
like $warnings[0], qr/No such signal: SIGFOO/, '... that names it';

# Refused by new, nothing is left behind: no handler, no process, no scoreboard file.
$SIG{TERM} = 'DEFAULT';
my $file = "/tmp/prefork-bad-input-$$";
eval { Parallel::Prefork->new(trap_signals => { TERM => 'FOO' }) };
is $SIG{TERM}, 'DEFAULT', 'a refused new traps nothing';
eval { Parallel::Prefork::SpareWorkers->new(scoreboard_file => '/', min_spare_workers => 1) };
like $@, qr{failed to create scoreboard file:/:.+}, 'a scoreboard that cannot be made says why';
is $SIG{TERM}, 'DEFAULT', '... and nothing is trapped then either';
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
is $direct->out, "several 1 left 0\nstart 1 left 0\n", 'nonsense in the members starts nobody';
is $direct->status, 0, 'and the manager goes on';

%SIG = %handlers;
done_testing;
