# Contract 3: nine accessors get and set; a set returns its value; several values become an
# array reference; undef is a value. max_workers may change while start runs.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my @accessors = qw(max_workers spawn_interval err_respawn_interval trap_signals signal_received
    manager_pid on_child_reap before_fork after_fork);

my %got = facts('accessors', <<'PERL', args => \@accessors);
use Parallel::Prefork;
my $code  = sub { };
my %first = (
    max_workers          => 3,
    spawn_interval       => 0.5,
    err_respawn_interval => 2,
    trap_signals         => { HUP => 'TERM' },
    signal_received      => 'HUP',
    manager_pid          => 4711,
    on_child_reap        => $code,
    before_fork          => $code,
    after_fork           => $code,
);
my $other = sub { 1 };
my %next  = (
    max_workers          => 5,
    spawn_interval       => 0.25,
    err_respawn_interval => 3,
    trap_signals         => { USR1 => undef },
    signal_received      => 'TERM',
    manager_pid          => 42,
    on_child_reap        => $other,
    before_fork          => $other,
    after_fork           => $other,
);
my $pm = Parallel::Prefork->new(\%first);
sub same { return defined $_[0] && "$_[0]" eq "$_[1]" ? 'yes' : 'no' }
for my $name (@ARGV) {
    print "$name get = ", same(scalar($pm->$name), $first{$name}), "\n";
    print "$name set = ", same(scalar($pm->$name($next{$name})), $next{$name}), "\n";
    print "$name after set = ", same($pm->$name, $next{$name}), ' ', same($pm->{$name}, $next{$name}), "\n";
    my $returned = $pm->$name(undef);
    print "$name undef = ", (grep { defined } $returned, $pm->$name, $pm->{$name}) ? 'no' : 'yes', "\n";
}
# Not for the others: several values make no sense there, and may be refused.
for my $name (qw(signal_received manager_pid)) {
    my $returned = $pm->$name(qw(one two three));
    my $stored   = $pm->$name;
    my $are_arrays = ref $stored eq 'ARRAY' && ref $returned eq 'ARRAY';
    print "$name several = ", ($are_arrays ? "@$stored / @$returned" : 'no'), "\n";
}
PERL

for my $name (@accessors) {
    is $got{"$name get"},       'yes',     "$name gives what new was given";
    is $got{"$name set"},       'yes',     "setting $name returns the value";
    is $got{"$name after set"}, 'yes yes', "$name gives what was set, and so does the member of that name";
    is $got{"$name undef"},     'yes',     "$name can be set to undef";
}
is $got{"$_ several"}, 'one two three / one two three', "several values given to $_ are stored as an array reference"
    for qw(signal_received manager_pid);

my %raised = facts('more workers', <<'PERL');
use Parallel::Prefork;
pipe my $wait, my $hold or die $!;
my ($pm, @forked);
$pm = Parallel::Prefork->new(
    max_workers  => 1,
    trap_signals => {},
    after_fork   => sub {
        push @forked, $_[1];
        $pm->max_workers(2)            if @forked == 1;
        kill 'USR1', $$                if @forked == 2;
        $pm->signal_received('enough') if @forked == 4;
    },
);
$SIG{USR1} = sub { $pm->max_workers(4) };
$pm->start(sub {
    close $hold;
    sysread $wait, my $end, 1;
});
print "workers = ", $pm->num_workers, "\n";
close $hold;
$pm->wait_all_children;
PERL

is $raised{workers}, 4, 'raising max_workers from a callback and from a handler makes the running loop fork more';

my %lowered = facts('fewer workers', <<'PERL');
use Parallel::Prefork;
# Each byte lets one worker end.
pipe my $wait, my $let_go or die $!;
my ($pm, @log);
my $reaps = 0;
$pm = Parallel::Prefork->new(
    max_workers   => 3,
    trap_signals  => {},
    after_fork    => sub {
        push @log, 'fork';
        if (@log == 3) {
            $pm->max_workers(1);
            syswrite $let_go, 'x';
        }
        $pm->signal_received('enough') if @log > 3;
    },
    on_child_reap => sub {
        push @log, 'reap';
        syswrite $let_go, 'x' if ++$reaps < 3;
    },
);
$pm->start(sub {
    close $let_go;
    sysread $wait, my $end, 1;
});
print "log = @log\n";
close $let_go;
$pm->wait_all_children;
PERL

is $lowered{log}, 'fork fork fork reap reap reap fork',
    'lowering max_workers in the running loop stops nobody, and nobody is replaced above it';

my %aliased = facts('a member that is aliased', <<'PERL');
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({ max_workers => 1, trap_signals => {} });
my $alias = \$pm->{spawn_interval};
$pm->spawn_interval(3);
print "alias = $$alias\n";
$$alias = 5;
print "accessor = ", $pm->spawn_interval, "\n";
Internals::SvREADONLY($$alias, 1);
print "read-only = ", (eval { $pm->spawn_interval(0); 1 } ? 'stored' : $@ =~ /(read-only)/), "\n";
PERL

is $aliased{alias},       3,           'a reference to a member sees what the accessor stores';
is $aliased{accessor},    5,           'the accessor gives what is stored by a reference to the member';
is $aliased{'read-only'}, 'read-only', 'an accessor cannot store into a member that is read-only';

my %tied = facts('a member that is tied', <<'PERL');
use Parallel::Prefork;
{
    package Tied;
    our @stored;

    sub TIESCALAR {
        my ($class, $value) = @_;
        return bless \$value, $class;
    }

    sub FETCH { return ${ $_[0] } }

    sub STORE {
        my ($self, $value) = @_;
        push @stored, $value;
        $$self = $value;
        return;
    }
}
my $pm = Parallel::Prefork->new({ max_workers => 1, trap_signals => {} });
tie $pm->{max_workers}, 'Tied', 2;
print "returned = ", $pm->max_workers(1), "\n";
print "read = ", $pm->max_workers, "\n";
print "max_workers = ", (tied $pm->{max_workers} ? 'tied' : 'not tied'), "\n";
tie $pm->{signal_received}, 'Tied', '';
$pm->on_child_reap(sub { print 'in the hook = ', $_[0]->signal_received('ok'), "\n" });
$pm->start(sub { exit 0 });
print "after start = ", $pm->signal_received, "\n";
print "signal_received = ", (tied $pm->{signal_received} ? 'tied' : 'not tied'), ", stored $Tied::stored[-1]\n";
PERL

is $tied{returned},          1,                   'setting a tied member returns the value';
is $tied{read},              1,                   'the accessor gives what was set in a tied member';
is $tied{max_workers},       'tied',              'a tied member that was set is still tied';
is $tied{'in the hook'},     'ok',                'a hook can set a tied signal_received';
is $tied{'after start'},     'ok',                'what is set in a tied signal_received ends start';
is $tied{signal_received},   'tied, stored ok',   'signal_received is still tied after start, and was told';

done_testing;
