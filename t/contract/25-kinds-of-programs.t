# Programs that change what perl does for all code in the process: its debugger, its variables, its functions, its
# handlers. In each a pool runs, reloads and stops.

use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# Two generations of two workers. The pool is full when each has written a byte; the signals come from a hook, so
# nothing here depends on the time. BEFORE is what the program does before it loads the module, AFTER after new.
my $pool = <<'PERL';
BEGIN { $main::manager = $$ }
BEFORE
use Parallel::Prefork;
pipe our $ready, our $done or die "pipe: $!";
binmode $_ for *STDOUT, $ready, $done;
our $started = 0;
our $pm = Parallel::Prefork->new({
    max_workers          => 2,
    spawn_interval       => '0.01',
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM', HUP => ['TERM', '0.01'] },
    on_child_reap        => sub { syswrite STDOUT, "ended by $_[2]\n" if exists $_[0]{worker_pids}{ $_[1] } },
    after_fork           => sub {
        return if ++$main::started % 2;
        sysread $main::ready, my $byte, 1 for 1, 2;
        kill $main::started == 2 ? 'HUP' : 'TERM', $main::manager;
    },
});
AFTER
while (($pm->signal_received || '') ne 'TERM') {
    # Only those of before.
    $started = 2 if $started;
    $pm->start(sub {
        syswrite $main::done, '.';
        while (1) {
            select undef, undef, undef, 1;
        }
    });
    syswrite STDOUT, 'start ended by ' . $pm->signal_received . "\n";
    $pm->wait_all_children;
}
syswrite STDOUT, 'left: ' . $pm->num_workers . "\n";
PERL

my $debugger = 'BEGIN { package DB; sub DB::DB { } sub DB::sub { &$DB::sub } }';
my %kind = (
    'none of them'              => {},
    'perl -W'                   => { switches => ['-W'] },
    'perl -d'                   => {
        switches => ['-d'],
        env      => { PERLDB_OPTS => 'NonStop=1 noTTY=1 LineInfo=/dev/null' },
    },
    'perl -d, another debugger' => { switches => ['-d'], env => { PERL5DB => $debugger } },
    'perl -CSDA'                => { switches => ['-C127'] },
    'PERL_SIGNALS=unsafe'       => { env => { PERL_SIGNALS => 'unsafe' } },
    'PERL_DESTRUCT_LEVEL=2'     => { env => { PERL_DESTRUCT_LEVEL => 2 } },
    'variables for input and output' => { before => <<'PERL' },
BEGIN {
    $, = "-";
    $\ = "!\n";
    $/ = undef;
    $" = "+";
    $; = "x";
}
PERL
    'the variable for records' => { before => <<'PERL' },
BEGIN {
    $/ = \10;
    $_ = "kept";
}
PERL
    'functions of its own' => { before => <<'PERL' },
BEGIN {
    no warnings 'redefine';
    *CORE::GLOBAL::time  = sub () { 42 };
    *CORE::GLOBAL::sleep = sub (;$) { 1 };
    *CORE::GLOBAL::exit  = sub (;$) { CORE::exit(@_ ? $_[0] : 0) };
    *CORE::GLOBAL::die   = sub { CORE::die(@_) };
    *CORE::GLOBAL::warn  = sub { CORE::warn(@_) };
    *CORE::GLOBAL::ref   = sub (_) { CORE::ref($_[0]) };
    *CORE::GLOBAL::fork  = sub () { CORE::fork() };
}
PERL
    'a handler of die that dies'  => { before => '$SIG{__DIE__} = sub { die "wrapped: @_" };' },
    'a handler of die that exits' => { before => '$SIG{__DIE__} = sub { exit 9 };' },
    'numbers that are objects'    => { before => 'use bignum;' },
    'autodie'                     => { before => 'use autodie;' },
    'sigtrap'                     => { before => 'use sigtrap qw(die normal-signals);' },
    'UTF-8'                       => { before => <<'BEFORE', after => <<'AFTER' },
use utf8;
use open qw(:utf8);
BEFORE
$pm->{"naïve"} = "☃";
my $term = "TERM";
utf8::upgrade($term);
$pm->trap_signals({ $term => $term, HUP => $term });
AFTER
    'a tied %SIG' => { before => <<'BEFORE', after => <<'AFTER' },
require Tie::Hash;
@Signals::ISA = "Tie::ExtraHash";
my %real = %SIG;
BEFORE
{
    package Signals;
    sub TIEHASH { return bless [{ %real }] }
}
tie %SIG, 'Signals';
AFTER
    '%SIG localized' => { after => 'local %SIG = %SIG;' },
    'options that are tied' => { before => <<'BEFORE', after => 'tie $pm->{max_workers}, "Two";' },
{
    package Two;
    sub TIESCALAR { return bless [] }
    sub FETCH     { return 2 }
    sub STORE     { return }
}
BEFORE
    'no descriptors but three and its own' => { after => <<'PERL' },
require POSIX;
my %is_own = map { fileno $_ => 1 } $ready, $done;
$is_own{$_} || POSIX::close($_) for 3 .. 100;
PERL
    'the object is dumped' => {
        before => 'use Data::Dumper ();',
        after  => '$pm->before_fork(sub { Data::Dumper::Dumper($_[0]) });',
    },
    'another locale' => { before => <<'PERL' },
use locale;
use POSIX ();
POSIX::setlocale(POSIX::LC_ALL(), $_) and last for "de_DE.UTF-8", "fr_FR.UTF-8", "C";
PERL
    'methods for everything' => { before => <<'PERL' },
sub UNIVERSAL::AUTOLOAD {
    our $AUTOLOAD;
    return;
}
sub UNIVERSAL::DESTROY { }
PERL
);

# Before perl 5.36 what is stored in the localized hash stays, in any program.
sub localizes_whole_hash {
    local $SIG{WINCH} = 'DEFAULT';
    {
        local %SIG;
        $SIG{WINCH} = 'IGNORE';
    }
    return ($SIG{WINCH} // '') eq 'DEFAULT';
}
$kind{'%SIG localized for a moment'} = { after => <<'PERL' } if localizes_whole_hash();
{
    local %SIG;
    $SIG{HUP} = "IGNORE";
}
PERL

for my $name (sort keys %kind) {
    my $kind   = $kind{$name};
    my $source = filled($pool, BEFORE => $kind->{before} || '', AFTER => $kind->{after} || '');
    my $p = run($source, deadline => 30, switches => $kind->{switches} || [], env => $kind->{env} || {});
    my %lines;
    $lines{$_}++ for split /\n/, $p->out;
    is_deeply \%lines, { 'start ended by HUP' => 1, 'start ended by TERM' => 1, 'left: 0' => 1 },
        "$name: a pool runs, reloads, and stops" or diag $p->err;
    is $p->status, 0, "$name: the program ends as it should";
}

done_testing;
