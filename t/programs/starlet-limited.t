# A request that sleeps for ever, under start_server and Starlet: with worker_timeout in PREFORK_OPTIONS its worker is
# killed and replaced, while others are served; and TERM ends the server though a worker hangs.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;
use RealServers;

need_programs(qw(plackup starlet start_server));

sub server_with {
    my ($options) = @_;
    return start_on_free_port([
        qw(start_server --port 127.0.0.1:PORT --),
        qw(plackup --server Starlet --env deployment --max-workers 2), 'examples/limited.psgi',
    ], env => { PREFORK_OPTIONS => $options }, deadline => 100);
}

# All that comes from a connection, up to its end; undef if that does not come.
sub all_of {
    my ($socket) = @_;
    my $all = '';
    while (eventually { RealServers::is_readable($socket) } 45) {
        my $got = sysread $socket, $all, 65536, length $all;
        return $all if !$got;
    }
    return undef;
}

sub worker_that_answers {
    my ($port) = @_;
    my ($worker) = (all_of(request($port)) // '') =~ /^worker (\d+)$/m;
    return $worker;
}

my ($server, $port) = server_with('worker_timeout=1 graceful_timeout=1 log_exits=1');
ok worker_that_answers($port), 'a server whose requests have a limit of time answers';
my $hanging = request($port, "GET /slow/3600 HTTP/1.0\r\n\r\n");
ok worker_that_answers($port), 'another worker answers while one hangs';
is all_of($hanging), '', 'the connection of the request that hangs is closed without an answer';
my $killed_by_sigkill = qr/^worker \d \(pid (\d+), generation 1\) was killed by SIGKILL after .* s/m;
my $line = qr/$killed_by_sigkill, \d+ requests?: worker_timeout of 1 s, busy for /;
ok eventually { $server->err =~ $line }, '... its worker was killed, for that it was busy for too long'
    or diag $server->err;
my ($killed) = $server->err =~ $line;
my %seen = map { worker_that_answers($port) // 'none' => 1 } 1 .. 8;
ok !$seen{none}, '... and all requests after that are answered';
ok !$seen{ $killed // '' }, '... by others';
is stop($server), 0, 'TERM ends that server';
is_deeply [left_behind($server)], [], '... no process is left';

($server, $port) = server_with('graceful_timeout=1 log_exits=1');
$hanging = request($port, "GET /slow/3600 HTTP/1.0\r\n\r\n");
ok worker_that_answers($port), 'without worker_timeout another worker answers, too';
is stop($server), 0, '... and TERM ends the server, though a worker hangs';
is_deeply [left_behind($server)], [], '... no process is left';
like $server->err, qr/$killed_by_sigkill: graceful_timeout of 1 s, it was sent SIGTERM$/m,
    '... as log_exits=1 says';

done_testing;
