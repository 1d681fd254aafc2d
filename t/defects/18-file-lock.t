# Defect 18: no lock on the scoreboard stands in the manager's way, and so no signal can
# find it waiting for one. In the original, a signal during its flock (HUP, or whatever else
# is not TERM, INT or CHLD) kills the manager.

use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use Time::HiRes qw(sleep);

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my ($file) = @ARGV;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 2,
    min_spare_workers    => 2,
    heartbeat            => 0.05,
    err_respawn_interval => 0,
    scoreboard_file      => $file,
    trap_signals         => { TERM => 'KILL', HUP => undef },
});
while ($pm->signal_received ne 'TERM') {
    $pm->start and next;
    print "worker $$ is up\n";
    # The output must end with the manager, whatever becomes of its workers.
    close STDOUT;
    sleep 60 while 1;
}
$pm->wait_all_children;
print "manager is done\n";
PERL

my $dir  = File::Temp->newdir;
my $file = "$dir/scoreboard";

sub pids_in_file {
    open my $fh, '<', $file or die "cannot open $file: $!";
    return map { /^_(\d+) *$/ ? $1 : () } <$fh>;
}

my $p = start_program($program, args => [$file], deadline => 15);
my ($first, $second) = map { ($p->line || '') =~ /^worker (\d+) is up$/ } 1 .. 2;
is_deeply [sort { $a <=> $b } pids_in_file()], [sort { $a <=> $b } $first, $second],
    'both workers have their slots';

# Held to the end of the test. A manager that locks the file waits at the next reap.
open my $held, '+<', $file or die "cannot open $file: $!";
flock $held, LOCK_EX or die "cannot lock $file: $!";
$p->signal('KILL', $first);

# The worker's end, its replacement and the signals come in any order.
my $hups = 0;
my @pids;
eventually {
    $hups += $p->signal('HUP');
    sleep 0.05;
    @pids = grep { $_ != $first && $_ != $second } pids_in_file();
    @pids && $hups >= 5 || !$p->children->{$second};
} 8;

is @pids, 1, 'with the file locked, the slot is cleared and the next worker gets it' or diag $p->err;
is $p->line, "worker @pids is up", 'the worker that gets the slot of the locked file starts';
$p->signal('TERM');
is $p->line, 'manager is done', 'the manager outlives the HUPs';
$p->wait;
is $p->status, 0, 'the manager with the file locked ends as it should';
is $p->err, '', 'the manager with the file locked complains of nothing';

done_testing;
