# TERM, aimed at the moment at which a worker goes to sleep in wait_readable, always ends that wait; and a request
# that comes at the same moment is answered, by this worker or by the next one. Another process sends TERM; or a timer
# of the worker's own does, which hits better where there are more processes than cores.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use CProgram;
use FaultTest;
use LoadClock;
use ProcessTest;

plan skip_all => '0.18 has no wait of a worker' if on_the_original();

my $TRIALS = scale(full => 20_000, quick => 500);

# Before the wait the worker is busy for so many seconds, so that there is time to aim. Each shot is aimed by the one
# before: earlier if that has met the worker asleep, otherwise later.
my $HEAD_START = 0.0003;
my $STEP       = 0.000005;
my $SCATTER    = 0.00003;

# Who sleeps on for so many seconds has lost TERM.
my $HANG = 0.2;

# Whoever says nothing for so long, and does not sleep either, is gone.
my $PATIENCE = 20;

# More hangs than this show nothing new, and each takes its time.
my $ENOUGH = 100;

# Each worker waits for TERM and for requests; it is replaced when it has left.
my $perl = <<'PERL';
use IO::Socket::UNIX;
use Parallel::Prefork;
use Time::HiRes qw(time);

my ($path, $head_start) = @ARGV;
my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 100, Blocking => 0) or die "$path: $!\n";
my $pm = Parallel::Prefork->new(max_workers => 1, err_respawn_interval => 0);

sub sleeps {
    open my $status, '<', '/proc/self/status' or return 0;
    my ($sleeps) = map { /^voluntary_ctxt_switches:\s+(\d+)/ ? $1 : () } <$status>;
    return $sleeps;
}

print "listens\n";
$pm->start(sub {
    my $answered = 0;
    # From now on TERM is a reason to leave.
    $pm->stopping;
    my $sleeps_before = sleeps();
    print "aim $$\n";
    my $until = time + $head_start;
    1 while time < $until;
    while (my ($ready) = $pm->wait_readable($listener)) {
        my $client = $ready->accept or next;
        $client->blocking(1);
        my $request = <$client> // next;
        print {$client} "you said $request";
        $answered++;
    }
    my $was_asleep = sleeps() > $sleeps_before ? 1 : 0;
    print "back $was_asleep $answered\n";
});
$pm->wait_all_children;
PERL

sub spin_until {
    my $moment = shift;
    1 while time < $moment;
    return;
}

# A client that has sent its request.
sub request {
    my ($path, $text) = @_;
    my $client = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
    $client->autoflush;
    print {$client} "$text\n";
    return [$client, $text];
}

# Whether the answer is the right one; it has to come in a while.
sub is_answered {
    my ($client, $text) = @{ $_[0] };
    my $clock = LoadClock->new;
    vec(my $set = '', fileno $client, 1) = 1;
    until (select my $ready = $set, undef, undef, 0.1) {
        return 0 if $clock->seconds > $PATIENCE;
    }
    return (<$client> // '') eq "you said $text\n";
}

# Returns the number of trials, how many of them hung, how many requests there were, and how many were dropped.
sub shoot {
    my ($manager, $path, $by) = @_;
    my ($hangs, $requests, $dropped, $delay, @clients) = (0, 0, 0, $HEAD_START);
    my $trials = 0;
    while ($trials < $TRIALS && $hangs < $ENOUGH) {
        my $line = $manager->line_within($PATIENCE);
        last if !defined $line || $line !~ /^aim (\d+)$/;
        my $worker = $1;
        my $moment = time + $delay + rand $SCATTER;
        # Every fourth time a request comes just before TERM, every fourth time just after it.
        my $with = $trials++ % 4;
        my $is_idle = !@clients && $with > 1;
        if ($with == 0) {
            spin_until($moment - rand $SCATTER);
            push @clients, request($path, ++$requests);
        }
        if ($by eq 'another process') {
            spin_until($moment);
            kill TERM => $worker;
        }
        if ($with == 1) {
            push @clients, request($path, ++$requests);
        }
        $line = $manager->line_within($HANG);
        my ($is_lost, $clock) = (0, LoadClock->new);
        while (!defined $line && $clock->seconds < $PATIENCE && $manager->is_running) {
            if ($manager->sleeps_on($HANG, $worker)) {
                $is_lost = 1;
                kill TERM => $worker;
            }
            $line = $manager->line_within($HANG);
        }
        last if !defined $line || $line !~ /^back ([01]) \d+$/;
        if ($is_idle) {
            $delay += $1 ? -$STEP : $STEP;
            $delay = 0 if $delay < 0;
        }
        $hangs += $is_lost;
        # What this worker has left is the next one's.
        while (@clients > 1) {
            $dropped++ if !is_answered(shift @clients);
        }
    }
    for (@clients) {
        $dropped++ if !is_answered($_);
    }
    return ($trials, $hangs, $requests, $dropped);
}

my $c     = compile('t/faults/25-term-in-wait_readable.c', qw(-std=gnu99 -Wall -Wextra -Werror -lrt));
my @cases = (
    ['wait_readable',    'another process'],
    ['pf_wait_readable', 'another process'],
    ['pf_wait_readable', 'timer'],
);
for my $case (@cases) {
    my ($call, $by) = @$case;
    my $folder  = File::Temp->newdir('prefork-aim-XXXXXX', TMPDIR => 1);
    my $path    = "$folder/socket";
    my @aim     = ($HEAD_START, $STEP, $SCATTER);
    my $manager = $call eq 'pf_wait_readable'
        ? start_program(undef, command => [$c, $path, $by, @aim], deadline => 400)
        : start_program($perl, args => [$path, @aim], deadline => 400);
    $manager->line;
    my ($trials, $hangs, $requests, $dropped) = shoot($manager, $path, $by);
    figure("TERM at the moment of waiting, sent by $by, $call, $TRIALS times",
        "$hangs hung, $dropped of $requests requests dropped"
            . ($trials < $TRIALS ? " in $trials, then given up" : ''));
    is $trials,  $TRIALS, "$call, $by: it goes on to the end" or diag $manager->err;
    is $hangs,   0,       "$call, $by: TERM always ends it";
    is $dropped, 0,       "$call, $by: no request is dropped";
    $manager->signal('TERM');
    is $manager->wait, 0, "$call, $by: the manager ends well" or diag $manager->err;
}

done_testing;
