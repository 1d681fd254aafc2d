# Contract 2: new puts a handler into %SIG for every key of trap_signals, which hands the
# signal's name to the method signal_received; the program may replace it at any time.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %trap = facts('trapping', <<'PERL');
use Parallel::Prefork;
{
    package Logged;
    our @ISA = ('Parallel::Prefork');
    our @calls;

    sub signal_received {
        my $self = shift;
        push @calls, scalar(@_) . ":@_" if @_;
        return $self->SUPER::signal_received(@_);
    }
}
my $pm = Logged->new(trap_signals => { TERM => 'TERM', HUP => undef, USR1 => ['TERM', 5] });
print "kinds = ", join(' ', map { ref $SIG{$_} } qw(TERM HUP USR1)), "\n";
print "chld = ", ref $SIG{CHLD}, "\n";
print "int = ", (defined $SIG{INT} ? $SIG{INT} : 'untouched'), "\n";
print "quiet = ", scalar(@Logged::calls), "\n";

$SIG{TERM}->('any thing', 'more');
print "called = @Logged::calls (", $pm->signal_received, ")\n";
for my $name (qw(TERM HUP USR1)) {
    @Logged::calls = ();
    kill $name, $$;
    print "$name = @Logged::calls (", $pm->signal_received, ")\n";
}
@Logged::calls = ();
$SIG{CHLD}->('CHLD');
print "chld calls = ", scalar(@Logged::calls), "\n";
PERL

is $trap{kinds}, 'CODE CODE CODE', 'every key of trap_signals has a code reference in %SIG, whatever its value';
is $trap{chld},  'CODE',           '$SIG{CHLD} is a code reference';
is $trap{int},   'untouched',      'a signal that is no key of trap_signals is left alone';
is $trap{quiet}, 0,                'new itself does not store a signal';
is $trap{called}, '1:any thing (any thing)',
    'the closure calls the method signal_received with its first argument';
is $trap{$_}, "1:$_ ($_)", "SIG$_ calls the method signal_received with its name" for qw(TERM HUP USR1);
is $trap{'chld calls'}, 0, 'the handler of CHLD stores nothing';

my %few = facts('few or wrong names', <<'PERL');
use Parallel::Prefork;
my %before = map { $_ => $SIG{$_} // 'none' } keys %SIG;
my $none   = Parallel::Prefork->new(trap_signals => {});
# CLD is another name of CHLD.
my @changed = grep { $_ ne 'CLD' && ($SIG{$_} // 'none') ne $before{$_} } sort keys %SIG;
print "empty = @changed\n";

my $default = Parallel::Prefork->new;
kill 'TERM', $$;
print "default = ", join(' ', sort keys %{ $default->trap_signals }), ' ', $default->signal_received, "\n";
print "hup = ", (defined $SIG{HUP} ? 'trapped' : 'untouched'), "\n";

my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };
my $odd = Parallel::Prefork->new(trap_signals => { FOO => 'TERM', USR2 => 'TERM' });
print "warnings = ", scalar(@warnings), " $warnings[0]";
kill 'USR2', $$;
print "beside = ", $odd->signal_received, "\n";
PERL

is   $few{empty},    'CHLD',      'an empty trap_signals changes no handler but that of CHLD';
is   $few{default},  'TERM TERM', 'without trap_signals TERM is trapped';
is   $few{hup},      'untouched', 'without trap_signals nothing else is trapped';
like $few{warnings}, qr/^1 No such signal: SIGFOO\b/,
    'a name that is no signal gives one warning, in the words of perl';
is   $few{beside},   'USR2',      'the good names beside a wrong one are trapped';

my %mine = facts('own handlers', <<'PERL');
use Parallel::Prefork;
my ($pm, $mine, $forks);
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    trap_signals  => { TERM => 'TERM', HUP => 'TERM' },
    after_fork    => sub { kill 'TERM', $$ },
    on_child_reap => sub { $pm->signal_received("after $mine") if !$pm->signal_received },
);
my $trap = $SIG{TERM};
{
    local $SIG{TERM} = sub { $mine++ };
    kill 'TERM', $$;
    print "local = $mine '", $pm->signal_received, "'\n";
    $pm->start(sub { });
    print "local in start = ", $pm->signal_received, "\n";
}
print "restored = ", ($SIG{TERM} == $trap ? 'the trap' : 'another'), "\n";
$pm->start(sub { });
print "trap again = ", $pm->signal_received, "\n";
$pm->wait_all_children;

$mine = 0;
$SIG{TERM} = sub { $mine++ };
$pm->start(sub { });
print "replaced = ", $pm->signal_received, "\n";
$SIG{HUP} = 'IGNORE';
$pm->signal_received('');
kill 'HUP', $$;
print "ignored = '", $pm->signal_received, "'\n";

# The handler of a program that traps for itself stores what ends start.
$pm = Parallel::Prefork->new(max_workers => 1, trap_signals => {}, after_fork => sub { kill 'TERM', $$ });
local $SIG{TERM} = sub { $pm->signal_received('TERM') };
print "own trap = ", $pm->start(sub { }), ' ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL

is $mine{local},            "1 ''",      'local $SIG{TERM} takes the signal from the trap';
is $mine{'local in start'}, 'after 2',   'local $SIG{TERM} takes the signal from the trap while start runs, too';
is $mine{restored},         'the trap',  'when the scope of local ends, the same trap is in %SIG again';
is $mine{'trap again'},     'TERM',      'a trap that is back after local ends start';
is $mine{replaced},         'after 1',   'a handler that is set after new stays, and start does not see the signal';
is $mine{ignored},          "''",        'IGNORE that is set after new stays';
is $mine{'own trap'},       '1 TERM',    'a handler of the program may call signal_received itself, which ends start';

my %stores = facts('a tied signal_received', <<'PERL');
use Parallel::Prefork;
{
    package Stores;
    our @stored;
    sub TIESCALAR { return bless [''], shift }
    sub FETCH     { return $_[0][0] }
    sub STORE {
        my ($self, $value) = @_;
        push @stored, $value if $value;
        return $self->[0] = $value;
    }
}
my $pm = Parallel::Prefork->new({ max_workers => 1 });
tie $pm->{signal_received}, 'Stores';
$pm->{signal_received} = '';
kill 'TERM', $$;
1 until @Stores::stored;
print "stored = @Stores::stored\n";
PERL

is $stores{stored}, 'TERM', 'a signal that arrives is stored once';

done_testing;
