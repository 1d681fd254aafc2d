# Contracts 3, 10, 11, 12, 16 and 20 for what programs do less often: values that have to be asked for ($1, ties, objects), overrides
# that keep what they are told, decide by what only they know, or pause by themselves, and handlers of warnings that die.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my %program = (
    'statuses that are read by magic' => [<<'PERL', "B_C\n"],
use Parallel::Prefork::SpareWorkers;
pipe my $read, my $write or die;
{ package Tied; sub TIESCALAR { return bless [] } sub FETCH { return 'C' } }
my $pm = Parallel::Prefork::SpareWorkers->new({ max_workers => 1, min_spare_workers => 1, on_child_reap => sub { $_[0]->signal_received('enough') } });
if (!$pm->start) {
    tie my $tied, 'Tied';
    my $set = sub { syswrite $write, join '', grep { $_ ne '.' } $pm->scoreboard->get_statuses };
    "Busy" =~ /(.)/ and $pm->set_status($1);
    $set->();
    my $line = 'x_';
    $pm->set_status(substr $line, 1, 1);
    $set->();
    $pm->scoreboard->set_status($tied);
    $set->();
    exit 0;
}
close $write;
print <$read>, "\n";
PERL
    'a signal that arrives is stored once' => [<<'PERL', "1 TERM\n"],
package Stores;
our @stored;
sub TIESCALAR { bless [''], shift }
sub FETCH     { $_[0][0] }
sub STORE     { push @stored, $_[1] if $_[1]; $_[0][0] = $_[1] }
package main;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({ max_workers => 1 });
tie $pm->{signal_received}, 'Stores';
$pm->{signal_received} = '';
kill 'TERM', $$;
1 until @Stores::stored;
print scalar(@Stores::stored), " $Stores::stored[0]\n";
PERL
    'a rest that is read by magic' => [<<'PERL', "paused\n"],
use Parallel::Prefork;
use Time::HiRes qw(time);
my @at;
my $pm = Parallel::Prefork->new({ max_workers => 2, after_fork => sub {
    my ($pm) = @_;
    push @at, time;
    $pm->signal_received('enough') if @at == 2;
    '0.5' =~ /(.*)/ and $pm->spawn_interval($1);
} });
$pm->start(sub { sleep 60 });
print $at[1] - $at[0] >= 0.45 ? "paused\n" : "not paused\n";
$pm->signal_all_children('TERM');
PERL
    'a _wait that collects by that of its class' => [<<'PERL', "found all\n"],
package Mine;
use parent 'Parallel::Prefork';
our ($found, $ended) = (0, 0);
sub _wait {
    my ($self, $blocking) = @_;
    my @first = $self->SUPER::_wait($blocking) or return;
    my @ended = $first[0];
    while (my ($pid) = $self->SUPER::_wait(0)) { push @ended, $pid }
    $ended += @ended;
    $found += grep { exists $self->{worker_pids}{$_} } @ended;
    $self->signal_received('enough') if $ended >= 4;
    return @first;
}
package main;
pipe my $go, my $on or die;
my $started = 0;
my $pm = Mine->new({ max_workers => 4, spawn_interval => 0, after_fork => sub { close $on if ++$started == 4; select undef, undef, undef, 0.3 if $started == 4 } });
if (!$pm->start) { close $on; sysread $go, my $byte, 1; exit 0 }
print $Mine::ended >= 4 && $Mine::found == $Mine::ended ? "found all\n" : "found $Mine::found of $Mine::ended\n";
PERL
    'a pause of its own' => [<<'PERL', "paused\n"],
package Mine;
use parent 'Parallel::Prefork';
use Time::HiRes qw(time);
sub _update_spawn_delay { my ($self, $seconds) = @_; $self->{_no_adjust_until} = $seconds ? time + 3 * $seconds : 0; return }
package main;
my @at;
my $pm = Mine->new({ max_workers => 2, spawn_interval => 0.2, after_fork => sub { push @at, Time::HiRes::time(); $_[0]->signal_received('enough') if @at == 2 } });
$pm->start(sub { sleep 60 });
print $at[1] - $at[0] >= 0.55 ? "paused\n" : "not paused\n";
$pm->signal_all_children('TERM');
PERL
    'a scoreboard that a method gives' => [<<'PERL', "grew\n"],
package Board;
sub new          { my ($class, $file) = @_; return bless { file => $file }, $class }
sub child_start  { return }
sub clear_child  { return }
sub set_status   { my ($self, $status) = @_; open my $fh, '>>', $self->{file}; syswrite $fh, 'B'; return 1 }
sub get_statuses { my $self = shift; return ('A') x (-s $self->{file} || 0) }
package Mine;
use parent -norequire, 'Parallel::Prefork::SpareWorkers';
our $board;
sub scoreboard { return $board }
package main;
use File::Temp ();
use Parallel::Prefork::SpareWorkers;
my $file = File::Temp->new;
$Mine::board = Board->new("$file");
my $started = 0;
my $pm = Mine->new({ max_workers => 4, min_spare_workers => 1, heartbeat => 0.1, after_fork => sub { $_[0]->signal_received('enough') if ++$started == 3 } });
if (!$pm->start) { $pm->set_status('B'); sleep 60; exit 0 }
print "grew\n";
$pm->signal_all_children('KILL');
PERL
    'a class that overloads what it is' => [<<'PERL', "2 of 2, 2, left 0\n"],
package Mine;
use parent 'Parallel::Prefork';
use overload bool => sub { return 0 }, '==' => sub { die "compared\n" }, '""' => sub { die "shown\n" };
package main;
my $started = 0;
my $pm = Mine->new({ max_workers => 2, after_fork => sub { $_[0]->signal_received('enough') if ++$started == 2 } });
if (!$pm->start) { sleep 60; exit 0 }
my @pids = keys %{ $pm->{worker_pids} };
my $found = grep { exists $pm->{worker_pids}{$_} && $pm->{worker_pids}{$_} } @pids;
print "$found of ", scalar(@pids), ', ', $pm->num_workers;
$pm->signal_all_children('TERM');
waitpid -1, 0 for 1 .. 2;
delete $pm->{worker_pids}{$_} for @pids;
print ', left ', $pm->num_workers, "\n";
PERL
    'a warning that dies' => [<<'PERL', "went on\n"],
use Parallel::Prefork;
$SIG{__WARN__} = sub { die "warned: @_" };
my $reaped = 0;
my $pm = Parallel::Prefork->new({ max_workers => 1, on_child_reap => sub { $_[0]->signal_received('enough') if ++$reaped == 3; die "hook\n" } });
print eval { $pm->start(sub { exit 0 }); 1 } ? "went on\n" : "died: $@";
PERL
    'a signal that is an object' => [<<'PERL', "ended\n"],
use Parallel::Prefork;
{ package Signal; use overload '""' => sub { return 'TERM' }, fallback => 1; }
my $signal = bless [], 'Signal';
my $pm = Parallel::Prefork->new({ max_workers => 1, trap_signals => { USR1 => [$signal, 1] }, after_fork => sub { kill 'USR1', $$ } });
if (!$pm->start) { sleep 60; exit 0 }
waitpid -1, 0;
$pm->after_fork(sub { $_[0]->signal_received('enough') });
delete $pm->{worker_pids}{$_} for keys %{ $pm->{worker_pids} };
if (!$pm->start) { sleep 60; exit 0 }
$pm->signal_all_children($signal);
waitpid -1, 0;
print "ended\n";
PERL
    'a member that is aliased, and one that is tied' => [<<'PERL', "3 5 read-only\n1 1 tied\nok ok tied, stored ok\n"],
use Parallel::Prefork;
{ package Tied;
  our @stored;
  sub TIESCALAR { my ($class, $value) = @_; return bless \$value, $class }
  sub FETCH { return ${ $_[0] } }
  sub STORE { push @stored, $_[1]; ${ $_[0] } = $_[1]; return } }
my $pm = Parallel::Prefork->new({ max_workers => 1, trap_signals => {} });
my $interval = \$pm->{spawn_interval};
$pm->spawn_interval(3);
print "$$interval ";
$$interval = 5;
print $pm->spawn_interval, ' ';
Internals::SvREADONLY($$interval, 1);
print eval { $pm->spawn_interval(0); 1 } ? '' : $@ =~ /(read-only)/, "\n";
Internals::SvREADONLY($$interval, 0);
$pm->spawn_interval(0);
tie $pm->{max_workers}, 'Tied', 2;
print $pm->max_workers(1), ' ', $pm->max_workers, ' ', tied $pm->{max_workers} ? 'tied' : 'not tied', "\n";
tie $pm->{signal_received}, 'Tied', '';
$pm->on_child_reap(sub { print $_[0]->signal_received('ok'), ' ' });
$pm->start(sub { exit 0 });
print $pm->signal_received, ' ', tied $pm->{signal_received} ? 'tied' : 'not tied', ", stored $Tied::stored[-1]\n";
PERL
);

for my $name (sort keys %program) {
    my ($source, $expected) = @{ $program{$name} };
    my $p = run("use strict; use warnings;\n$source", deadline => 30);
    is $p->out, $expected, $name or diag $p->err;
}

done_testing;
