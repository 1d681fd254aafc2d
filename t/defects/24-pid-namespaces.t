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

my $prelude = <<'PERL';
use strict;
use warnings;

my $number;
BEGIN { $number = shift }

# From here on the children of this process are in a namespace of their own.
sub unshare {
    syscall($number, 0x20000000) == 0 or print "unshare: $!\n";
    return;
}
PERL

my $worker = $prelude . <<'PERL';
use Parallel::Prefork;

my $unshared = 0;
$SIG{USR1} = sub { print "a handler of the manager's runs\n" };
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => { TERM => 'TERM', USR1 => 'TERM' },
    before_fork   => sub { $unshared++ or unshare() },
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
    OPTIONS
});
END { print "END in $$\n" if $pm->{in_child} }
if (!$pm->start) {
    print "$$, manager $pm->{manager_pid}, ", $pm->num_workers, " workers, ";
    print "waits for ", $pm->wait_all_children, "\n";
    LEAVE;
}
print "the manager is $$\n";
eval { $pm->finish };
print $@ =~ /within the manager process/ ? "finish refuses\n" : "finish: $@\n";
PERL

my $with_helper = <<'PERL';
my $helper = fork // die;
$pm->finish(5) if !$helper;
waitpid $helper, 0;
print "helper $?\n";
$pm->finish(3);
PERL

for my $way (
    ['finish',                             '$pm->finish(3)', 768, ''],
    ['exit',                               'exit 3',         768, ''],
    ['return, as from a sub',              '$pm->finish(0)', 0,   ''],
    ['finish, after a helper that it forked', $with_helper,  768, "END in 2\nhelper 1280\n"],
) {
    my ($name, $code, $status, $helper) = @$way;
    for my $options ('', 'after_fork => sub { },', 'fast_exit => 1,') {
        my $source = filled($worker, OPTIONS => $options, LEAVE => $code);
        my $p = run($source, under => \@under, args => [$unshare], deadline => 30);
        is $p->out, <<"TEXT", "a worker that is PID 1 as its manager is leaves by $name $options" or diag $p->err;
1, manager 1, 0 workers, waits for 0
${helper}END in 1
status $status
the manager is 1
finish refuses
TEXT
    }
}

# A process that the worker has forked, in one more namespace, where it is PID 1 as well: it is no worker, and leaves
# as any process does.
my $helper = $prelude . <<'PERL';
use Parallel::Prefork;

{
    package Seen;

    sub DESTROY {
        my $self = shift;
        print "$self->{name} goes\n";
        return;
    }
}

our $seen;
my $in_file;
END { print "END of $seen->{name}\n" if $seen }
my $unshared = 0;
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => {},
    fast_exit     => 1,
    before_fork   => sub { $unshared++ or unshare() },
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
});
$pm->start(sub {
    print "the worker is $$\n";
    unshare();
    my $helper = fork // die;
    if (!$helper) {
        $seen = bless { name => "the helper, $$," }, 'Seen';
        $in_file = bless { name => 'what the file has' }, 'Seen';
        LEAVE;
    }
    waitpid $helper, 0;
    print 'helper ', $? >> 8, "\n";
    exit 3;
});
PERL

for my $way ('$pm->finish(5)', 'exit 5', 'die "helper\n"') {
    my $p = run(filled($helper, LEAVE => $way), under => \@under, args => [$unshare], deadline => 30);
    my $status = $way =~ /die/ ? 255 : 5;
    is $p->out, <<"TEXT", "a helper that is PID 1 as its worker and its manager are leaves by $way" or diag $p->err;
the worker is 1
what the file has goes
END of the helper, 1,
the helper, 1, goes
helper $status
status 768
TEXT
}

# An override of fork that dies in the child: that is no manager whose fork has failed.
my $override = $prelude . <<'PERL';
my $forks = 0;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        return undef if $forks++;
        unshare();
        my $pid = CORE::fork();
        die "in the child, $$\n" if defined $pid && !$pid;
        return $pid;
    };
}
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => {},
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
});
START;
print "$$ is the manager\n";
PERL

my %start = (
    'without an eval' => '$pm->start(sub { print "runs\n" })',
    'in an eval'      => 'eval { $pm->start(sub { print "runs\n" }); 1 } or print $$, " goes on: $@"',
);
for my $how (sort keys %start) {
    my $p = run(filled($override, START => $start{$how}), under => \@under, args => [$unshare], deadline => 30);
    is $p->out, "status 65280\n1 is the manager\n",
        "an override of fork that dies in a child that is PID 1 ends it (start $how)";
    is $p->err, "in the child, 1\n", "an override of fork that dies in a child that is PID 1 says so (start $how)";
}

done_testing;
