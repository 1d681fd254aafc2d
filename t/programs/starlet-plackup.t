# Starlet under plackup serves on our Parallel::Prefork: while wrk asks it, workers come and go,
# and each second all of them by HUP, and not one request fails. TERM leaves nothing behind.

use strict;
use warnings;

use File::Spec ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use RealServers;
use Time::HiRes qw(sleep);

need_programs(qw(plackup starlet wrk));
require Parallel::Prefork;

my $SECONDS = 8;

my ($server, $port) = start_on_free_port([
    qw(plackup --server Starlet --env deployment --host 127.0.0.1 --port PORT),
    qw(--max-workers 8 --max-reqs-per-child 200 --min-reqs-per-child 100),
    't/programs/about.psgi',
], deadline => 150);

my $first = ask($port) or die $server->err;
is $first->{manager}, $server->pid, 'the workers are those of the program that was started';
ok has_our_core($server->pid), 'the server runs on our core';

like head_of($port), qr{\AHTTP/1\.[01] 200 .*^Content-Length: [1-9]\d*\r\n(?:[^\r\n]+\r\n)*\r\n\z}ms,
    'HEAD is answered by a head without a body';

my $wrk = start_wrk($port, connections => 16, seconds => $SECONDS);
my (%worker, %module);
my $answers = 0;
for (1 .. $SECONDS) {
    sleep 1;
    $server->signal('HUP');
    my $answer = ask($port) or next;
    $answers++;
    $worker{ $answer->{worker} }++;
    $module{ $answer->{module} }++;
}
my ($answered, @failed) = failed_requests($wrk);
note "$answered requests";
is_deeply \@failed, [], 'no request fails while the workers are replaced';
cmp_ok $answered, '>', 8 * 200, 'more are answered than the first workers may answer';
is $answers, $SECONDS, 'a client that reads each answer to its end gets all of them';
cmp_ok scalar keys %worker, '>', 1, 'several workers have answered';
is_deeply [keys %module], [File::Spec->rel2abs($INC{'Parallel/Prefork.pm'})],
    'each of which has the Parallel::Prefork that this test loads';

is stop($server), 0, 'TERM ends the server with status 0';
is_deeply [left_behind($server)], [], 'no process is left';
ok !is_listened_to($port), 'no socket is left';
is $server->err, '', 'there was no complaint';

# All that comes in answer to HEAD.
sub head_of {
    my $socket = request(shift, "HEAD / HTTP/1.0\r\n\r\n") or return '';
    local $/;
    return scalar(readline $socket) // '';
}

done_testing;
