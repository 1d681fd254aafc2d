# Defect 16: SpareWorkers stops workers with TERM where trap_signals has no TERM. The
# original dies when it shrinks such a pool.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 3,
    min_spare_workers => 3,
    heartbeat         => 0.05,
    trap_signals      => {@ARGV},
    on_child_reap     => sub { print "worker ended by signal ", $_[2] & 127, "\n" },
});
$SIG{USR1} = sub {
    $pm->min_spare_workers(1);
    $pm->max_spare_workers(2);
};
$SIG{USR2} = sub { $pm->signal_received('enough') };
if (!$pm->start) {
    print "worker is up\n";
    # The output must end with the manager, whatever becomes of its workers.
    close STDOUT;
    sleep 60 while 1;
}
print 'start returned, workers: ', $pm->num_workers, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

for my $trapped ([], [HUP => 'QUIT']) {
    my $name = @$trapped ? 'with HUP alone in trap_signals' : 'with empty trap_signals';
    my $p = start_program($program, args => $trapped, deadline => 15);
    is $p->line, 'worker is up', "$name: worker $_ is up" for 1 .. 3;
    $p->signal('USR1');
    is $p->line, 'worker ended by signal 15', "$name: a worker too many gets TERM" or diag $p->err;
    $p->signal('USR2');
    is $p->line, 'start returned, workers: 2', "$name: the manager lives on, with the other workers";
}

done_testing;
