# Contract 14: SIGCHLD may be somebody else's. Modules put functions in C in its place that perl does not know of (EV,
# Async::Interrupt), and so do programs with a handler of their own. The pool is reaped and filled all the same.
use strict;
use warnings;

use File::Temp ();
use lib "t/lib";
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(EV Async::Interrupt));

# The first 100 workers end at once; the last one of all looks how many of them are zombies. A subclass whose _wait
# does not block takes a turn of a loop where the manager would sleep. With 0.18, which looks after each fork, few are.
# No more than 100 live at a time: perl dies of 120 signals that it has noted and not handled, as in one turn of EV.
my $filling = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
BEFORE;
{
    package Turns;
    our @ISA = ('Parallel::Prefork');
    our $turn = sub { select undef, undef, undef, 0.05 };

    sub _wait {
        my ($self, $blocking) = @_;
        my @ended = $self->SUPER::_wait(0);
        return @ended if @ended || !$blocking;
        $turn->();
        return $self->SUPER::_wait(0);
    }
}

my ($class, $forks_file) = @ARGV;
my $pm = $class->new({
    max_workers          => 100,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM', USR1 => '' },
});
my $manager = $$;
AFTER;

sub zombies {
    my $zombies = 0;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $stat, '<', $file or next;
        my ($state, $parent) = (<$stat> // '') =~ /\) (\S) (\d+)/ or next;
        $zombies++ if $parent == $manager && $state eq 'Z';
    }
    return $zombies;
}

if (!$pm->start) {
    # Opened here, it has a position of its own: where this one's byte has gone.
    open my $count, '>>', $forks_file or die;
    syswrite $count, '.';
    my $forks = sysseek $count, 0, 1;
    exit 0 if $forks <= 100;
    if ($forks == 200) {
        my $zombies = zombies();
        print $zombies < 50 ? "few zombies\n" : "zombies: $zombies\n";
        kill 'USR1', $manager;
    }
    sleep 1 while 1;
}
$pm->signal_all_children('TERM');
# wait_all_children of 0.18 looks a whole second for the last one.
$pm->wait_all_children(20);
print 'left: ', $pm->num_workers, ', ', zombies(), "\n";
PERL

my $watch_by_ev = <<'PERL';
our $watcher = EV::child(0, 0, sub { });
$Turns::turn = sub {
    my $timer = EV::timer(0.05, 0, sub { EV::break() });
    EV::run();
};
PERL

my %taker = (
    'EV'                       => { before => 'use EV', after => $watch_by_ev },
    'EV, loaded late'          => { after => "require EV;\n$watch_by_ev" },
    'Async::Interrupt'         => {
        before => 'use Async::Interrupt',
        after  => 'our $interrupt = Async::Interrupt->new(cb => sub { }, signal => "CHLD")',
    },
    'a handler of the program' => { after => '$SIG{CHLD} = sub { }' },
    'nobody'                   => { after => '$SIG{CHLD} = "DEFAULT"' },
);
for my $name (sort keys %taker) {
    my $program = filled($filling, BEFORE => $taker{$name}{before} || '', AFTER => $taker{$name}{after});
    for my $class (qw(Parallel::Prefork Turns)) {
        my $forks = File::Temp->new;
        my $p = run($program, args => [$class, "$forks"], deadline => 150);
        my $title = "SIGCHLD is taken by $name, $class";
        is $p->line, 'few zombies', "$title: workers that end are reaped and replaced";
        is $p->line, 'left: 0, 0', "$title: in the end no worker and no zombie is left";
        is $p->err, '', "$title: nothing is said of errors";
    }
}

done_testing;
