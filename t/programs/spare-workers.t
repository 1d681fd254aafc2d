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

my $listener = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => 0, Blocking => 0)
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
        # Perl runs no handler for a signal that comes right before it waits. So it waits for a second at most.
        vec(my $ready = '', fileno $listener, 1) = 1;
        select($ready, undef, undef, 1) > 0 or next;
        accept $connection, $listener or next;
        $pm->set_status('A');
        my $request = '';
        while ($request !~ /\r\n\r\n/) {
            my $got = sysread $connection, $request, 4096, length $request;
            last if defined $got ? !$got : !$!{EINTR};
            syswrite $connection, "HTTP/1.1 100 Continue\r\n\r\n" if $request =~ s/^Expect:.*\r\n//m;
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
    return scalar grep { $state->{$_} ne 'Z' } keys %$state;
}

sub settle {
    my ($wanted) = @_;
    eventually { workers() == $wanted } 30;
    return workers();
}

# A request whose end is still to come holds a worker, which says that it waits for it.
my $part = "GET / HTTP/1.0\r\nExpect: 100-continue\r\n";
my $rest = "\r\n";

sub taken {
    my ($wanted, @connections) = @_;
    my $taken;
    eventually {
        $taken = grep {
            vec(my $ready = '', fileno $_, 1) = 1;
            select($ready, undef, undef, 0) > 0;
        } @connections;
        $taken == $wanted;
    } 30;
    return $taken;
}

is settle($MIN_SPARE), $MIN_SPARE, 'without a request there are as many workers as are to be spare';

my @held = map { request($port, $part) } 1 .. 5;
is taken(5, @held), 5, 'each request gets a worker';
is settle(5 + $MIN_SPARE), 5 + $MIN_SPARE, 'each busy worker is replaced by a spare one';

push @held, map { request($port, $part) } 1 .. $MAX;
is taken($MAX, @held), $MAX, 'up to the maximum';
is workers(), $MAX, 'the server does not grow beyond the maximum while all workers are busy';

print {$_} $rest for @held;
my @answers = map { answer_to($_) } @held;
my %worker = map { $_->{worker} => 1 } @answers;
is scalar(@answers), 5 + $MAX, 'each request is answered, those too that had to wait for a worker';
is scalar(keys %worker), $MAX, 'by all the workers';

is settle($MAX_SPARE), $MAX_SPARE, 'workers that are too many stop when there is nothing to do';

my ($asked, $answered, $most) = (0, 0, 0);
for (1 .. 30) {
    my @open = map { request($port) } 1 .. 2 * $MAX;
    $asked    += @open;
    $answered += grep { answer_to($_) } @open;
    my $workers = workers();
    $most = $workers if $workers > $most;
}
is $answered, $asked, 'no request fails while the server grows and shrinks';
cmp_ok $most, '<=', $MAX, 'the server has never grown beyond the maximum';

my $last = request($port, $part);
is taken(1, $last), 1, 'a worker has got a request, not all of it yet';
$server->signal('TERM');
is settle(1), 1, 'TERM ends all workers but this one';
print {$last} $rest;
ok answer_to($last), 'the worker with a request answers it after TERM';
is $server->wait, 0, 'then the server ends with status 0';
like $server->out, qr/^workers left: 0$/m, 'no worker is left after TERM';
is_deeply [$server->members], [], 'no process is left after TERM';
ok !is_listened_to($port), 'no socket is left after TERM';
is $server->err, '', 'there was no complaint';

done_testing;
