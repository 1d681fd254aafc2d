# Defect 7: a signal whose action is staggered ([signal, seconds]) ends `start` without an
# error where there is no worker to send it to. The original dies.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $prelude = <<'PERL';
use Parallel::Prefork;

my %options = (max_workers => 1, trap_signals => { TERM => ['USR1', 1] });

sub report {
    my ($pm) = @_;
    my $returned = eval { $pm->start(sub { }) };
    print $@ ? "died: $@" : "start returned $returned on " . $pm->signal_received . "\n";
    print 'left: ', $pm->wait_all_children, "\n";
}
PERL

my %when = (
    'before any worker was forked' => <<'PERL',
my $pm = Parallel::Prefork->new({ %options, max_workers => 0 });
# Called on every turn of the loop: TERM arrives while start runs.
$pm->{__dbg_callback} = sub { kill TERM => $$ };
report($pm);
PERL
    'after the last worker has gone' => <<'PERL',
report(Parallel::Prefork->new({ %options, on_child_reap => sub { kill TERM => $$ } }));
PERL
);

for my $when (sort keys %when) {
    my $p = run($prelude . $when{$when}, deadline => 15);
    is $p->out, "start returned 1 on TERM\nleft: 0\n", "$when: start returns";
    is $p->err, '', "$when: there is no warning";
}

done_testing;
