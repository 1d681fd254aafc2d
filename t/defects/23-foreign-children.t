# Defect 23: children that the program forked by itself are reaped inside `start` without
# a warning. The original warns of an uninitialized value for each of them.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use Parallel::Prefork;

my %foreign;
for my $code (0, 3) {
    defined(my $pid = fork) or die "fork: $!";
    exit $code if !$pid;
    $foreign{$pid} = 1;
}
$SIG{__WARN__} = sub { print "warning: $_[0]" };
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    on_child_reap => sub {
        my ($self, $pid, $status) = @_;
        delete $foreign{$pid} or return;
        print "foreign child ended: $status\n";
        $self->signal_received('enough') if !%foreign;
    },
});
$pm->start(sub { sleep 60 while 1 });
print 'workers: ', $pm->num_workers, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

my $p = run($program, switches => ['-w'], deadline => 15);
my @lines = split /\n/, $p->out;

is_deeply [sort grep { /^foreign/ } @lines], ["foreign child ended: 0", "foreign child ended: 768"],
    'both foreign children are reaped inside start, and on_child_reap is told';
is_deeply [grep { /^workers/ } @lines], ['workers: 1'], 'the worker is not touched by that';
is_deeply [grep { !/^(?:foreign|workers)/ } @lines], [], 'there is no warning';
is $p->err, '', 'foreign children in start give no warning';
is $p->status, 0, 'the manager ends as it should';

done_testing;
