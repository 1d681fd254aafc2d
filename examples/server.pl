#!/usr/bin/perl
# A prefork HTTP server. It needs only perl's core modules and Parallel::Prefork.
#
#     examples/server.pl PORT=8080 WORKERS=4
#
# These are the defaults. The environment may set them too. PORT=0 takes any free port. HUP starts a new generation of
# workers; TERM and INT stop the server. A worker first answers the request that it has accepted.

use strict;
use warnings;

use Config;
use IO::Socket::INET;
use Parallel::Prefork;
use POSIX qw(strftime);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $MAX_REQUEST = 8192;    # bytes
my $MAX_READING = 5;       # seconds for a client to send that
my $MAX_SLOW    = 30;      # seconds that /slow?N takes at most

my %option = (PORT => 8080, WORKERS => 4);
my @environment = map { "$_=$ENV{$_}" } grep { length($ENV{$_} // '') } sort keys %option;
for (@environment, @ARGV) {
    /\A(PORT|WORKERS)=([0-9]{1,5})\z/ or die "'$_': give PORT=number or WORKERS=number\n";
    $option{$1} = $2;
}
$option{PORT} <= 65535 or die "PORT must be a number from 0 to 65535, not $option{PORT}\n";
$option{WORKERS} >= 1 && $option{WORKERS} <= 1000
    or die "WORKERS must be a number from 1 to 1000, not $option{WORKERS}\n";

# The manager holds this socket from first to last, so that nobody is refused while one
# generation follows another. It does not block: one connection wakes several workers, and one
# of them gets it.
my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $option{PORT},
    Listen => SOMAXCONN, ReuseAddr => 1, Blocking => 0,
) or die "cannot listen on 127.0.0.1:$option{PORT}: $!: choose another port with PORT=number\n";
my $url = 'http://127.0.0.1:' . $listener->sockport . '/';

$| = 1;
$SIG{PIPE} = 'IGNORE';    # a client may leave before its answer, the log's reader at any time

my %generation_of;        # by pid
my $hints_given;
my $pm = Parallel::Prefork->new({
    max_workers  => $option{WORKERS},
    trap_signals => { TERM => 'TERM', INT => 'TERM', HUP => 'TERM' },
    after_fork   => sub {
        my ($pm, $pid) = @_;
        $generation_of{$pid} = $pm->{generation};
        note("worker $pid started, generation $generation_of{$pid}");
        give_hints($pid) if keys %generation_of == $option{WORKERS} && !$hints_given++;
    },
    on_child_reap => sub {
        my ($pm, $pid, $status) = @_;
        # As PID 1, in a container, a manager reaps more than its workers.
        my $generation = delete $generation_of{$pid} or return;
        my $signal = (split ' ', $Config{sig_name})[$status & 127];
        note("worker $pid reaped, generation $generation: "
            . ($status & 127 ? "ended by SIG$signal" : 'exit status ' . ($status >> 8)));
    },
});

note("listening on $url, manager $$");
my $signal;
do {
    # A server that has a configuration reads it here.
    $pm->start(\&work);
    $signal = $pm->signal_received;
    note("SIG$signal: " . ($signal eq 'HUP' ? 'a new generation' : 'stopping'));
} while $signal eq 'HUP';

# From now on clients are refused; they would wait for workers that never come.
shutdown $listener, 2;
$pm->wait_all_children;
note('stopped');

# The life of a worker. It leaves when it is told to or the manager is gone, even by kill -9, and
# first answers the request that it has begun.
sub work {
    local $SIG{HUP} = 'IGNORE';    # a terminal that goes sends it to all; the manager answers it
    while (my ($ready) = $pm->wait_readable($listener)) {
        my $client = $ready->accept or next;
        $client->blocking(1);      # some systems pass the listener's mode on
        answer($client);
    }
}

sub answer {
    my $client  = shift;
    my $request = read_until($client, qr/\n\r?\n/, $MAX_REQUEST, $MAX_READING);
    return if $request eq '';
    my ($status, $seconds) = judge($request);
    my $is_head = $request =~ /\A\s*HEAD /;    # the answer to it has no body
    my $page = sprintf "worker %d, pid %d, generation %d\n",
        $pm->worker_index, $$, $pm->{generation};
    my $rest = $status ne '200 OK' ? "$status\n" : $seconds ? "the rest, $seconds s later\n" : '';
    print {$client} "HTTP/1.1 $status\r\nAllow: GET, HEAD\r\nContent-Type: text/plain\r\n",
        'Content-Length: ', length "$page$rest", "\r\nConnection: close\r\n\r\n";
    if (!$is_head) {
        print {$client} $page;
        my $until = clock_gettime(CLOCK_MONOTONIC) + ($seconds // 0);
        # A signal ends a sleep early.
        while ((my $left = $until - clock_gettime(CLOCK_MONOTONIC)) > 0) {
            Time::HiRes::sleep($left);
        }
        print {$client} $rest;
    }
    # Closing while the client still sends would destroy the answer on its way.
    shutdown $client, 1;
    read_until($client, qr/(?!)/, 1e6, 1) if $status ne '200 OK';
}

# What to say to a request: the status, and the seconds that the answer takes.
sub judge {
    my ($method, $path) = $_[0] =~ m{\A(?:\r?\n)?([A-Z]+) (\S+) HTTP/1\.[01]\r?\n(?:.*\n)?\r?\n}s
        or return '400 Bad Request';
    return '405 Method Not Allowed' if $method !~ /\A(?:GET|HEAD)\z/;
    return '200 OK' if $path =~ m{\A/(?:\?|\z)};
    $path =~ m{\A/slow(?:\?([0-9]{1,3}))?\z} or return '404 Not Found';
    my $seconds = $1 // 3;
    return '200 OK', $seconds < $MAX_SLOW ? $seconds : $MAX_SLOW;
}

# Reads until the pattern matches, so many bytes have come or seconds passed, or the end.
sub read_until {
    my ($client, $pattern, $bytes, $seconds) = @_;
    my ($text, $until) = ('', clock_gettime(CLOCK_MONOTONIC) + $seconds);
    vec(my $watched = '', fileno $client, 1) = 1;
    while ($text !~ $pattern && length $text < $bytes) {
        my $left = $until - clock_gettime(CLOCK_MONOTONIC);
        last if $left <= 0;
        # The signal that tells the worker to leave comes at any time, and the request is answered all the same.
        my $found = select(my $ready = $watched, undef, undef, $left);
        next if $found < 0 && $!{EINTR};
        last if $found < 1;
        my $got = sysread $client, $text, $bytes - length $text, length $text;
        next if !defined $got && $!{EINTR};
        last if !$got;
    }
    return $text;
}

sub note {
    print strftime('%H:%M:%S ', localtime), @_, "\n";
}

sub give_hints {
    print "\nIn another terminal, try:\n",
        "    curl '$url'\n", "  a page; the next may be another worker's\n",
        "    curl '${url}slow?5'\n", "  a page that takes 5 seconds, time for one of:\n",
        "    kill -HUP $$\n", "  new workers; the old ones finish their requests first\n",
        "    kill -9 $_[0]\n", "  no mercy for one worker; another takes its place\n",
        "    kill -TERM $$\n", "  stop, like Ctrl-C here; requests are finished first\n\n";
}
