# Defect 4: on_child_reap gets the worker's own status from wait_all_children too. The
# original hands it whatever $? happens to hold.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use Parallel::Prefork;

my @on_term = (sub { exit 3 }, sub { exit 0 }, 'DEFAULT');
my ($forks, %number) = (0);
my $pm = Parallel::Prefork->new({
    max_workers   => 3,
    before_fork   => sub { $forks++ },
    after_fork    => sub {
        my (undef, $pid) = @_;
        $number{$pid} = $forks;
    },
    on_child_reap => sub {
        my (undef, $pid, $status) = @_;
        print "worker $number{$pid}: $status\n";
    },
});
$pm->start(sub {
    $SIG{TERM} = $on_term[$forks - 1];
    print "up\n";
    # Short naps: a signal just before one is handled at its end.
    select undef, undef, undef, 0.05 while 1;
});
$? = 42 << 8;
print 'left: ', $pm->wait_all_children(@ARGV), "\n";
PERL

for my $timeout ([], [10]) {
    my $name = @$timeout ? 'wait_all_children with a time-out' : 'wait_all_children';
    my $p = start_program($program, args => $timeout, deadline => 15);
    is $p->line, 'up', "$name: worker $_ is up" for 1 .. 3;
    $p->signal('TERM');
    $p->wait;
    my %status = $p->out =~ /^worker (\d): (-?\d+)$/mg;
    is $status{1}, 3 << 8, "$name: exit code 3 is reported";
    is $status{2}, 0,      "$name: exit code 0 is reported";
    is $status{3}, 15,     "$name: death by TERM is reported";
    like $p->out, qr/^left: 0$/m, "$name: all are gone";
}

done_testing;
