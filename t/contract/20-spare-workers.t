# Contract 20: Parallel::Prefork::SpareWorkers: its options, its constants, the workers' states
# and the scoreboard that holds them, in a file that anybody can read or in the program's own
# object.
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

my $options = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my $class = 'Parallel::Prefork::SpareWorkers';
eval { $class->new(max_workers => 3, max_spare_workers => 2) };
print $@ =~ /^mandatory option min_spare_workers not set/ ? "mandatory\n" : "$@\n";
eval { $class->new({ min_spare_workers => 0 }) };
print $@ =~ /^mandatory option min_spare_workers not set/ ? "mandatory\n" : "$@\n";

my $pm = $class->new(max_workers => 7, min_spare_workers => 2);
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
print $class->new(min_spare_workers => 1)->max_spare_workers, "\n";
print $pm->isa('Parallel::Prefork') ? "isa\n" : "is not\n";

$pm = $class->new({
    max_workers => 7, min_spare_workers => 2, max_spare_workers => 5, heartbeat => 1.5,
});
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
print join(' ', $pm->min_spare_workers(3), $pm->max_spare_workers(4), $pm->heartbeat(2)), "\n";
print join(' ', $pm->min_spare_workers, $pm->max_spare_workers, $pm->heartbeat), "\n";
PERL
is $options->line, 'mandatory', 'new without min_spare_workers dies';
is $options->line, 'mandatory', 'min_spare_workers 0 is not set either';
is $options->line, '2 7 0.25', 'max_spare_workers defaults to max_workers, heartbeat to 0.25';
is $options->line, '10',       'and so where max_workers is a default itself';
is $options->line, 'isa',      'it is a Parallel::Prefork';
is $options->line, '2 5 1.5',  'given options are kept';
is $options->line, '3 4 2',    'a set option is returned';
is $options->line, '3 4 2',    'and kept';

my $exports = run(<<'PERL', deadline => 15);
use strict;
use warnings;

sub exported {
    my ($package, @list) = @_;
    eval "package $package; use Parallel::Prefork::SpareWorkers (\@list); 1" or die $@;
    no strict 'refs';
    return join ' ', map { defined &{"${package}::$_"} ? &{"${package}::$_"}() : 'none' }
        qw(STATUS_NEXIST STATUS_IDLE);
}
print exported('Nothing'), "\n";
print exported('Status', ':status'), "\n";
print exported('All', ':all'), "\n";
print exported('One', 'STATUS_IDLE'), "\n";
PERL
is $exports->line, 'none none', 'nothing is exported that was not asked for';
is $exports->line, '. _',       ':status exports STATUS_NEXIST and STATUS_IDLE';
is $exports->line, '. _',       ':all does';
is $exports->line, 'none _',    'each can be had by its name';

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
    'and the worker is idle again',
    slot('_', $worker[0]), slot('_', $worker[3]), slot('_', $worker[2]), $empty,
);

$server->signal('TERM');
is $server->line, 'active 0', 'num_active_workers does not count idle workers';
is $server->line, 'left 0',   'the pool can be waited for';
shows('an empty pool leaves empty slots', ($empty) x 4);

# All workers are busy until three are there; then all turn idle, two too many.
my $shrinks = start_program(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 3,
    min_spare_workers    => 1,
    max_spare_workers    => 1,
    heartbeat            => 0.05,
    err_respawn_interval => 0.01,
    trap_signals         => { TERM => 'TERM', INT => undef },
    on_child_reap        => sub { print 'ended by ', $_[2] & 127, "\n" },
});
if ($pm->start) {
    print 'workers ', $pm->num_workers, "\n";
    exit;
}
$SIG{USR1} = sub { $pm->set_status(STATUS_IDLE) };
$pm->set_status('A');
print "$$\n";
sleep 1 while 1;
PERL
my @busy = grep { /^\d+$/ } map { $shrinks->line } 1 .. 3;
is @busy, 3, 'the pool grows to max_workers when all are busy';
$shrinks->signal('USR1', $_) for @busy;
is $shrinks->line, 'ended by 15', 'an idle worker more than max_spare_workers is ended by TERM';
is $shrinks->line, 'ended by 15', 'and so are all that are too many';
$shrinks->signal('INT');
is $shrinks->line, 'workers 1', 'but no others';

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
is $taken->line, 'failed',   'and so is a symbolic link that leads nowhere';
is $taken->line, '5',        'the file that was there is as it was';
is $taken->line, 'not made', 'no file is made through the link';

# A pool of two: the first worker busy, the second idle. When the second is ready, after_fork
# forks a helper, which is no worker, and waits for it.
my $helper = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

pipe my $ready, my $tell_ready;
pipe my $hold,  my $release;
my $max_workers = shift;
my $forked = 0;
our $as_helper;
my $pm = Parallel::Prefork::SpareWorkers->new(
    max_workers       => $max_workers,
    min_spare_workers => 1,
    after_fork        => sub {
        my $self = shift;
        readline $ready;
        return if ++$forked < 2;
        my $pid = fork;
        if (!$pid) {
            $as_helper->();
            exit 0;
        }
        waitpid $pid, 0;
        $self->signal_received('done');
    },
);
sub text {
    my $error = shift;
    $error =~ s/ at .*//s;
    return "$error\n";
}
sub as_worker {
    my $work = shift;
    if ($pm->start) {
        close $release;
        $pm->wait_all_children;
        return;
    }
    close $release;
    $work->();
    syswrite $tell_ready, "\n";
    readline $hold;
    $pm->finish;
    return;
}
PERL

my $reads = run($helper . <<'PERL', args => [4], deadline => 15);
$as_helper = sub {
    print join('', sort $pm->scoreboard->get_statuses), "\n";
    print 'active ', $pm->num_active_workers, "\n";
};
as_worker(sub { $pm->set_status('A') if !$forked });
PERL
is $reads->line, '..A_', 'a forked helper that is no worker gets all statuses: one per slot';
is $reads->line, 'active 1', 'and the number of active workers';

my $texts = run($helper . <<'PERL', args => [2], deadline => 15);
eval { $pm->set_status('A') };
print text($@);
$as_helper = sub {
    eval { $pm->set_status('A') };
    print text($@);
    eval { $pm->scoreboard->child_start };
    print text($@);
};
as_worker(sub {
    if (!$forked) {
        $pm->set_status('A');
        eval { $pm->scoreboard->child_start };
        print text($@);
    }
});
PERL
is $texts->line, 'child_start not called?', 'set_status in the manager dies';
is $texts->line, 'child_start cannot be called twite', 'child_start in a worker dies';
is $texts->line, 'child_start not called?', 'set_status in a helper that is no worker dies';
is $texts->line, 'no empty slot in scoreboard', 'one child more than slots dies in child_start';

# The program's own scoreboard says that one worker is busy, so a spare one makes two.
my $injected = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;

my ($pm, $manager, %worker) = (undef, $$);
my $polls = 0;

package Board {
    sub new { return bless [], shift }
    sub where { return $$ == $manager ? 'manager' : 'worker' }
    sub child_start {
        my ($self, @arguments) = @_;
        print 'child_start(', scalar(@arguments), ') in ', where(), "\n";
        return;
    }
    sub set_status {
        my ($self, @arguments) = @_;
        print "set_status(@arguments) in ", where(), "\n";
        return 1;
    }
    sub clear_child {
        my ($self, @arguments) = @_;
        print 'clear_child(', join(' ', map { $worker{$_} ? 'worker' : $_ } @arguments), ') in ',
            where(), "\n";
        return;
    }
    sub get_statuses {
        my ($self, @arguments) = @_;
        $pm->signal_received('steady')
            if !$pm->{in_child} && keys %worker == 2 && ++$polls == 5;
        return ('A', '_');
    }
}

package main;
pipe my $hold,  my $release;
pipe my $ready, my $tell_ready;
my $board = Board->new;
$pm = Parallel::Prefork::SpareWorkers->new(
    max_workers       => 4,
    min_spare_workers => 1,
    heartbeat         => 0.02,
    scoreboard        => $board,
    after_fork        => sub { readline $ready; $worker{ $_[1] } = 1 },
);
print 'active ', $pm->num_active_workers, "\n";
if ($pm->start) {
    print "the same object\n" if $pm->scoreboard == $board;
    print 'workers ', $pm->num_workers, "\n";
    close $release;
    $pm->wait_all_children;
    exit;
}
close $release;
$pm->set_status('W');
syswrite $tell_ready, "\n";
readline $hold;
$pm->finish;
PERL
is $injected->out, <<'OUT', "the program's own scoreboard object is used for everything";
active 1
child_start(0) in worker
set_status(W) in worker
child_start(0) in worker
set_status(W) in worker
the same object
workers 2
clear_child(worker) in manager
clear_child(worker) in manager
OUT
is $injected->err, '', 'and nothing warns';

done_testing;
