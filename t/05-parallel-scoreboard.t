# t/lib/Parallel/Scoreboard.pm: each process publishes one status, and what is read are the
# statuses of those that are alive.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use Parallel::Scoreboard;
use ProcessTest;

my $dir   = File::Temp->newdir;
my $board = Parallel::Scoreboard->new(base_dir => "$dir");

sub published { return $board->read_all }

is_deeply published(), {}, 'an empty board has no status';

# Publishes what it is told to, until USR1 lets it exit.
my $publisher = <<'PERL';
use strict;
use warnings;
use Parallel::Scoreboard;

my ($dir, @status) = @ARGV;
my $ends = 0;
$SIG{USR1} = sub { $ends = 1 };
my $board = Parallel::Scoreboard->new(base_dir => $dir);
$board->update($_) for @status;
print "published\n";
select undef, undef, undef, 0.02 until $ends;
PERL

my $first  = start_program($publisher, args => [$dir, 'A'], deadline => 15);
my $second = start_program($publisher, args => [$dir, 'longer', 'B'], deadline => 15);
$_->line for $first, $second;
is_deeply published(), { $first->pid => 'A', $second->pid => 'B' },
    'each process has its status, the last one it gave';
is_deeply published(), { $first->pid => 'A', $second->pid => 'B' }, 'reading the statuses does not change them';

$first->signal('USR1');
$first->wait;
is_deeply published(), { $second->pid => 'B' }, 'a process that has ended is not listed';

$second->signal('KILL');
$second->wait;
is_deeply published(), {}, 'a process that was killed is not there';
is_deeply [glob "$dir/*"], [], 'nothing of processes that have gone is left behind';

# A board that was made before the fork, as a prefork server does it. The parent has a
# status of its own, and a child may have none.
my $family = start_program(<<'PERL', args => ["$dir"], deadline => 15);
use strict;
use warnings;
use Parallel::Scoreboard;

my ($dir) = @ARGV;
my $board = Parallel::Scoreboard->new(base_dir => $dir);
$board->update('parent');
defined(my $pid = fork) or die "fork: $!";
if (!$pid) {
    $board->update('child');
    print "$$\n";
    sleep 60 while 1;
}
defined(my $silent = fork) or die "fork: $!";
exit if !$silent;
waitpid $silent, 0;
print "parent is ready\n";
waitpid $pid, 0;
print join(' ', map { "$_=" . $board->read_all->{$_} } keys %{ $board->read_all }), "\n";
PERL

my @lines = sort map { $family->line } 1 .. 2;
my ($child) = $lines[0] =~ /^(\d+)$/;
is_deeply published(), { $family->pid => 'parent', $child => 'child' },
    'a child has its own status, and a child that has none takes nothing from its parent';
$family->signal('KILL', $child);
is $family->line, $family->pid . '=parent', 'a process reads its own status among those of the living';
$family->wait;
is_deeply published(), {}, 'all have ended';

# Statuses are replaced all the time while they are read.
my $busy = start_program(<<'PERL', args => ["$dir"], deadline => 15);
use strict;
use warnings;
use Parallel::Scoreboard;

my $board = Parallel::Scoreboard->new(base_dir => $ARGV[0]);
$board->update('x' x 100);
print "published\n";
while (1) { $board->update($_ x 100) for 'x', 'y' }
PERL

$busy->line;
my %seen;
for (1 .. 300) {
    my $status = published()->{ $busy->pid };
    # Nobody promises that a directory lists a file while it is replaced.
    $seen{$status}++ if defined $status;
}
ok grep({ defined } delete @seen{ 'x' x 100, 'y' x 100 }), 'a status can be read while its process replaces it';
is_deeply \%seen, {}, 'a status that is read is always a whole one';

ok !eval { Parallel::Scoreboard->new; 1 }, 'base_dir is mandatory';

done_testing;
