# A manager that is PID 1, as in a container, and a worker that is PID 1 of a pid namespace of its own. By its number
# the worker took itself for the manager, and finish died in it.
use strict;
use warnings;

use lib 't/lib';
use PidNamespace;
use POSIX ();
use ProcessTest;
use Test::More;

my @under = new_pid_namespace() or plan skip_all => 'the kernel allows no PID namespace here';
my %number = (x86_64 => 272, aarch64 => 97, i686 => 310, riscv64 => 97, ppc64le => 282, s390x => 303);
my $unshare = $number{ (POSIX::uname())[4] } or plan skip_all => 'the number of unshare(2) is not known here';

for my $way ('$pm->finish(3)', 'exit 3', 'return', 'helper') {
    for my $options ('', 'after_fork => sub { },', 'fast_exit => 1,') {
        my $p = run(<<"PERL", under => \@under, args => [$unshare], deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
my \$unshare = shift;
my (\$unshared, \$reaped) = (0, 0);
\$SIG{USR1} = sub { print "a handler of the manager's runs\\n" };
my \$pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => { TERM => 'TERM', USR1 => 'TERM' },
    before_fork   => sub { \$unshared++ or syscall(\$unshare, 0x20000000) == 0 or print "unshare: \$!\\n" },
    on_child_reap => sub {
        print "status \$_[2]\\n";
        \$_[0]->signal_received('enough');
    },
    $options
});
END { print "END in \$\$\\n" if \$pm->{in_child} }
if (!\$pm->start) {
    print "\$\$, manager \$pm->{manager_pid}, ", \$pm->num_workers, " workers, waits for ", \$pm->wait_all_children, "\\n";
    if ('$way' eq 'helper') {
        my \$helper = fork // die;
        \$pm->finish(5) if !\$helper;
        waitpid \$helper, 0;
        print "helper \$?\\n";
        \$pm->finish(3);
    }
    @{[ $way eq 'helper' ? '' : $way eq 'return' ? '$pm->finish(0)' : $way ]};
}
print "the manager is \$\$\\n";
eval { \$pm->finish };
print \$@ =~ /within the manager process/ ? "finish refuses\\n" : "finish: \$@\\n";
PERL
        my $status = $way eq 'return' ? 0 : 768;
        my $helper = $way eq 'helper' ? "END in 2\nhelper 1280\n" : '';
        is $p->out, "1, manager 1, 0 workers, waits for 0\n${helper}END in 1\nstatus $status\nthe manager is 1\nfinish refuses\n",
            "a worker that is PID 1 as its manager is: $way $options" or diag $p->err;
    }
}

# A process that the worker has forked, in one more namespace, where it is PID 1 as well: it is no worker, and leaves as any
# process does.
for my $way ('$pm->finish(5)', 'exit 5', 'die "helper\n"') {
    my $p = run(<<"PERL", under => \@under, args => [$unshare], deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
my \$unshare = shift;
sub unshare {
    syscall(\$unshare, 0x20000000) == 0 or print "unshare: \$!\\n";
    return;
}
{
    package Seen;
    sub DESTROY {
        print "\$_[0]{name} goes\\n";
        return;
    };
}
our \$seen;
my \$in_file;
END { print "END of \$seen->{name}\\n" if \$seen }
my \$unshared = 0;
my \$pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => {},
    fast_exit     => 1,
    before_fork   => sub { \$unshared++ or unshare() },
    on_child_reap => sub {
        print "status \$_[2]\\n";
        \$_[0]->signal_received('enough');
    },
});
\$pm->start(sub {
    print "the worker is \$\$\\n";
    unshare();
    my \$helper = fork // die;
    if (!\$helper) {
        \$seen = bless { name => "the helper, \$\$," }, 'Seen';
        \$in_file = bless { name => 'what the file has' }, 'Seen';
        $way;
    }
    waitpid \$helper, 0;
    print 'helper ', \$? >> 8, "\\n";
    exit 3;
});
PERL
    my $status = $way =~ /die/ ? 255 : 5;
    is $p->out, "the worker is 1\nwhat the file has goes\nEND of the helper, 1,\nthe helper, 1, goes\nhelper $status\nstatus 768\n",
        "a helper that is PID 1 as its worker and its manager are: $way" or diag $p->err;
}

# An override of fork that dies in the child: that is no manager whose fork has failed.
for my $around ('eval { $pm->start(sub { print "runs\n" }); 1 } or print $$, " goes on: $@"', '$pm->start(sub { print "runs\n" })') {
    my $p = run(<<"PERL", under => \@under, args => [$unshare], deadline => 30);
use strict;
use warnings;
my \$unshare;
my \$forks = 0;
BEGIN {
    \$unshare = shift;
    *CORE::GLOBAL::fork = sub {
        return undef if \$forks++;
        syscall(\$unshare, 0x20000000) == 0 or print "unshare: \$!\\n";
        my \$pid = CORE::fork();
        die "in the child, \$\$\\n" if defined \$pid && !\$pid;
        return \$pid;
    };
}
use Parallel::Prefork;
my \$pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => {},
    on_child_reap => sub {
        print "status \$_[2]\\n";
        \$_[0]->signal_received('enough');
    },
});
$around;
print "\$\$ is the manager\\n";
PERL
    is $p->out, "status 65280\n1 is the manager\n", "an override of fork dies in a child that is PID 1: $around";
    is $p->err, "in the child, 1\n", '... and says so';
}

done_testing;
