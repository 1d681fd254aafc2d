# The deadlines of these tests: a program that waits for a processor gets the time for it, one that sleeps for ever or
# crowds the machine is ended all the same.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use LoadClock;
use ProcessTest;
use TextFiles;

my $hung = run('sleep 1000', deadline => 0.5);
ok $hung->timed_out, 'a program that sleeps for ever is ended';
is_deeply [$hung->members], [], 'a program that is ended leaves nobody';

if (!-r '/proc/loadavg') {
    note 'no /proc/loadavg: the clock cannot tell how busy the machine is';
    done_testing;
    exit 0;
}
my $processors = () = slurp('/proc/stat') =~ /^cpu\d/mg;

# Eight for each processor: a program gets a ninth of one, or less if there are others.
my $crowd = start_program(sprintf(<<'PERL', 8 * $processors), deadline => 1000);
for (2 .. %d) {
    fork or last;
}
1 while 1;
PERL
ok eventually(sub { $crowd->members == 8 * $processors }), 'a crowd is there';

my $begun = clock_gettime(CLOCK_MONOTONIC);
my $clock = LoadClock->new;
sleep 0.01 while $clock->seconds < 0.3;
cmp_ok clock_gettime(CLOCK_MONOTONIC) - $begun, '>', 1, 'beside a crowd 0.3 s of LoadClock are more than one second';
cmp_ok $clock->stretched(1), '>', 4, 'beside a crowd what takes a second may take several';

# In seconds of the wall, it would have two thirds of the time that it takes; others may be there beside the crowd.
my $busy = run(<<'PERL', deadline => 1.5);
my ($user, $system);
do { ($user, $system) = times } until $user + $system >= 0.25;
print "done\n";
PERL
is $busy->out, "done\n", 'a program that uses a quarter of a second is done within a second and a half';
ok !$busy->timed_out, 'a program that uses a quarter of a second is not ended before';
undef $crowd;

# As many as that are a crowd by themselves.
my $spins = run(sprintf(<<'PERL', 30 * $processors), deadline => 0.2);
for (2 .. %d) {
    fork or last;
}
1 while 1;
PERL
ok $spins->timed_out, 'a crowd is ended';
ok eventually(sub { !$spins->members }), 'all processes of a crowd are ended';
is LoadClock::longest(3), 60, 'no deadline is longer than twenty times';

done_testing;
