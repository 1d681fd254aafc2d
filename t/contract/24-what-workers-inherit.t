# What the manager has before the fork is in each worker: the state of rand, positions in files, no alarm. The POD says
# so under WHAT WORKERS INHERIT.

use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use Parallel::Prefork;
IN_MANAGER
pipe my $over, my $end or die "pipe: $!";
my $pm = Parallel::Prefork->new({ max_workers => 3, trap_signals => {} });
my $started = 0;
$pm->after_fork(sub { $pm->signal_received('enough') if ++$started == 3 });
if (!$pm->start) {
    close $end;
    IN_WORKER
    $pm->finish;
}
$pm->wait_all_children;
PERL

# Three workers, each of which says something; returns what they said, in any order.
sub workers_say {
    my ($in_manager, $in_worker) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $p = run(filled($program, IN_MANAGER => $in_manager, IN_WORKER => $in_worker), deadline => 30);
    # 0.18 says so of children that end.
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric.*\n//mg;
    is $said, '', "nothing is said of errors where the manager does '$in_manager'";
    my @said = split /\n/, $p->out;
    is scalar(@said), 3, "each worker says something where the manager does '$in_manager'";
    my @sorted = sort @said;
    return @sorted;
}

sub different {
    my %seen = map { $_ => 1 } @_;
    return scalar keys %seen;
}

my $draw = 'print int(rand 1e9), "\n";';
is different(workers_say('rand;', $draw)), 1, 'all workers draw the same where the manager has called rand';
is different(workers_say('srand 42;', $draw)), 1, 'all workers draw the same where the manager has called srand';
is different(workers_say('rand;', "srand; $draw")), 3, 'workers that call srand draw different numbers';
is different(workers_say('', $draw)), 3, 'workers draw different numbers where the manager has called neither';
is different(workers_say('use List::Util (); rand;', 'print join(" ", List::Util::shuffle(1 .. 20)), "\n";')), 1,
    'all workers shuffle alike where the manager has called rand';

is_deeply [workers_say('open my $file, "<", $0 or die "$0: $!";', <<'PERL')], ['08', 16, 24],
sysread $file, my $some, 8;
printf "%02d\n", sysseek $file, 0, 1;
PERL
    'a file that the manager has opened has one position for all workers';
is_deeply [workers_say('alarm 1000;', 'print alarm(0), "\n";')], [0, 0, 0], 'no worker has the alarm of the manager';

done_testing;
