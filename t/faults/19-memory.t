# Perl memory: rounds of fork and reap, and managers that are made and dropped, leave nothing
# behind: the resident memory and the descriptors of the manager stay what they were after the
# first tenth. Test::LeakTrace finds no value that is left.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use FaultTest;
use ProcessTest;

my $rounds   = scale(full => 100_000, quick => 1_000);
my $managers = scale(full => 1_000,   quick => 200);
my $original = on_the_original();

# A page or two more is what a hash that has found its size may take.
my $may_grow = scale(full => 512, quick => 384);

my $sizes = <<'PERL';
use strict;
use warnings;
use POSIX ();

# Kilobytes of resident memory, and how many descriptors are open.
sub sizes {
    open my $fh, '<', '/proc/self/status' or die "status: $!";
    my ($size) = map { /\AVmRSS:\s+(\d+)/ ? $1 : () } <$fh>;
    close $fh;
    return ($size, scalar(my @open = glob '/proc/self/fd/*'));
}

sub report {
    my ($from, $to) = @_;
    my @now = sizes();
    print "$from->[0] kB at first, $now[0] kB at last, descriptors $from->[1] and $now[1], $to\n";
}
PERL

sub flat {
    my ($name, $program, $deadline, @args) = @_;
    my $p = start_program("$sizes\n$program", args => \@args, deadline => $deadline);
    my $status = $p->wait;
    is $status, 0, "$name: gets to its end" or diag substr $p->err, 0, 500;
    # A program that did not get there has no figures to compare.
    my ($from, $to, $open_before, $open_after) =
        $p->out =~ /^(\d+) kB at first, (\d+) kB at last, descriptors (\d+) and (\d+)/m;
    cmp_ok defined $to ? $to - $from : 9**9, '<', $may_grow, "$name: memory is flat" or diag $p->out;
    is $open_after, $open_before || 0, "$name: so are descriptors";
    figure($name, $p->out =~ /^(\d+ kB .*)/m ? $1 : $p->timed_out ? 'hung' : "status $status");
}

flat("$rounds rounds of fork and reap", <<'PERL', scale(full => 900, quick => 120), $rounds);
use Parallel::Prefork;
my ($rounds) = @ARGV;
my ($reaped, @first) = (0);
my $pm = Parallel::Prefork->new({
    max_workers   => 4,
    before_fork   => sub { 1 },
    after_fork    => sub { 1 },
    trap_signals  => { TERM => 'TERM', USR1 => undef },
    on_child_reap => sub {
        my ($pm) = @_;
        $reaped++;
        @first = sizes() if $reaped == int($rounds / 10);
        # start returns, and begins anew, every now and then.
        kill USR1 => $$ if !($reaped % 50);
        $pm->signal_received('TERM') if $reaped >= $rounds;
    },
});
until ($pm->signal_received eq 'TERM') {
    $pm->start(sub { POSIX::_exit(0) });
}
$pm->wait_all_children;
report(\@first, "reaped $reaped");
PERL

flat("$managers managers made and dropped", <<'PERL', scale(full => 300, quick => 90), $managers);
use Parallel::Prefork::SpareWorkers;
my ($managers) = @ARGV;
my @first;
for my $n (1 .. $managers) {
    {
        my $class = $n % 2 ? 'Parallel::Prefork' : 'Parallel::Prefork::SpareWorkers';
        my $pm = $class->new({
            max_workers => 2, min_spare_workers => 1,
            trap_signals  => { TERM => undef, $n % 3 ? () : (USR1 => undef) },
            on_child_reap => sub { $_[0]->signal_received('TERM') },
        });
        if ($n % 4 < 2) {
            for (1 .. 2) {
                $pm->start or POSIX::_exit(0);
                $pm->wait_all_children;
            }
        }
        my $pids = keys %{ $pm->{worker_pids} };
    }
    @first = sizes() if $n == int($managers / 10);
}
report(\@first, "made $managers");
PERL

# Values that are left, one by one.
SKIP: {
    skip 'this is of ours', 1 if $original;
    # This perl's own, or else Debian's, if that is one for this perl.
    my ($why_not, @options) = cannot_load();
    if ($why_not) {
        @options = split /\n/, `script/leak-trace 2>&1`;
        $why_not = $? || grep({ !/\A-I/ } @options) ? "it cannot be unpacked: @options" : cannot_load(@options);
    }
    if ($why_not) {
        diag "no Test::LeakTrace for $^X: $why_not";
        skip 'no Test::LeakTrace', 1;
    }
    my $p = run(<<'PERL', switches => \@options, deadline => 90);
use strict;
use warnings;
use POSIX ();
use Test::LeakTrace;
use Parallel::Prefork::SpareWorkers;

$SIG{USR1} = $SIG{TERM} = $SIG{CHLD} = 'DEFAULT';
my $manager = Parallel::Prefork::SpareWorkers->new({
    max_workers => 2, min_spare_workers => 1, on_child_reap => sub { $_[0]->signal_received('TERM') } });
my %try = (
    'a manager that is made and dropped' => sub {
        my $pm = Parallel::Prefork->new({ trap_signals => {} });
        $pm->num_workers;
    },
    'a manager with a scoreboard' => sub {
        my $pm = Parallel::Prefork::SpareWorkers->new({ max_workers => 2, min_spare_workers => 1, trap_signals => {} });
        my @statuses = $pm->scoreboard->get_statuses;
    },
    'options that are refused' => sub {
        eval { Parallel::Prefork->new({ max_workers => -1 }) };
        eval { Parallel::Prefork->new({ trap_signals => { TERM => 'NOTHING' } }) };
        undef $@;
    },
    'a round of fork and reap' => sub {
        $manager->start(sub { POSIX::_exit(0) });
        $manager->wait_all_children;
        $manager->signal_received;
    },
    'signals' => sub {
        kill TERM => $$;
        $manager->start;
        eval { $manager->signal_all_children('NOTHING') };
        $manager->signal_all_children('TERM');
        $manager->wait_all_children(0.01);
        undef $@;
    },
    'a look at worker_pids' => sub {
        my @pids = keys %{ $manager->{worker_pids} };
        my $there = exists $manager->{worker_pids}{1};
        delete $manager->{worker_pids}{1};
    },
);
for my $name (sort keys %try) {
    $try{$name}->() for 1 .. 3;
    my $count = leaked_count(sub { $try{$name}->() });
    print "$name: $count\n";
    print map { "  $_->[0] at $_->[1] line $_->[2]\n" } leaked_info(sub { $try{$name}->() }) if $count;
}
print "done\n";
PERL
    like $p->out, qr/^done$/m, 'Test::LeakTrace gets to its end' or diag $p->err;
    for my $line (grep { /: \d+\z/ } split /\n/, $p->out) {
        my ($name, $count) = $line =~ /\A(.*): (\d+)\z/;
        is $count, 0, "no value is left by $name" or diag $p->out;
        figure("Test::LeakTrace: $name", "$count values left");
    }
}

# Why this perl does not load Test::LeakTrace with these options; nothing if it does.
sub cannot_load {
    my $p = run('use Test::LeakTrace; print leaked_count(sub { })', switches => \@_);
    return $p->status == 0 && $p->out eq '0' ? '' : (split /\n/, $p->err)[0] || 'status ' . $p->status;
}

done_testing;
