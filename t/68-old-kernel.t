# A system without MADV_WIPEONFORK, as Linux before 4.14: a child that has the number of its parent, in a PID namespace
# of its own, is another process there too.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use CTests;
use Preload;
use ProcessTest;

plan skip_all => 'MADV_WIPEONFORK is for Linux' if $^O ne 'linux';

my $old_kernel = preload_library(<<'C') or plan skip_all => 'no C compiler';
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int madvise(void *start, size_t size, int advice)
{
    if (advice == MADV_WIPEONFORK) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, start, size, advice);
}
C
my %env = preloaded($old_kernel);

for my $name (qw(namespaces managers)) {
    my $program = compile("t/c/$name.c", qw(-std=gnu99 -Wall -Wextra -Werror -pedantic -pthread));
    relay_c_test($name, start_c_test(command => [$program], deadline => 100, env => {%env}));
}

my $run = run(<<'PERL', env => {%env});
use strict;
use warnings;
use Parallel::Prefork;

my $forks = 0;
my $pm = Parallel::Prefork->new({
    max_workers   => 2,
    trap_signals  => { TERM => 'TERM' },
    on_child_reap => sub { print "status $_[2]\n" },
    after_fork    => sub { $_[0]->signal_received('enough') if ++$forks == 2 },
});
if (!$pm->start) {
    my $child = fork // die "fork: $!";
    if (!$child) {
        my $own = Parallel::Prefork->new({
            max_workers => 1,
            after_fork  => sub { $_[0]->signal_received('enough') },
        });
        $own->start(sub { });
        $own->wait_all_children;
        exit 0;
    }
    waitpid $child, 0;
    $pm->finish($? ? 1 : 3);
}
$pm->wait_all_children;
PERL
is $run->out, "status 768\n" x 2, 'managers, their workers, and managers in those are told apart' or diag $run->err;

done_testing;
