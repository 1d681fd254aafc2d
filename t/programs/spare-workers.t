# A server with spare workers, an accept loop and nothing else: it grows with the connections
# that are held, to its maximum and no further; it shrinks when they are answered, and each
# of them is; TERM lets the last request end, and then nothing is left.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;
use RealServers;

my ($MAX, $MIN_SPARE, $MAX_SPARE) = (12, 2, 4);

my $server = start_program(<<'PERL', args => [$MAX, $MIN_SPARE, $MAX_SPARE], deadline => 120);
use strict;
use warnings;
use IO::Socket::INET;
use Parallel::Prefork::SpareWorkers qw(:status);

my $listener = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => 0)
    or die "cannot listen: $@";
my ($max, $min_spare, $max_spare) = @ARGV;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => $max,
    min_spare_workers => $min_spare,
    max_spare_workers => $max_spare,
    heartbeat         => 0.1,
    trap_signals      => { TERM => 'TERM' },
});
print 'port ', $listener->sockport, "\n";

while ($pm->signal_received ne 'TERM') {
    $pm->start and next;
    serve();
    $pm->finish;
}
$pm->wait_all_children;
print 'workers left: ', $pm->num_workers, "\n";

sub serve {
    my ($connection, $leaving);
    # A worker that waits for a connection leaves at once; one that has got one leaves
    # when it has answered, even if it has not come to say so in its status.
    $SIG{TERM} = sub {
        exit 0 if !$connection || !defined fileno $connection;
        $leaving = 1;
    };
    until ($leaving) {
        undef $connection;
        accept $connection, $listener or next;
        $pm->set_status('A');
        my $request = '';
        while ($request !~ /\r\n\r\n/) {
            my $got = sysread $connection, $request, 4096, length $request;
            last if defined $got ? !$got : !$!{EINTR};
        }
        syswrite $connection, "HTTP/1.0 200 OK\r\n\r\nworker=$$\nend=1\n";
        close $connection;
        $pm->set_status(STATUS_IDLE);
    }
}
PERL
my ($port) = ($server->line || '') =~ /^port (\d+)$/;

sub workers {
    my $state = $server->children;
    return grep { $state->{$_} ne 'Z' } keys %$state;
}

sub settle {
    my ($wanted) = @_;
    eventually { workers() == $wanted } 30;
    return scalar workers();
}

# A request whose last line is still to come holds a worker.
my $part = "GET / HTTP/1.0\r\n";
my $rest = "\r\n";

is settle($MIN_SPARE), $MIN_SPARE, 'without a request there are as many workers as are to be spare';

my @held = map { request($port, $part) } 1 .. 5;
is settle(5 + $MIN_SPARE), 5 + $MIN_SPARE, 'those that are busy are replaced by spare ones';

push @held, map { request($port, $part) } 1 .. $MAX;
is settle($MAX), $MAX, 'up to the maximum';

print {$_} $rest for @held;
my %worker = map { $_->{worker} => 1 } my @answers = map { answer_to($_) } @held;
is scalar(@answers), 5 + $MAX, 'each request is answered, those too that had to wait for a worker';
is scalar(keys %worker), $MAX, 'by all the workers' or diag join ' ', sort keys %worker;

is settle($MAX_SPARE), $MAX_SPARE, 'workers that are too many stop when there is nothing to do';

my ($asked, $answered) = (0, 0);
for my $round (1 .. 30) {
    my @open = map { request($port) } 1 .. 2 * $MAX;
    $asked    += @open;
    $answered += grep { answer_to($_) } @open;
    my @too_many = workers();
    @too_many <= $MAX or fail("there are @{[ scalar @too_many ]} workers in round $round");
}
is $answered, $asked, 'no request fails while the server grows and shrinks' or diag $server->err;

# TERM while a request is under way.
my $last = request($port, $part);
my ($busy) = map { $_->{worker} } grep { defined } map { answer_to($_) } request($port);
is settle($MIN_SPARE + 1) >= $MIN_SPARE, 1, 'the server is still there';
$server->signal('TERM');
is settle(1), 1, 'TERM leaves the worker that has a request';
print {$last} $rest;
ok answer_to($last), 'which is answered';
is $server->wait, 0, 'then the server ends';
is $server->out =~ /^workers left: (\d+)$/m && $1, 0, 'and no worker is left';
is_deeply [$server->members], [], 'nor any process';
ok !is_listened_to($port), 'nor the socket';
is $server->err, '', 'there was no complaint';

done_testing;
