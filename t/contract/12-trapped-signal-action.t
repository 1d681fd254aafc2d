# Contract 12: the value of a trapped signal says what its arrival sends to the workers, to
# whom, when and in what order; and a pool that is left running still counts as the pool.
use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use HeldWorker;
use ProcessTest;
use Test::More;

# A pool of SIZE workers, each ready before the next is forked; the last fork raises USR1,
# whose value in trap_signals is ACTION. Each worker reports every signal that it gets, and
# leaves when it gets TERM or when it is released.
my $pool = $BE_HELD . <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(sleep time);

my ($size, $action) = (shift, eval shift);
pipe my $ready,   my $tell_ready;
pipe my $reports, my $report;
pipe my $hold,    my $release;
my ($as_groups, @forked, $started);

my $pm = Parallel::Prefork->new({
    max_workers  => $size,
    trap_signals => { USR1 => $action, USR2 => ['HUP', 1000], TERM => 'TERM' },
    after_fork   => sub {
        push @forked, $_[1];
        readline $ready for 1 .. ($as_groups ? 2 : 1);
        return if @forked != $size;
        $started = time;
        kill USR1 => $$;
    },
});

sub worker {
    close $release;
    if ($as_groups) {
        setpgrp 0, 0;
        fork;
    }
    for my $name (qw(HUP INT QUIT USR1 USR2 TERM)) {
        $SIG{$name} = sub {
            syswrite $report, join(' ', $name, $$, time) . "\n";
            exit 0 if $name eq 'TERM';
        };
    }
    syswrite $tell_ready, "\n";
    be_held($hold);
}

# What workers have reported: waits for COUNT reports.
sub reported { return map { [split ' ', readline $reports] } 1 .. shift }

sub nothing_reported {
    my $set = '';
    vec($set, fileno $reports, 1) = 1;
    return !select $set, undef, undef, 0;
}

sub leave {
    close $release;
    $pm->wait_all_children;
    close $report;
    return map { [split] } readline $reports;
}
PERL

# These three mostly sleep: they do it while the rest is tested.
my $staggered_in_wait = start_program($pool . <<'PERL', args => [3, q(['TERM', 0.3])], deadline => 15);
$pm->start(\&worker);
my ($first) = reported(1);
print "first pid\n" if $first->[1] eq (sort @forked)[0];
my $until = time + 0.7;
sleep 0.05 while time < $until;    # the first worker's exit wakes a sleep
print "no other\n" if nothing_reported();
my $wait_called = time;
print 'left ', $pm->wait_all_children, "\n";
my @rest = reported(2);
print "rest @{[ map { $_->[0] } @rest ]}\n";
print "spaced\n" if $rest[1][2] > $wait_called + 0.29;
PERL

my $staggered_in_start = start_program($pool . <<'PERL', args => [3, q(['TERM', 0.2])], deadline => 15);
$pm->start(\&worker);
my %old = %{ $pm->{worker_pids} };
my $replaced = 0;
$pm->after_fork(sub {
    readline $ready;
    kill TERM => $$ if ++$replaced == 3;
});
$pm->start(\&worker);
print "all replaced\n" if !grep { $old{$_} } keys %{ $pm->{worker_pids} };
my @reports = sort { $a->[2] <=> $b->[2] } grep { $old{ $_->[1] } } reported(6);
print "reports @{[ map { $_->[0] } @reports ]}\n";
print "spaced\n" if $reports[1][2] > $started + 0.19 && $reports[2][2] > $started + 0.39;
leave();
PERL

my $newer = start_program($pool . <<'PERL', args => [3, q(['QUIT', 0.5])], deadline => 15);
$pm->start(\&worker);
my ($older) = reported(1);
$pm->{__dbg_callback} = sub { kill USR2 => $$ };
$pm->start(\&worker);
print time < $started + 0.5 ? "in time\n" : "late\n";
my ($newer) = reported(1);

# Long enough for the older one's second signal, had it not been replaced.
$pm->{__dbg_callback} = sub {
    sleep 0.02;
    $pm->signal_received('enough') if time > $started + 0.7;
};
$pm->start(\&worker);
print 'first ', $older->[1] == $newer->[1] ? 'the same: ' : '', "$older->[0] $newer->[0]\n";
close $_ for $release, $report;
print "rest @{[ map { (split)[0] } readline $reports ]}\n";
PERL

# What the workers got before anything was called after start, and what they got later.
my $at_once = $pool . <<'PERL';
my $expected = shift;
$as_groups = shift;
print 'returned ', $pm->start(\&worker), ' on ', $pm->signal_received, "\n";
print "at once: @{[ map { $_->[0] } reported($expected) ]}\n";
print "later: @{[ map { $_->[0] } leave() ]}\n";
PERL

sub outcome {
    my ($size, $action, $expected, $as_groups) = @_;
    my $program = run(
        $at_once,
        args     => [$size, $action, $expected, $as_groups || 0],
        deadline => 15,
    );
    return $program->out . $program->err;
}

for my $silent ('undef', q(''), '0') {
    is outcome(2, $silent, 0), "returned 1 on USR1\nat once: \nlater: \n",
        "the value $silent ends start and sends nothing";
}

for my $value (q('TERM'), q('SIGTERM'), '15', q(['TERM'])) {
    is outcome(3, $value, 3), "returned 1 on USR1\nat once: TERM TERM TERM\nlater: \n",
        "the value $value sends TERM to every worker before start returns";
}

is outcome(2, q('HUP'), 2), "returned 1 on USR1\nat once: HUP HUP\nlater: \n",
    'the signal of the value is sent, not the one that came';

is outcome(2, q('-TERM'), 4, 1), "returned 1 on USR1\nat once: TERM TERM TERM TERM\nlater: \n",
    q(the value '-TERM' sends TERM to each worker's process group);

SKIP: {
    # Only a system call trace shows the order of signals sent at once, and only in a pid
    # namespace of its own do the workers' pids have one digit and two digits.
    my $in_namespace = 'unshare --user --map-root-user --pid --fork';
    system("$in_namespace strace -qq -o /dev/null true >/dev/null 2>&1") == 0
        or skip 'needs strace and pid namespaces', 4;

    my $traced = <<'PERL' . $pool . <<'PERL';
BEGIN {
    my ($namespace, $trace) = splice @ARGV, 0, 2;
    exec split(' ', $namespace),
        qw(strace -qq -e trace=kill -e signal=none -o), $trace,
        $^X, (map { "-I$_" } @INC), $0, '', '', @ARGV
        if $namespace;
}
PERL
$pm->start(\&worker);
$pm->wait_all_children;
print join(' ', @forked), "\n";
PERL

    for my $value (q('TERM'), q(['TERM', 0.05])) {
        my $trace   = File::Temp->new;
        my $program = run(
            $traced,
            args     => [$in_namespace, $trace->filename, 10, $value],
            deadline => 15,
        );
        my $killed = join ' ', map { /^kill\((\d+), SIGTERM\)/ ? $1 : () } readline $trace;
        my @forked = split ' ', $program->out;
        isnt join(' ', sort @forked), "@forked", '(the order of strings is not that of numbers)';
        is $killed, join(' ', sort @forked), "the value $value takes the pids in string order"
            or diag $program->err;
    }
}

is $staggered_in_wait->line, 'first pid', '[sig, n]: the first worker is signalled at once';
is $staggered_in_wait->line, 'no other',
    '[sig, n]: nobody else is signalled while neither start nor wait_all_children is called';
is $staggered_in_wait->line, 'left 0', '[sig, n]: wait_all_children signals the rest';
is $staggered_in_wait->line, 'rest TERM TERM', '[sig, n]: each of the rest is signalled';
is $staggered_in_wait->line, 'spaced',   '[sig, n]: the rest are signalled at least n seconds apart';
$staggered_in_wait->wait;
is $staggered_in_wait->err, '', '[sig, n]: there is no warning';

is $staggered_in_start->line, 'all replaced', '[sig, n]: a later start signals the rest';
is $staggered_in_start->line, 'reports TERM TERM TERM',
    '[sig, n]: each worker is signalled once in a later start';
is $staggered_in_start->line, 'spaced', '[sig, n]: a later start keeps them n seconds apart';

SKIP: {
    skip 'the machine was too slow: the older one had gone on already', 2
        if $newer->line eq 'late';
    is $newer->line, 'first the same: QUIT HUP', 'a newer [sig, n] signals its first worker at once';
    is $newer->line, 'rest ',          'a newer [sig, n] replaces the older one';
}

my $bad_name = run(<<'PERL', deadline => 15);
use Parallel::Prefork;

# It may die as soon as the name is known, or when the signal is to be sent.
pipe my $hold, my $release;
eval {
    my $pm = Parallel::Prefork->new({
        max_workers  => 1,
        trap_signals => { USR1 => 'NOSUCHNAME' },
        after_fork   => sub { kill USR1 => $$ },
    });
    $pm->start(sub {
        close $release;
        readline $hold;
    });
};
print $@;
PERL
like $bad_name->out, qr/Unrecognized signal name/,
    'a name that no signal has dies "Unrecognized signal name"';

my $older = run($pool . <<'PERL', args => [2, 'undef'], deadline => 15);
$pm->start(\&worker);
my $turns = 0;
$pm->{__dbg_callback} = sub { kill USR1 => $$ if ++$turns == 3 };
$pm->start(\&worker);
print join(' ', scalar @forked, $pm->num_workers, values %{ $pm->{worker_pids} }), "\n";
print "generation $pm->{generation}\n";
leave();
PERL
is $older->line, '2 2 1 1', 'workers of an older generation count, and are not replaced';
is $older->line, 'generation 2', 'the generation is a new one all the same';

my $object = run(<<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
{
    package Signal;
    use overload '""' => sub { return 'TERM' }, fallback => 1;
}
my $signal = bless [], 'Signal';

sub sleep_in_worker {
    sleep 60;
    exit 0;
}

my $pm = Parallel::Prefork->new({
    max_workers  => 1,
    trap_signals => { USR1 => [$signal, 1] },
    after_fork   => sub { kill 'USR1', $$ },
});
$pm->start or sleep_in_worker();
waitpid -1, 0;
print "ended by trap_signals\n";
$pm->after_fork(sub { $_[0]->signal_received('enough') });
delete $pm->{worker_pids}{$_} for keys %{ $pm->{worker_pids} };
$pm->start or sleep_in_worker();
$pm->signal_all_children($signal);
waitpid -1, 0;
print "ended by signal_all_children\n";
PERL
is $object->line, 'ended by trap_signals', 'the signal in trap_signals may be an object' or diag $object->err;
is $object->line, 'ended by signal_all_children', 'the signal for signal_all_children may be an object';

done_testing;
