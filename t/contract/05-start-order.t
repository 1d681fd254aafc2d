# Contract 5: start first notes its process as the manager, clears the signal and begins a
# generation; only then does it refuse to run in a child.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;
my @log;
{
    package Logged;
    our @ISA = ('Parallel::Prefork');

    for my $name (qw(manager_pid signal_received)) {
        my $inherited = Parallel::Prefork->can($name);
        no strict 'refs';
        *$name = sub {
            my $self = shift;
            push @log, sprintf '%s(%s) in generation %d', $name, $_[0] eq $$ ? 'own pid' : "'$_[0]'",
                $self->{generation} if @_;
            return $self->$inherited(@_);
        };
    }
}
my $pm = Logged->new(
    max_workers   => 1,
    trap_signals  => {},
    before_fork   => sub {
        my $self = shift;
        push @log, "fork in generation $self->{generation}";
        print_log('first');
    },
    on_child_reap => sub { $_[0]{signal_received} = 'reaped' },
);
sub print_log {
    print "$_[0] = ", join(', ', @log), "\n";
    @log = ();
    return;
}

if (!$pm->start) {
    $pm->{signal_received} = 'old';
    print "before = ", ($pm->{manager_pid} == getppid ? 'parent' : 'other'), " $pm->{generation}\n";
    eval { $pm->start(sub { print "ran = in a child of the child\n" }) };
    print "error = $@";
    print_log('refused');
    print "after = ", ($pm->{manager_pid} == $$ ? 'own pid' : 'other'), " $pm->{generation} '$pm->{signal_received}'\n";
    POSIX::_exit(0);
}
print "manager = ", ($pm->{manager_pid} == $$ ? 'own pid' : 'other'), " $pm->{generation}\n";

$pm->before_fork(sub {
    my $self = shift;
    push @log, "fork in generation $self->{generation}";
    print_log('second');
});
$pm->signal_received('left over');
@log = ();
$pm->start(sub { });
print "last = $pm->{generation}\n";
PERL
my %saw = $program->out =~ /^(.+?) = (.*)$/mg;

is $program->status, 0, 'the program ends as it should' or diag $program->err;
is $saw{first}, "manager_pid(own pid) in generation 0, signal_received('') in generation 0, fork in generation 1",
    'start sets manager_pid, then clears signal_received, then begins a generation, then forks';
is $saw{manager}, 'own pid 1', 'the manager has its own pid and the new generation';
is $saw{second}, "manager_pid(own pid) in generation 1, signal_received('') in generation 1, fork in generation 2",
    'the next start does the same, clears a signal that the program had stored, and runs';
is $saw{last}, 2, 'every start begins one generation';

is $saw{before}, 'parent 1', 'a worker begins with the pid of its parent and its generation';
like $saw{error}, qr/^cannot start another process while you are in child process\b/, 'start in a child dies';
ok !exists $saw{ran}, 'start in a child forks nothing';
is $saw{refused}, "manager_pid(own pid) in generation 1, signal_received('') in generation 1",
    'start in a child has set manager_pid, then signal_received, before it dies';
is $saw{after}, "own pid 2 ''", 'start in a child has begun a generation before it dies';

done_testing;
