# What the manager has before the fork is in each worker: the state of rand, positions in files, no alarm. The POD says so under
# WHAT WORKERS INHERIT.

use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# Three workers, each of which says something; returns what they said, in any order.
sub workers_say {
    my ($in_manager, $in_worker) = @_;
    my $p = run(<<"PERL", deadline => 30);
use Parallel::Prefork;
$in_manager
pipe my \$over, my \$end or die "pipe: \$!";
my \$pm = Parallel::Prefork->new({ max_workers => 3, trap_signals => {} });
my \$started = 0;
\$pm->after_fork(sub { \$pm->signal_received('enough') if ++\$started == 3 });
if (!\$pm->start) {
    close \$end;
    $in_worker
    \$pm->finish;
}
\$pm->wait_all_children;
PERL
    # 0.18 says so of children that end.
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric.*\n//mg;
    is $said, '', 'nothing is said of errors';
    my @said = split /\n/, $p->out;
    is scalar(@said), 3, 'each worker says something';
    my @sorted = sort @said;
    return @sorted;
}

sub different {
    my %seen = map { $_ => 1 } @_;
    return scalar keys %seen;
}

my $draw = 'print int(rand 1e9), "\n";';
is different(workers_say('rand;', $draw)), 1, 'the manager has called rand: all workers draw the same';
is different(workers_say('srand 42;', $draw)), 1, '... and where it has called srand';
is different(workers_say('rand;', "srand; $draw")), 3, '... not after an srand of their own';
is different(workers_say('', $draw)), 3, '... nor where it has called neither';
is different(workers_say('use List::Util (); rand;', 'print join(" ", List::Util::shuffle(1 .. 20)), "\n";')), 1, 'shuffle draws as rand does';

is_deeply [workers_say('open my $file, "<", $0 or die "$0: $!";', 'sysread $file, my $some, 8; printf "%02d\n", sysseek $file, 0, 1;')],
    ['08', 16, 24], 'a file that is open has one position for all';
is_deeply [workers_say('alarm 1000;', 'print alarm(0), "\n";')], [0, 0, 0], 'an alarm is the manager\'s';

done_testing;
