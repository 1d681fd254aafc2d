# Fault 8: a manager that is PID 1, as in a container: orphans that workers leave behind come to
# it, and it reaps each of them, tells on_child_reap of it once, keeps its workers, and ends by
# TERM. Inside wait_all_children it reaps them as well.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use FaultHosts;
use FaultTest;
use PidNamespace;
use ProcessTest;

my @under   = new_pid_namespace() or plan skip_all => 'the kernel allows no PID namespace here';
my $WORKERS = 5;
my $ORPHANS = scale(quick => 1000, full => 10_000);
my $LATE    = 20;    # orphans of each worker after TERM

# What a manager has printed about itself, judged; the workers are known when they are all up.
sub judge {
    my ($name, $p) = @_;
    my $first;
    ok eventually(sub { $first = first_process($p) }), "$name: is started" or return;
    my (%code, %status, @workers);
    while (keys %status < $ORPHANS && defined(my $line = $p->line)) {
        push @workers, $1 if $line =~ /^worker (\d+) /;
        $code{$1} = $2 if $line =~ /^orphan (\d+) (\d+)$/;
        $status{$1}{$2}++ if $line =~ /^reaped (\d+) (-?\d+)$/;
    }
    is keys %code, $ORPHANS, "$name: there were $ORPHANS orphans";
    my @right = grep { $status{$_} && keys %{ $status{$_} } == 1 && ($status{$_}{ $code{$_} << 8 } || 0) == 1 }
        keys %code;
    is @right, $ORPHANS, "$name: each was reaped once, with its own status"
        or diag join "\n", map { "$_ ended " . join(' ', %{ $status{$_} }) . ', not ' . ($code{$_} || 'an orphan') }
        grep { !$code{$_} || !$status{$_}{ $code{$_} << 8 } } keys %status;
    is_deeply [grep { exists $status{$_} } @workers], [], "$name: no worker was taken for an orphan";
    my $zombies = sub { scalar grep { $_ eq 'Z' } values %{ $p->children($first) } };
    my $children = sub { scalar keys %{ $p->children($first) } };
    # What the manager has printed last, it has printed before it went to sleep.
    ok eventually(sub { $children->() == $WORKERS && !$zombies->() }),
        "$name: the $WORKERS workers are there, and no zombie" or diag explain $p->children($first);
    my $alive = $children->();

    kill TERM => $first;
    $p->wait;
    my $late = () = $p->out =~ /^late \d+ gone$/mg;
    is $late, $WORKERS * $LATE, "$name: orphans are reaped while it waits for all, too";
    my $ended = join ' ', $p->out =~ /^(stopped|left .*)$/mg;
    is $ended, 'stopped left 0', "$name: TERM ends it, with no worker left" or diag $p->err;
    is_deeply [$p->out =~ /^lost .*/mg], [], "$name: the children of workers are theirs";
    my $forked = () = $p->out =~ /^worker \d+ /mg;
    is $forked, $WORKERS, "$name: no worker was replaced";
    is $p->status, 0, "$name: it ends well";
    figure("PID 1, $name: $ORPHANS orphans" => @right . " reaped once with their status, $alive of "
        . "$WORKERS workers intact, TERM " . ($p->timed_out ? 'does not end it' : 'ends it'));
    return;
}

my @arguments = (workers => $WORKERS, orphans => $ORPHANS, late => $LATE);
my %running = map { $_ => start_host($_, \@arguments, under => \@under, deadline => 100) } hosts();
judge($_, $running{$_}) for hosts();

done_testing;
