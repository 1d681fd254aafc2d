# Defect 13: the action of a signal is found under each of the signal's names (POLL and IO,
# IOT and ABRT, CLD and CHLD are one signal each). The original compares names, and so sends
# nothing to the workers.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use ProcessTest;

# Stops by the signal itself, which the test sends, or by a name that the program stores.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my ($trapped, $stored) = @ARGV;
my $pm = Parallel::Prefork->new({ max_workers => 2, trap_signals => { $trapped => 'USR1' } });
$SIG{USR2} = sub { $pm->signal_received($stored) };
$pm->start(sub {
    $SIG{USR1} = sub { exit 0 };
    print "worker is up\n";
    # In naps: perl would handle a signal that comes right before a long sleep only after it.
    select undef, undef, undef, 0.05 while 1;
});
print "start returned\n";
print 'workers left: ', $pm->wait_all_children(8), "\n";
PERL

my %number;
@number{ split ' ', $Config{sig_name} } = split ' ', $Config{sig_num};

sub alike {
    my ($one, $other) = @_;
    return defined $number{$one} && defined $number{$other} && $number{$one} == $number{$other};
}

# SIGCHLD has a handler of the manager's own, so it is only ever stored.
my @cases = (
    (map { [sent   => @$_] } [qw(POLL IO)], [qw(IO POLL)], [qw(IOT ABRT)], [qw(ABRT IOT)]),
    (map { [stored => @$_] } [qw(POLL IO)], [qw(IO POLL)], [qw(IOT ABRT)], [qw(ABRT IOT)],
                             [qw(CLD CHLD)], [qw(CHLD CLD)]),
);

# All at once: where the workers are not told, each program waits for them in vain.
my @running = map {
    my ($how, $trapped, $used) = @$_;
    alike($trapped, $used)
        ? [@$_, start_program($program, args => [$trapped, $used], deadline => 15)]
        : ();
} @cases;
plan skip_all => 'no signal has two names here' if !@running;

for my $case (@running) {
    my ($how, $trapped, $used, $p) = @$case;
    $p->line for 1 .. 2;
    $p->signal($how eq 'sent' ? $used : 'USR2');
}
for my $case (@running) {
    my ($how, $trapped, $used, $p) = @$case;
    $p->wait;
    is $p->out, "worker is up\n" x 2 . "start returned\nworkers left: 0\n",
        "trap_signals names $trapped, $used is $how: the workers get the action's signal";
    is $p->err, '', "trap_signals names $trapped, $used is $how: there is no warning";
}

done_testing;
