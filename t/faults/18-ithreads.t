# ithreads: an object that is cloned into a thread, used there, joined and destroyed, is freed
# once; the manager goes on. The end of an object in a worker touches nobody.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use FaultTest;
use ProcessTest;

plan skip_all => 'this perl has no ithreads' if !$Config{useithreads};

my $clones  = scale(full => 2_000, quick => 40);
my $workers = scale(full => 2_000, quick => 60);

# glibc looks for memory that is freed twice, or used after that.
my %strict = (MALLOC_CHECK_ => 3, MALLOC_PERTURB_ => 165);

sub last_of { return substr $_[0], length $_[0] > 1000 ? -1000 : 0 }

my $p = start_program(<<'PERL', args => [$clones], env => \%strict, deadline => scale(full => 300, quick => 90));
use strict;
use warnings;
use threads;
use Parallel::Prefork::SpareWorkers;

my ($clones) = @ARGV;
my ($deaths, @wrong) = (0);
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 2,
    min_spare_workers => 2,
    trap_signals      => { TERM => 'TERM', USR1 => undef },
    on_child_reap     => sub { $deaths++ },
});
sub start {
    return if $pm->start;
    select undef, undef, undef, 0.05 while 1;
}

# Two workers, from now on to the end.
$pm->{after_fork} = sub { kill USR1 => $$ if keys %{ $_[0]{worker_pids} } };
start();
$pm->{after_fork} = undef;
my @pids = sort keys %{ $pm->{worker_pids} };

# Handlers in %SIG keep $pm for good, in each thread too; this one goes where it is let go of.
sub quiet {
    return Parallel::Prefork::SpareWorkers->new({ max_workers => 1, min_spare_workers => 1, trap_signals => {} });
}
my $quiet = quiet();

for my $n (1 .. $clones) {
    $quiet = quiet() if $n % 5 == 0;
    push @wrong, 'the quiet one is spoilt' if $quiet->num_workers != 0 || $quiet->scoreboard->get_statuses != 1;
    my @threads = map {
        my $kind = ($n + $_) % 4;
        threads->create(sub {
            # The clone has no worker; whatever is asked of it, it touches none of the manager's.
            my $said = '';
            if ($kind == 0) {
                undef $pm;
                undef $quiet;
            }
            if ($kind == 1) {
                $said = eval { $pm->num_workers + $quiet->num_workers };
                undef $quiet;
            }
            if ($kind == 2) {
                eval { $pm->scoreboard->get_statuses };
                eval { $pm->signal_all_children('KILL') };
            }
            if ($kind == 3) {
                $pm = undef;
                my $other = Parallel::Prefork->new({ trap_signals => {} });
                $other->num_workers;
            }
            return 1;
        });
    } 1 .. 1 + $n % 3;
    $_->join or push @wrong, "a thread of round $n has died" for @threads;
}
my @left = grep { kill 0 => $_ } @pids;
push @wrong, 'workers were ' . @pids . ', ' . @left . ' are left' if @pids != 2 || @left != 2 || $deaths;
push @wrong, 'statuses ' . join('', $pm->scoreboard->get_statuses) if join('', $pm->scoreboard->get_statuses) ne '__';
kill USR1 => $$;
start();
push @wrong, 'signal ' . $pm->signal_received if $pm->signal_received ne 'USR1';
$pm->signal_all_children('TERM');
my $n = $pm->wait_all_children(10);
push @wrong, "$n workers do not end" if $n;
push @wrong, "$deaths were reported" if $deaths != 2;
print 'wrong: ', join('; ', @wrong) || 'nothing', "\n";
PERL
my $status = $p->wait;
is $status, 0, "$clones rounds of 1 to 3 threads: no crash" or diag last_of($p->err);
like $p->out, qr/^wrong: nothing$/m,
    "$clones rounds of threads: the manager, its workers, signals and scoreboard are as they were"
    or diag last_of($p->out . $p->err);
unlike $p->err, qr/corruption|double free|invalid pointer|Attempt to free|panic/, 'nothing was freed twice';
figure("ithreads: objects cloned, used, joined, destroyed, $clones rounds", $p->timed_out ? 'hung'
    : $status ? "status $status" : $p->out =~ /^(wrong: .*)/m);

# Workers that let go of the manager, in every way there is.
$p = start_program(<<'PERL', args => [$workers], env => \%strict, deadline => scale(full => 300, quick => 90));
use strict;
use warnings;
use threads;
use Parallel::Prefork::SpareWorkers qw(:status);

my ($wanted) = @ARGV;
my ($done, @wrong, %status) = (0);
my $old;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 4,
    min_spare_workers    => 4,
    err_respawn_interval => 0,
    trap_signals         => { TERM => undef },
    on_child_reap        => sub {
        my ($pm, $pid, $status) = @_;
        return if $pid == $old;
        $status{$status}++;
        $pm->signal_received('enough') if ++$done >= $wanted;
    },
});
# One that must outlive the others.
defined($old = fork) or die "fork: $!";
if (!$old) {
    $SIG{TERM} = $SIG{CHLD} = 'DEFAULT';
    select undef, undef, undef, 0.05 while 1;
}
$pm->{worker_pids}{$old} = 0;

if (!$pm->start) {
    my $way = $$ % 5;
    my $board = $pm->scoreboard;
    if ($way == 0) { %$pm = () }
    if ($way == 1) { undef $pm }
    if ($way == 2) {
        $pm->scoreboard(undef);
        undef $board;
        %SIG = ();
        undef $pm;
    }
    if ($way == 3) {
        threads->create(sub {
            undef $pm;
            1;
        })->join or exit 2;
        undef $pm;
    }
    if ($way == 4) {
        $pm->signal_all_children('KILL');
        $pm->wait_all_children;
        $pm->DESTROY if $pm->can('DESTROY');
    }
    exit 0;
}
push @wrong, 'the oldest was hit' if !kill(0 => $old) || !exists $pm->{worker_pids}{$old};
kill TERM => $$;
$pm->start;
push @wrong, 'signal ' . $pm->signal_received if $pm->signal_received ne 'TERM';
kill KILL => $old;
my $n = $pm->wait_all_children(10);
push @wrong, "$n workers do not end" if $n;
push @wrong, 'statuses ' . join ' ', %status if join(' ', keys %status) ne '0';
print 'wrong: ', join('; ', @wrong) || 'nothing', "\n";
PERL
$status = $p->wait;
is $status, 0, "$workers workers let go of the manager: no crash" or diag last_of($p->err);
like $p->out, qr/^wrong: nothing$/m, 'each exits with 0, and touches nobody' or diag last_of($p->out . $p->err);
unlike $p->err, qr/corruption|double free|invalid pointer|Attempt to free|panic/, 'nothing is freed twice there';
figure("DESTROY in a worker, $workers workers", $p->timed_out ? 'hung' : $status ? "status $status"
    : $p->out =~ /^(wrong: .*)/m);

done_testing;
