# Starlet with a spawn interval: start_server lets a new server take over with USR1, which stops
# the old one's workers one by one. No worker starts or stops sooner after another than
# the interval says, and not one request fails.

use strict;
use warnings;

use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use RealServers;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

need_programs(qw(plackup starlet start_server wrk));

my $WORKERS  = 4;
my $INTERVAL = 0.5;
# start_server waits so long before it signals the old server.
my $REST = 1;

my ($starter, $port) = start_on_free_port([
    qw(start_server --signal-on-hup USR1 --signal-on-term TERM --interval), $REST,
    qw(--port 127.0.0.1:PORT -- plackup --server Starlet --env deployment),
    '--max-workers', $WORKERS, '--max-reqs-per-child', 10_000_000, '--spawn-interval', $INTERVAL,
    '--child-exit', 'sub { use Time::HiRes; printf STDERR "stopped: %s %s %s\n", getppid, $$,'
        . ' Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }',
    't/programs/about.psgi',
], deadline => 150);

sub workers_of {
    my ($manager) = @_;
    my %state = %{ $starter->children($manager) };
    return grep { $state{$_} ne 'Z' } sort keys %state;
}

sub all_workers_of {
    my ($manager) = @_;
    eventually { workers_of($manager) == $WORKERS } 45;
    return workers_of($manager);
}

# The seconds from the first to each, and how many of them come too soon for the interval.
sub too_soon {
    my ($from, @times) = @_;
    my $after = 0;
    return grep { $_ < $from + $INTERVAL * $after++ } sort { $a <=> $b } @times;
}

# When a process was started, in seconds since boot; the kernel counts in ticks.
my $tick = 1 / POSIX::sysconf(POSIX::_SC_CLK_TCK());

sub started {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 0;
    return $tick * (split ' ', <$fh> =~ s/\A.*\)//sr)[19];
}

sub pace_ok {
    my ($name, @workers) = @_;
    my @started = sort { $a <=> $b } map { started($_) } @workers;
    is scalar(@workers), $WORKERS, "$name has its workers";
    is_deeply [too_soon($started[0] - $tick, @started)], [], "$name has started its workers at the interval"
        or diag "@started";
}

my ($old) = map { $_->{manager} } ask($port) or die $starter->err;
my @old_workers = all_workers_of($old);
pace_ok('the first server', @old_workers);

my $wrk = start_wrk($port, connections => 16, seconds => 8);
my $hup_at = clock_gettime(CLOCK_MONOTONIC);
$starter->signal('HUP');
eventually { $starter->err =~ /^old worker $old died/m } 45;
like $starter->err, qr/^old worker $old died, status:0$/m, 'the first server ends after USR1';

my %stopped_at = $starter->err =~ /^stopped: $old (\d+) (\S+)$/mg;
is_deeply [sort keys %stopped_at], \@old_workers, 'all of its workers were told to';
is_deeply [too_soon($hup_at + $REST, values %stopped_at)], [], 'one by one, at the interval'
    or diag "HUP at $hup_at; ", $starter->err;

my ($new) = map { $_->{manager} } ask($port) or die $starter->err;
isnt $new, $old, 'a second server answers';
pace_ok('the second server', all_workers_of($new));

my ($answered, @failed) = failed_requests($wrk);
note "$answered requests";
is_deeply \@failed, [], 'no request fails while one server takes over from another';

is stop($starter), 0, 'TERM ends start_server with status 0';
is_deeply [left_behind($starter)], [], 'no process is left';
ok !is_listened_to($port), 'no socket is left';
is_deeply [$starter->err =~ /^(.* at \S+ line \d+.*|.*unexpectedly.*)$/mg], [], 'there was no complaint'
    or diag $starter->err;

done_testing;
