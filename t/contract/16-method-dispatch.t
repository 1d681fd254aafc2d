# Contract 16: the module calls its own methods as methods, so that a subclass which
# overrides one sees the calls and decides the result; and {__dbg_callback} is called on
# every turn of the loop of start, which then never blocks.
use strict;
use warnings;

use lib 't/lib';
use HeldWorker;
use ProcessTest;
use Test::More;

my @accessors = qw(
    max_workers spawn_interval err_respawn_interval trap_signals signal_received manager_pid
    on_child_reap before_fork after_fork
);
my @methods = qw(
    num_workers _decide_action _on_child_reap _action_for _update_spawn_delay _wait _max_wait
    signal_all_children finish wait_all_children
);

# Every method counts its calls, then does what it would have done. The program itself calls
# start, and after it wait_all_children. The first worker fails at once.
my $counting = run(<<'PERL', args => [@accessors, @methods], deadline => 15);
use strict;
use warnings;

package Counting;
use parent 'Parallel::Prefork';

our (%calls, @arguments);
for my $method (@ARGV) {
    no strict 'refs';
    my $super = "SUPER::$method";
    *$method = sub {
        my $self = shift;
        $calls{$method}++;
        push @arguments, "$method(" . join(', ', map { defined ? $_ : 'undef' } @_) . ')';
        print "finish in the worker\n" if $method eq 'finish' && $self->{in_child};
        return $self->$super(@_);
    };
}

package main;
pipe my $hold, my $release;
my ($forks, $failed) = (0);
my $pm = Counting->new(
    max_workers          => 2,
    spawn_interval       => 0.01,
    err_respawn_interval => 0.02,
    trap_signals         => { USR1 => 'TERM' },
    before_fork          => sub { $forks++ },
    after_fork           => sub {
        my ($self, $pid) = @_;
        $failed ||= $pid;
        kill USR1 => $$ if $forks == 4;
    },
    on_child_reap => sub { },
);
$pm->start(sub {
    exit 5 if $forks == 1;
    return if $forks == 2;
    close $release;
    readline $hold;
});
print 'left ', $pm->wait_all_children, "\n";

print "calls $_ $calls{$_}\n" for sort keys %calls;
s/\b$failed\b/FAILED/ for @arguments;
print "arguments $_\n" for @arguments;
PERL
is $counting->status, 0, 'a subclass that wraps every method runs' or diag $counting->err;

my %calls     = $counting->out =~ /^calls (\w+) (\d+)$/mg;
my %arguments = map { $_ => 1 } $counting->out =~ /^arguments (.*)$/mg;
ok $calls{$_}, "the accessor $_ is called as a method" for @accessors;
ok $calls{$_}, "$_ is called as a method"
    for grep { !/^(finish|wait_all_children)$/ } @methods;
like $counting->out, qr/^finish in the worker$/m, 'finish is called as a method';

# (Only programs call this one.)
like $counting->out, qr/^left 0$/m, 'wait_all_children can be overridden like the others';

ok $arguments{$_}, "one call is $_" for (
    'signal_received()',         'signal_received(USR1)',
    '_on_child_reap(FAILED, 1280)', '_action_for(USR1)',
    'signal_all_children(TERM)', '_update_spawn_delay(0.01)',
    '_update_spawn_delay(0.02)',
);

# What an overriding method returns is what counts.
my $subclass = $BE_HELD . <<'PERL';
use strict;
use warnings;

package Mine;
use parent 'Parallel::Prefork';

package main;
pipe my $hold,    my $release;
pipe my $ready,   my $tell_ready;
pipe my $reports, my $report;

# Ends start when nothing was forked for a while; workers leave at TERM, HUP or release.
sub pool {
    my $turns = 0;
    return Mine->new(
        max_workers    => 2,
        after_fork     => sub {
            readline $ready;
            $turns = 0;
        },
        __dbg_callback => sub { kill TERM => $$ if ++$turns == 20 },
        @_,
    );
}

sub worker {
    close $release;
    for my $name (qw(TERM HUP)) {
        $SIG{$name} = sub {
            syswrite $report, "$name\n";
            exit 0;
        };
    }
    syswrite $tell_ready, "\n";
    be_held($hold);
    syswrite $report, "released\n";
}

sub leave {
    my $pm = shift;
    close $release;
    $pm->wait_all_children;
    close $report;
    return sort readline $reports;
}
PERL

my %overrides = (
    'max_workers: the pool has the size that it returns' => [<<'PERL', "workers 3\n"],
sub Mine::max_workers { return 3 }
my $pm = pool();
$pm->start(\&worker);
print 'workers ', scalar(keys %{ $pm->{worker_pids} }), "\n";
PERL
    'num_workers: the pool is as large as it says' => [<<'PERL', "workers 1\n"],
package Mine {
    sub num_workers {
        my $self = shift;
        return 1 + $self->SUPER::num_workers;
    }
}
my $pm = pool();
$pm->start(\&worker);
print 'workers ', scalar(keys %{ $pm->{worker_pids} }), "\n";
PERL
    'num_workers: wait_all_children goes by it, and returns it' => [<<'PERL', "left 0 of 2\n"],
my $pm = pool();
$pm->start(\&worker);
*Mine::num_workers = sub { return 0 };
print 'left ', $pm->wait_all_children, ' of ', scalar(keys %{ $pm->{worker_pids} }), "\n";
PERL
    '_wait and _on_child_reap: wait_all_children calls them' => [<<'PERL', "reaped by them\n"],
my $pm = pool(max_workers => 1);
$pm->start(\&worker);
my ($worker) = keys %{ $pm->{worker_pids} };
package Mine {
    our ($waited, $reaped);
    sub _wait {
        my $self = shift;
        my @got  = $self->SUPER::_wait(@_);
        $waited = $got[0] if @got;
        return @got;
    }
    sub _on_child_reap { $reaped = $_[1] }
}
$pm->wait_all_children;
print "reaped by them\n" if $Mine::waited == $worker && $Mine::reaped == $worker;
PERL
    '_decide_action: it says whether another worker is forked' => [<<'PERL', "workers 4\n"],
sub Mine::_decide_action { return keys %{ $_[0]{worker_pids} } < 4 ? 1 : 0 }
my $pm = pool();
$pm->start(\&worker);
print 'workers ', scalar(keys %{ $pm->{worker_pids} }), "\n";
PERL
    '_action_for: it says what is sent' => [<<'PERL', "asked for TERM\nHUP\nHUP\n"],
sub Mine::_action_for {
    print "asked for $_[1]\n";
    return ['HUP', 0];
}
my $pm = pool();
$pm->start(\&worker);
print map { scalar readline $reports } 1 .. 2;
PERL
    'signal_all_children: nothing is sent behind its back' => [<<'PERL', "all TERM\nreleased\nreleased\n"],
sub Mine::signal_all_children { print "all $_[1]\n" }
my $pm = pool();
$pm->start(\&worker);
print leave($pm);
PERL
    'signal_received: what it returns ends start' => [<<'PERL', "returned 1\n"],
my $reason = '';
sub Mine::signal_received { return $reason }
my $pm = pool(
    __dbg_callback => undef,
    after_fork     => sub {
        readline $ready;
        $reason = 'X';
    },
);
print 'returned ', $pm->start(\&worker), "\n";
PERL
    'after_fork: the code that it returns is run' => [<<'PERL', "returned 1 on own\n"],
sub Mine::after_fork { return sub { $_[0]->signal_received('own') } }
my $pm = pool();
print 'returned ', $pm->start(\&worker), ' on ', $pm->signal_received, "\n";
PERL
    '_max_wait: start wakes up after the time that it returns' => [<<'PERL', "woken\n"],
my $turns = 0;
sub Mine::_max_wait {
    $_[0]->signal_received('woken') if ++$turns == 5;
    return 0.02;
}
my $pm = pool(__dbg_callback => undef);
$pm->start(\&worker);
print $pm->signal_received, "\n";
PERL
    '_wait: it is given the worker that is gone' => [<<'PERL', "the worker, status 768\n"],
package Mine {
    our @gone;
    sub _wait {
        my $self = shift;
        my @got  = $self->SUPER::_wait(@_);
        push @gone, [@got] if @got;
        return @got;
    }
}
my $worker;
my $pm = pool(
    max_workers => 1,
    after_fork  => sub {
        $worker = $_[1];
        $_[0]->signal_received('forked');
    },
);
$pm->start(sub { exit 3 });
$pm->wait_all_children;
my ($pid, $status) = @{ $Mine::gone[0] };
print $pid == $worker ? 'the worker' : 'another', ", status $status\n";
PERL
    '_on_child_reap: it may keep a callback from being run' => [<<'PERL', "own, status 512\n"],
package Mine {
    sub _on_child_reap {
        my ($self, $pid, $status) = @_;
        print "own, status $status\n" if !$self->signal_received;
        $self->signal_received('reaped');
    }
}
my $pm = pool(
    after_fork     => undef,
    __dbg_callback => undef,
    on_child_reap  => sub { print "callback\n" },
);
$pm->start(sub { exit 2 });
PERL
    '_wait: one that collects by that of its class finds all pids in worker_pids' => [<<'PERL', "found all\n"],
package Mine {
    our ($found, $ended) = (0, 0);

    sub _wait {
        my ($self, $blocking) = @_;
        my @first = $self->SUPER::_wait($blocking) or return;
        my @ended = $first[0];
        while (my ($pid) = $self->SUPER::_wait(0)) {
            push @ended, $pid;
        }
        $ended += @ended;
        $found += grep { exists $self->{worker_pids}{$_} } @ended;
        $self->signal_received('enough') if $ended >= 4;
        return @first;
    }
}
pipe my $go, my $on or die;
my $started = 0;
my $pm = Mine->new(
    max_workers    => 4,
    spawn_interval => 0,
    after_fork     => sub {
        return if ++$started != 4;
        close $on;
        select undef, undef, undef, 0.3;
    },
);
if (!$pm->start) {
    close $on;
    sysread $go, my $byte, 1;
    exit 0;
}
my $is_all = $Mine::ended >= 4 && $Mine::found == $Mine::ended;
print $is_all ? "found all\n" : "found $Mine::found of $Mine::ended\n";
PERL
    'overloaded operators of the class: the module uses none of them' => [<<'PERL', "2 of 2, 2, left 0\n"],
package Mine {
    use overload
        'bool' => sub { return 0 },
        '=='   => sub { die "compared\n" },
        '""'   => sub { die "shown\n" };
}
my $started = 0;
my $pm = Mine->new(
    max_workers => 2,
    after_fork  => sub { $_[0]->signal_received('enough') if ++$started == 2 },
);
if (!$pm->start) {
    sleep 60;
    exit 0;
}
my @pids = keys %{ $pm->{worker_pids} };
my $found = grep { exists $pm->{worker_pids}{$_} && $pm->{worker_pids}{$_} } @pids;
print "$found of ", scalar(@pids), ', ', $pm->num_workers;
$pm->signal_all_children('TERM');
waitpid -1, 0 for 1 .. 2;
delete $pm->{worker_pids}{$_} for @pids;
print ', left ', $pm->num_workers, "\n";
PERL
    'signal_received: a worker calls it when %SIG is reset already' =>
        [<<'PERL', "in_child 1, TERM DEFAULT, CHLD DEFAULT\n"],
package Mine {
    my $calls = 0;
    sub signal_received {
        my $self = shift;
        print "in_child $self->{in_child}, TERM $SIG{TERM}, CHLD $SIG{CHLD}\n"
            if $self->{in_child} && !$calls++;
        return $self->SUPER::signal_received(@_);
    }
}
my $pm = pool(max_workers => 1);
$pm->start(\&worker);
PERL
);

# Started together: there are many of them, and each mostly sleeps.
my %running = map {
    $_ => start_program($subclass . $overrides{$_}[0], deadline => 15)
} keys %overrides;
for my $promise (sort keys %running) {
    my $program = $running{$promise};
    $program->wait;
    is $program->out, $overrides{$promise}[1], $promise or diag $program->err;
}

my $dbg = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;

pipe my $hold, my $release;
my ($arguments, $full, %seen) = (0, 0);
my $pm = Parallel::Prefork->new(max_workers => 3);
$pm->{__dbg_callback} = sub {
    $arguments += @_;
    $seen{ $pm->num_workers } = 1;
    $pm->signal_received('enough') if $pm->num_workers == 3 && ++$full == 50;
};
$pm->start(sub {
    close $release;
    readline $hold;
});
print "turns $full\n";
print "arguments $arguments\n";
print "at 1, 2, 3\n" if $seen{1} && $seen{2} && $seen{3};
PERL
is $dbg->line, 'turns 50', '__dbg_callback goes on being called with a full and idle pool';
is $dbg->line, 'arguments 0', '__dbg_callback gets no arguments';
is $dbg->line, 'at 1, 2, 3',  '__dbg_callback is called on each turn that forks, too';

done_testing;
