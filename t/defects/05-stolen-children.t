# Defect 5: where somebody else has reaped the workers, they are dropped as soon as the
# system says that there is no child: on_child_reap gets status -1, the pool is refilled,
# wait_all_children returns. The original spins for ever.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# Two workers wait at a gate. The thief opens it and comes back when both are gone and
# nobody can wait for them any more.
my $prelude = <<'PERL';
use Parallel::Prefork;
use Time::HiRes ();

my $how = shift @ARGV;
pipe my $gate, my $opener or die "pipe: $!";
my ($forks, @pids) = (0);

sub steal {
    syswrite $opener, 'xx';
    if ($how eq 'IGNORE') {
        for my $pid (@pids) { Time::HiRes::sleep(0.01) while kill 0 => $pid }
    } else {
        1 while waitpid(-1, 0) > 0;
    }
    print "stolen @pids\n";
}

sub work {
    if ($forks <= 2) {
        sysread $gate, my $byte, 1;
        exit;
    }
    print "up $forks\n";
    sleep 60 while 1;
}
PERL

my %thief = (
    IGNORE  => q($SIG{CHLD} = 'IGNORE'),
    waitpid => q(a waitpid(-1) in a callback),
);

sub is_dropped_with_minus_1 {
    my ($output, $name) = @_;
    my @pids = $output =~ /^stolen (\d+) (\d+)$/m or return fail "$name: workers are stolen";
    my @reaped = sort $output =~ /^reaped (\d+ -?\d+)$/mg;
    is_deeply \@reaped, [sort map { "$_ -1" } @pids],
        "$name: on_child_reap gets each pid with status -1";
    return;
}

# Stolen inside start.
my %server = map {
    $_ => start_program($prelude . <<'PERL', args => [$_], deadline => 12)
my $pm = Parallel::Prefork->new({
    max_workers          => 2,
    err_respawn_interval => 0,
    before_fork          => sub { $forks++ },
    after_fork           => sub {
        push @pids, $_[1];
        steal() if @pids == 2;
    },
    on_child_reap        => sub { print "reaped $_[1] $_[2]\n" if $forks <= 4 },
});
$SIG{CHLD} = 'IGNORE' if $how eq 'IGNORE';
$pm->start(\&work);
$forks = 5;
print 'left: ', $pm->wait_all_children, "\n";
PERL
} sort keys %thief;

for my $how (sort keys %server) {
    like $server{$how}->line, qr/^stolen/, "$thief{$how}: the workers are stolen";
    my $spins = $server{$how}->spins;
    # It is unknown where the program has ended.
    ok defined $spins && !$spins, "$thief{$how}: start does not spin";
}

# Stolen between start and wait_all_children. All at once, so that hangs cost one
# deadline together.
my @cases = ([IGNORE => ()], [waitpid => ()], [waitpid => 8]);
my @programs = map {
    start_program($prelude . <<'PERL', args => $_, deadline => 11)
my $pm = Parallel::Prefork->new({
    max_workers   => 2,
    trap_signals  => { TERM => '' },
    before_fork   => sub { $forks++ },
    after_fork    => sub {
        push @pids, $_[1];
        kill TERM => $$ if @pids == 2;
    },
    on_child_reap => sub { print "reaped $_[1] $_[2]\n" },
});
$SIG{CHLD} = 'IGNORE' if $how eq 'IGNORE';
$pm->start(\&work);
steal();
print 'left: ', $pm->wait_all_children(@ARGV), "\n";
PERL
} @cases;

for my $how (sort keys %server) {
    my $p = $server{$how};
    ok $p->line_like(qr/^up/), "$thief{$how}: a stolen worker is replaced";
    ok $p->line_like(qr/^up/), "$thief{$how}: the other one too";
    is_dropped_with_minus_1($p->out, $thief{$how});
    $p->signal('TERM');
}
for my $how (sort keys %server) {
    my $p = $server{$how};
    $p->wait;
    is $p->status, 0, "$thief{$how}: TERM ends the server";
    like $p->out, qr/^left: 0$/m, "$thief{$how}: and wait_all_children comes to its end";
}

for my $case (@cases) {
    my ($how, $timeout) = @$case;
    my $name = ($how eq 'IGNORE' ? $thief{IGNORE} : q(the program's own waitpid(-1)))
        . ($timeout ? ', with a time-out' : '');
    my $p = shift @programs;
    $p->wait;
    like $p->out, qr/^left: 0$/m, "$name: wait_all_children returns 0";
    is_dropped_with_minus_1($p->out, $name);
}

done_testing;
