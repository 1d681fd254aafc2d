# Defect 17: the scoreboard of SpareWorkers has room for the workers of a max_workers that
# was raised in the running loop. In the original they die with "no empty slot in scoreboard".

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my ($file) = @ARGV;
my @max = (5, 60);
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 2,
    min_spare_workers => 1000,
    max_spare_workers => 1000,
    heartbeat         => 0.05,
    trap_signals      => { TERM => undef },
    on_child_reap     => sub { print "worker ended: $_[2]\n" },
    ($file ? (scoreboard_file => $file) : ()),
});
$SIG{USR1} = sub { $pm->max_workers(shift @max) };
if (!$pm->start) {
    $pm->set_status('A');
    print "worker $$ is up\n";
    sleep 60 while 1;
}
print 'workers: ', $pm->num_workers, ', active: ', $pm->num_active_workers, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

# The pids of the next workers; cut short by the end of one.
sub workers_up {
    my ($p, $count) = @_;
    my @pids;
    while (@pids < $count) {
        my ($pid) = ($p->line || '') =~ /^worker (\d+) is up$/ or last;
        push @pids, $pid;
    }
    return @pids;
}

my $dir = File::Temp->newdir;
for my $file ('', "$dir/scoreboard") {
    my $name = $file ? 'with a scoreboard_file' : 'with the default scoreboard';
    my $p = start_program($program, args => [$file], deadline => 15);
    my @pids = workers_up($p, 2);
    is @pids, 2, "$name: max_workers 2 gives 2 workers";
    for my $max (5, 60) {
        $p->signal('USR1');
        push @pids, workers_up($p, $max - @pids);
        is @pids, $max, "$name: max_workers raised to $max gives $max workers";
        last if @pids != $max;
    }
    if ($file) {
        open my $fh, '<', $file or die "cannot open $file: $!";
        my @in_file = map { /^A(\d+) *$/ ? $1 : () } <$fh>;
        is_deeply [sort @in_file], [sort @pids], "$name: each of them has a slot in the file";
    }
    $p->signal('TERM');
    is $p->line_like(qr/^workers:/), 'workers: 60, active: 60', "$name: each of them has a slot of its own";
}

done_testing;
