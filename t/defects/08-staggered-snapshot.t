# Defect 8: a staggered signal goes to workers that are alive and ours when their turn
# comes. The original walks the list of pids it took at the beginning, whatever has
# become of them, and could hit a stranger that got the number.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use Preload;
use ProcessTest;

my $prelude = <<'PERL';
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({
    max_workers  => 3,
    trap_signals => { TERM => ['TERM', 0.5] },
});
$pm->start(sub {
    $SIG{TERM} = sub {
        print "TERM $$\n";
        exit;
    };
    print "up $$\n";
    # Short naps: a signal just before one is handled at its end.
    select undef, undef, undef, 0.05 while 1;
});
PERL

# Starts the program and its three workers; returns it with their pids in the order in
# which they are signalled.
sub start_workers {
    my ($source, %options) = @_;
    my $p = start_program($prelude . $source, deadline => 15, %options);
    my @pids = sort map { ($p->line || '') =~ /^up (\d+)$/ } 1 .. 3;
    is @pids, 3, 'three workers are up';
    return $p, @pids;
}

# A worker that the program has taken out of the pool.
{
    my ($p, $first, $second, $third) = start_workers(<<'PERL');
my (undef, $second) = sort keys %{ $pm->{worker_pids} };
delete $pm->{worker_pids}{$second};
print 'left: ', $pm->wait_all_children, "\n";
kill KILL => $second;
waitpid $second, 0;
PERL
    $p->signal('TERM');
    $p->wait;
    like $p->out, qr/^left: 0$/m, 'one worker is deleted from worker_pids after the first was signalled';
    is_deeply [$p->out =~ /^TERM (\d+)$/mg], [$first, $third], 'the others are signalled, it is not';
}

# A worker that has exited meanwhile. A kill that goes nowhere leaves no trace, so a
# library that stands before libc's kill writes down what each call came to.
SKIP: {
    my $recorder = preload_library(<<'C') or skip 'no C compiler to build a library that records kill', 6;
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int kill(pid_t pid, int sig)
{
    long result = syscall(SYS_kill, pid, sig);
    int error = errno;
    int fd = open(getenv("KILL_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dprintf(fd, "%d %d %s\n", (int)pid, sig, result == 0 ? "sent" : "failed");
    close(fd);
    errno = error;
    return (int)result;
}
C
    my $dir = File::Temp->newdir('prefork-test-XXXXXX', TMPDIR => 1);
    my ($p, $first, $second, $third) = start_workers(
        q(kill 0 => $$; print 'left: ', $pm->wait_all_children, "\n"),
        env => { preloaded($recorder), KILL_LOG => "$dir/log" },
    );
    $p->signal('TERM');
    is $p->line, "TERM $first", 'the first worker is signalled';
    $p->signal('KILL', $second);
    is $p->line, "TERM $third", 'the last worker is signalled, the one between has exited';
    is $p->line, 'left: 0', 'all workers are gone after the staggered signal';
    $p->wait;

    open my $log, '<', "$dir/log" or diag "cannot read $dir/log: $!";
    my @kills = <$log>;
    is((grep { $_ eq $p->pid . " 0 sent\n" } @kills), 1, 'kills are recorded');
    is_deeply [grep { /failed/ } @kills], [], 'no signal goes to a process that is gone';
}

done_testing;
