# Contract 20: the scoreboard file has a slot of 16 bytes for each worker, and anybody can read it while the server
# runs; a file that is there already is refused.
use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use ProcessTest;
use Test::More;

my $dir = File::Temp->newdir;

# A slot of the scoreboard file.
sub slot {
    my ($status, $pid) = @_;
    return sprintf "%s%-14s\n", $status, $pid;
}
my $empty = slot('.', '');

# Workers turn busy at USR1 and idle at USR2.
my $file   = "$dir/scoreboard";
my $server = start_program(<<'PERL', args => [$file], deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 4,
    min_spare_workers    => 2,
    heartbeat            => 0.05,
    err_respawn_interval => 0.01,
    scoreboard_file      => shift,
    trap_signals         => { TERM => 'TERM', INT => undef },
});
open my $new, '<', $pm->{scoreboard_file} or die $!;
print unpack('H*', join '', readline $new), "\n";

while ($pm->signal_received ne 'TERM') {
    $pm->start and do {
        print 'active ', $pm->num_active_workers, "\n";
        next;
    };
    $SIG{USR1} = sub { print 'busy, returned ', $pm->set_status('Busy'), "\n" };
    $SIG{USR2} = sub { print 'idle, returned ', $pm->set_status(STATUS_IDLE), "\n" };
    print "worker $$\n";
    sleep 1 while 1;
}
print 'left ', $pm->wait_all_children, "\n";
PERL

sub new_worker {
    my $line = $server->line;
    return defined $line && $line =~ /^worker (\d+)$/ ? $1 : die "no new worker\n";
}

# cat shows these slots, in whatever order, once the workers have got so far.
sub shows {
    my ($promise, @slots) = @_;
    my $expected = join '', sort @slots;
    my $shown;
    eventually {
        $shown = join '', sort unpack '(a16)*', `cat $file 2>/dev/null`;
        $shown eq $expected;
    };
    is $shown, $expected, $promise;
    return;
}

is $server->line, unpack('H*', $empty x 4),
    'new makes the scoreboard file: 16 bytes for each of max_workers, all of them empty slots';

my @worker = map { new_worker() } 1 .. 2;
shows(
    'cat shows the idle workers: status, pid left-aligned in 14, newline',
    slot('_', $worker[0]), slot('_', $worker[1]), $empty, $empty,
);

$server->signal('USR1', $worker[0]);
# Either of the two may speak first.
my ($busy, $forked) = sort map { $server->line || '' } 1 .. 2;
is $busy, 'busy, returned 1', 'set_status returns 1';
like $forked, qr/^worker \d+$/, 'a worker that is busy is no spare worker: another is forked';
($worker[2]) = $forked =~ /(\d+)/;
shows(
    'the first character of the status is the status',
    slot('B', $worker[0]), slot('_', $worker[1]), slot('_', $worker[2]), $empty,
);

$server->signal('INT');
is $server->line, 'active 1', 'num_active_workers counts the busy ones';

$server->signal('KILL', $worker[1]);
$worker[3] = new_worker();
shows(
    'the slot of a worker that is gone is cleared',
    slot('B', $worker[0]), slot('_', $worker[3]), slot('_', $worker[2]), $empty,
);

$server->signal('USR2', $worker[0]);
is $server->line, 'idle, returned 1', 'set_status(STATUS_IDLE) returns 1, too';
shows(
    'a worker that sets STATUS_IDLE is idle again',
    slot('_', $worker[0]), slot('_', $worker[3]), slot('_', $worker[2]), $empty,
);

$server->signal('TERM');
is $server->line, 'active 0', 'num_active_workers does not count idle workers';
is $server->line, 'left 0',   'the pool can be waited for';
shows('an empty pool leaves empty slots', ($empty) x 4);

my $taken = run(<<'PERL', args => ["$dir/exists", "$dir/dangling"], deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my ($exists, $dangling) = @ARGV;
open my $fh, '>', $exists or die $!;
print {$fh} "mine\n";
close $fh;
symlink "$dangling.target", $dangling or die $!;
for my $file ($exists, $dangling) {
    eval {
        Parallel::Prefork::SpareWorkers->new(
            min_spare_workers => 1,
            scoreboard_file   => $file,
        );
        1;
    } and print "no error\n";
    print $@ =~ /^failed to create scoreboard file:\Q$file\E/ ? "failed\n" : "$@\n";
}
print -s $exists, "\n";
print -e "$dangling.target" ? "made\n" : "not made\n";
PERL
is $taken->line, 'failed',   'a scoreboard file that is there already is refused';
is $taken->line, 'failed',   'a symbolic link that leads nowhere is refused as scoreboard file';
is $taken->line, '5',        'the file that was there is as it was';
is $taken->line, 'not made', 'no file is made through the link';

done_testing;
