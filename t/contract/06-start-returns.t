# Contract 6: what start returns in the manager and in a child, and the state in which a
# child finds itself.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %returned = facts('return values', <<'PERL');
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub { $_[0]->signal_received('reaped') });
for my $context (qw(list scalar)) {
    my @got  = $context eq 'list' ? $pm->start : scalar $pm->start;
    my $side = $pm->{in_child} ? 'child' : 'manager';
    print "$side $context = ", scalar(@got), ' ', join(',', map { defined ? $_ : 'undef' } @got), "\n";
    $pm->finish if $side eq 'child';
}
print "manager sub = ", scalar($pm->start(sub { })), "\n";
PERL

is $returned{'manager list'},   '1 1',     'start returns 1 in the manager';
is $returned{'manager scalar'}, '1 1',     'start returns 1 in the manager in scalar context';
is $returned{'manager sub'},    '1',       'start with a sub returns 1 in the manager';
is $returned{'child list'},     '0 ',      'in a child, start returns the empty list';
is $returned{'child scalar'},   '1 undef', 'in a child, start returns undef in scalar context';

my %child = facts('in a child', <<'PERL');
use Parallel::Prefork;
my $manager = $$;
my ($pm, $form, @statuses);
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM', HUP => undef },
    on_child_reap        => sub {
        push @statuses, $_[2];
        $_[0]->signal_received('reaped');
    },
);
my $heard = 0;
$SIG{USR1} = sub { $heard++ };
$SIG{USR2} = 'IGNORE';
sub look {
    print "$form in_child = $pm->{in_child}\n";
    print "$form signals = @SIG{qw(TERM HUP CHLD)}\n";
    kill 'USR1', $$;
    print "$form others = $heard $SIG{USR2}\n";
    print "$form manager = ",
        ($pm->manager_pid == $manager && getppid == $manager && $$ != $manager ? 'parent' : 'other'), "\n";
    kill 'TERM', $$;
    print "$form survived = TERM\n";
    $pm->finish;
}
$form = 'loop';
look() if !$pm->start;
$form = 'sub';
$pm->start(\&look);
print "statuses = @statuses\n";
print "kept = ", join(' ', map { ref $SIG{$_} } qw(TERM HUP CHLD USR1)), " $heard\n";
PERL

for my $form (qw(loop sub)) {
    my $of = $form eq 'sub' ? 'in the sub' : 'after a start without arguments';
    is $child{"$form in_child"}, 1, "$of: in_child is 1";
    is $child{"$form signals"}, 'DEFAULT DEFAULT DEFAULT', "$of: the trapped signals and CHLD are 'DEFAULT'";
    is $child{"$form others"},  '1 IGNORE', "$of: signals that are not trapped keep the handlers of the manager";
    is $child{"$form manager"}, 'parent', "$of: manager_pid is the pid of the parent";
    ok !exists $child{"$form survived"}, "$of: a trapped signal kills the child";
}
is $child{statuses}, '15 15', 'both children died of the trapped signal';
is $child{kept}, 'CODE CODE CODE CODE 0', 'the handlers of the manager are still there, and heard nothing';

my %signalled = facts('a signal at birth', <<'PERL');
# A trapped signal that reaches a child before its handlers are reset.
my ($pm, $strike, @log);
BEGIN {
    *CORE::GLOBAL::fork = sub {
        my $pid = CORE::fork();
        $SIG{TERM}->('TERM') if defined $pid && !$pid && $strike;
        return $pid;
    };
}
use Parallel::Prefork;
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { $strike = !@log },
    on_child_reap => sub {
        push @log, $_[2];
        $_[0]->signal_received('enough') if @log == 2;
    },
);
END { print "END = $strike\n" if $pm && $pm->{in_child} && $strike }
$pm->start(sub {
    print $strike ? "struck = runs\n" : "spared = runs\n";
    exit 0;
});
print "statuses = @log\n";
PERL

ok !exists $signalled{struck}, 'a child that has a signal at its birth does not run the sub';
is $signalled{spared},   'runs', 'a child that has no signal at its birth runs the sub';
is $signalled{END},      '1',    'a child that has a signal at its birth leaves by exit, so END blocks run';
is $signalled{statuses}, '0 0',  'a child that has a signal at its birth ends with status 0';

my %subclass = facts('a subclass that sets up in signal_received', <<'PERL');
use Parallel::Prefork;
{
    package SetsUp;
    our @ISA = ('Parallel::Prefork');

    our $done;
    sub signal_received {
        my $self = shift;
        print "set up = in_child $self->{in_child}, @SIG{qw(TERM CHLD)}, ", scalar(@_), " arguments\n"
            if $self->{in_child} && !$done++;
        return $self->SUPER::signal_received(@_);
    }
}
my $pm = SetsUp->new(max_workers => 1, on_child_reap => sub { $_[0]->signal_received('reaped') });
$pm->start(sub { print "worker = ", ($SetsUp::done ? 'set up before' : 'not set up'), "\n" });
PERL

is $subclass{'set up'}, 'in_child 1, DEFAULT DEFAULT, 0 arguments',
    'a child asks the method signal_received when in_child and %SIG are already those of a child';
is $subclass{worker}, 'set up before', 'a child asks the method signal_received before the sub runs';

done_testing;
