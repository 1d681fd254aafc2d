# Contract 20: a scoreboard object of the program's own takes the place of the module's.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

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
    after_fork        => sub {
        readline $ready;
        $worker{ $_[1] } = 1;
    },
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
is $injected->err, '', "there is no warning where the scoreboard is the program's own";

# A subclass may give one by its method.
my $given = run(<<'PERL', deadline => 30);
use strict;
use warnings;
use File::Temp ();
use Parallel::Prefork::SpareWorkers;

# It counts in a file how many workers are busy.
package Board {
    sub new {
        my ($class, $file) = @_;
        return bless { file => $file }, $class;
    }
    sub child_start { return }
    sub clear_child { return }
    sub set_status {
        my $self = shift;
        open my $fh, '>>', $self->{file};
        syswrite $fh, 'B';
        return 1;
    }
    sub get_statuses {
        my $self = shift;
        return ('A') x (-s $self->{file} || 0);
    }
}

package Mine {
    our @ISA = 'Parallel::Prefork::SpareWorkers';
    our $board;
    sub scoreboard { return $board }
}

package main;
my $file = File::Temp->new;
$Mine::board = Board->new("$file");
my $started = 0;
my $pm = Mine->new({
    max_workers       => 4,
    min_spare_workers => 1,
    heartbeat         => 0.1,
    after_fork        => sub { $_[0]->signal_received('enough') if ++$started == 3 },
});
if (!$pm->start) {
    $pm->set_status('B');
    sleep 60;
    exit 0;
}
print "grew\n";
$pm->signal_all_children('KILL');
PERL
is $given->line, 'grew', "the scoreboard that a subclass's method gives decides whether another worker is forked"
    or diag $given->err;

done_testing;
