package HostedPool;

# A manager that runs an event loop beside its pool, as the POD tells to: the subclasses that the POD shows are
# taken from there, and run in a program with the loop under test.

use strict;
use warnings;

use Exporter qw(import);
use ProcessTest;
use Test::More;
use TextFiles;

our @EXPORT = qw(hosts_a_pool worker_says shown_in_pod);

my $pod = slurp('perl/lib/Parallel/Prefork.pm');

# The subclass of the POD in which the manager reaps (manager), or the loop (loop).
my %recipe;
while ($pod =~ /^(    package My::Prefork;\n(?:    .*\n|\n)*)/mg) {
    my $code = $1;
    $recipe{ $code =~ /\@ended_in_loop/ ? 'loop' : 'manager' } = $code if $code =~ /sub _wait/;
}

# What the tests' programs have in common. The loop's own timer counts on and tells when the pool is full; a signal to
# the program, or what that timer does, is all that happens to it.
my $program = <<'PERL';
use strict;
use warnings;
use POSIX ();

our (%statuses, $full, $generation, $pm, $loop, @keep, $is_loaded);
our $one_turn = sub { return };
our $turned_early = 0;
my ($when, $max_workers) = @ARGV;

sub My::Prefork::one_turn_of_the_loop {
    $turned_early = 1 if !%statuses && keys %{ $pm->{worker_pids} } < $max_workers;
    return $one_turn->(@_);
}

sub every_now_and_then {
    my %generation_of = %{ $pm->{worker_pids} };
    return if keys %generation_of < $max_workers || !defined $generation;
    return if grep { $_ != $generation } values %generation_of;
    print "generation $generation is full: @{[ sort { $a <=> $b } keys %generation_of ]}\n" if !$full++;
    return;
}

sub load {
    return if $is_loaded++;
    LOAD;
    $one_turn = sub {
        my $seconds = shift;
        TURN
    };
    return;
}

load() if $when eq 'before';
require Parallel::Prefork;
{
RECIPE
}
$pm = My::Prefork->new({
    max_workers          => $max_workers,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM', HUP => 'TERM' },
    on_child_reap        => sub {
        my (undef, $pid, $status) = @_;
        $statuses{$status}++;
        print "ended: $pid $status\n" if $status == 9;
        $full = 0;
    },
});
load() if $when eq 'after';
if ($when ne 'late') {
    AFTERWARDS
}
# Two turns without the loop, then it is there.
my $hooks = 0;
$pm->before_fork(sub { load() if ++$hooks == 2 }) if $when eq 'late';
my $manage = sub {
    while (($pm->signal_received || '') ne 'TERM') {
        $generation++;
        $full = 0;
        $pm->start(sub { POSIX::pause() while 1 });
    }
    $pm->wait_all_children;
};
if ($when eq 'callback') {
    load();
    IN_CALLBACK;
}
else {
    $manage->();
}
print 'statuses: ', join(' ', map { "$_=$statuses{$_}" } sort keys %statuses), "\n";
print 'turned while the pool was filled: ', $turned_early, "\n";
print 'children: ', (waitpid(-1, POSIX::WNOHANG()) == -1 ? 'none' : 'some'), "\n";
exit 0;
PERL

# hosts_a_pool(TITLE, %case)
#
# Tests a program with a manager and a loop. The case is code, and more:
#
#   load         loads the loop and makes a timer of it, which calls every_now_and_then
#   turn         one turn of the loop, of $seconds at most
#   afterwards   what is to be done after new
#   other        the code of load makes another child as well, and the loop says this of its end
#   recipe       who reaps: manager, or loop
#   when         the loop is loaded before the module, after new, late (in a hook), or in a callback of the loop
#   in_callback  runs $manage->() in a callback of the loop, where `when` is that
#   workers      how many there are, if not 3
#   env          for the environment of the program
sub hosts_a_pool {
    my ($title, %case) = @_;
    my $recipe = $recipe{ $case{recipe} || 'manager' };
    ok $recipe, "$title: the POD shows how" or return;
    my $workers = $case{workers} || 3;
    my $source  = filled($program,
        RECIPE      => $recipe,
        LOAD        => $case{load},
        TURN        => $case{turn},
        AFTERWARDS  => $case{afterwards} || '',
        IN_CALLBACK => $case{in_callback} || '',
    );
    my $p = start_program($source, args => [$case{when}, $workers], deadline => 60, env => $case{env} || {});

    my @first = _full($p, 1, $title) or return;
    is scalar(@first), $workers, "$title: the pool is filled";
    is $p->spins, '', "$title: the manager does not spin";
    kill 'KILL', $first[0];
    is $p->line_like(qr/^ended/), "ended: $first[0] 9", "$title: a worker's status arrives";
    my @again = _full($p, 1, $title) or return;
    is scalar(grep { $_ == $first[0] } @again), 0, "$title: a worker that was killed is replaced";
    $p->signal('HUP');
    my @second = _full($p, 2, $title) or return;
    $p->signal('TERM');
    my $statuses = $p->line_like(qr/^statuses/) || '';
    # That of another child may be there, too.
    $statuses =~ s/^(statuses: )(?:0|1280)=1 /$1/ if defined $case{other};
    is $statuses, 'statuses: 15=' . 2 * $workers . ' 9=1', "$title: the statuses of all workers have arrived";
    like $p->out, qr/^the other: $case{other}$/m, "$title: the status of the other child has arrived"
        if defined $case{other};
    is $p->line, 'turned while the pool was filled: 1', "$title: the loop has turned while the pool was filled";
    is $p->line, 'children: none', "$title: no child is left";
    is $p->wait, 0, "$title: TERM ends the program";
    is_deeply [$p->members], [], "$title: no process of the program is left";
    is $p->err, '', "$title: nothing is said of errors";
    return;
}

sub _full {
    my ($p, $generation, $title) = @_;
    my $line = $p->line_like(qr/^generation $generation is full/);
    if (!defined $line) {
        fail "$title: generation $generation is full";
        diag $p->out, $p->err;
        return;
    }
    return $line =~ /: (.*)/ ? split(/ /, $1) : ();
}

# The code in the POD that has this text in it.
sub shown_in_pod {
    my $text = shift;
    my @found = grep { /\Q$text\E/ } $pod =~ /^((?: {4}.*\n)+)/mg;
    return @found == 1 ? $found[0] : die "the POD shows $text " . @found . " times\n";
}

# worker_says(TITLE, EXPECTED, PROGRAM, options of ProcessTest's run): tests what a program with one worker prints.
sub worker_says {
    my ($title, $expected, $source, %options) = @_;
    my $p = run($source, deadline => 40, %options);
    is $p->out, $expected, $title;
    is $p->err, '', "$title: nothing is said of errors";
    return;
}

1;
