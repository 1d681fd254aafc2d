#!/usr/bin/perl

# A signal handler may die between any two statements of the module, and leave by that what the module is at. Whatever
# it was: no worker gets lost, and the manager can be used on.

use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# The Perl code of the module calls the core all the time. Here the handler runs before or after the N-th of these
# calls, for each N that there is. In the calls left out signals are blocked, and in what follows them until they end.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
use Time::HiRes qw(sleep);

my ($when, $kind) = @ARGV;
my ($left, $wanted, $manager, $where) = (0, 0, $$, '');
my %is_left_out = map { $_ => 1 } qw(
    fork_begin forked fork_failed enter_worker leave_evals run_worker child_exited start start_for_list export
    keep_body
);
{
    no strict 'refs';
    no warnings 'redefine';
    for my $name (grep { defined &{"Parallel::Prefork::Core::$_"} } sort keys %Parallel::Prefork::Core::) {
        next if $is_left_out{$name};
        my $code = \&{"Parallel::Prefork::Core::$name"};
        *{"Parallel::Prefork::Core::$name"} = sub {
            my $is_it = $$ == $manager && $wanted && ++$left == $wanted;
            if ($is_it && $when eq 'before') {
                $where = $name;
                die "left\n";
            }
            return &$code if !$is_it;
            my @result = wantarray ? &$code : scalar &$code;
            if ($$ == $manager) {
                $where = $name;
                die "left\n";
            }
            return wantarray ? @result : $result[0];
        };
    }
}

{
    package Overriding;
    our @ISA = ('Parallel::Prefork');

    sub num_workers {
        my $self = shift;
        return $self->SUPER::num_workers;
    }
}

sub manager {
    my ($forks, $reaped) = (0, 0);
    my %options = (
        max_workers          => 3,
        err_respawn_interval => 0,
        trap_signals         => { TERM => 'TERM', USR1 => 'TERM' },
        $kind =~ /hooks/ ? (
            before_fork => sub { $forks++ },
            after_fork  => sub { 1 },
        ) : (),
        on_child_reap        => sub { $_[0]->signal_received('enough') if ++$reaped >= 5 },
        $kind =~ /spare/ ? (min_spare_workers => 2) : (),
    );
    my $class
        = $kind =~ /spare/      ? 'Parallel::Prefork::SpareWorkers'
        : $kind =~ /overriding/ ? 'Overriding'
        :                         'Parallel::Prefork';
    return $class->new(\%options);
}

my $runs = 0;
local $SIG{__WARN__} = sub { warn @_ if $_[0] ne "on_child_reap died: left\n" };
while (1) {
    my $pm = manager();
    # A hash of the program's own becomes the table, with a child of its own in it.
    if ($kind =~ /stored/) {
        local $SIG{TERM} = 'DEFAULT';
        my $child = fork // die;
        if (!$child) {
            sleep 60;
            exit 0;
        }
        $pm->{worker_pids} = { $child => { mine => 1 } };
    }
    ($left, $wanted) = (0, ++$runs);
    my $lived = eval {
        $pm->start(sub { sleep 0.001 });
        $pm->signal_all_children('TERM');
        my %seen = map { $_ => $pm->{worker_pids}{$_} } keys %{ $pm->{worker_pids} };
        $pm->wait_all_children(10);
        1;
    };
    my $error = $@;
    $wanted = 0;
    die $error if !$lived && $error ne "left\n";
    # What was left is done again, and all are still there.
    my $again = eval { $pm->start(sub { sleep 0.001 }) };
    print "$where ($runs): the next start says $@" if !$again;
    $pm->signal_all_children('TERM');
    $pm->wait_all_children(10);
    my $count = $pm->num_workers;
    print "$where ($runs): $count left\n" if $count;
    my $lost = waitpid -1, 0;
    print "$where ($runs): $lost was lost\n" if $lost != -1;
    last if $lived;
}
print $runs > 20 ? "tried\n" : "only $runs\n";
PERL

for my $kind ('plain', 'hooks', 'overriding', 'overriding, stored', 'spare') {
    for my $when (qw(before after)) {
        my $p = run($program, args => [$when, $kind], deadline => 120);
        is $p->out, "tried\n", "no worker is lost where a handler dies $when a call of the core: $kind";
        is $p->err, '', "nothing is said of errors where a handler dies $when a call of the core: $kind";
    }
}

# In the middle of the compiling of what is compiled late: require is called by "use VERSION" there.
for my $module (qw(Events Loop Options WorkerPids)) {
    my $p = run(<<'PERL', args => [$module], deadline => 30);
use strict;
use warnings;
my ($module, $left, $armed) = (shift, 0, 0);
BEGIN {
    *CORE::GLOBAL::require = sub {
        die "left\n" if $armed && (caller)[1] =~ m{/Prefork/$module\.pm$} && !$left++;
        return CORE::require($_[0]);
    };
}
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { },
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$armed = 1;
for (1 .. 2) {
    my $done = eval {
        if ($module eq 'Options') {
            eval { $pm->max_workers('many') };
            die $@ if $@ !~ /^max_workers must be/;
        }
        my $seen = keys %{ $pm->{worker_pids} };
        $pm->start(sub { exit 0 });
        $pm->wait_all_children;
        1;
    };
    print $done ? "done\n" : $@ =~ /^(left)/ ? "$1\n" : $@;
}
PERL
    is $p->out, "left\ndone\n", "a manager works on where a handler dies while $module is compiled";
    is $p->err, '', "nothing is said where a handler dies while $module is compiled";
}

# A signal that comes in the middle of that is handled right after it. Perl would make a constant or another error of
# what a handler throws while it compiles.
my $signalled = <<'PERL';
use strict;
use warnings;
my ($module, $how) = @ARGV;
my $armed;
BEGIN {
    *CORE::GLOBAL::require = sub {
        kill ALRM => $$ if $armed && (caller)[1] =~ m{/Prefork/$module\.pm$};
        return CORE::require($_[0]);
    };
}
use Parallel::Prefork;
$SIG{ALRM} = sub {
    $armed = 0;
    exit 7 if $how eq 'exits';
    die { code => 42 };
};
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { },
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
for (1 .. 2) {
    $armed = $_ == 1;
    my $done = eval {
        if ($module eq 'Options') {
            eval { $pm->max_workers('many') };
            die $@ if ref $@;
        }
        my $seen = keys %{ $pm->{worker_pids} };
        $pm->start(sub { exit 0 });
        $pm->wait_all_children;
        1;
    };
    print $done ? "done\n" : ref $@ ? "object $@->{code}\n" : "text $@\n";
}
PERL
for my $module (qw(Events Loop Options WorkerPids)) {
    my $p = run($signalled, args => [$module, 'dies'], deadline => 30);
    is $p->out, "object 42\ndone\n",
        "what a handler throws comes as it is where the signal comes while $module is compiled";
    is $p->err, '', "nothing is said where a signal comes while $module is compiled";
    $p = run($signalled, args => [$module, 'exits'], deadline => 30);
    is $p->status, 7 << 8, "a handler exits with its own status where the signal comes while $module is compiled";
}

done_testing;
