# PREFORK_OPTIONS: options for programs that call new with a fixed list of them.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Facts;

my $PROGRAM = <<'PERL';
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };
my $pm = Parallel::Prefork->new(max_workers => 3, spawn_interval => undef);
for my $option (qw(max_workers spawn_interval err_respawn_interval graceful_timeout fast_exit log_exits pdeathsig)) {
    print "$option = ", $pm->$option // 'undef', "\n";
}
my $said = @warnings;
my $spare = Parallel::Prefork::SpareWorkers->new(min_spare_workers => 3, trap_signals => {});
print "max_spare_workers = ", $spare->max_spare_workers, "\n";
print "warning $_ = ", $warnings[$_] =~ s/\n\z//r, "\n" for 0 .. $#warnings;
print "warnings = $said\n";
PERL

# What the program prints with this in the environment.
sub with {
    my ($options, @more) = @_;
    return { facts("PREFORK_OPTIONS=$options", $PROGRAM, env => { PREFORK_OPTIONS => $options }, @more) };
}

my %none = facts('without PREFORK_OPTIONS', $PROGRAM);
is_deeply [@none{qw(max_workers graceful_timeout max_spare_workers warnings)}], [3, 'undef', 10, 0],
    'without PREFORK_OPTIONS all is as it was';
is_deeply with(''), \%none, '... and with an empty one';

my $right = with("  graceful_timeout=2.5\tfast_exit=1 log_exits=0\npdeathsig=SIGKILL err_respawn_interval=0");
is_deeply [@$right{qw(graceful_timeout fast_exit log_exits pdeathsig err_respawn_interval warnings)}],
    [2.5, 1, 0, 'SIGKILL', 0, 0], 'options are taken, and nothing is said';

my $both = with('max_workers=9 spawn_interval=7');
is_deeply [@$both{qw(max_workers spawn_interval warnings)}], [3, 'undef', 0],
    'what the program gives wins, undef included';

my $NUMBER  = 'graceful_timeout must be a number, 0 or more';
my $UNKNOWN = 'there is no option %s that can be set here';
my %wrong = (
    'graceful_timeout'      => 'it is not of the form NAME=VALUE',
    'graceful_timeout=soon' => $NUMBER,
    'graceful_timeout=-1'   => $NUMBER,
    'graceful_timeout=inf'  => $NUMBER,
    'graceful_timeout='     => $NUMBER,
    'fast_exit=yes'         => 'fast_exit must be 0 or 1',
    'pdeathsig=NONE'        => 'pdeathsig must be the name or the number of a signal',
    'trap_signals=TERM'     => sprintf($UNKNOWN, q('trap_signals')),
    'on_child_reap=f'       => sprintf($UNKNOWN, q('on_child_reap')),
    'min_spare_workers=1'   => sprintf($UNKNOWN, q('min_spare_workers')),
);
for my $setting (sort keys %wrong) {
    my $fact = with("$setting err_respawn_interval=4");
    is $fact->{'warning 0'}, "PREFORK_OPTIONS: '$setting' is left out: $wrong{$setting}",
        "$setting: a warning";
    is_deeply [@$fact{qw(warnings err_respawn_interval graceful_timeout fast_exit)}], [1, 4, 'undef', 'undef'],
        '... it is left out, and the rest is taken';
}

is with('max_spare_workers=5')->{max_spare_workers}, 5, 'options of SpareWorkers are taken';
my $less = with('max_spare_workers=2');
is $less->{'warning 1'}, 'PREFORK_OPTIONS: max_spare_workers (2) must not be less than min_spare_workers (3): left out',
    'two that do not go together are left out';
is $less->{max_spare_workers}, 10, '... and the program runs';

my $tainted = with('graceful_timeout=2.5 nonsense', switches => ['-T']);
is_deeply [@$tainted{qw(graceful_timeout warnings)}], ['undef', 0], 'under taint checks it is not looked at';

done_testing;
