# Under perl -T: a pool runs, and what is tainted is neither a file to write to nor a signal to send.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use Test::More;

my $dir = File::Temp->newdir;

# A pool of two, which its third worker stops; then all that are left are told to leave.
sub pool {
    my ($options, $then, @args) = @_;
    my $p = run(<<"PERL", switches => ['-T'], args => \@args, deadline => 30);
use Parallel::Prefork::SpareWorkers;
my (\$text) = \@ARGV;
my \$started = 0;
my \$pm = eval { Parallel::Prefork::SpareWorkers->new({
    max_workers => 3, min_spare_workers => 3, err_respawn_interval => 0, $options
}) } or print "new: \$\@" and exit;
\$pm->after_fork(sub { \$pm->signal_received('HUP') if ++\$started == 3 });
my \$is_manager = eval { \$pm->start };
print "start: \$\@" if \$\@;
sleep 60 if !\$is_manager && !\$\@;
$then
\$pm->after_fork(undef);
\$pm->signal_all_children('KILL');
\$pm->wait_all_children;
print "over\n";
PERL
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric.*\n//mg;
    # ... and this of one that it has sent to one worker, and means to send to the next.
    $said =~ s/^Insecure dependency in kill .*\n//mg;
    is $said, '', 'nothing else is said';
    return $p->out;
}

my $insecure = sub { qr/^\Q$_[0]\E: Insecure dependency in $_[1] while running with -T switch/m };
is pool('trap_signals => { HUP => "TERM", TERM => "TERM" }', ''), "over\n", 'a pool runs';
like pool('scoreboard_file => $text', '', "$dir/scoreboard"), $insecure->('new', 'sysopen'), 'a file of a name that is tainted';
ok !-e "$dir/scoreboard", '... is not made';
like pool('trap_signals => { HUP => $text }', '', 'TERM'), $insecure->('start', 'kill'), 'a tainted signal of trap_signals';
like pool('trap_signals => { HUP => [$text, 1] }', '', 'TERM'), $insecure->('start', 'kill'), '... that goes to one worker after the other';
like pool('trap_signals => { HUP => undef }', 'eval { $pm->signal_all_children($text) }; print "to all: $@" if $@;', 'TERM'),
    $insecure->('to all', 'kill'), 'a tainted signal for all';

done_testing;
