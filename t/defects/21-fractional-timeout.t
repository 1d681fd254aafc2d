# Defect 21: wait_all_children keeps a time-out to 10 ms, fractions of a second included.
# The original sleeps whole seconds.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# A busy machine may keep any one call from its processor, so the call is repeated until
# one was exact: that takes a single call where nothing disturbs it.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($timeout) = @ARGV;
my $pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
});
$pm->start(sub { sleep 60 while 1 });

my ($early, $exact) = (0, 0);
my $give_up = clock_gettime(CLOCK_MONOTONIC) + 6;
my $now;
do {
    my $from = clock_gettime(CLOCK_MONOTONIC);
    my $left = $pm->wait_all_children($timeout);
    $now = clock_gettime(CLOCK_MONOTONIC);
    my $took = $now - $from;
    $early++ if $took < $timeout;
    $exact = $took <= $timeout + 0.01;
    print "$left left after $took s\n";
} until $exact || $now > $give_up;
print "early: $early\n";
print 'exact: ', ($exact ? 'yes' : 'no'), "\n";
$pm->signal_all_children('KILL');
PERL

my @timeouts = (0.05, 0.3, 1.2);
my @programs = map { start_program($program, args => [$_], deadline => 15) } @timeouts;
for my $timeout (@timeouts) {
    my $p = shift @programs;
    $p->wait;
    like $p->out, qr/\A1 left/, "wait_all_children($timeout) returns the number of workers left";
    like $p->out, qr/^early: 0$/m, "wait_all_children($timeout) does not return early" or diag $p->out;
    like $p->out, qr/^exact: yes$/m, "wait_all_children($timeout) is exact to 10 ms" or diag $p->out;
}

done_testing;
