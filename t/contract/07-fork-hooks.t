# Contract 7: before_fork, the fork, after_fork, then the worker is known; what the hooks
# throw leaves start. The sub of a worker runs, then finish, and perl's own exit.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %hook = facts('hooks', <<'PERL');
my @log;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        push @log, 'fork';
        return CORE::fork();
    };
}
use Parallel::Prefork;
sub context { return !defined $_[0] ? 'void' : $_[0] ? 'list' : 'scalar' }
my $pm;
sub self_or_other { return $_[0] == $pm ? 'self' : 'other' }
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub {
        push @log, 'before_fork';
        print "before_fork = ", scalar(@_), ' ', self_or_other($_[0]), ' ', context(wantarray), "\n";
    },
    after_fork    => sub {
        push @log, 'after_fork';
        print "after_fork = ", scalar(@_), ' ', self_or_other($_[0]), ' ', context(wantarray), "\n";
        print "after_fork pid = $_[1]\n";
        print "known = ", (exists $pm->{worker_pids}{ $_[1] } ? 'yes' : 'no'), ' ', $pm->num_workers, "\n";
    },
    on_child_reap => sub {
        push @log, 'reap';
        print "reaped = ", (exists $pm->{worker_pids}{ $_[1] } ? 'known' : 'unknown'), ' ', $pm->num_workers, "\n";
        $pm->signal_received('reaped');
    },
);
my @list = $pm->start(sub {
    print "worker pid = $$\n";
    print "worker = ", $pm->num_workers, " @log\n";
});
print "order = @log\n";
PERL

is $hook{order}, 'before_fork fork after_fork reap', 'before_fork runs before the fork, after_fork after it';
is $hook{before_fork}, '1 self void', 'before_fork gets the object, in void context';
is $hook{after_fork},  '2 self void', 'after_fork gets the object and the pid, in void context';
ok $hook{'worker pid'} && $hook{'after_fork pid'} eq $hook{'worker pid'},
    'the pid that after_fork gets is that of the worker';
is $hook{known},  'no 0',    'worker_pids does not have the pid while after_fork runs';
is $hook{reaped}, 'known 1', 'worker_pids has the pid after after_fork';
is $hook{worker}, '0 before_fork fork', 'a worker runs neither after_fork nor sees itself in worker_pids';

my %thrown = facts('hooks that die', <<'PERL');
my $forks = 0;
BEGIN {
    *CORE::GLOBAL::fork = sub {
        $forks++;
        return CORE::fork();
    };
}
use Parallel::Prefork;
my $pm;
my $object = bless {}, 'Problem';
for my $hook (qw(before_fork after_fork)) {
    for my $problem ("text\n", $object) {
        $forks = 0;
        $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => {}, $hook => sub { die $problem });
        my $returned = eval { $pm->start(sub { }); 1 };
        my $outcome = $returned ? 'returned' : $@ eq $problem ? 'thrown' : "other: $@";
        print "$hook ", ref $problem || 'text', " = $outcome after $forks forks\n";
    }
}
$pm->after_fork(sub { $pm->signal_received('up') });
print "again = ", $pm->start(sub { }), "\n";
PERL

is $thrown{'before_fork text'}, 'thrown after 0 forks', 'a text that before_fork throws leaves start before the fork';
is $thrown{'before_fork Problem'}, 'thrown after 0 forks',
    'an object that before_fork throws leaves start before the fork';
is $thrown{'after_fork text'},    'thrown after 1 forks', 'a text that after_fork throws leaves start';
is $thrown{'after_fork Problem'}, 'thrown after 1 forks', 'an object that after_fork throws leaves start';
is $thrown{again}, 1, 'start can be called again after a hook has thrown';

my %tied = facts('hooks that are tied', <<'PERL');
use Parallel::Prefork;
{
    package Tied;

    sub TIESCALAR {
        my ($class, $value) = @_;
        return bless \$value, $class;
    }
    sub FETCH { return ${ $_[0] } }
}
my %calls;
my $pm = Parallel::Prefork->new(max_workers => 2, trap_signals => {});
for my $hook (qw(before_fork after_fork on_child_reap)) {
    tie $pm->{$hook}, 'Tied', sub {
        $calls{$hook}++;
        $_[0]->signal_received('enough') if $hook eq 'on_child_reap' && $calls{$hook} == 4;
    };
}
$pm->start(sub { });
print "$_ = ", ($calls{$_} >= 4 ? 'called' : "called $calls{$_} times"), "\n" for sort keys %calls;
$pm->wait_all_children;
PERL

is $tied{$_}, 'called', "a member $_ that is tied gives a hook" for qw(before_fork after_fork on_child_reap);

my %filling = facts('a pool that fills', <<'PERL');
use Parallel::Prefork;
my ($reaped, @before) = (0);
my $pm = Parallel::Prefork->new(
    max_workers          => 3,
    err_respawn_interval => 0,
    trap_signals         => {},
    before_fork          => sub { push @before, $reaped },
    after_fork           => sub {
        my ($self, $pid) = @_;
        kill KILL => $pid;
        my $state = '';
        while ($state ne 'Z') {
            open my $stat, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!";
            ($state) = <$stat> =~ /.*\) (\w)/;
        }
    },
    on_child_reap        => sub { $_[0]->signal_received('enough') if ++$reaped == 3 },
);
$pm->start(sub { sleep 30 });
print "reaped before each fork = @before\n";
PERL

is $filling{'reaped before each fork'}, '0 1 2',
    'a worker that ends while the pool fills is reaped before the next fork';

my %sub = facts('the sub of a worker', <<'PERL');
use Parallel::Prefork;
{
    package Loud;

    sub new {
        my ($class, $name) = @_;
        return bless { name => $name }, $class;
    }

    sub DESTROY {
        my $self = shift;
        print "$main::kind destroyed $self->{name} = yes\n" if $$ != $main::manager;
        return;
    }
}
{
    package Finishes;
    our @ISA = ('Parallel::Prefork');

    sub finish {
        my $self = shift;
        print "$main::kind finish = ", scalar(@_), "\n";
        return $self->SUPER::finish(9);
    }
}
our ($manager, $kind, $global) = ($$, '', Loud->new('global'));
my $captured = Loud->new('captured');
END { print "$kind END = $?\n" if $$ != $manager }
my %worker = (
    value => sub {
        print "value got = ", scalar(@_), ' ', (defined wantarray ? 'a value wanted' : 'void'), "\n";
        my $own = Loud->new('own');
        return 5;
    },
    exit3 => sub {
        my $own = $captured;
        exit 3;
    },
);
for my $class (qw(Parallel::Prefork Finishes)) {
    for my $name (sort keys %worker) {
        $kind = "$class $name";
        $kind =~ s/^Parallel::Prefork //;
        my $status;
        my $pm = $class->new(
            max_workers   => 1,
            trap_signals  => {},
            on_child_reap => sub {
                $status = $_[2];
                $_[0]->signal_received('reaped');
            },
        );
        $pm->start($worker{$name});
        print "$kind status = $status\n";
    }
}
PERL

is $sub{'value got'},    '0 void', 'the sub of a worker gets no arguments, and no value is wanted of it';
is $sub{'value status'}, 0,        'what the sub returns is ignored: the worker ends with status 0';
is $sub{'Finishes value finish'}, 0, 'when the sub returns, the method finish is called without arguments';
is $sub{'Finishes value status'}, 9 << 8, 'a subclass can decide about the exit code in finish';
is $sub{'exit3 status'}, 3 << 8, 'exit in the sub ends the worker with its code';
ok !exists $sub{'Finishes exit3 finish'}, 'finish is not called after exit in the sub';
for my $kind ('value', 'exit3', 'Finishes value') {
    ok exists $sub{"$kind END"}, "END blocks run ($kind)";
    ok exists $sub{"$kind destroyed global"},   "destructors of globals run ($kind)";
    ok exists $sub{"$kind destroyed captured"}, "destructors of what a closure holds run ($kind)";
}
is $sub{'value END'}, 0, 'END blocks see the exit code 0';
is $sub{'exit3 END'}, 3, 'END blocks see the exit code of exit';
ok exists $sub{'value destroyed own'}, 'destructors of the variables of the sub run';

my %die = facts('a sub that dies', <<'PERL', err => \my $err);
use Parallel::Prefork;
{
    package Problem;
    use overload '""' => sub { return "an object\n" };
}
my ($manager, $kind) = $$;
my @kinds = (
    [plain   => sub { die 'plain death' }],
    [newline => sub { die "death with a newline\n" }],
    [object  => sub { die bless {}, 'Problem' }],
    [   errno => sub {
            $! = 7;
            die "with errno\n";
        }
    ],
    [   status => sub {
            $? = 3 << 8;
            die "with a child's status\n";
        }
    ],
    [   hooked => sub {
            $SIG{__DIE__} = sub {
                chomp(my $text = $_[0]);
                print "hook = $text, ", ($^S ? 'in eval' : 'uncaught'), "\n";
            };
            die "hooked death\n";
        }
    ],
);
END { print "$kind->[0] END = $?\n" if $$ != $manager }
my $pm = Parallel::Prefork->new(
    max_workers          => 1,
    trap_signals         => {},
    err_respawn_interval => 0,
    before_fork          => sub { $kind = shift @kinds },
    on_child_reap        => sub {
        print "$kind->[0] status = $_[2]\n";
        $_[0]->signal_received('enough') if !@kinds;
    },
);
$pm->start(sub {
    ($!, $?) = (0, 0);
    $kind->[1]->();
    print "$kind->[0] went on = yes\n";
});
PERL

my %message = (
    plain   => qr/^plain death at program\.pl line \d+\.$/m,
    newline => qr/^death with a newline$/m,
    object  => qr/^an object$/m,
    errno   => qr/^with errno$/m,
    status  => qr/^with a child's status$/m,
    hooked  => qr/^hooked death$/m,
);
my %code = (plain => 255, newline => 255, object => 255, errno => 7, status => 3, hooked => 255);
for my $kind (sort keys %code) {
    is $die{"$kind status"}, $code{$kind} << 8, "a die in the sub ends the worker with perl's exit code ($kind)";
    is scalar(() = $err =~ /$message{$kind}/g), 1, "the message of a die in the sub is once on STDERR ($kind)";
    is $die{"$kind END"}, $code{$kind}, "END blocks run after a die in the sub, and see the code ($kind)";
    ok !exists $die{"$kind went on"}, "the sub does not go on after its die ($kind)";
}
is $die{hook}, 'hooked death, uncaught', 'a $SIG{__DIE__} hook is called as for any die that nobody catches';

done_testing;
