# last_exit and log_exits: who ended, why, after how long, and who asked for it.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Facts;
use ProcessTest;

# A pool of one worker, which does something when it is there; then its end is recorded.
my $POOL = <<'PERL';
use POSIX ();
use Parallel::Prefork;
our ($pm, @records, @lines) = ();
pipe my $there, my $is_there or die "pipe: $!";

sub is_there { return syswrite $is_there, "$$\n" }
sub wait_for_ever { sleep 1 while 1 }

# Forks a worker that calls this, and stops the run.
sub one_worker {
    my ($work, %options) = @_;
    $pm = Parallel::Prefork->new(
        max_workers          => 1,
        err_respawn_interval => 0,
        after_fork           => sub { $_[0]->signal_received('enough') },
        on_child_reap        => sub { push @records, $_[0]->last_exit },
        log_exits            => sub { push @lines, $_[1] },
        trap_signals         => { TERM => 'TERM', HUP => undef },
        %options,
    );
    $pm->start(sub { is_there(); $work->() });
    readline $there;
    return;
}

sub reaped {
    $pm->wait_all_children;
    my $record = $records[0];
    for my $name (sort keys %$record) {
        print "$name = $record->{$name}\n" if $name ne 'age';
    }
    print 'line = ', $lines[0] // 'none', "\n";
    print 'records = ', scalar(@records), ', lines = ', scalar(@lines), "\n";
    print 'age = ', ($record->{age} > 0 && $record->{age} < 60 ? 'fine' : $record->{age}), "\n";
    return;
}
PERL

my %ended = (
    'an exit with 0' => {
        program => 'one_worker(sub { }); reaped();',
        record  => { status => 0, reason => 'ended', cause => '', sent_signal => '' },
        line    => qr/\Anone\z/,
    },
    'an exit with 3' => {
        program => 'one_worker(sub { exit 3 }); reaped();',
        record  => { status => 768, reason => 'failed', cause => '' },
        line    => qr/\Aworker 0 \(pid \d+, generation 1\) exited with status 3 after \d+\.\d s\z/,
    },
    'a fault' => {
        program => 'one_worker(sub { $SIG{SEGV} = "DEFAULT"; kill SEGV => $$; wait_for_ever() }); reaped();',
        record  => { reason => 'failed', cause => 'external', sent_signal => '' },
        line    => qr/\) was killed by SIGSEGV after [\d.]+ s( \(core dumped\))?\z/,
    },
    'TERM that the program sends' => {
        program => 'one_worker(\&wait_for_ever); $pm->signal_all_children("TERM"); reaped();',
        record  => { status => 15, cause => 'asked', sent_signal => 'TERM', grace_over => 0 },
        line    => qr/\Anone\z/,
    },
    'KILL that the program sends' => {
        program => 'one_worker(\&wait_for_ever); $pm->signal_all_children("KILL"); reaped();',
        record  => { status => 9, cause => 'asked', sent_signal => 'KILL' },
        line    => qr/\Anone\z/,
    },
    'TERM, answered by a failure' => {
        program => 'one_worker(sub { $SIG{TERM} = sub { exit 4 }; is_there(); wait_for_ever() }); readline $there;'
            . '$pm->signal_all_children("TERM"); reaped();',
        record => { status => 1024, cause => 'asked', sent_signal => 'TERM' },
        line   => qr/\) exited with status 4 after [\d.]+ s: it was sent SIGTERM\z/,
    },
    'a grace that is over' => {
        program => 'one_worker(sub { $SIG{TERM} = "IGNORE"; is_there(); wait_for_ever() }, graceful_timeout => 0.25);'
            . 'readline $there; $pm->signal_all_children("TERM"); reaped();',
        record => { status => 9, cause => 'asked', sent_signal => 'TERM', grace_over => 1, out_of_memory => 0 },
        line   => qr/\) was killed by SIGKILL after [\d.]+ s: graceful_timeout of 0\.25 s, it was sent SIGTERM\z/,
    },
    'a signal from outside' => {
        program => 'one_worker(\&wait_for_ever); kill KILL => keys %{ $pm->{worker_pids} }; reaped();',
        record  => { status => 9, reason => 'failed', cause => 'external', sent_signal => '', out_of_memory => 0 },
        line    => qr/\) was killed by SIGKILL after [\d.]+ s: the manager did not send that\z/,
    },
    'a signal from outside after one of the manager' => {
        program => 'one_worker(sub { $SIG{TERM} = "IGNORE"; is_there(); wait_for_ever() }, graceful_timeout => 3600);'
            . 'readline $there; $pm->signal_all_children("TERM"); kill KILL => keys %{ $pm->{worker_pids} }; reaped();',
        record => { status => 9, cause => 'external', sent_signal => 'TERM', grace_over => 0 },
        line   => qr/\) was killed by SIGKILL after [\d.]+ s: the manager did not send that, it was sent SIGTERM\z/,
    },
    'a worker of another generation' => {
        program => 'one_worker(\&wait_for_ever); $pm->max_workers(2); my ($first) = keys %{ $pm->{worker_pids} };'
            . '$pm->start(\&wait_for_ever); kill KILL => $first; $pm->max_workers(0);'
            . '$pm->wait_all_children(0.1) until @records; $pm->signal_all_children("KILL"); reaped();',
        record => { generation => 1, index => 0, reason => 'ended', cause => 'external' },
        line   => qr/\Aworker 0 \(pid \d+, generation 1\) was killed by SIGKILL/,
        all    => 'records = 2, lines = 1',
    },
    'a worker that other code has reaped' => {
        program => 'one_worker(sub { exit 3 }); waitpid +(keys %{ $pm->{worker_pids} })[0], 0; reaped();',
        record  => { status => -1, reason => 'stolen', cause => '' },
        line    => qr/\) was reaped by other code after [\d.]+ s\z/,
    },
);
for my $end (sort keys %ended) {
    my ($program, $record, $line, $all) = @{ $ended{$end} }{qw(program record line all)};
    my %fact = facts($end, $POOL . $program, deadline => 30);
    is_deeply { map { $_ => $fact{$_} } keys %$record }, $record, "$end: the record";
    is $fact{age}, 'fine', "$end: its age";
    like $fact{line}, $line, "$end: the line";
    my $lines = $fact{line} eq 'none' ? 0 : 1;
    is "records = $fact{records}", $all // "records = 1, lines = $lines", "$end: each once";
}

my %in_start = facts('in start', $POOL . <<'PERL');
one_worker(sub { exit 3 }, log_exits => 1, on_child_reap => undef);
my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_; $pm->signal_received('enough') if @warnings == 3; die "of no use" };
$pm->after_fork(undef);
$pm->start(sub { exit 3 });
$pm->log_exits(0);
$pm->wait_all_children;
print 'warnings = ', scalar(@warnings), "\n";
my $kind = qr/\Aworker 0 \(pid \d+, generation [12]\) exited with status 3 after .* s\n\z/;
print 'kind = ', scalar(grep { $_ =~ $kind } @warnings), "\n";
PERL
is $in_start{warnings}, 3, 'log_exits => 1 warns in start, without any hook, and a handler that dies ends nothing';
is $in_start{kind},     3, '... with the lines';

my %in_wait = facts('in wait_all_children', $POOL . <<'PERL');
one_worker(\&wait_for_ever, on_child_reap => undef);
kill KILL => keys %{ $pm->{worker_pids} };
$pm->wait_all_children;
print 'lines = ', scalar(grep { /was killed by SIGKILL/ } @lines), "\n";
PERL
is $in_wait{lines}, 1, 'in wait_all_children there is a line without any hook, too';

my %others = facts('no workers', $POOL . <<'PERL');
one_worker(\&wait_for_ever);
print 'before = ', defined $pm->last_exit ? 'some' : 'none', "\n";
my $child = fork // die "fork: $!";
POSIX::_exit(5) if !$child;
$pm->after_fork(undef);
$pm->on_child_reap(sub { push @records, $_[0]->last_exit; $_[0]->signal_received('enough') });
$pm->start;
print 'reason = ', $records[0]{reason}, "\n";
print 'pid = ', $records[0]{pid} == $child ? 'its own' : 'another', "\n";
print 'lines = ', scalar(@lines), "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $others{before}, 'none',    'before any end there is no record';
is $others{reason}, 'foreign', 'there is one of a child that is no worker';
is $others{pid},    'its own', '... with its pid';
is $others{lines},  0,         '... and no line';

my %overridden = facts('an override of _wait that reaps', $POOL . <<'PERL');
{
    package Reaps;
    our @ISA = ('Parallel::Prefork');
    sub _wait {
        my $pid = waitpid -1, 0;
        return ($pid, $?);
    }
}
$pm = Reaps->new(
    max_workers          => 1,
    err_respawn_interval => 0,
    on_child_reap        => sub { push @records, $_[0]->last_exit; $_[0]->signal_received('enough') },
    log_exits            => sub { push @lines, $_[1]; die "of no use" },
);
local $SIG{__WARN__} = sub { };
$pm->start(sub { exit 6 });
print 'status = ', $records[0]{status}, "\n";
print 'lines = ', scalar(grep { /exited with status 6/ } @lines), "\n";
PERL
is $overridden{status}, 1536, 'a subclass that reaps by itself has records';
is $overridden{lines},  1,    '... and lines, and a log that dies ends nothing';

my %wrong = facts('wrong values', <<'PERL');
use Parallel::Prefork;
eval { Parallel::Prefork->new(log_exits => []) };
my $refused = qr/\Alog_exits must be true, false or a code reference, not 'ARRAY\(0x\w+\)' at program.pl line \d\.$/;
print 'new = ', $@ =~ $refused ? 'refused' : $@, "\n";
my $pm = Parallel::Prefork->new(log_exits => 1);
eval { $pm->log_exits({}) };
print 'accessor = ', $@ =~ /\Alog_exits must be/ ? 'refused' : $@, "\n";
print 'stays = ', $pm->log_exits, "\n";
PERL
is_deeply \%wrong, { new => 'refused', accessor => 'refused', stays => 1 }, 'what is no log is refused';

SKIP: {
    my $memory = '/sys/fs/cgroup/memory';
    my $group  = "$memory/prefork-test-$$";
    my $v1     = -e "$memory/memory.limit_in_bytes";
    if (!$v1) {
        $memory = '/sys/fs/cgroup';
        $group  = "$memory/prefork-test-$$";
    }
    skip "no control group can be made in $memory: not tried with a real lack of memory", 2 if !mkdir $group;
    my $limit = $v1 ? 'memory.limit_in_bytes' : 'memory.max';
    my $can   = open my $fh, '>', "$group/$limit";
    if (!$can || !print({$fh} 100 * 1024 * 1024) || !close $fh) {
        rmdir $group;
        skip "the memory of a control group cannot be limited ($limit: $!)", 2;
    }
    my %short = facts('out of memory', ($POOL . <<'PERL') =~ s/GROUP/$group/gr);
open my $procs, '>', 'GROUP/cgroup.procs' or die "GROUP/cgroup.procs: $!";
print {$procs} $$ or die "GROUP/cgroup.procs: $!";
close $procs or die "GROUP/cgroup.procs: $!";
# Elsewhere than in version 2 there is no such file.
if (open my $swap, '>', 'GROUP/memory.swap.max') { print {$swap} 0 }
one_worker(sub {
    # The system is to choose the worker, and not the manager.
    open my $adjust, '>', '/proc/self/oom_score_adj' or die "oom_score_adj: $!";
    print {$adjust} 1000;
    close $adjust or die "oom_score_adj: $!";
    # Not a constant, which perl would make when it compiles this.
    my $more = 'x' x (1e9 + $$);
    exit 0;
});
reaped();
PERL
    is $short{out_of_memory}, 1, 'a worker that the system kills as memory is short: the record';
    like $short{line}, qr/SIGKILL after .* s: the manager did not send that, its control group was out of memory\z/,
        '... the line';
    eventually { rmdir $group };
}

done_testing;
