# Under perl -T: a pool runs, and what is tainted is neither a file to write to nor a signal to send.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use Test::More;

my $dir = File::Temp->newdir;

# A pool, which a third fork stops by HUP; then all workers are told to leave. The text is tainted.
my $program = <<'PERL';
use Parallel::Prefork::SpareWorkers;
my ($text) = @ARGV;
my $started = 0;
my $pm = eval {
    Parallel::Prefork::SpareWorkers->new({
        max_workers          => 3,
        min_spare_workers    => 3,
        err_respawn_interval => 0,
        OPTIONS
    });
};
if (!$pm) {
    print "new: $@";
    exit;
}
$pm->after_fork(sub { $pm->signal_received('HUP') if ++$started == 3 });
my $is_manager = eval { $pm->start };
print "start: $@" if $@;
sleep 60 if !$is_manager && !$@;
AFTERWARDS
$pm->after_fork(undef);
$pm->signal_all_children('KILL');
$pm->wait_all_children;
print "over\n";
PERL
sub pool {
    my ($options, %case) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $source = filled($program, OPTIONS => $options, AFTERWARDS => $case{afterwards} || '');
    my $p = run($source, switches => ['-T'], args => [$case{tainted} || ()], deadline => 30);
    # 0.18 says so of children that end, and of a signal that it has sent to one worker and means to send to the next.
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric.*\n//mg;
    $said =~ s/^Insecure dependency in kill .*\n//mg;
    is $said, '', "nothing else is said with $options";
    return $p->out;
}

sub insecure {
    my ($where, $what) = @_;
    return qr/^\Q$where\E: Insecure dependency in $what while running with -T switch/m;
}

is pool('trap_signals => { HUP => "TERM", TERM => "TERM" }'), "over\n", 'a pool runs';
like pool('scoreboard_file => $text', tainted => "$dir/scoreboard"), insecure('new', 'sysopen'),
    'a scoreboard file of a tainted name is refused';
ok !-e "$dir/scoreboard", 'a scoreboard file of a tainted name is not made';
like pool('trap_signals => { HUP => $text }', tainted => 'TERM'), insecure('start', 'kill'),
    'a tainted signal of trap_signals is refused';
like pool('trap_signals => { HUP => [$text, 1] }', tainted => 'TERM'), insecure('start', 'kill'),
    'a tainted signal that goes to one worker after the other is refused';
like pool('trap_signals => { HUP => undef }', tainted => 'TERM', afterwards => <<'PERL'), insecure('to all', 'kill'),
eval { $pm->signal_all_children($text) };
print "to all: $@" if $@;
PERL
    'signal_all_children refuses a tainted signal';

done_testing;
