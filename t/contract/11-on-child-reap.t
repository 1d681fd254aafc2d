# Contract 11: on_child_reap hears of every worker that ends, with its pid and status; what
# it throws disturbs nobody.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %start = facts('in start', <<'PERL');
use Parallel::Prefork;
my @ways = (sub { exit 3 }, sub { kill 'KILL', $$ }, sub { exit 0 });
my ($pm, @pids, @reaped);
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    err_respawn_interval => 0,
    trap_signals         => {},
    before_fork          => sub {
        return if !@pids;
        my $n = @reaped;
        print "gone $n = ", (exists $pm->{worker_pids}{ $pids[-1] } ? 'no' : 'yes'), "\n";
    },
    after_fork           => sub { push @pids, $_[1] },
    on_child_reap        => sub {
        push @reaped, $_[1];
        my $n = @reaped;
        print "arguments $n = ", scalar(@_), ' ', ($_[0] == $pm ? 'self' : 'other'), ' ',
            ($_[1] == $pids[-1] ? 'pid' : 'other'), " $_[2]\n";
        print "context $n = ", (defined wantarray ? 'a value wanted' : 'void'), "\n";
        print "known $n = ", $pm->num_workers, ' ', $pm->{worker_pids}{ $_[1] } || 'no', "\n";
        $pm->signal_received('enough') if $n == @ways;
        die $n == 1 ? "text\n" : bless {}, 'Problem';
    },
);
print "returned = ", (eval { $pm->start(sub { $ways[@reaped]->() }) } || "threw $@"), "\n";
print "count = ", scalar(@reaped), ' ', $pm->num_workers, "\n";
PERL

my %status = (1 => 3 << 8, 2 => 9, 3 => 0);
for my $n (1 .. 3) {
    is $start{"arguments $n"}, "3 self pid $status{$n}",
        "on_child_reap gets the object, the pid and the raw status ($status{$n})";
    is $start{"context $n"}, 'void', "in start, on_child_reap is called in void context (worker $n)";
    is $start{"known $n"},   '1 1',  "in start, worker_pids has the pid while on_child_reap runs (worker $n)";
}
is $start{"gone $_"}, 'yes', "worker_pids has the pid no more when the next worker is forked (worker $_)" for 1, 2;
is $start{count},    '3 0', 'every worker is reported once, although on_child_reap dies every time';
is $start{returned}, 1,     'what on_child_reap throws, text or object, does not leave start';

my %wait = facts('in wait_all_children', <<'PERL');
use Parallel::Prefork;
for my $timeout ('none', 10) {
    pipe my $wait, my $hold or die $!;
    my ($pm, %pids, @reaped);
    $pm = Parallel::Prefork->new(
        max_workers   => 2,
        trap_signals  => {},
        after_fork    => sub {
            $pids{ $_[1] } = 1;
            $pm->signal_received('up') if keys %pids == 2;
        },
        on_child_reap => sub {
            push @reaped, $_[1];
            my $n = @reaped;
            print "$timeout arguments $n = ", scalar(@_), ' ', ($_[0] == $pm ? 'self' : 'other'), ' ',
                (delete $pids{ $_[1] } ? 'pid' : 'other'), "\n";
            print "$timeout context $n = ", (defined wantarray ? 'a value wanted' : 'void'), "\n";
            my $is_known = exists $pm->{worker_pids}{ $_[1] } ? 'yes' : 'no';
            print "$timeout known $n = $is_known ", $pm->num_workers, "\n";
            die $n == 1 ? "text\n" : bless {}, 'Problem';
        },
    );
    $pm->start(sub {
        close $hold;
        sysread $wait, my $end, 1;
    });
    close $hold;
    my $left = eval { $pm->wait_all_children($timeout eq 'none' ? () : $timeout) };
    print "$timeout returned = ", (defined $left ? $left : "threw $@"), "\n";
    print "$timeout count = ", scalar(@reaped), "\n";
}
PERL

for my $timeout ('none', 10) {
    for my $n (1, 2) {
        # The status is left out: the original gave a wrong one here.
        is $wait{"$timeout arguments $n"}, '3 self pid',
            "on_child_reap gets the object, the pid and a third argument (worker $n, timeout $timeout)";
        is $wait{"$timeout context $n"}, 'void',
            "in wait_all_children, on_child_reap is called in void context (worker $n, timeout $timeout)";
        is $wait{"$timeout known $n"}, 'no ' . (2 - $n),
            "in wait_all_children, worker_pids has the pid no more then (worker $n, timeout $timeout)";
    }
    is $wait{"$timeout returned"}, 0, "what on_child_reap throws does not leave wait_all_children (timeout $timeout)";
    is $wait{"$timeout count"}, 2, "wait_all_children reports every worker once (timeout $timeout)";
}

# Ours warns of what the hook throws.
my %warns = facts('a warning that dies', <<'PERL');
use Parallel::Prefork;
$SIG{__WARN__} = sub { die "warned: @_" };
my $reaped = 0;
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    on_child_reap => sub {
        $_[0]->signal_received('enough') if ++$reaped == 3;
        die "hook\n";
    },
});
print 'start = ', (eval { $pm->start(sub { exit 0 }); 1 } ? 'went on' : "died: $@"), "\n";
PERL
is $warns{start}, 'went on', 'a handler of warnings that dies does not carry what the hook throws out of start';

done_testing;
