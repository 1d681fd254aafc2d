# Contract 20: the options of Parallel::Prefork::SpareWorkers, and how a pool shrinks.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $options = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my $class = 'Parallel::Prefork::SpareWorkers';
eval { $class->new(max_workers => 3, max_spare_workers => 2) };
print $@ =~ /^mandatory option min_spare_workers not set/ ? "mandatory\n" : "$@\n";
eval { $class->new({ min_spare_workers => 0 }) };
print $@ =~ /^mandatory option min_spare_workers not set/ ? "mandatory\n" : "$@\n";

my $pm = $class->new(max_workers => 7, min_spare_workers => 2);
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
print $class->new(min_spare_workers => 1)->max_spare_workers, "\n";
print $pm->isa('Parallel::Prefork') ? "isa\n" : "is not\n";

$pm = $class->new({
    max_workers       => 7,
    min_spare_workers => 2,
    max_spare_workers => 5,
    heartbeat         => 1.5,
});
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
print join(' ', $pm->min_spare_workers(3), $pm->max_spare_workers(4), $pm->heartbeat(2)), "\n";
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
PERL
is $options->line, 'mandatory', 'new without min_spare_workers dies';
is $options->line, 'mandatory', 'min_spare_workers 0 is not set either';
is $options->line, '2 7 0.25', 'max_spare_workers defaults to max_workers, heartbeat to 0.25';
is $options->line, '10',       'max_spare_workers defaults to max_workers where that is a default itself';
is $options->line, 'isa',      'a Parallel::Prefork::SpareWorkers is a Parallel::Prefork';
is $options->line, '2 5 1.5',  'options given to new are kept';
is $options->line, '3 4 2',    'an accessor returns the option that it sets';
is $options->line, '3 4 2',    'an option that an accessor sets is kept';

# All workers are busy until three are there; then all turn idle, two too many.
my $shrinks = start_program(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 3,
    min_spare_workers    => 1,
    max_spare_workers    => 1,
    heartbeat            => 0.05,
    err_respawn_interval => 0.01,
    trap_signals         => { TERM => 'TERM', INT => undef },
    on_child_reap        => sub { print 'ended by ', $_[2] & 127, "\n" },
});
if ($pm->start) {
    print 'workers ', $pm->num_workers, "\n";
    exit;
}
$SIG{USR1} = sub { $pm->set_status(STATUS_IDLE) };
$pm->set_status('A');
print "$$\n";
sleep 1 while 1;
PERL
my @busy = grep { /^\d+$/ } map { $shrinks->line } 1 .. 3;
is @busy, 3, 'the pool grows to max_workers when all are busy';
$shrinks->signal('USR1', $_) for @busy;
is $shrinks->line, 'ended by 15', 'an idle worker more than max_spare_workers is ended by TERM';
is $shrinks->line, 'ended by 15', 'all idle workers more than max_spare_workers are ended';
$shrinks->signal('INT');
is $shrinks->line, 'workers 1', 'no other worker is ended';

done_testing;
