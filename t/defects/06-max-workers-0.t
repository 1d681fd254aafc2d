# Defect 6: with max_workers 0 and no worker the manager sleeps until a signal. The
# original spins.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

sub sleeps {
    my ($p, $name) = @_;
    my $spins = $p->spins;
    # It is unknown where the program has ended.
    ok defined $spins && !$spins, $name;
    return;
}

my $empty = start_program(<<'PERL', deadline => 15);
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({ max_workers => 0 });
$SIG{USR1} = sub { $pm->max_workers(1) };
print "starting\n";
my $returned = $pm->start(sub {
    print "up\n";
    sleep 60 while 1;
});
print "start returned $returned on ", $pm->signal_received, "\n";
print 'left: ', $pm->wait_all_children, "\n";
PERL
is $empty->line, 'starting', 'a manager starts with max_workers 0';
sleeps($empty, 'a manager with max_workers 0 sleeps');
$empty->signal('USR1');
is $empty->line, 'up', 'a signal whose handler raises max_workers wakes it';
$empty->signal('TERM');
is $empty->line, 'start returned 1 on TERM', 'TERM ends it';
is $empty->line, 'left: 0', 'TERM ends the worker as well';

my $emptied = start_program(<<'PERL', deadline => 15);
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    on_child_reap => sub {
        $_[0]->max_workers(0);
        print "emptied\n";
    },
});
my $returned = $pm->start(sub { });
print "start returned $returned on ", $pm->signal_received, "\n";
PERL
is $emptied->line, 'emptied', 'max_workers falls to 0 when the last worker goes';
sleeps($emptied, 'then the manager sleeps');
$emptied->signal('TERM');
is $emptied->line, 'start returned 1 on TERM', 'TERM wakes a manager whose max_workers has become 0';

done_testing;
