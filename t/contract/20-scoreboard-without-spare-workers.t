# Contract 20: the scoreboard class in a program with a plain Parallel::Prefork: each worker gets a slot, and many short
# ones leave none taken.
use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
use Parallel::Prefork::SpareWorkers::Scoreboard;

my ($file, $wanted) = @ARGV;
my $board = Parallel::Prefork::SpareWorkers::Scoreboard->new($file || undef, 8);
my ($ended, $failed) = (0, 0);
my $pm = Parallel::Prefork->new({
    max_workers          => 8,
    err_respawn_interval => 0,
    on_child_reap        => sub {
        my ($self, $pid, $status) = @_;
        $board->clear_child($pid);
        $failed++ if $status;
        $self->signal_received('enough') if ++$ended >= $wanted;
    },
});
$pm->start(sub {
    $board->child_start;
    $board->set_status('B');
    $board->set_status('_');
});
$pm->wait_all_children;
print 'failed ', $failed, "\n";
print 'statuses ', join('', $board->get_statuses), "\n";
PERL

my $dir = File::Temp->newdir;
for ([memory => '', 500], [file => "$dir/scoreboard", 300]) {
    my ($kind, $file, $wanted) = @$_;
    my $p = run($program, args => [$file, $wanted], deadline => 55);
    is $p->line, 'failed 0', "$kind: each of $wanted workers has found a slot" or diag substr $p->err, 0, 300;
    is $p->line, 'statuses ........', "$kind: no slot is taken at the end";
}

done_testing;
