# Contract 16: perl looks for a method at each call. So one that is overridden counts from that moment on, however that
# was done, and also while start runs: it is called in the next turn of the loop.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# Two workers are all that there is to be, and four where the new code is called. Only that ends start, when there are
# three.
my $changing = <<'PERL';
use strict;
use warnings;
no warnings qw(once redefine);
use Time::HiRes ();
use Parallel::Prefork;

my ($how, $when) = @ARGV;
@Middle::ISA = 'Parallel::Prefork';
@Mine::ISA   = 'Middle';
my $pm;

# After a decision against a fork 0.18 waits before it looks at what has been stored.
sub decide_for_four {
    my $self    = shift;
    my $workers = $self->num_workers;
    $self->signal_received('enough') if $workers == 3;
    return $workers < 4 ? 1 : 0;
}

sub four_workers {
    my $self = shift;
    $self->signal_received('enough') if $self->num_workers == 3;
    return 4;
}

sub compile {
    my $source = shift;
    eval "no warnings; $source; 1" or die $@;
    return;
}

@Other::ISA = 'Parallel::Prefork';
*Other::_decide_action = \&decide_for_four;

my %change = (
    glob     => sub { *Parallel::Prefork::_decide_action = \&decide_for_four },
    eval     => sub { compile('sub Parallel::Prefork::_decide_action { goto &main::decide_for_four }') },
    body     => sub {
        undef &Parallel::Prefork::_decide_action;
        compile('sub Parallel::Prefork::_decide_action { goto &main::decide_for_four }');
    },
    accessor => sub {
        undef &Parallel::Prefork::max_workers;
        compile('sub Parallel::Prefork::max_workers { goto &main::four_workers }');
    },
    class    => sub { *Mine::_decide_action = \&decide_for_four },
    above    => sub { *Middle::_decide_action = \&decide_for_four },
    isa      => sub { @Mine::ISA = ('Other', 'Middle') },
    isa_twice => sub { unshift @Middle::ISA, 'Other' },
    wrapper  => sub {
        my $wrapped = Mine->can('max_workers');
        *Mine::max_workers = sub {
            return $wrapped->(@_) + four_workers($_[0]) - 2;
        };
    },
    super    => sub {
        compile('package Mine; sub max_workers { shift->SUPER::max_workers(@_) + main::four_workers($pm) - 2 }');
    },
    declared => sub {
        compile('package Mine; sub _decide_action; sub DESTROY; sub AUTOLOAD { goto &main::decide_for_four }');
    },
    deleted  => sub {
        compile('package Mine; sub DESTROY; sub AUTOLOAD { goto &main::decide_for_four }');
        delete $Parallel::Prefork::{_decide_action};
    },
    bless    => sub { bless $pm, 'Other' },
);

my $is_changed = 0;
sub change {
    $change{$how}->() if !$is_changed++;
    return;
}

# Workers are gone with the manager.
pipe my $hold, my $release or die "pipe: $!";
my $is_first = 1;
sub worker {
    close $release;
    exit 0 if $when eq 'reap' && $is_first;
    readline $hold;
    exit 0;
}

# Without code start is left to the loop alone, if there is no hook.
sub run_start {
    $pm->start or worker();
    return;
}

$pm = Mine->new(max_workers => 2, trap_signals => { USR1 => 'TERM' });
$pm->after_fork(\&change) if $when eq 'fork';
if ($when eq 'reap') {
    $pm->after_fork(sub { $is_first = 0 });
    $pm->on_child_reap(\&change);
}
if ($when eq 'again') {
    $pm->after_fork(sub { $_[0]->signal_received('once') });
    run_start();
    $pm->after_fork(undef);
}
change() if $when =~ /^(?:before|again)$/;
# Again and again: 0.18 may miss one that comes just before it waits.
$SIG{ALRM} = \&change;
Time::HiRes::alarm(0.1, 0.1) if $when eq 'signal';
run_start();
Time::HiRes::alarm(0);
print 'ended by ', $pm->signal_received, "\n";
PERL

my %how = (
    glob      => 'a sub is assigned to the glob',
    eval      => 'another sub is compiled',
    body      => 'the sub gets another body',
    accessor  => 'the sub of an accessor gets another body',
    class     => 'a sub is put into the class',
    above     => 'a sub is put into a class above',
    isa       => 'the class gets another class above it',
    isa_twice => 'a class above gets another one above it',
    wrapper   => 'the method is wrapped',
    super     => 'the new method calls that of the class above',
    declared  => 'the method is declared only, and AUTOLOAD does its work',
    deleted   => 'the method is deleted, and AUTOLOAD does its work',
    bless     => 'the object is blessed into another class',
);
my %when = (
    before => 'before start',
    again  => 'between two starts',
    fork   => 'in after_fork',
    reap   => 'in on_child_reap',
    signal => 'in a handler',
);

# Started together: there are many of them.
for my $how (sort keys %how) {
    my %running = map { $_ => start_program($changing, args => [$how, $_], deadline => 30) } sort keys %when;
    for my $when (sort keys %running) {
        my $program = $running{$when};
        $program->wait;
        is $program->out, "ended by enough\n", "$how{$how}, $when{$when}" or diag $program->err;
    }
}

# While all workers are waited for, one of which never ends; and where the whole class goes.
my $while = <<'PERL';
use strict;
use warnings;
no warnings qw(once redefine);
use Symbol ();
use Time::HiRes ();
use Parallel::Prefork;

my ($how, $runs) = @ARGV;
@Mine::ISA = 'Parallel::Prefork';
my %change = (
    glob => sub { *Mine::num_workers = sub { return 0 } },
    body => sub {
        undef &Parallel::Prefork::num_workers;
        eval 'sub Parallel::Prefork::num_workers { return 0 } 1' or die $@;
    },
    undef  => sub { undef %Mine:: },
    empty  => sub { %Mine:: = () },
    delete => sub { Symbol::delete_package('Mine') },
);
pipe my $hold, my $release or die "pipe: $!";
my $pm = Mine->new(
    max_workers  => 1,
    trap_signals => { USR1 => 'TERM' },
    after_fork   => $runs eq 'start' ? undef : sub { $_[0]->signal_received('enough') },
);
my $is_changed = 0;
$SIG{ALRM} = sub { $change{$how}->() if !$is_changed++ };
Time::HiRes::alarm(0.1, 0.1) if $runs eq 'start';
eval {
    if (!$pm->start) {
        close $release;
        readline $hold;
        exit 0;
    }
    Time::HiRes::alarm(0.1, 0.1);
    print 'left ', $pm->wait_all_children, "\n";
    1;
} or print "died: $@";
PERL
my $is_gone = qr/\Adied: Can't (?:locate object method|use anonymous symbol table for method lookup)/;
my @while = (
    ['glob',   'wait',  qr/\Aleft 0$/, 'a sub is assigned to the glob while wait_all_children runs'],
    ['body',   'wait',  qr/\Aleft 0$/, 'a sub gets another body while wait_all_children runs'],
    ['undef',  'start', $is_gone, 'the package is undefined while start runs: that is an error'],
    ['empty',  'start', $is_gone, 'the package is emptied while start runs: that is an error'],
    ['delete', 'start', $is_gone, 'the package is deleted while start runs: that is an error'],
    ['undef',  'wait',  $is_gone, 'the package is undefined while wait_all_children runs: that is an error'],
);
for my $case (@while) {
    my ($how, $runs, $expected, $name) = @$case;
    my $program = run($while, args => [$how, $runs], deadline => 30);
    like $program->out, $expected, $name or diag $program->err;
}

done_testing;
