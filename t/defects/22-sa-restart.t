# Defect 22: a handler that was installed with SA_RESTART ends `start`, as any other does,
# when it stores signal_received. In the original the system call is restarted, and the
# manager sleeps on until a worker exits.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use POSIX qw(SIGTERM SA_RESTART);

my ($safe) = @ARGV;
my $pm = Parallel::Prefork->new({ max_workers => 2 });
my $action = POSIX::SigAction->new(sub { $pm->signal_received('TERM') }, POSIX::SigSet->new, SA_RESTART);
$action->safe($safe);
POSIX::sigaction(SIGTERM, $action) or die "sigaction: $!";

my $returned = $pm->start(sub {
    print "worker is up\n";
    sleep 60 while 1;
});
print "start returned $returned on ", $pm->signal_received, "\n";
print 'workers left: ', $pm->wait_all_children, "\n";
PERL

my %name = (0 => 'an immediate handler with SA_RESTART', 1 => 'a safe handler with SA_RESTART');
my %running = map { $_ => start_program($program, args => [$_], deadline => 10) } sort keys %name;
for my $safe (sort keys %running) {
    my $p = $running{$safe};
    is $p->line, 'worker is up', "$name{$safe}: worker $_ is up" for 1 .. 2;
    # With all its workers up, a manager that sleeps is in the wait that TERM has to end.
    ok eventually { $p->asleep }, "$name{$safe}: the manager is asleep";
    $p->signal('TERM');
}
for my $safe (sort keys %running) {
    my $p = $running{$safe};
    is $p->line, 'start returned 1 on TERM', "$name{$safe} ends start";
    is $p->line, 'workers left: 0', 'the workers have got the signal for which start has returned' or diag $p->err;
}

done_testing;
