# Contract 19: signal_all_children sends a signal, given by name or by number, to every worker.
use strict;
use warnings;

use Config;
use lib 't/lib';
use ProcessTest;
use Test::More;

my %number;
@number{ split ' ', $Config{sig_name} } = split ' ', $Config{sig_num};

# Three workers that tell which signals they get: the one in question, and then USR2.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

pipe my $ready,   my $tell_ready;
pipe my $reports, my $report;
my $forked = 0;
my $pm = Parallel::Prefork->new(max_workers => 3, trap_signals => {}, after_fork => sub {
    readline $ready;
    $_[0]->signal_received('full') if ++$forked == 3;
});
$pm->start(sub {
    for my $name (qw(HUP INT QUIT USR1 USR2 TERM)) {
        $SIG{$name} = sub { syswrite $report, "$name\n" };
    }
    syswrite $tell_ready, "\n";
    sleep 1 while 1;
});
for my $signal (@ARGV, 'USR2') {
    $pm->signal_all_children($signal);
    chomp(my @got = map { scalar readline $reports } 1 .. 3);
    print "@got\n";
}
$pm->signal_all_children('KILL');
print 'left ', $pm->wait_all_children, "\n";
PERL

my @cases = (
    ['TERM',        'TERM', 'a name'],
    ['SIGTERM',     'TERM', 'a name with SIG'],
    [$number{TERM}, 'TERM', 'a number'],
    ['USR1',        'USR1', 'the name of another signal'],
    [$number{HUP},  'HUP',  'the number of another signal'],
);
for my $case (@cases) {
    my ($signal, $name, $what) = @$case;
    my $got = run($program, args => [$signal], deadline => 15);
    is $got->line, "$name $name $name", "$what ($signal) reaches every worker";
    is $got->line, 'USR2 USR2 USR2', "$what ($signal) reaches every worker once";
    is $got->line, 'left 0', "KILL ends the workers that got $what ($signal)";
}

my $numeric = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;

my $pm = Parallel::Prefork->new(max_workers => 2, after_fork => sub {
    $_[0]->signal_received('full') if $_[0]->num_workers == 1;
});
$pm->signal_all_children('TERM');
print "nobody there\n";
$pm->start(sub { sleep 1 while 1 });
$pm->signal_all_children(9);
print 'left ', $pm->wait_all_children, "\n";
PERL
is $numeric->line, 'nobody there', 'signal_all_children without workers sends nothing and returns';
is $numeric->line, 'left 0', 'a signal may be given as an integer: 9 kills';
is $numeric->err,  '',       'signals by number, and with no workers, give no warning';

# What signal_received says if none has come is no signal either.
my $none = run(<<'PERL', deadline => 15);
use strict;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers  => 1,
    trap_signals => {},
    after_fork   => sub { $_[0]->signal_received('one') },
);
if (!$pm->start) {
    sleep 60;
    exit 0;
}
$pm->signal_received('');
my $unset;
$pm->signal_all_children($_) for $pm->signal_received, $unset, 0;
print $pm->num_workers, "\n";
$pm->signal_all_children('KILL');
print $pm->wait_all_children, "\n";
PERL
is $none->out, "1\n0\n", 'no signal is sent by an empty name, by undef or by 0' or diag $none->err;

done_testing;
