# Fault 12: workers that do not end (they ignore TERM, they are stopped) and workers that end while
# processes of theirs go on and hold all that was open: wait_all_children with a time-out
# returns when it should, whatever arrives meanwhile.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use FaultHosts;
use FaultTest;
use LoadClock;
use ProcessTest;

my $WORKERS  = 5;
my $TIMEOUT  = 1;
my $ROUNDS   = scale(quick => 1, full => 50);
# A busy machine may be late; what is broken waits for ever, or as long as signals come.
my $PROMISED = scale(quick => 5, full => 1);
my $DEADLINE = 20;

# Who is left after the time-out; what the test does to the manager or to its workers meanwhile.
my @cases = (
    ['workers that ignore TERM',   [worker => 'ignores'], $WORKERS],
    ['workers that are stopped',   [worker => 'stopped'], $WORKERS],
    ['workers that are stopped and continued all the time', [worker => 'ignores'], $WORKERS,
        sub {
            my ($p, @workers) = @_;
            kill $_ => @workers for qw(STOP CONT);
        }],
    ['workers that ignore TERM, and signals to the manager all the time', [worker => 'ignores'], $WORKERS,
        sub {
            my ($p, @workers) = @_;
            kill USR1 => $p->pid if @workers;
        }],
    ['workers whose children hold what was open', [worker => 'holds'], 0],
    ['one worker of several that ignores TERM', [worker => 'ignores', stubborn => 1], 1],
);

my $clock = LoadClock->new;
my %saw;
for my $host (hosts()) {
    $saw{$host}{ $_->[0] } = { rounds => 0, in_time => 0, sooner => 0, later => 0 } for @cases;
}
for my $round (1 .. $ROUNDS) {
    my @running;
    for my $host (hosts()) {
        for my $case (@cases) {
            my ($name, $arguments, $left, $meanwhile) = @$case;
            my $p = start_host($host, [workers => $WORKERS, wait => $left ? $TIMEOUT : $DEADLINE * 2, @$arguments],
                deadline => $DEADLINE);
            push @running, [$saw{$host}{$name}, "$host, $name", $left, $meanwhile, $p];
        }
    }
    for my $running (@running) {
        my ($saw, $name, $left, $meanwhile, $p) = @$running;
        has_lines($p, up => $WORKERS);
        # TERM is sent to processes that are there, or that have stopped already.
        eventually { $WORKERS == grep { $_ eq 'T' } values %{ $p->children } } if $name =~ /stopped\z/;
        $p->signal('TERM');
        has_lines($p, stopped => 1);
    }
    # As long as it waits; or long enough to see that signals make it wait longer.
    my $end = time + $TIMEOUT + $PROMISED + 1;
    while (time < $end) {
        $clock->seconds;
        my @waiting = grep { $_->[3] && !lines($_->[4], 'timed') } @running or last;
        for my $running (@waiting) {
            my ($meanwhile, $p) = @$running[3, 4];
            # Those that are gone have left their numbers to others.
            $meanwhile->($p, grep { is_child($p, $_) } lines($p, 'up'));
            $p->line if $p->is_readable;
        }
        sleep 0.005;
    }
    for my $running (@running) {
        my ($saw, $name, $left, $meanwhile, $p) = @$running;
        # What its last end does not wait for is still there.
        ok has_lines($p, left => 1), "$name: it ends";
        if (!$left) {
            my @holders = $p->members;
            cmp_ok scalar @holders, '>=', $WORKERS, "$name: they go on";
        }
        my ($took, $still) = join(' ', lines($p, 'timed')) =~ /after (\S+) with (\d+)/ or next;
        is $still, $left, "$name: $left are left after the time-out";
        my ($sooner, $later) = $left ? ($TIMEOUT - $took, $took - $TIMEOUT) : (0, $took);
        cmp_ok $sooner, '<=', 0.01, "$name: not before the time-out";
        my $promised = $clock->stretched($PROMISED);
        cmp_ok $later, '<', $promised, "$name: in time";
        is join(' ', lines($p, 'left')), '0', "$name: KILL ends them";
        $saw->{rounds}++;
        $saw->{in_time}++ if $sooner <= 0.01 && $later < $promised && $still == $left;
        $saw->{later} = $later if $later > $saw->{later};
    }
}

sub is_child {
    my ($p, $pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return 0;
    my $line = <$file>;
    return defined $line && $line =~ /\A\d+ \(.*\) \S (\d+) /s && $1 == $p->pid;
}

for my $host (hosts()) {
    for my $name (map { $_->[0] } @cases) {
        my $saw = $saw{$host}{$name};
        is $saw->{rounds}, $ROUNDS, "$host, $name: it comes to its end each time";
        figure("wait_all_children with a time-out, $host, $name" => sprintf '%d of %d in time, %.3f s late at most',
            $saw->{in_time}, $ROUNDS, $saw->{later});
    }
}

done_testing;
