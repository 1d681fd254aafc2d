# Contract 18: wait_all_children waits for the workers for as long as it is told, and returns
# how many are left; after it the manager may start again.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# A pool of two. Workers leave at TERM, when they are released, or after the time given.
my $pool = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(sleep time);

pipe my $hold,  my $release;
pipe my $ready, my $tell_ready;
my $forked = 0;
my $pm = Parallel::Prefork->new(
    max_workers => 2,
    after_fork  => sub {
        readline $ready;
        $_[0]->signal_received('full') if !(++$forked % 2);
    },
);

sub start_pool {
    my $seconds = shift;
    return $pm->start(sub {
        close $release;
        syswrite $tell_ready, "\n";
        if   ($seconds) { sleep $seconds }
        else            { readline $hold }
    });
}
PERL

# Started together: most of them sleep.
my %for_ever = map {
    $_ => start_program($pool . <<'PERL', args => [$_], deadline => 15)
my @timeout = eval shift;
my $before = time;
start_pool(0.5);
print 'left ', $pm->wait_all_children(@timeout), "\n";
print time - $before > 0.45 ? "waited\n" : "did not wait\n";
PERL
} '()', '0', 'undef', q('');

my $fraction = start_program($pool . <<'PERL', deadline => 15);
start_pool();
my $before = time;
print 'left ', $pm->wait_all_children(0.3), "\n";
print time - $before > 0.29 ? "waited\n" : "did not wait\n";
kill TERM => (keys %{ $pm->{worker_pids} })[0];
print 'left ', $pm->wait_all_children(0.3), "\n" while $pm->num_workers == 2;
PERL

my $ends_early = start_program($pool . <<'PERL', deadline => 15);
start_pool();
close $release;
print 'left ', $pm->wait_all_children(1000), "\n";
print 'num_workers ', $pm->num_workers, "\n";
PERL

my $negative = start_program($pool . <<'PERL', deadline => 15);
start_pool();
my $before = time;
print 'left ', $pm->wait_all_children(-1), "\n";
print 'left ', $pm->wait_all_children(-0.5), "\n";
print 'left ', $pm->wait_all_children(-1000), "\n";
PERL

my $without_workers = start_program($pool . <<'PERL', deadline => 15);
print 'left ', $pm->wait_all_children, "\n";
print 'left ', $pm->wait_all_children(1000), "\n";
PERL

my $restarts = start_program($pool . <<'PERL', deadline => 15);
for my $round (1 .. 3) {
    print 'returned ', start_pool(), ' with ', $pm->num_workers, "\n";
    $pm->signal_all_children('TERM');
    print 'left ', $pm->wait_all_children($round == 2 ? 1000 : ()), "\n";
}
start_pool();
print 'left ', $pm->wait_all_children(-1), "\n";
$pm->max_workers(4);
print 'returned ', start_pool(), ' with ', $pm->num_workers, "\n";
PERL

my $graceful = start_program($pool . <<'PERL', deadline => 15);
start_pool();
my $rounds = 0;
while ($pm->wait_all_children(0.1)) {
    $rounds++;
    $pm->signal_all_children('TERM');
}
print $rounds ? "signalled\n" : "not signalled\n";
print 'num_workers ', $pm->num_workers, "\n";
PERL

for my $timeout (sort keys %for_ever) {
    is $for_ever{$timeout}->line, 'left 0', "wait_all_children($timeout) returns 0 when all are gone";
    is $for_ever{$timeout}->line, 'waited', "wait_all_children($timeout) waits until all are gone";
}

is $fraction->line, 'left 2', 'when the time is up wait_all_children returns the number of workers left';
is $fraction->line, 'waited', 'wait_all_children waits no less than the fraction of a second given';
is $fraction->line_like(qr/left [01]/), 'left 1', 
    'workers gone meanwhile are not in the number that wait_all_children returns';

is $ends_early->line, 'left 0',        'wait_all_children does not wait for the time-out when all are gone';
is $ends_early->line, 'num_workers 0', 'wait_all_children returns what num_workers says';

is $negative->line, 'left 2', 'wait_all_children(-1) returns at once';
is $negative->line, 'left 2', 'wait_all_children(-0.5) returns at once';
is $negative->line, 'left 2', 'wait_all_children(-1000) returns at once';

is $without_workers->line, 'left 0', 'with no workers wait_all_children returns 0 at once';
is $without_workers->line, 'left 0', 'with no workers and a time-out wait_all_children returns 0 at once';

for my $round (1 .. 3) {
    is $restarts->line, 'returned 1 with 2', "start number $round makes a full pool";
    is $restarts->line, 'left 0',            "the wait after start number $round ends";
}
is $restarts->line, 'left 2',            'wait_all_children(-1) leaves the workers';
is $restarts->line, 'returned 1 with 4', 'start after a wait that left workers keeps them and goes on forking';

is $graceful->line, 'signalled', 'a loop of waits that time out can signal the rest';
is $graceful->line, 'num_workers 0', 'a loop of waits that time out ends with no worker left';

done_testing;
