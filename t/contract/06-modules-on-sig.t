# Contracts 2 and 6 beside modules that hang magic of their own on %SIG: Coro and Variable::Magic. Whether they are
# loaded before the manager is made or after it, the workers get their defaults, and what looks at stores to %SIG sees
# those of the manager and of the worker.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(Coro Variable::Magic));

# Three generations of a pool, with and without a hook (the loop in Perl, the loop in C); a worker says what it has in %SIG, and
# then is sent TERM, which ends it.
sub program {
    my ($before, $after, $options) = @_;
    return <<"PERL";
use strict;
use warnings;
$before
use Parallel::Prefork;
my \$pm = Parallel::Prefork->new({
    max_workers  => 2,
    trap_signals => { TERM => 'TERM', HUP => 'TERM', USR1 => 'TERM' },
    $options
});
$after
for my \$signal (qw(HUP USR1 TERM)) {
    pipe my \$ready, my \$done or die;
    my \$started = 0;
    \$pm->after_fork(sub {
        return if ++\$started < 2;
        sysread \$ready, my \$dot, 1 or die for 1 .. 2;
        kill \$signal, \$\$;
    });
    if (!\$pm->start) {
        print join(',', map { "\$_=" . (\$SIG{\$_} // 'undef') } qw(TERM HUP USR1 CHLD)), "\\n";
        syswrite \$done, '.';
        sleep 1 while 1;
    }
    print "stopped by ", \$pm->signal_received, "\\n";
    \$pm->wait_all_children;
}
PERL
}

my $workers = "TERM=DEFAULT,HUP=DEFAULT,USR1=DEFAULT,CHLD=DEFAULT\n";

my %case = (
    'Coro, loaded before'       => ['use Coro;', ''],
    'Coro, loaded afterwards'   => ['', 'require Coro; Coro->import;'],
    'Coro, in its coroutines'   => ['use Coro;', 'my $c = Coro::async(sub { Coro::cede() while 1 }); Coro::cede();'],
    'magic of a program on %SIG' => [
        'use Variable::Magic qw(wizard cast); our $stores = 0;',
        'cast %SIG, wizard(store => sub { $stores++ });',
    ],
    'magic on an element of it' => [
        'use Variable::Magic qw(wizard cast); our @set;',
        'cast $SIG{TERM}, wizard(set => sub { push @set, ${$_[0]} });',
    ],
    'a reference to an element' => ['our $ref;', '$ref = \$SIG{TERM};'],
);

# Coro that was compiled for a perl without -DDEBUGGING switches one with it to a stack of which that knows nothing, in any program.
my $switches = run('use Coro; my $c = Coro::async(sub { Coro::cede() while 1 }); Coro::cede(); print "switched\n"', deadline => 20);
delete $case{'Coro, in its coroutines'} if $switches->err =~ /^panic: previous op failed to extend arg stack/;

for my $name (sort keys %case) {
    for my $hook ('', 'before_fork => sub {},') {
        my $p = run(program(@{ $case{$name} }, $hook), deadline => 40);
        my $title = $name . ($hook ? ', with a hook' : '');
        # 0.18 says so of the second generation.
        (my $said = $p->err) =~ s/^Use of uninitialized value in numeric le .*\n//mg;
        is $said, '', "$title: says nothing";
        my %lines;
        $lines{"$_\n"}++ for split /\n/, $p->out;
        is $lines{$workers}, 6, "$title: each worker has the defaults";
        is_deeply [sort grep { /stopped/ } keys %lines], [map { "stopped by $_\n" } qw(HUP TERM USR1)], "$title: each signal is trapped, and the workers end";
    }
}

# What somebody wants to know of stores to %SIG is told in the worker, where it may die as well.
for my $hook ('', 'before_fork => sub {},') {
    my $p = run(<<"PERL", deadline => 20);
use strict;
use warnings;
use Variable::Magic qw(wizard cast);
use Parallel::Prefork;
my \$pm = Parallel::Prefork->new({ max_workers => 1, on_child_reap => sub { print "status \$_[2]\\n"; \$_[0]->signal_received('x') }, $hook });
my \$manager = \$\$;
cast \$SIG{TERM}, wizard(set => sub {
    return if \$\$ == \$manager;
    print "worker: \${\$_[0]}, in_child \$pm->{in_child}\\n";
    die "refused\\n";
});
\$pm->start(sub { print "the worker runs\\n" });
\$pm->wait_all_children;
PERL
    is $p->out, "worker: DEFAULT, in_child 1\nstatus 65280\n", 'magic that dies ends the worker' . ($hook ? ', with a hook' : '');
    is $p->err, "refused\n", '... with its message';
}

done_testing;
