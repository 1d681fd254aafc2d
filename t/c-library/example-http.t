# examples/http.c: no request fails while its workers are replaced, and it stops as it is told to.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use ExampleTest;
use ProcessTest;

my $CLIENTS  = 3;
my $REQUESTS = 1000;    # of each client, at least
my $RELOADS  = 8;

# A server that hangs up early is for a test to see, not to die of.
$SIG{PIPE} = 'IGNORE';

open my $source, '<', 'examples/http.c' or die "examples/http.c: $!";
my $lines = () = <$source>;
cmp_ok $lines, '<', 125, "examples/http.c has $lines lines";

my $program = example('http');

sub serve {
    my $server = start_program(undef, command => [$program], deadline => 120);
    my ($pid, $port) = ($server->line || '') =~ m{^manager (\d+): http://127\.0\.0\.1:(\d+)/$};
    is $pid, $server->pid, 'the server says who and where it is';
    eventually { keys %{ $server->children } == 4 };
    is keys %{ $server->children }, 4, 'the server has 4 workers';
    return ($server, $port);
}

# The reply to a request that is sent in these pieces.
sub request {
    my ($port, @pieces) = @_;
    my $connection = connection($port);
    for my $piece (@pieces) {
        print {$connection} $piece and $connection->flush or return "cannot send: $!";
    }
    return reply($connection);
}

# The worker, generation and pid, of a reply that is as it should be.
sub worker_of {
    my $reply = shift;
    my ($head, $body) = $reply =~ m{\A(HTTP/1\.1 200 OK\r\n.*?\r\n\r\n)(.*)\z}s or return;
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/m or return;
    return if $length != length $body || $head !~ /^Connection: close\r$/m;
    return $body =~ /\Aworker (\d), pid (\d+), generation (\d+)\n\z/;
}

# The children that have a connection: one socket more than the listener.
sub busy {
    my $server = shift;
    return grep {
        1 < grep { /^socket:/ } map { readlink || '' } glob "/proc/$_/fd/*"
    } keys %{ $server->children };
}

# A connection whose request is half sent, and has been accepted; there are so many others. Then
# the workers that have such.
sub held {
    my ($server, $port, $others) = @_;
    # Whoever answered last may be about to close.
    eventually { busy($server) == $others } 30;
    my $connection = connection($port);
    print {$connection} "GET / HTTP/1.1\r\nHost: ";
    $connection->flush;
    ok eventually(sub { busy($server) == $others + 1 }, 30), 'a worker has half of a request';
    return ($connection, busy($server));
}

# Sends the other half; the reply.
sub finish {
    my $connection = shift;
    print {$connection} "localhost\r\n\r\n";
    $connection->flush;
    return reply($connection);
}

# A line of /proc/PID/status.
sub proc_status {
    my ($pid, $key) = @_;
    open my $fh, '<', "/proc/$pid/status" or return '';
    my ($value) = map { /^\Q$key\E:\s*(.*)$/ } <$fh>;
    return $value;
}

sub gone {
    my $server = shift;
    is $server->wait, 0, 'the manager exits with 0';
    is_deeply [$server->members], [], 'nobody is left';
    return;
}

my ($server, $port) = serve();
my ($index, $pid, $generation) = worker_of(request($port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
ok exists $server->children->{ $pid || '' }, 'a worker answers';
is $generation, 1, 'of the first generation';
ok worker_of(request($port, "GET / HTTP/1.0\r\n\r\n")), 'HTTP/1.0';
ok worker_of(request($port, "GET / HT", "TP/1.0\r\n", "A: b\r\n", "\r\n")), 'in pieces';
my $bad = qr{\AHTTP/1\.1 400 Bad Request\r\n.*generation 1\n\z}s;
my $head = request($port, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
like $head, qr{\AHTTP/1\.1 200 OK\r\n(?:[\w-]+: [^\r\n]+\r\n)+\r\n\z}, 'HEAD is answered by a head without a body';
my ($of_head) = $head =~ /^Content-Length: (\d+)\r$/m;
cmp_ok $of_head || 0, '>', 10, 'the head that answers HEAD says how long the page is';
like request($port, "POST / HTTP/1.0\r\nContent-Length: 90000\r\n\r\n", 'x' x 90000), $bad,
    'another method, with a body that nobody wants';
like request($port, "GET /" . 'x' x 9000 . " HTTP/1.0\r\n\r\n"), $bad, 'a head that is too long';
like request($port, "GET / HTTP/1.0\r\n" . "\0" x 9000), $bad, 'bytes that are no text';
close connection($port) for 1 .. 10;
ok worker_of(request($port, "GET / HTTP/1.0\r\n\r\n")), 'clients that leave without a word';

my ($victim) = sort { $a <=> $b } keys %{ $server->children };
$server->signal(KILL => $victim);
ok eventually(sub { !$server->children->{$victim} && keys %{ $server->children } == 4 }, 30),
    'a killed worker is replaced';
like $server->err, qr/worker \d \(pid $victim, generation \d+\) was killed by SIGKILL /, 'a killed worker is written about';

# Each client has 4 requests under way at a time, more in all than there are workers: there is
# always one that waits for a worker.
my $dir    = File::Temp->newdir('prefork-http-XXXXXX', TMPDIR => 1);
my $enough = "$dir/enough";
my $client = <<'CLIENT';
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $requests, $enough) = @ARGV;
my ($done, %failed) = 0;
while ($done < $requests || !-e $enough) {
    my @sockets = map {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 60)
            or $failed{"cannot connect: $@"}++;
    } 1 .. 4;
    for my $socket (grep { ref } @sockets) {
        print {$socket} "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        $socket->flush;
    }
    while (@sockets) {
        my $socket = shift @sockets;
        ref $socket or next;
        my $reply = '';
        1 while sysread $socket, $reply, 65536, length $reply;
        $reply =~ m{\AHTTP/1\.1 200 OK\r\n.*^Content-Length: (\d+)\r\n.*\r\n\r\n(.*)\z}ms
            && length $2 == $1 or $failed{"reply: '$reply', $!"}++;
        $done++;
    }
}
print "$done\n";
warn "$failed{$_} times $_\n" for sort keys %failed;
CLIENT
my @clients = map {
    start_program($client, args => [$port, $REQUESTS, $enough], deadline => 120);
} 1 .. $CLIENTS;
my $reloads = 0;
for (1 .. $RELOADS) {
    my %is_old = %{ $server->children };
    $server->signal('HUP');
    $reloads += eventually {
        my @now = keys %{ $server->children };
        @now == 4 && !grep { $is_old{$_} } @now;
    } 30;
}
is $reloads, $RELOADS, "$RELOADS reloads under load, each with 4 new workers";
open my $fh, '>', $enough or die "$enough: $!";
close $fh;
my $requests = 0;
$requests += $_->line || 0 for @clients;
is_deeply [map { $_->wait } @clients], [(0) x @clients], "$CLIENTS clients are done";
cmp_ok $requests, '>=', $CLIENTS * $REQUESTS, "$requests requests";
is join('', map { $_->err } @clients), '', 'none of which failed';
my ($last) = (worker_of(request($port, "GET / HTTP/1.0\r\n\r\n")))[2];
is $last, 1 + $RELOADS, 'the generation is that of the last reload';

# TERM arrives while each worker has a request, and more requests wait in the listener's queue.
my @held = map { (held($server, $port, $_))[0] } 0 .. 3;
my @old  = busy($server);
my @waiting = map {
    my $connection = connection($port);
    print {$connection} "GET / HTTP/1.0\r\n\r\n";
    $connection->flush;
    $connection;
} 1 .. 60;
# They sleep in read(2), for the other half. Nothing but TERM wakes them.
ok eventually(sub { 4 == grep { (proc_status($_, 'State') || '') =~ /^S/ } @old }, 30), 'four workers wait for a request';
my %turns = map { $_ => proc_status($_, 'voluntary_ctxt_switches') } @old;
$server->signal('HUP');
ok eventually(sub {
    4 == grep { (proc_status($_, 'voluntary_ctxt_switches') || 0) > $turns{$_} } @old
}, 30), 'TERM has come to four workers that have a request';
is_deeply [sort map { (worker_of(finish($_)))[1] } @held], [sort @old],
    'four requests that have begun before TERM came are answered';
my %answered;
$answered{ (worker_of(reply($_)))[1] || 'nobody' }++ for @waiting;
is_deeply [grep { exists $answered{$_} } 'nobody', @old], [],
    'the workers that are told to stop take no other; new ones do';

# As a terminal's Ctrl-C, which goes to all processes.
my ($connection, $worker) = held($server, $port, 0);
kill INT => -$server->pid;
ok eventually(sub { keys %{ $server->children } == 1 }, 30), 'INT: the idle workers leave';
$server->signal('HUP');
my $turns = proc_status($server->pid, 'voluntary_ctxt_switches');
ok eventually(sub { proc_status($server->pid, 'voluntary_ctxt_switches') > $turns + 5 }, 30),
    'the manager waits for the other, and does not care for HUP any more';
is +(worker_of(finish($connection)))[1], $worker, 'whose request is answered';
gone($server);
# One that has only just been forked has no handler yet, and INT ends it before it has taken a request.
unlike $server->err, qr/\(pid (?!$victim,|\d+, generation \d+\) was killed by SIGINT )/, 'none of the others was killed';

for my $signals (['TERM', 'TERM'], ['QUIT']) {
    my ($server, $port) = serve();
    my ($connection, $worker) = held($server, $port, 0);
    my ($first, $second) = @$signals;
    $server->signal($first);
    if ($second) {
        ok eventually(sub { keys %{ $server->children } == 1 }, 30), "$first: the others leave";
        $server->signal($second);
    }
    gone($server);
    is reply($connection), '', "@$signals: the request at hand is dropped";
    # KILL alone is what the program says for QUIT.
    my $said = $second ? qr/\(pid $worker, generation 1\) was killed by SIGKILL / : qr/\A\z/;
    like $server->err, $said, "@$signals: what is out of the ordinary is written about, and nothing else";
}

($server, $port) = serve();
$server->signal('KILL');
$server->wait;
ok eventually(sub { !$server->members }, 30), 'without their manager the workers leave';

refuses_ports($program);

done_testing;
