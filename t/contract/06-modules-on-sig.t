# Contract 6 beside modules that hang magic of their own on %SIG: Coro and Variable::Magic. Whether they are loaded
# before the manager is made or after it, the workers get their defaults, and what looks at stores to %SIG sees those of
# the manager and of the worker.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(Coro Variable::Magic));

# Three generations of a pool, with and without a hook (the loop in Perl, the loop in C); a worker says what it has in
# %SIG, and then is sent TERM, which ends it.
my $pool = <<'PERL';
use strict;
use warnings;
BEFORE;
use Parallel::Prefork;

my ($hook) = @ARGV;
my $pm = Parallel::Prefork->new({
    max_workers  => 2,
    trap_signals => { TERM => 'TERM', HUP => 'TERM', USR1 => 'TERM' },
    $hook eq 'no hook' ? () : ($hook => sub { }),
});
AFTER;
for my $signal (qw(HUP USR1 TERM)) {
    pipe my $ready, my $done or die;
    my $started = 0;
    $pm->after_fork(sub {
        return if ++$started < 2;
        sysread $ready, my $dot, 1 or die for 1 .. 2;
        kill $signal, $$;
    });
    if (!$pm->start) {
        print join(',', map { "$_=" . ($SIG{$_} // 'undef') } qw(TERM HUP USR1 CHLD)), "\n";
        syswrite $done, '.';
        sleep 1 while 1;
    }
    print "stopped by ", $pm->signal_received, "\n";
    $pm->wait_all_children;
}
PERL

my $defaults = 'TERM=DEFAULT,HUP=DEFAULT,USR1=DEFAULT,CHLD=DEFAULT';

my $coroutine = <<'PERL';
my $coroutine = Coro::async(sub {
    Coro::cede() while 1;
});
Coro::cede();
PERL

my %case = (
    'Coro, loaded before'     => { before => 'use Coro' },
    'Coro, loaded afterwards' => { after => 'require Coro; Coro->import' },
    'Coro, in its coroutines' => { before => 'use Coro', after => $coroutine },
    'magic of a program on %SIG' => { before => <<'BEFORE', after => <<'AFTER' },
use Variable::Magic qw(wizard cast);
our $stores = 0;
BEFORE
cast %SIG, wizard(store => sub { $stores++ });
AFTER
    'magic on an element of it' => { before => <<'BEFORE', after => <<'AFTER' },
use Variable::Magic qw(wizard cast);
our @set;
BEFORE
cast $SIG{TERM}, wizard(set => sub { push @set, ${ $_[0] } });
AFTER
    'a reference to an element' => { before => 'our $ref', after => '$ref = \$SIG{TERM}' },
);

# Coro that was compiled for a perl without -DDEBUGGING switches one with it to a stack of which that knows nothing, in
# any program.
my $switches = run("use Coro;\n$coroutine", deadline => 20);
delete $case{'Coro, in its coroutines'} if $switches->err =~ /^panic: previous op failed to extend arg stack/;

for my $name (sort keys %case) {
    my $source = filled($pool, BEFORE => $case{$name}{before} || '', AFTER => $case{$name}{after} || '');
    for my $hook ('no hook', 'before_fork') {
        my $p = run($source, args => [$hook], deadline => 40);
        my $title = "$name ($hook)";
        # 0.18 says so of the second generation.
        (my $said = $p->err) =~ s/^Use of uninitialized value in numeric le .*\n//mg;
        is $said, '', "$title: nothing is said of errors";
        my @lines = split /\n/, $p->out;
        is scalar(grep { $_ eq $defaults } @lines), 6, "$title: each of six workers has the defaults";
        is_deeply [grep { /stopped/ } @lines], [map { "stopped by $_" } qw(HUP USR1 TERM)],
            "$title: each signal is trapped, and the workers end";
    }
}

# What somebody wants to know of stores to %SIG is told in the worker, where it may die as well.
my $refuses = <<'PERL';
use strict;
use warnings;
use Variable::Magic qw(wizard cast);
use Parallel::Prefork;

my ($hook) = @ARGV;
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('x');
    },
    $hook eq 'no hook' ? () : ($hook => sub { }),
});
my $manager = $$;
cast $SIG{TERM}, wizard(set => sub {
    return if $$ == $manager;
    print "worker: ${ $_[0] }, in_child $pm->{in_child}\n";
    die "refused\n";
});
$pm->start(sub { print "the worker runs\n" });
$pm->wait_all_children;
PERL
for my $hook ('no hook', 'before_fork') {
    my $p = run($refuses, args => [$hook], deadline => 20);
    is $p->line, 'worker: DEFAULT, in_child 1', "magic sees the default in a worker that knows it is one ($hook)";
    is $p->line, 'status 65280', "magic that dies ends the worker before it runs ($hook)";
    is $p->err, "refused\n", "magic that dies says so ($hook)";
}

done_testing;
