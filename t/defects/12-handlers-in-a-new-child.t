# Defect 12: a trapped signal that hits a new child does not run the manager's handler
# there: it waits until the child has its defaults. And signal_all_children does nothing
# in a child. In the original a newborn worker signals its siblings.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# The first worker counts the USR1 it gets, and tells when the second is gone. The second
# is the newborn: with `early` it gets TERM as fork returns in it.
my $program = <<'PERL';
my ($early, $options, $handler, $forks, @pids);
BEGIN {
    *CORE::GLOBAL::fork = sub {
        my $pid = CORE::fork();
        if (defined $pid && !$pid && $early && $forks == 2) { kill TERM => $$; }
        return $pid;
    };
}
use Parallel::Prefork;

($early, my $trapped, $handler) = @ARGV;
pipe my $up_read, my $up or die "pipe: $!";

my $pm = Parallel::Prefork->new({
    max_workers  => 2,
    trap_signals => $trapped ? { TERM => 'TERM' } : {},
    before_fork  => sub { sysread $up_read, my $byte, 1 if ++$forks == 2 },
    after_fork   => sub { push @pids, $_[1] },
    on_child_reap => sub {
        my ($self, $pid, $status) = @_;
        if ($pid == $pids[0]) {
            $self->signal_received('TERM');
        } else {
            print "newborn: $status\n";
            kill USR1 => $pids[0] if $handler eq 'test';
            kill USR2 => $pids[0];
        }
    },
});
if ($handler eq 'own') {
    $SIG{TERM} = sub { $pm->signal_all_children('USR1') };
}

$pm->start(sub {
    if ($forks == 1) {
        my $got = 0;
        $SIG{USR1} = sub { $got++ };
        $SIG{USR2} = sub {
            print "sibling got: $got\n";
            exit;
        };
        syswrite $up, 'x';
    }
    if ($forks == 2) {
        $pm->signal_all_children('USR1') if !$early;
        exit 7;
    }
    # Short naps: a signal just before one is handled at its end.
    select undef, undef, undef, 0.05 while 1;
});
PERL

sub newborn {
    my (%case) = @_;
    my $p = run($program, args => [$case{early} ? 1 : 0, $case{trapped} ? 1 : 0, $case{handler} || ''], deadline => 15);
    diag $p->err if $p->err ne '';
    my %out = $p->out =~ /^([\w ]+): (\d+)$/mg;
    return @out{'newborn', 'sibling got'};
}

my ($status, $got) = newborn(early => 1, trapped => 1);
is $status, 15, 'a trapped signal waits until the child has its default action, then takes it';

($status, $got) = newborn(early => 1, trapped => 1, handler => 'own');
is $got,    0,  q(the program's own handler of a trapped signal signals no sibling from the child);
is $status, 15, 'because it is not run there';

($status, $got) = newborn(early => 1, handler => 'own');
is $got, 0, 'the handler of a signal that is not trapped signals no sibling from the child';
is $status, 7 << 8, 'and the child goes on with its work';

($status, $got) = newborn(trapped => 1);
is $got, 0, 'signal_all_children does nothing in a worker';
is $status, 7 << 8, 'and the worker goes on with its work';

# The measure of the counts above: a sibling does tell what it gets.
($status, $got) = newborn(trapped => 1, handler => 'test');
cmp_ok $got, '>=', 1, 'a signal that is sent to the sibling is counted';

done_testing;
