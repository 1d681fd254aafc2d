# Starlet under start_server serves on our Parallel::Prefork: while wrk asks it, a HUP to
# start_server replaces the whole server each second, and not one request fails. TERM leaves
# nothing behind.

use strict;
use warnings;

use File::Spec ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use RealServers;
use Time::HiRes qw(sleep);

need_programs(qw(plackup starlet start_server wrk));
require Parallel::Prefork;

my $SECONDS = 8;

my ($starter, $port) = start_on_free_port([
    qw(start_server --port 127.0.0.1:PORT --),
    qw(plackup --server Starlet --env deployment),
    qw(--max-workers 8 --max-reqs-per-child 200 --min-reqs-per-child 100),
    't/programs/about.psgi',
], deadline => 150);

my $first = ask($port) or die $starter->err;
ok exists $starter->children->{ $first->{manager} }, 'start_server has started a server';
ok has_our_core($first->{manager}), 'which runs on our core';

my $wrk = start_wrk($port, connections => 16, seconds => $SECONDS);
my (%manager, %module);
my $answers = 0;
for (1 .. $SECONDS) {
    sleep 1;
    $starter->signal('HUP');
    my $answer = ask($port) or next;
    $answers++;
    $manager{ $answer->{manager} }++;
    $module{ $answer->{module} }++;
}
my ($answered, @failed) = failed_requests($wrk);
note "$answered requests, servers: ", join ' ', sort { $a <=> $b } keys %manager;
is_deeply \@failed, [], 'no request fails while one server takes over from another';
cmp_ok $answered, '>', 8 * 200, 'more are answered than the first workers may answer';
is $answers, $SECONDS, 'a client that reads each answer to its end gets all of them';
cmp_ok scalar keys %manager, '>', 1, 'from several servers';
is_deeply [keys %module], [File::Spec->rel2abs($INC{'Parallel/Prefork.pm'})],
    'each of which has the Parallel::Prefork that this test loads';

$starter->signal('TERM');
is $starter->wait, 0, 'TERM ends start_server with status 0';
is_deeply [left_behind($starter)], [], 'no process is left';
ok !is_listened_to($port), 'no socket is left';

# 15: a server that is told to stop before it has got as far as to trap TERM.
my %status = $starter->err =~ /worker (\d+) died(?: unexpectedly with)?,? status:(\d+)/g;
is_deeply [grep { $_ != 0 && $_ != 15 } values %status], [], 'each server has ended well';
is_deeply [$starter->err =~ /^(.* at \S+ line \d+.*|.*unexpectedly.*)$/mg], [], 'there was no complaint'
    or diag $starter->err;

done_testing;
