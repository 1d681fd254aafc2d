# Contract 1: what a program stores in {worker_pids} takes effect. That may be another hash, for a while (local) or for good: the
# workers are those of the hash that is there, and when the one before is back they are its own again.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $COMMON = <<'PERL';
use strict; use warnings; use Parallel::Prefork;
our @all;
END { kill KILL => @all if @all }
sub pool {
    my ($max, %more) = @_;
    my $made = 0;
    my $pm = Parallel::Prefork->new(max_workers => $max, trap_signals => {}, %more,
        after_fork => sub { push @all, $_[1]; $_[0]->signal_received('all') if ++$made == $max });
    if (!$pm->start) { @all = (); sleep 60; exit 0 }
    $pm->after_fork(undef);
    return $pm;
}
sub seen { my $pm = shift; return $pm->num_workers . '/' . keys %{ $pm->{worker_pids} } }
sub pids { return join ' ', sort keys %{ $_[0]{worker_pids} } }
PERL

# What is done to {worker_pids}, what is seen in the middle of it, and how many workers there are afterwards.
my @ways = (
    [2, '0/0', '{ local $pm->{worker_pids} = {}; $in = seen($pm) }'],
    [2, '0/0', '{ local $pm->{worker_pids} = {}; $pm->signal_all_children("KILL"); $in = seen($pm) }'],
    [2, '0/0', '{ local $pm->{worker_pids} = {}; $pm->wait_all_children; $in = seen($pm) }'],
    [2, '2/2', '{ local $pm->{worker_pids} = { %{ $pm->{worker_pids} } }; $in = seen($pm) }'],
    [2, '0/0', '{ delete local $pm->{worker_pids}; $pm->{worker_pids} = {}; $in = seen($pm) }'],
    [2, '1/1', '{ delete local $pm->{worker_pids}{$one}; $in = seen($pm) }'],
    [2, '1/1', '{ local $pm->{worker_pids} = { $one => 7 }; $in = seen($pm) }'],
    [2, '2/2', '{ local $pm->{worker_pids} = {}; seen($pm); { local $pm->{worker_pids} = $before; $in = seen($pm) } }'],
    [2, '0/0', '{ local $pm->{worker_pids} = {}; $pm->num_workers; delete $before->{$one}; $before->{$one} = 1; $in = seen($pm) }'],
    [1, '0/0', '{ local $pm->{worker_pids} = {}; $pm->num_workers; delete $before->{$one}; $in = seen($pm) }'],
    [2, '0/0', 'eval { local $pm->{worker_pids} = {}; $in = seen($pm); die }'],
    [2, '0/0', '$pm->{worker_pids} = {}; $in = seen($pm); $pm->{worker_pids} = $before'],
    [2, '0/0', 'my $gone = delete $pm->{worker_pids}; $pm->{worker_pids} = {}; $in = seen($pm); $pm->{worker_pids} = $gone'],
    [2, '',    'my $gone = delete $pm->{worker_pids}; $pm->{worker_pids} = $gone'],
    [2, '',    '$pm->{worker_pids} = { %$before }'],
    [2, '',    '%{ $pm->{worker_pids} } = %{ $pm->{worker_pids} }'],
    [1, '',    '$pm->{worker_pids} = { $one => 1 }'],
    [0, '',    '$pm->{worker_pids} = {}'],
    [0, '',    'delete $pm->{worker_pids}'],
    [0, '',    'undef %{ $pm->{worker_pids} }'],
);
my $program = run("$COMMON\n" . join('', map { <<"PERL" } @ways), deadline => 60);
{
    my (\@ended, \$in);
    my \$pm = pool(2, on_child_reap => sub { push \@ended, \$_[1] });
    my \$before = \$pm->{worker_pids};
    my (\$one) = sort keys %\$before;
    { $_->[2] }
    print \$in // '', ' ', seen(\$pm), ' ';
    kill TERM => \@all;
    print \$pm->wait_all_children, ' ', scalar(\@ended), "\\n";
    waitpid \$_, 0 for splice \@all;
}
PERL
my @out = split /\n/, $program->out;
for my $way (@ways) {
    my ($left, $in, $code) = @$way;
    is shift(@out), "$in $left/$left 0 $left", $code or diag $program->err;
}

$program = run("$COMMON\n" . <<'PERL', deadline => 30);
my %ended;
my ($x, $y) = map { my $name = $_; pool($_, on_child_reap => sub { $ended{$name}++ }) } 2, 3;
my @pids = (pids($x), pids($y));
sub swap { ($x->{worker_pids}, $y->{worker_pids}) = ($y->{worker_pids}, $x->{worker_pids}) }
swap();
print seen($x), ' ', seen($y), ' ', (pids($x) eq $pids[1] && pids($y) eq $pids[0] ? 'swapped' : 'not swapped'), "\n";
swap();
print seen($x), ' ', seen($y), ' ', (pids($x) eq $pids[0] && pids($y) eq $pids[1] ? 'as before' : 'not as before'), "\n";
swap();
seen($_) for $x, $y;
$x->signal_all_children('TERM');
print $x->wait_all_children, ' ', $y->num_workers, ' ';
$y->signal_all_children('TERM');
print $y->wait_all_children, " $ended{2} $ended{3}\n";
PERL
is $program->out, "3/3 2/2 swapped\n2/2 3/3 as before\n0 2 0 3 2\n", 'two managers swap their hashes, and back' or diag $program->err;

for my $hook ('before_fork', 'after_fork', 'on_child_reap') {
    $program = run("$COMMON\n" . <<"PERL", deadline => 30);
my \$made = 0;
my \$pm = Parallel::Prefork->new(max_workers => 3, trap_signals => {},
    after_fork => sub { push \@all, \$_[1]; kill TERM => \$_[1] if \$made == 0; \$_[0]->signal_received('all') if ++\$made == 4 });
my \$code = \$pm->$hook || sub { };
\$pm->$hook(sub { \$code->(\@_); local \$_[0]{worker_pids} = {}; print seen(\$_[0]), "\\n" if \$made == 2; \$_[0]->num_workers });
if (!\$pm->start) { \@all = (); sleep 60; exit 0 }
print seen(\$pm), "\\n";
\$pm->$hook(undef);
\$pm->signal_all_children('TERM');
print \$pm->wait_all_children, "\\n";
PERL
    like $program->out, qr{\A(?:0/0\n)*3/3\n0\n\z}, "a hash of the time of a hook: $hook" or diag $program->err;
}

done_testing;
