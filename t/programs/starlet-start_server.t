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
ok has_our_core($first->{manager}), 'the server runs on our core';

# How often start_server has said something so far.
sub said {
    my ($what) = @_;
    return scalar(() = $starter->err =~ /^$what/mg);
}

my $wrk = start_wrk($port, connections => 16, seconds => $SECONDS);
my (%manager, %module);
my $answers = 0;
for my $hup (1 .. $SECONDS) {
    sleep 1;
    $starter->signal('HUP');
    eventually { said('received HUP') == $hup } 45;
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
cmp_ok scalar keys %manager, '>', 1, 'several servers have answered';
is_deeply [keys %module], [File::Spec->rel2abs($INC{'Parallel/Prefork.pm'})],
    'each of which has the Parallel::Prefork that this test loads';

# start_server can lose a TERM that finds it at work on a HUP or on the end of a server: its
# handlers die, upon which perl keeps other pending signals until one more comes; it does not
# look for signals right before it waits; and its child may get one before it execs.
my $last_one_answers = eventually {
    return 0 if said('old worker \d+ died') < $SECONDS;
    my ($last) = reverse $starter->err =~ /^starting new worker (\d+)$/mg;
    my $answer = ask($port);
    $answer && $answer->{manager} == $last;
} 45;
ok $last_one_answers, 'the last server takes over, and the others end';

is stop($starter), 0, 'TERM ends start_server with status 0';
is_deeply [left_behind($starter)], [], 'no process is left';
ok !is_listened_to($port), 'no socket is left';

# 15: a server that is told to stop before it has got as far as to trap TERM.
my %status = $starter->err =~ /worker (\d+) died(?: unexpectedly with)?,? status:(\d+)/g;
is scalar(keys %status), 1 + $SECONDS, 'each server has ended';
is_deeply [grep { $_ != 0 && $_ != 15 } values %status], [], 'each server has ended well';
is_deeply [$starter->err =~ /^(.* at \S+ line \d+.*|.*unexpectedly.*)$/mg], [], 'there was no complaint'
    or diag $starter->err;

done_testing;
