# The record of each end says what made the worker end, for every cause that there is: many workers end for different
# causes, one cause beside the other or all at once, and each is told of once and rightly.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

plan skip_all => '0.18 has no record of an end' if on_the_original();

my $EACH = scale(full => 1_000, quick => 20);

# A round has so many workers of each kind.
my $OF_A_KIND = 10;

# What the workers of a round do, by their index: until they are let go, nothing.
my @KINDS = (
    'exits with 0',
    'exits with 3',
    'ends by SEGV',
    'ends by KILL',
    'is late',
    'ends by TERM',
    'answers TERM with 0',
    'answers TERM with 4',
    'answers TERM with SEGV',
    'answers TERM with KILL',
);
my @OF_ITSELF = @KINDS[0 .. 4];

# Cause, signal that was sent, whether the grace was over, how it has ended.
my %RECORD = (
    'exits with 0'           => '- - 0 exit 0',
    'exits with 3'           => '- - 0 exit 3',
    'ends by SEGV'           => 'external - 0 signal 11',
    'ends by KILL'           => 'external - 0 signal 9',
    'is late'                => 'timeout ABRT 0 exit 1',
    'ends by TERM'           => 'asked TERM 0 signal 15',
    'answers TERM with 0'    => 'asked TERM 0 exit 0',
    'answers TERM with 4'    => 'asked TERM 0 exit 4',
    'answers TERM with SEGV' => 'external TERM 0 signal 11',
    'answers TERM with KILL' => 'external TERM 0 signal 9',
    # Of a kind alone.
    'is sent KILL'              => 'asked KILL 0 signal 9',
    'is sent USR1'              => 'asked USR1 0 signal 10',
    'does not end by TERM'      => 'asked TERM 1 signal 9',
    'is late, and hangs'        => 'timeout KILL 0 signal 9',
    'is one too many'           => 'surplus USR1 0 signal 10',
    'is reaped by other code'   => '- - 0 stolen',
);
my @ALONE = sort grep { my $kind = $_; !grep { $kind eq $_ } @KINDS } keys %RECORD;

# If TERM comes at the moment at which they end of themselves, it is the one or the other.
my %AT_ONCE = (
    'exits with 0' => qr/\A(?:- - 0 exit 0|asked TERM 0 (?:exit 0|signal 15))\z/,
    'exits with 3' => qr/\A(?:- - 0 exit 3|asked TERM 0 (?:exit 3|signal 15))\z/,
    'ends by SEGV' => qr/\A(?:external (?:-|TERM) 0 signal 11|asked TERM 0 signal 15)\z/,
    'ends by KILL' => qr/\A(?:external (?:-|TERM) 0 signal 9|asked TERM 0 signal 15)\z/,
    'is late'      => qr/\A(?:timeout (?:ABRT|TERM) 0 exit 1|(?:asked|timeout) TERM 0 signal 15)\z/,
    map { $_ => qr/\A\Q$RECORD{$_}\E\z/ } @KINDS[5 .. 9],
);

my $perl = <<'PERL';
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($how, $rounds, $of_a_kind, $of_themselves, @kinds) = @ARGV;
my $workers  = $of_a_kind * @kinds;
my $TIMEOUT  = 0.1;
my $SHORT    = 0.05;
my ($pm, $forks, $ends, $there, $is_there, $wait, $hold);
sub nap { return select undef, undef, undef, $_[0] }

sub end_by {
    my $signal = shift;
    kill $signal => $$;
    nap(0.01) while 1;
}

# What is done when all are there.
my %deed = (
    'exits with 0'            => sub { POSIX::_exit(0) },
    'exits with 3'            => sub { POSIX::_exit(3) },
    'is reaped by other code' => sub { POSIX::_exit(3) },
    'ends by SEGV'            => sub { end_by('SEGV') },
    'ends by KILL'            => sub { end_by('KILL') },
    'is late'                 => sub { nap(0.01) while 1 },
    'is late, and hangs'      => sub {
        my $all = POSIX::SigSet->new;
        $all->fillset;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all);
        nap(0.01) while 1;
    },
);
my %answer = (
    'answers TERM with 0'    => sub { POSIX::_exit(0) },
    'answers TERM with 4'    => sub { POSIX::_exit(4) },
    'answers TERM with SEGV' => sub { end_by('SEGV') },
    'answers TERM with KILL' => sub { end_by('KILL') },
    'does not end by TERM'   => 'IGNORE',
);

sub work {
    my $kind = $kinds[$pm->worker_index % @kinds];
    srand $$;
    close $hold;
    $SIG{TERM} = $answer{$kind} if $answer{$kind};
    syswrite $is_there, '.';
    my $deed = $deed{$kind} || sub { nap(0.01) while 1 };
    sysread $wait, my $byte, 1;
    $pm->busy if $kind =~ /\Ais late/;
    nap($TIMEOUT + rand 0.01) if $how eq 'at once' && $kind ne 'is late';
    $deed->();
}

sub tell {
    my ($pm, undef, $status) = @_;
    my $exit  = $pm->last_exit;
    my $ended = $status < 0 ? $exit->{reason} : $status & 127 ? 'signal ' . ($status & 127) : 'exit ' . ($status >> 8);
    my $line  = join ' ', map({ $exit->{$_} || '-' } qw(cause sent_signal)), $exit->{grace_over}, $ended;
    print "$kinds[$exit->{index} % @kinds]: $line\n";
    $ends++;
    $pm->signal_received('enough') if $kinds[0] eq 'is one too many' && $ends == $workers - 1;
    return;
}

$pm = Parallel::Prefork::SpareWorkers->new(
    max_workers          => $workers,
    min_spare_workers    => $workers,
    max_spare_workers    => $workers,
    heartbeat            => 0.05,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'USR1' },
    after_fork           => sub { $_[0]->signal_received('enough') if ++$forks == $workers },
    worker_timeout       => $TIMEOUT,
    on_worker_timeout    => sub { },
    # Whoever is to be killed is killed soon, and nobody else is.
    worker_timeout_grace => $kinds[0] eq 'is late, and hangs'   ? $SHORT : 3600,
    graceful_timeout     => $kinds[0] eq 'does not end by TERM' ? $SHORT : 0,
);
for (1 .. $rounds) {
    ($forks, $ends) = (0, 0);
    pipe $there, $is_there or die "pipe: $!";
    pipe $wait, $hold or die "pipe: $!";
    $pm->on_child_reap(undef);
    $pm->start(\&work);
    my $seen = 0;
    $seen += sysread $there, my $bytes, 4096 while $seen < $workers;
    $pm->on_child_reap(\&tell);
    close $hold;
    if ($kinds[0] eq 'is reaped by other code') {
        waitpid $_, 0 for keys %{ $pm->{worker_pids} };
    }
    elsif ($kinds[0] eq 'is one too many') {
        $pm->min_spare_workers(1);
        $pm->max_spare_workers(1);
        $pm->start(\&work);
        $pm->on_child_reap(undef);
        $pm->signal_all_children('KILL');
        $pm->min_spare_workers($workers);
        $pm->max_spare_workers($workers);
    }
    elsif ($how eq 'at once') {
        $pm->wait_all_children($TIMEOUT + rand 0.01);
        $pm->signal_all_children('TERM');
    }
    else {
        $pm->wait_all_children(0.01) until $ends >= $of_themselves * $of_a_kind;
        my ($signal) = $kinds[0] =~ /is sent (\w+)/;
        $pm->signal_all_children($signal // 'TERM') if $kinds[0] ne 'is late, and hangs';
    }
    $pm->wait_all_children;
}
PERL

my $c = compile('t/faults/23-exit-record.c', qw(-std=gnu99 -Wall -Wextra -Werror));

# Runs rounds of workers of these kinds; returns how often each record was told of each.
sub records {
    my ($host, $how, $of_a_kind, @kinds) = @_;
    my $of_themselves = $how eq 'alone' ? 0 : @OF_ITSELF;
    my @arguments     = ($how, $EACH / $OF_A_KIND, $of_a_kind, $of_themselves, @kinds);
    my $program = $host eq 'C'
        ? start_program(undef, deadline => 240, command => [$c, @arguments])
        : start_program($perl, deadline => 240, args => \@arguments);
    my %count;
    while (defined(my $line = $program->line)) {
        my ($kind, $record) = split /: /, $line, 2;
        $count{$kind}{ $record // '' }++;
    }
    is $program->wait, 0, "$host, $how: @kinds: the manager ends well" or diag $program->err;
    return %count;
}

sub sum {
    my $sum = 0;
    $sum += $_ for @_;
    return $sum;
}

for my $host (qw(Perl C)) {
    my %count = records($host, 'one by one', $OF_A_KIND, @KINDS);
    for my $kind (@ALONE) {
        # There one is left.
        %count = (%count, records($host, 'alone', $OF_A_KIND + ($kind eq 'is one too many'), $kind));
    }
    for my $kind (@KINDS, @ALONE) {
        is_deeply $count{$kind}, { $RECORD{$kind} => $EACH }, "$host, a worker that $kind: the record, each time";
        my $right = $count{$kind}{ $RECORD{$kind} } || 0;
        figure("exit record, $host: $EACH times a worker that $kind",
            "$right times '$RECORD{$kind}', " . (sum(values %{ $count{$kind} }) - $right) . ' times anything else');
    }
    my %at_once = records($host, 'at once', $OF_A_KIND, @KINDS);
    my ($records, $misfits, $term_first) = (0, 0, 0);
    for my $kind (@KINDS) {
        my %record = %{ $at_once{$kind} || {} };
        my @wrong  = grep { $_ !~ $AT_ONCE{$kind} } sort keys %record;
        is_deeply \@wrong, [], "$host, at the moment of TERM a worker that $kind: the record fits the end";
        is sum(values %record), $EACH, "$host, at the moment of TERM a worker that $kind: each has one";
        $records += sum(values %record);
        $misfits += sum(@record{@wrong});
        $term_first += sum(map { $record{$_} } grep { / TERM / } keys %record) if $RECORD{$kind} !~ / TERM /;
    }
    figure("exit record, $host: TERM at the moment at which workers end, $EACH times of @{[ scalar @KINDS ]} kinds",
        "$records records, $misfits of which do not fit the end; TERM came first $term_first times");
}

done_testing;
