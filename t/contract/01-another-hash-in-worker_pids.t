# Contract 1: what a program stores in {worker_pids} takes effect. That may be another hash, for a while (local) or for
# good: the workers are those of the hash that is there, and when the one before is back they are its own again.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $prelude = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

our @all;
END { kill KILL => @all if @all }

sub pool {
    my ($max, %more) = @_;
    my $made = 0;
    my $pm = Parallel::Prefork->new(
        max_workers  => $max,
        trap_signals => {},
        after_fork   => sub {
            push @all, $_[1];
            $_[0]->signal_received('all') if ++$made == $max;
        },
        %more,
    );
    if (!$pm->start) {
        @all = ();
        sleep 60;
        exit 0;
    }
    $pm->after_fork(undef);
    return $pm;
}

# How many workers count, and how many are shown.
sub seen {
    my $pm = shift;
    return $pm->num_workers . '/' . keys %{ $pm->{worker_pids} };
}

sub pids { return join ' ', sort keys %{ $_[0]{worker_pids} } }
PERL

# What is done to {worker_pids}, what is seen in the middle of it, and how many workers there are afterwards.
my @ways = (
    [2, '0/0', 'a local empty hash', <<'PERL'],
local $pm->{worker_pids} = {};
$in = seen($pm);
PERL
    [2, '0/0', 'a local empty hash, and all are signalled', <<'PERL'],
local $pm->{worker_pids} = {};
$pm->signal_all_children("KILL");
$in = seen($pm);
PERL
    [2, '0/0', 'a local empty hash, and all are waited for', <<'PERL'],
local $pm->{worker_pids} = {};
$pm->wait_all_children;
$in = seen($pm);
PERL
    [2, '2/2', 'a local copy', <<'PERL'],
local $pm->{worker_pids} = { %{ $pm->{worker_pids} } };
$in = seen($pm);
PERL
    [2, '0/0', 'a member that is deleted locally, and an empty hash', <<'PERL'],
delete local $pm->{worker_pids};
$pm->{worker_pids} = {};
$in = seen($pm);
PERL
    [2, '1/1', 'a worker that is deleted locally', <<'PERL'],
delete local $pm->{worker_pids}{$one};
$in = seen($pm);
PERL
    [2, '1/1', 'a local hash of one worker', <<'PERL'],
local $pm->{worker_pids} = { $one => 7 };
$in = seen($pm);
PERL
    [2, '2/2', 'the first hash, local in a local empty one', <<'PERL'],
local $pm->{worker_pids} = {};
seen($pm);
{
    local $pm->{worker_pids} = $before;
    $in = seen($pm);
}
PERL
    [2, '0/0', 'a worker that leaves the first hash, and comes back, during a local empty one', <<'PERL'],
local $pm->{worker_pids} = {};
$pm->num_workers;
delete $before->{$one};
$before->{$one} = 1;
$in = seen($pm);
PERL
    [1, '0/0', 'a worker that leaves the first hash during a local empty one', <<'PERL'],
local $pm->{worker_pids} = {};
$pm->num_workers;
delete $before->{$one};
$in = seen($pm);
PERL
    [2, '0/0', 'a local empty hash that a die ends', <<'PERL'],
eval {
    local $pm->{worker_pids} = {};
    $in = seen($pm);
    die;
};
PERL
    [2, '0/0', 'an empty hash, and the first one again', <<'PERL'],
$pm->{worker_pids} = {};
$in = seen($pm);
$pm->{worker_pids} = $before;
PERL
    [2, '0/0', 'a member that is deleted, an empty hash, and the first one again', <<'PERL'],
my $gone = delete $pm->{worker_pids};
$pm->{worker_pids} = {};
$in = seen($pm);
$pm->{worker_pids} = $gone;
PERL
    [2, '', 'a member that is deleted, and the first hash again', <<'PERL'],
my $gone = delete $pm->{worker_pids};
$pm->{worker_pids} = $gone;
PERL
    [2, '', 'a copy', <<'PERL'],
$pm->{worker_pids} = {%$before};
PERL
    [2, '', 'the hash stored into itself', <<'PERL'],
%{ $pm->{worker_pids} } = %{ $pm->{worker_pids} };
PERL
    [1, '', 'a hash of one worker', <<'PERL'],
$pm->{worker_pids} = { $one => 1 };
PERL
    [0, '', 'an empty hash', <<'PERL'],
$pm->{worker_pids} = {};
PERL
    [0, '', 'a member that is deleted', <<'PERL'],
delete $pm->{worker_pids};
PERL
    [0, '', 'a hash that is undefined', <<'PERL'],
undef %{ $pm->{worker_pids} };
PERL
);

my $one_way = <<'PERL';
{
    my (@ended, $in);
    my $pm = pool(2, on_child_reap => sub { push @ended, $_[1] });
    my $before = $pm->{worker_pids};
    my ($one) = sort keys %$before;
    {
        WAY
    }
    print $in // '', ' ', seen($pm), ' ';
    kill TERM => @all;
    print $pm->wait_all_children, ' ', scalar(@ended), "\n";
    waitpid $_, 0 for splice @all;
}
PERL
my $program = run($prelude . join('', map { filled($one_way, WAY => $_->[3]) } @ways), deadline => 60);
for my $way (@ways) {
    my ($left, $in, $what) = @$way;
    my ($seen_in, $seen_after, $waited, $reaped) = split / /, $program->line // '', -1;
    is $seen_in, $in, "$what in {worker_pids}: the workers are those of the hash that is there" or diag $program->err;
    is $seen_after, "$left/$left", "$what in {worker_pids}: $left workers count afterwards";
    is $waited, 0, "$what in {worker_pids}: wait_all_children waits for those";
    is $reaped, $left, "$what in {worker_pids}: on_child_reap hears of $left";
}

$program = run($prelude . <<'PERL', deadline => 30);
my %ended;
my $two   = pool(2, on_child_reap => sub { $ended{2}++ });
my $three = pool(3, on_child_reap => sub { $ended{3}++ });
my @pids  = (pids($two), pids($three));

sub swap {
    ($two->{worker_pids}, $three->{worker_pids}) = ($three->{worker_pids}, $two->{worker_pids});
    return;
}

swap();
print seen($two), ' ', seen($three), ' ';
print pids($two) eq $pids[1] && pids($three) eq $pids[0] ? "swapped\n" : "not swapped\n";
swap();
print seen($two), ' ', seen($three), ' ';
print pids($two) eq $pids[0] && pids($three) eq $pids[1] ? "as before\n" : "not as before\n";
swap();
seen($_) for $two, $three;
$two->signal_all_children('TERM');
print 'left ', $two->wait_all_children, ' and ', $three->num_workers, "\n";
$three->signal_all_children('TERM');
print 'left ', $three->wait_all_children, "\n";
print "heard of $ended{2} and $ended{3}\n";
PERL
is $program->line, '3/3 2/2 swapped', 'two managers that swap their hashes have swapped their workers'
    or diag $program->err;
is $program->line, '2/2 3/3 as before', 'two managers that swap their hashes back have their own workers';
is $program->line, 'left 0 and 2', 'a manager signals, and waits for, the workers that it has got';
is $program->line, 'left 0', 'the other manager signals, and waits for, the workers that it has got';
is $program->line, 'heard of 3 and 2', 'a manager hears of the workers that it has got';

my $during_a_hook = $prelude . <<'PERL';
my ($hook) = @ARGV;
my $made = 0;
my $pm = Parallel::Prefork->new(
    max_workers  => 3,
    trap_signals => {},
    after_fork   => sub {
        my ($self, $pid) = @_;
        push @all, $pid;
        kill TERM => $pid if $made == 0;
        $self->signal_received('all') if ++$made == 4;
    },
);
my $code = $pm->$hook || sub { };
$pm->$hook(sub {
    $code->(@_);
    local $_[0]{worker_pids} = {};
    print seen($_[0]), "\n" if $made == 2;
    $_[0]->num_workers;
});
if (!$pm->start) {
    @all = ();
    sleep 60;
    exit 0;
}
print seen($pm), "\n";
$pm->$hook(undef);
$pm->signal_all_children('TERM');
print $pm->wait_all_children, "\n";
PERL
for my $hook ('before_fork', 'after_fork', 'on_child_reap') {
    $program = run($during_a_hook, args => [$hook], deadline => 30);
    like $program->out, qr{\A(?:0/0\n)*3/3\n0\n\z},
        "a local hash in $hook has no workers, and the first hash has them all afterwards" or diag $program->err;
}

done_testing;
