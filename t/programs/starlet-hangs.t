# A worker of Starlet that hangs: without more, TERM never ends the server. With graceful_timeout in PREFORK_OPTIONS
# it does.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use LoadClock;
use ProcessTest;
use RealServers;

need_programs(qw(plackup starlet));

my $GRACE = 1;

# A server of which one worker hangs, and another one answers.
sub server_that_hangs {
    my (%env) = @_;
    my ($server, $port) = start_on_free_port([
        qw(plackup --server Starlet --env deployment --host 127.0.0.1 --port PORT),
        qw(--max-workers 2), 't/programs/hangs.psgi',
    ], env => \%env, deadline => 100);
    my $hanging = request($port, "GET /hang HTTP/1.0\r\n\r\n");
    ok ask($port), 'another worker answers';
    # It has got as far as to hang, as the other one takes no further request while it is read.
    my $is_taken = eventually { !RealServers::is_readable($hanging) && has_read($hanging) };
    ok $is_taken, 'a worker has taken the request that hangs';
    return ($server, $hanging);
}

# Whether the other side has taken all that was sent.
sub has_read {
    my ($socket) = @_;
    my $queued = pack 'i', 0;
    ioctl $socket, 0x5411, $queued or die "SIOCOUTQ: $!";    # not yet acknowledged by the kernel
    return unpack('i', $queued) == 0;
}

my ($server, $hanging) = server_that_hangs();
$server->signal('TERM');
my $clock = LoadClock->new;
my $ends  = eventually { !grep { $_ == $server->pid } $server->members } 4 * $GRACE;
ok !$ends, 'without a limit TERM does not end the server';
kill 'KILL', -$server->pid;
$server->wait;

($server, $hanging) = server_that_hangs(PREFORK_OPTIONS => "graceful_timeout=$GRACE log_exits=1");
is stop($server), 0, "with graceful_timeout=$GRACE in PREFORK_OPTIONS TERM ends it";
is_deeply [left_behind($server)], [], '... no process is left';
like $server->err, qr/^worker \d \(.*\) was killed by SIGKILL after .* s: graceful_timeout of 1 s, it was sent SIGTERM$/m,
    '... and log_exits=1 says which worker was killed, and why';

done_testing;
