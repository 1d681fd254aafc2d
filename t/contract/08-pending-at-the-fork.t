# Contract 8: what perl has noted for the manager is the manager's. A signal that comes too late to be handled before
# the fork is not handled in the worker as well, when the next signal makes perl look.
use strict;
use warnings;

use lib 't/lib';
use Preload;
use ProcessTest;
use Test::More;

my $aim = preload_library('t/faults/aim.c') or plan skip_all => 'no C compiler';

my $program = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;

my ($hook) = @ARGV;
my (%handled, $reaped);
$SIG{USR2} = sub { $handled{$$}++ };
my $pm = Parallel::Prefork->new({
    max_workers   => 3,
    on_child_reap => sub {
        return if ++$reaped < 30;
        syscall(-4711, 0, 0, 0);
        $_[0]->signal_received('enough');
    },
    $hook eq 'no hook' ? () : ($hook => sub { }),
});
# USR2, each time that the program blocks signals, waits or forks.
syscall(-4711, 1, POSIX::SIGUSR2(), 0);
if (!$pm->start) {
    my $alarms = 0;
    local $SIG{ALRM} = sub { $alarms++ };
    kill 'ALRM', $$;
    select undef, undef, undef, 0.01 if !$alarms;
    print "in the worker: $handled{$$}\n" if $handled{$$};
    exit 0;
}
$pm->wait_all_children;
print "in the manager: ", $handled{$$} > 30 ? 'often' : 'seldom', "\n";
PERL

for my $hook ('no hook', 'before_fork', 'after_fork') {
    my $p = run($program, args => [$hook], env => { preloaded($aim) }, deadline => 60);
    # 0.18 says so of children that end.
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric le .*\n//mg;
    is $said, '', "signals at each fork give no warning ($hook)";
    is $p->out, "in the manager: often\n", "signals at each fork are handled in the manager only ($hook)";
}

done_testing;
