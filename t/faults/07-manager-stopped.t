# The manager is stopped (SIGSTOP), for many of its intervals, and continued: it has killed nobody,
# and does not make up for what it has missed all at once.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $WORKERS  = 6;
my $STOP     = scale(full => 4, quick => 0.5);
my $INTERVAL = $STOP / 8;

# Workers are forked and signalled one interval after the other. Each tells when it was.
my $perl = <<'PERL';
use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($workers, $interval, $timeout) = @ARGV;
sub now { return clock_gettime(CLOCK_MONOTONIC) }

my $pm = Parallel::Prefork->new(
    max_workers          => $workers,
    spawn_interval       => $interval,
    err_respawn_interval => $interval,
    trap_signals         => { TERM => undef, HUP => ['USR1', $interval] },
    after_fork           => sub { print "forked $_[1] ", now(), "\n" },
    on_child_reap        => sub { print "reaped $_[1] $_[2]\n" },
);
until ($pm->signal_received eq 'TERM') {
    $pm->start(sub {
        $SIG{USR1} = sub { print "got $$ ", now(), "\n" };
        print "up $$\n";
        select undef, undef, undef, 0.02 while 1;
    });
}
print "waits\n";
print 'left ', $pm->wait_all_children($timeout), "\n";
$pm->signal_all_children('TERM');
$pm->wait_all_children;
PERL

my @args = ($WORKERS, $INTERVAL, $STOP / 2);
my %managers = (Perl => start_program($perl, args => \@args, deadline => 120));
if (!on_the_original()) {
    my $c = compile('t/faults/07-manager-stopped.c', qw(-std=gnu99 -Wall -Wextra -Werror));
    $managers{C} = start_program(undef, command => [$c, @args], deadline => 120);
}
my @hosts = reverse sort keys %managers;
my (%up, %killed, %reaped);

# Reads until the kind of line has come so many times; returns what came of it.
sub hear {
    my ($host, $kind, $times) = @_;
    my @heard;
    while (@heard < $times) {
        my $line = $managers{$host}->line;
        if (!defined $line) {
            diag "$host: no more than " . @heard . " times '$kind': ", $managers{$host}->err;
            last;
        }
        my ($said, @rest) = split ' ', $line;
        $up{$host}{ $rest[0] } = 1 if $said eq 'up';
        if ($said eq 'reaped') {
            delete $up{$host}{ $rest[0] };
            push @{ $reaped{$host} }, "$rest[0] $rest[1]";
        }
        push @heard, \@rest if $said eq $kind;
    }
    return @heard;
}

# Until the workers that there are have begun their work.
sub all_are_up {
    my $host = shift;
    while (keys %{ $up{$host} || {} } < $WORKERS) {
        hear($host, up => 1) or die "$host: not all workers come up\n";
    }
    return;
}

sub state_of {
    my $host = shift;
    open my $fh, '<', "/proc/$managers{$host}{pid}/stat" or return '';
    return <$fh> =~ /\) (\S)/ ? $1 : '';
}

# Stops all managers and continues them; returns the time at which that was.
sub stop_and_continue {
    my $meanwhile = shift;
    $managers{$_}->signal('STOP') for @hosts;
    for my $host (@hosts) {
        eventually { state_of($host) eq 'T' } 30 or die "$host: it does not stop\n";
    }
    $meanwhile->($_) for $meanwhile ? @hosts : ();
    sleep $STOP;
    my $now = clock_gettime(CLOCK_MONOTONIC);
    $managers{$_}->signal('CONT') for @hosts;
    return $now;
}

# Of what was missed one may be done at once; and one more, done before the stop, can be told of
# after it.
sub is_paced {
    my ($what, $continued, @times) = @_;
    my @late = sort { $a <=> $b } grep { $_ >= $continued } @times;
    my $tolerance = 0.001;
    my @too_soon = grep {
        $late[$_] < $continued + ($_ - 1) * $INTERVAL - $tolerance
    } 0 .. $#late;
    is scalar(@too_soon), 0, "$what come one by one" or diag explain $continued, \@times;
    return sprintf '%d in the first %g s', scalar(grep { $_ < $continued + 2 * $INTERVAL } @late),
        2 * $INTERVAL;
}

my %seen;
my %forks = map { $_ => [hear($_, forked => 2)] } @hosts;
my $continued = stop_and_continue();
for my $host (@hosts) {
    push @{ $forks{$host} }, hear($host, forked => $WORKERS - 2);
    $seen{$host} = 'forks ' . is_paced("$host: forks", $continued, map { $_->[1] } @{ $forks{$host} });
}
all_are_up($_) for @hosts;

$managers{$_}->signal('HUP') for @hosts;
my %got = map { $_ => [hear($_, got => 1)] } @hosts;
$continued = stop_and_continue();
for my $host (@hosts) {
    push @{ $got{$host} }, hear($host, got => $WORKERS - 1);
    $seen{$host} .= ', signals ' . is_paced("$host: signals", $continued, map { $_->[1] } @{ $got{$host} });
    is_deeply [sort map { $_->[0] } @{ $got{$host} }], [sort keys %{ $up{$host} }],
        "$host: each worker is signalled once";
    is_deeply $reaped{$host} || [], [], "$host: nobody has ended";
}

# These are children of a manager that cannot reap them now.
$continued = stop_and_continue(sub {
    my $host = shift;
    my @victims = (sort keys %{ $up{$host} })[0 .. 2];
    kill KILL => @victims;
    $killed{$host} = \@victims;
});
for my $host (@hosts) {
    my @forks = hear($host, forked => 3);
    $seen{$host} .= ', replacements '
        . is_paced("$host: replacements", $continued, map { $_->[1] } @forks);
    all_are_up($host);
    is_deeply [sort @{ $reaped{$host} || [] }], [sort map { "$_ 9" } @{ $killed{$host} }],
        "$host: those that ended meanwhile are reported";
}

$managers{$_}->signal('TERM') for @hosts;
hear($_, waits => 1) for @hosts;
stop_and_continue();
for my $host (@hosts) {
    my ($left) = hear($host, left => 1);
    is $left && $left->[0], $WORKERS, "$host: the time-out of wait_all_children ends it";
    is_deeply [sort @{ $reaped{$host} || [] }], [sort map { "$_ 9" } @{ $killed{$host} }],
        "$host: nobody else has ended";
    hear($host, reaped => $WORKERS);
    my $last = @{ $reaped{$host} };
    is_deeply [grep { !/ 15$/ } @{ $reaped{$host} }[$last - $WORKERS .. $last - 1]], [],
        "$host: ... until the program has told them to";
    is $managers{$host}->wait, 0, "$host: it ends well" or diag $managers{$host}->err;
    my $others = @{ $reaped{$host} } - 3 - $WORKERS;
    figure("manager stopped for $STOP s and continued, 4 times, $host host",
        "$others workers killed; after it $seen{$host}");
}

done_testing;
