package HostedPool;

# A manager that runs an event loop beside its pool, as the POD tells to: the subclasses that the POD shows are
# taken from there, and run in a program with the loop under test.

use strict;
use warnings;

use Exporter qw(import);
use ProcessTest;
use Test::More;

our @EXPORT = qw(hosts_a_pool worker_says shown_in_pod);

my $pod = do {
    open my $fh, '<', 'perl/lib/Parallel/Prefork.pm' or die "perl/lib/Parallel/Prefork.pm: $!";
    local $/;
    <$fh>;
};

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
my ($when, $max_workers) = @ARGV;
our $turned_early = 0;
sub My::Prefork::one_turn_of_the_loop {
    $turned_early = 1 if !%statuses && keys %{ $pm->{worker_pids} } < $max_workers;
    return $one_turn->(@_);
}
sub every_now_and_then {
    my $workers = keys %{ $pm->{worker_pids} };
    return if $workers < $max_workers || !defined $generation || grep { $_ != $generation } values %{ $pm->{worker_pids} };
    print "generation $generation is full: @{[ sort { $a <=> $b } keys %{ $pm->{worker_pids} } ]}\n" if !$full++;
    return;
}
sub load {
    return if $is_loaded++;
    LOAD;
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
if ($when ne 'late') { AFTERWARDS }
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
# Runs a program with the loop that the code `load` loads and makes a timer of (which calls every_now_and_then), and of which the
# code `turn` is one turn; `afterwards` is code for after new. With `other`, the code makes another child as well, of whose end the loop says that. `recipe` is manager or loop; `when` before, after, late or callback (in which case
# `in_callback` is code that runs $manage->() in a callback of the loop); `workers` how many there are.
sub hosts_a_pool {
    my ($title, %case) = @_;
    my $recipe = $recipe{ $case{recipe} || 'manager' };
    ok $recipe, "$title: the POD shows how" or return;
    my $when    = $case{when};
    my $workers = $case{workers} || 3;
    (my $source = $program) =~ s/\bRECIPE\n/$recipe/;
    my $turn = "\$one_turn = sub { my \$seconds = shift; $case{turn} }";
    $source =~ s/\bLOAD;/$case{load}; $turn;/;
    $source =~ s/\bAFTERWARDS\b/$case{afterwards} || ''/e;
    $source =~ s/\bIN_CALLBACK;/($case{in_callback} || '') . ';'/e;
    my $p = start_program($source, args => [$when, $workers], deadline => 60, env => $case{env} || {});

    my @first = _full($p, 1, $title) or return;
    is scalar(@first), $workers, "$title: the pool is filled";
    ok !$p->spins, "$title: it does not spin";
    kill 'KILL', $first[0];
    is $p->line_like(qr/^ended/), "ended: $first[0] 9", "$title: a worker's status arrives";
    my @again = _full($p, 1, $title) or return;
    is scalar(grep { $_ == $first[0] } @again), 0, "$title: and another is in its place";
    $p->signal('HUP');
    my @second = _full($p, 2, $title) or return;
    $p->signal('TERM');
    my $statuses = $p->line_like(qr/^statuses/) || '';
    # That of another child may be there, too.
    $statuses =~ s/^(statuses: )(?:0|1280)=1 /$1/ if defined $case{other};
    is $statuses, 'statuses: 15=' . 2 * $workers . ' 9=1', "$title: all statuses have arrived";
    like $p->out, qr/^the other: $case{other}$/m, "$title: the other child as well" if defined $case{other};
    is $p->line, 'turned while the pool was filled: 1', "$title: the loop has turned while the pool was filled";
    is $p->line, 'children: none', "$title: no child is left";
    is $p->wait, 0, "$title: TERM ends it";
    is_deeply [$p->members], [], "$title: and all of it";
    is $p->err, '', "$title: nothing is said";
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

# worker_says(TITLE, EXPECTED, PROGRAM): a program with one worker, which prints something, or is over after five seconds.
sub worker_says {
    my ($title, $expected, $source, %options) = @_;
    my $p = run($source, deadline => 40, %options);
    is $p->out, $expected, $title;
    is $p->err, '', '... and nothing else is said';
    return;
}

1;
