# Contract 15: a handler of the program may change $SIG{CHLD} at any time, also while start sleeps. What the program has
# put there stays: for perl, and for the system when start has returned or was left.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# An immediate handler changes it during the sleep of start, and ends that. Printed is the disposition that the system
# has afterwards, and whether a handler of the program hears of a child.
my $program = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(ualarm);
use Parallel::Prefork;

my ($before, $after, $leaves_by) = @ARGV;
our $seen = 0;
my %value_of = (
    default => 'DEFAULT',
    ignore  => 'IGNORE',
    handler => sub { $seen++ },
);

my $pm = Parallel::Prefork->new({ max_workers => 1, after_fork => sub { ualarm(200_000) } });
$SIG{CHLD} = $value_of{$before} if $before ne "the manager's";
my $changed = 0;
my $action = POSIX::SigAction->new(sub {
    if (!$changed++) {
        $SIG{CHLD} = $value_of{$after};
        ualarm(200_000);
        return;
    }
    $pm->signal_received('enough');
    die "left by die\n" if $leaves_by eq 'die';
}, POSIX::SigSet->new, 0);
$action->safe(0);
POSIX::sigaction(POSIX::SIGALRM(), $action);
if (!eval { $pm->start or exec 'sleep', 60; 1 }) {
    print $@;
}

open my $status, '<', '/proc/self/status' or die;
my %mask = map { /^Sig(Ign|Cgt):\s*(\S+)/ ? ($1 => hex(substr $2, -8)) : () } <$status>;
my $bit = 1 << POSIX::SIGCHLD() - 1;
my $is_ignored = $mask{Ign} & $bit;
print $is_ignored ? 'ignored' : $mask{Cgt} & $bit ? 'handled' : 'default', "\n";

$pm->signal_all_children('KILL');
if (!$is_ignored) {
    $pm->wait_all_children;
    my $child = fork // die;
    exit 0 if !$child;
    select undef, undef, undef, 0.1 while waitpid($child, 0) != $child;
    print "seen\n" if $seen;
}
PERL

for my $case (
    ['default',       'handler', "handled\nseen\n"],
    ['ignore',        'handler', "handled\nseen\n"],
    ['default',       'ignore',  "ignored\n"],
    ["the manager's", 'ignore',  "ignored\n"],
    ["the manager's", 'default', "default\n"],
    ["the manager's", 'handler', "handled\nseen\n"],
) {
    my ($before, $after, $expected) = @$case;
    for my $leaves_by ('return', 'die') {
        my $p = run($program, args => [$before, $after, $leaves_by], deadline => 30);
        my $title = "\$SIG{CHLD} changes from $before to $after during the sleep, which is left by $leaves_by";
        is $p->err, '', "$title: nothing is said of errors";
        is $p->out, ($leaves_by eq 'die' ? "left by die\n" : '') . $expected, "$title: it stays what it has become";
    }
}

done_testing;
