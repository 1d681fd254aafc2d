# Defect 11: a worker is known to the manager before any code of the program can run, so
# that an after_fork that dies, or a handler that exits, leaves no orphan; worker_pids
# still shows it after after_fork only. The original forgets the worker.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $work = 'sub { sleep 60 while 1 }';

# after_fork dies.
{
    my $p = run(<<"PERL", deadline => 15);
use Parallel::Prefork;

my \$pm = Parallel::Prefork->new({
    max_workers   => 1,
    after_fork    => sub {
        print "forked \$_[1]\\n";
        die "after_fork failed\\n";
    },
    on_child_reap => sub { print "reaped \$_[1] \$_[2]\\n" },
});
eval { \$pm->start($work) };
print "start died: \$\@";
\$pm->signal_all_children('TERM');
print 'left: ', \$pm->wait_all_children, "\\n";
PERL
    my ($pid) = $p->out =~ /^forked (\d+)$/m;
    like $p->out, qr/^start died: after_fork failed$/m, 'what after_fork throws leaves start';
    ok $pid && $p->out =~ /^reaped $pid 15$/m,
        'after_fork has died: signal_all_children reaches the worker, wait_all_children reaps it'
        or diag $p->out;
    like $p->out, qr/^left: 0$/m, 'after_fork has died: none is left';
    is_deeply [$p->members], [], 'after_fork has died: no orphan';
}

# A handler that cleans up and leaves, at two moments between fork and registration. The
# signal that arrives as fork returns is a trapped one: those wait until the worker is known.
my %arrival = (
    'a signal in after_fork' => <<'PERL',
my $signal = 'USR1';
my %options = (after_fork => sub {
    print "forked\n";
    kill $signal => $$;
});
PERL
    'a trapped signal as fork returns' => <<'PERL',
my $signal = 'TERM';
my %options;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        my $pid = CORE::fork();
        if ($pid) {
            print "forked\n";
            kill $signal => $$;
        }
        return $pid;
    };
}
PERL
);
my %handler = (
    'exits' => "clean();\n    exit",
    'dies'  => 'die "stop\n"',
);
for my $arrival (sort keys %arrival) {
    for my $handler (sort keys %handler) {
        my $name = "$arrival, whose handler $handler";
        my $p = run(<<"PERL", deadline => 15);
$arrival{$arrival}
use Parallel::Prefork;

my \$pm = Parallel::Prefork->new({ max_workers => 1, %options });
\$SIG{\$signal} = sub {
    $handler{$handler};
};

sub clean {
    \$pm->signal_all_children('TERM');
    print 'left: ', \$pm->wait_all_children, "\\n";
}

eval { \$pm->start($work) };
print "start died: \$\@";
clean();
PERL
        like $p->out, qr/^forked$/m, "$name: there is a worker";
        like $p->out, qr/^left: 0$/m, "$name: the manager cleans up";
        like $p->out, qr/^start died: stop$/m, "$name: start dies" if $handler eq 'dies';
        is_deeply [$p->members], [], "$name: no orphan" or diag $p->out;
    }
}

# What programs see.
{
    my $p = run(<<"PERL", deadline => 15);
use Parallel::Prefork;

sub shown {
    my (\$pm, \$pid) = \@_;
    return exists \$pm->{worker_pids}{\$pid} ? 'shown' : 'hidden';
}

my \$worker;
my \$pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub {
        my (\$pm, \$pid) = \@_;
        \$worker = \$pid;
        print 'in after_fork: ', shown(\$pm, \$pid), "\\n";
        kill TERM => \$\$;
    },
    trap_signals => { TERM => '' },
});
\$pm->start($work);
print 'afterwards: ', shown(\$pm, \$worker), "\\n";
PERL
    is $p->out, "in after_fork: hidden\nafterwards: shown\n",
        'worker_pids shows a worker after after_fork, not before';
}

done_testing;
