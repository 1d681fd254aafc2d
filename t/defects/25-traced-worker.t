# Defect 24: a worker that stops while the manager's process traces it has not ended. The original takes the
# stop for an end, with the status of the stop: on_child_reap is told, the worker is counted no more,
# and another one is forked in its place.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use ProcessTest;

# ptrace(2) has no function in Perl.
my ($ptrace) = map { $_->[1] } grep { $Config{archname} =~ $_->[0] } [qr/^x86_64-linux(?!.*x32)/ => 101],
    [qr/^(?:aarch64|riscv64|loongarch64)-linux/ => 117], [qr/^(?:i.86|arm|powerpc|ppc|s390)\S*-linux/ => 26];
plan skip_all => 'the number of ptrace is not known here' if !$ptrace;
plan skip_all => 'ptrace is not allowed here'
    if system($^X, '-e', "exit(syscall($ptrace, 0, 0, 0, 0) != 0)") != 0;

my $p = run(<<'PERL', args => [$ptrace], deadline => 20);
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes ();

my $ptrace = shift;
my $is_over = 0;
my $pm = Parallel::Prefork->new({
    max_workers          => 3,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'KILL' },
    on_child_reap        => sub { print "reaped $_[2]\n" if !$is_over },
});
my $manager = $$;
$SIG{ALRM} = sub { $pm->signal_received('enough') };
alarm 2;
$pm->start(sub {
    print "up\n";
    # PTRACE_TRACEME, and then any signal is a stop.
    syscall($ptrace, 0, 0, 0, 0) == 0 or die "ptrace: $!";
    kill USR1 => $$;
    sleep 60 while 1;
});
print 'workers: ', $pm->num_workers, "\n";
print 'left: ', $pm->wait_all_children(0.1), "\n";
$is_over = 1;
$pm->signal_all_children('KILL');
print 'left at last: ', $pm->wait_all_children, "\n";
PERL

my @lines = split /\n/, $p->out;
is scalar(grep { $_ eq 'up' } @lines), 3, 'three workers are forked and no more, though all of them stop';
is_deeply [grep { /^reaped/ } @lines], [], 'on_child_reap is told of none';
is_deeply [grep { /^workers/ } @lines], ['workers: 3'], 'workers that somebody else traces are counted';
is_deeply [grep { /^left:/ } @lines], ['left: 3'], 'workers that somebody else traces are waited for';
is_deeply [grep { /^left at/ } @lines], ['left at last: 0'], 'until they are killed';
is $p->err, '', 'nothing on STDERR';
is $p->status, 0, 'the manager ends as it should';

done_testing;
