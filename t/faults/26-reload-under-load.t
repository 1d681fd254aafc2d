# examples/server.pl under load, with a HUP each second: no request fails. With workers that are killed as well, only
# those requests fail that a killed worker had begun: one each, at most.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use FaultTest;
use ProcessTest;

plan skip_all => 'examples/server.pl is for a later version than 0.18' if on_the_original();

my $RELOADED = scale(full => 10, quick => 2);    # seconds with reloads alone
my $KILLED   = scale(full => 30, quick => 5);    # seconds with reloads and kills
my $WORKERS  = 4;
my $CLIENTS  = 4;

my $RELOAD_EACH = 1;
my $KILL_EACH   = 0.2;

# Asks one time after the other, each on a connection of its own, for so many seconds. An answer has to be whole.
my $CLIENT = <<'PERL';
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($port, $seconds) = @ARGV;
my $end = clock_gettime(CLOCK_MONOTONIC) + $seconds;
my ($answered, $failed) = (0, 0);
$SIG{PIPE} = 'IGNORE';

# Why there is no answer; nothing, if there is one.
sub ask {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return "connect: $@";
    print {$socket} "GET / HTTP/1.0\r\n\r\n";
    my $answer = '';
    while (1) {
        my $got = sysread($socket, $answer, 4096, length $answer) // return "read: $!";
        last if !$got;
    }
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($length) = ($head // '') =~ m{\AHTTP/1\.1 200 OK\r\n.*Content-Length: (\d+)}s or return "answer '$answer'";
    return length $body == $length ? undef : "answer '$answer'";
}

while (clock_gettime(CLOCK_MONOTONIC) < $end) {
    # Whoever gets no answer at all is ended by this, and the test knows.
    alarm 60;
    my $why = ask();
    if (defined $why) {
        $failed++;
        print 'failed ', $why =~ s/\s+/ /gr, "\n";
    }
    else {
        $answered++;
    }
}
print "answered $answered\n";
PERL

my @inc    = map { "-I$_" } grep { !ref } @INC;
my $server = start_program(undef,
    command  => [$^X, @inc, 'examples/server.pl', 'PORT=0', "WORKERS=$WORKERS"],
    deadline => 200,
);
my ($port) = ($server->line || '') =~ m{ listening on http://127\.0\.0\.1:(\d+)/}
    or die 'it does not start: ', $server->err;

# Kills one of the workers that are alive; returns whether there was one.
sub kill_a_worker {
    my $state_of = $server->children;
    my @alive    = grep { $state_of->{$_} ne 'Z' } keys %$state_of;
    return @alive && kill KILL => $alive[rand @alive];
}

# Returns how many requests were answered, why others were not, how many workers were killed, and how many reloads
# there were.
sub under_load {
    my ($seconds, $kills_workers) = @_;
    my @clients = map { start_program($CLIENT, args => [$port, $seconds], deadline => 150) } 1 .. $CLIENTS;
    my $begin = clock_gettime(CLOCK_MONOTONIC);
    my ($reloads, $kills, $passed) = (0, 0, 0);
    while ($passed < $seconds) {
        # Nobody else reads what it prints.
        $server->line while $server->is_readable;
        if ($passed >= ($reloads + 1) * $RELOAD_EACH) {
            $reloads++;
            $server->signal('HUP');
        }
        if ($kills_workers && $passed >= ($kills + 1) * $KILL_EACH) {
            $kills += kill_a_worker();
        }
        sleep 0.01;
        $passed = clock_gettime(CLOCK_MONOTONIC) - $begin;
    }
    my ($answered, @failed) = (0);
    for my $client (@clients) {
        while ($client->is_running) {
            $server->line while $server->is_readable;
            sleep 0.01;
        }
        is $client->wait, 0, 'a client has come to its end' or diag $client->err;
        $answered += $1 if $client->out =~ /^answered (\d+)$/m;
        push @failed, $client->out =~ /^failed (.*)$/mg;
    }
    return ($answered, \@failed, $kills, $reloads);
}

my ($answered, $failed, $kills, $reloads) = under_load($RELOADED, 0);
is_deeply $failed, [], 'with reloads no request fails';
cmp_ok $answered, '>', 0, '... and requests are answered';
figure("examples/server.pl under load, $RELOADED s with a HUP each second",
    scalar(@$failed) . " requests failed, $answered answered, $reloads reloads");

($answered, $failed, $kills, $reloads) = under_load($KILLED, 1);
cmp_ok scalar @$failed, '<=', $kills, 'with workers that are killed no more requests fail than those had begun'
    or diag join "\n", @$failed;
cmp_ok $answered, '>', 0, '... and requests are answered';
cmp_ok $kills,    '>', 0, '... and workers were killed';
figure("examples/server.pl under load, $KILLED s with a HUP each second and a worker killed each $KILL_EACH s",
    scalar(@$failed) . " requests failed, $answered answered, $kills workers killed, $reloads reloads");

$server->signal('TERM');
is $server->wait, 0,  'TERM ends the server' or diag $server->err;
is $server->err,  '', 'the server complains of nothing';

done_testing;
