#!/usr/bin/perl

# The exit of a worker leaves out the destruction of everything where nobody could see any of it; what
# a program can see happens as ever.

use strict;
use warnings;

use Config;
use ExtUtils::Embed ();
use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use Tricks;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

# By syswrite, which needs no flush.
sub note {
    syswrite STDOUT, "$_[0]\n";
    return;
}

our ($thing, $pm);
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub {
        note("status $_[2]");
        $_[0]->signal_received('enough');
    },
);
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
WORKER
exit 3;
PERL

# What a worker says that does this, and then exits with 3; and how it has ended.
sub worker {
    my ($code, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $p = start_program(filled($program, WORKER => $code), deadline => 30, %options);
    is $p->wait, 0, 'the manager ends as it should' or diag $p->err;
    return $p->out;
}

# An object of this says in which of perl's phases it is destroyed: in DESTRUCT everything is.
my $witness = <<'PERL';
sub Witness::DESTROY { main::note(${^GLOBAL_PHASE}) }
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'an object with a destructor is destroyed';
our $object = bless [], 'Witness';
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'an object deep in a structure is destroyed';
our @list = ({ deep => [bless [], 'Witness'] });
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'an object with an inherited destructor is destroyed';
@Heir::ISA = 'Witness';
our $object = bless [], 'Heir';
PERL

like worker($witness . <<'PERL'), qr/^DESTRUCT$/m, 'an object is destroyed by a destructor that all classes have';
{
    no warnings 'once';
    *UNIVERSAL::DESTROY = \&Witness::DESTROY;
}
our $object = bless [], 'Any';
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'an object is destroyed by AUTOLOAD';
{
    no warnings 'once';
    *Autoloads::AUTOLOAD = \&Witness::DESTROY;
}
our $object = bless [], 'Autoloads';
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'a destructor that does nothing does not hide another one';
our $object = bless [], 'Witness';
sub Empty::DESTROY { }
our $empty = bless [], 'Empty';
PERL

is worker($witness . <<'PERL'), "DESTRUCT\nstatus 768\n", 'the object behind a tied variable is destroyed';
sub Tie::TIESCALAR { return bless [], 'Witness' }
tie our $tied, 'Tie';
PERL

is worker($witness . <<'PERL'), "RUN\nEND\nstatus 768\n", 'a variable of the file goes before END blocks run';
my $object = bless [], 'Witness';
END { note('END') if $main::pm->{in_child} }
PERL

like worker($witness . <<'PERL'), qr/^DESTRUCT$/m, 'what the manager object holds is destroyed';
our $object = bless [], 'Witness';
$pm->{of_mine} = sub { $object };
undef $pm;
PERL

like worker($witness . <<'PERL'), qr/^\w+\nstatus 768$/m, 'a manager object whose class has a destructor is destroyed';
bless $pm, 'Witness';
undef $pm;
PERL

# A manager object that only the handlers hold goes with them, and with it what it holds, before END.
my $held_by_handlers = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

our $in_worker = 0;

sub note {
    syswrite STDOUT, "$_[0]\n";
    return;
}

sub Witness::DESTROY {
    main::note("destroyed: ${^GLOBAL_PHASE}") if $main::in_worker;
    return;
}
@My::ISA = qw(Parallel::Prefork Witness);

# A closure would hold the manager object too.
sub enough { return $_[0]->signal_received('enough') }

my $pm = CLASS->new(max_workers => 1, OPTIONS);
$pm->on_child_reap(\&enough);
END { note('END') if $in_worker }
if (!$pm->start) {
    $in_worker = 1;
    exit 0;
}
$pm->wait_all_children;
PERL

for my $case (
    ['an object in the manager object', 'Parallel::Prefork', 'mine => [{ deep => bless [], "Witness" }]'],
    ['what a hook has captured', 'Parallel::Prefork', <<'PERL'],
before_fork => do {
    my $captured = bless [], "Witness";
    sub { $captured }
}
PERL
    ['the manager object', 'My', ''],
) {
    my ($name, $class, $options) = @$case;
    my $held = run(filled($held_by_handlers, CLASS => $class, OPTIONS => $options), deadline => 30);
    is $held->err, '', "$name: nothing is said of errors";
    is $held->out, "destroyed: RUN\nEND\n", "$name goes with the manager's handlers, before END";
}

# What the worker itself puts there goes with it, when the worker says so and not later.
is worker(<<'PERL'), "end of file\nstatus 768\n", 'a handle in the manager object is closed when that goes';
pipe my $reader, my $writer or die;
$pm->{of_mine} = $writer;
undef $writer;
undef $pm;
note(defined readline $reader ? "?" : "end of file");
PERL

is worker($witness . <<'PERL'), "RUN\nafter\nstatus 768\n", 'an object in the manager object goes when that goes';
$pm->{of_mine} = bless [], 'Witness';
undef $pm;
note('after');
PERL

is worker(<<'PERL'), "gone\nstatus 768\n", 'a weak reference to the manager object is undefined when that goes';
require Scalar::Util;
Scalar::Util::weaken(my $weak = $pm);
undef $pm;
note(defined $weak ? "?" : "gone");
PERL

# What nobody can see go stays where it was: the address of such a value is not given to another one. The values that
# go are perl's to use again.
is worker(<<'PERL'), (has_trick('contents') ? 'kept' : 'used again') . ", used again\nstatus 768\n",
$pm->{of_mine} = 1;
my @address = map { 0 + $_ } \@$pm{qw(generation of_mine)};
our $reference = \$pm->{of_mine};
my @values;
push @values, 0 for 1 .. 5000;    # perl has no other values to use again
undef $pm;
push @values, 0 for 1 .. 200;
undef $reference;
push @values, 0, 0;
my %used = map { 0 + $_ => 1 } \(@values);
note(join ', ', map { $used{$_} ? 'used again' : 'kept' } @address);
PERL
    'a worker leaves in memory what nobody can see go';

# Handles: what is in them is written, and a pipe waits for its process.
like worker(<<'PERL'), qr/not flushed/, 'what is in the buffer of STDOUT is written';
print 'not flushed';
$SIG{TERM} = 'IGNORE';
PERL

is worker(<<'PERL'), "piped\ndone\nstatus 768\n", 'a pipe that is open waits for its process';
open our $pipe, '|-', 'cat; sleep 0.3; echo done' or die;
print {$pipe} "piped\n";
PERL

SKIP: {
    eval { require PerlIO::via; 1 } or skip 'this perl has no PerlIO::via', 2;
    like worker(<<'PERL'), qr/^popped$/m, 'a layer of the program is taken off its handle';
{
    package Via;
    $INC{'Via.pm'} = 1;
    sub PUSHED { return bless {}, $_[0] }
    sub WRITE  { return length $_[1] }
    sub FLUSH  { return 0 }
    sub POPPED { return main::note('popped') }
}
open our $via, '>:via(Via)', '/dev/null' or die "via: $!";
PERL
}

SKIP: {
    -c '/dev/full' or skip 'there is no /dev/full', 2;
    is worker(<<'PERL'), <<'TEXT', 'perl warns of what could not be written';
$SIG{__WARN__} = sub {
    my $warning = shift;
    $warning =~ s/^(Warning: unable to close filehandle).*/$1/;
    syswrite STDOUT, $warning;
};
open our $full, '>', '/dev/full' or die;
print {$full} 'lost';
PERL
Warning: unable to close filehandle
status 768
TEXT
}

{
    my $dir = File::Temp->newdir;
    open my $file, '>', "$dir/file" or die "$dir/file: $!\n";
    print {$file} "a\nb\n";
    close $file or die "$dir/file: $!\n";
    worker(<<'PERL', args => ["$dir/file"]);
local ($^I, @ARGV) = ('', @ARGV);
while (<>) {
    print;
    last;
}
PERL
    is_deeply [map { s{.*/}{}r } glob "$dir/* $dir/.[!.]*"], ['file'],
        'an edit in place that the exit ends leaves no file behind';
}

SKIP: {
    eval { require mro; 1 } or skip 'this perl has no mro', 1;
    my $p = run(<<'PERL', deadline => 30);
use Parallel::Prefork;
{
    package First;
    our @ISA = ();
    package Second;
    our @ISA = 'First';
    package Contradictory;
    require mro;
    mro::set_mro('Contradictory', 'c3');
}
our $object = bless [], 'Contradictory';
eval { @Contradictory::ISA = ('First', 'Second') };
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
print eval { $pm->start(sub { exit 0 }); 1 } ? "started\n" : "start: $@";
PERL
    is $p->out, "started\n", 'an object whose class has no order of methods hinders nobody';
}

# XS code that is called when its object goes, and has no DESTROY.
my $hook = <<'C';
#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
#include <stdio.h>
#include <unistd.h>

static int gone(pTHX_ SV *sv, MAGIC *mg)
{
    (void)sv;
    (void)mg;
    return write(1, "hook\n", 5) == 5 ? 0 : 1;
}

static MGVTBL hook = { NULL, NULL, NULL, NULL, gone };

XS(XS_hook)
{
    dXSARGS;
    sv_magicext(SvRV(ST(0)), NULL, PERL_MAGIC_ext, &hook, NULL, 0);
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

/* Of a type that perl keeps for itself, and that no XS code has a hook on. */
XS(XS_hidden)
{
    dXSARGS;
    sv_magicext(SvRV(ST(0)), NULL, PERL_MAGIC_utf8, &hook, NULL, 0);
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

static int counts(pTHX_ SV *sv, MAGIC *mg)
{
    char said[32];
    const int length = snprintf(said, sizeof said, "elements: %d\n", HvUSEDKEYS((HV *)sv) > 5);
    (void)mg;
    return write(1, said, length) == length ? 0 : 1;
}

static MGVTBL counter = { NULL, NULL, NULL, NULL, counts };

/* Is called when a hash goes, and looks into it. */
XS(XS_counts)
{
    dXSARGS;
    sv_magicext(SvRV(ST(0)), NULL, PERL_MAGIC_ext, &counter, NULL, 0);
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

XS(XS_take_magic_off)
{
    dXSARGS;
    sv_unmagic(SvRV(ST(0)), PERL_MAGIC_ext);
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

/* As a program does that has perl in it, and stays. */
XS(XS_destroy_everything)
{
    dXSARGS;
    PL_perl_destruct_level = 2;
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

static void at_exit(pTHX_ void *arg)
{
    (void)arg;
    if (write(1, "at exit\n", 8) != 8)
        abort();
}

XS(XS_at_exit)
{
    dXSARGS;
    call_atexit(at_exit, NULL);
    PERL_UNUSED_VAR(items);
    XSRETURN(0);
}

XS(boot_Hook)
{
    dXSARGS;
    newXS("Hook::hook", XS_hook, __FILE__);
    newXS("Hook::hidden", XS_hidden, __FILE__);
    newXS("Hook::at_exit", XS_at_exit, __FILE__);
    newXS("Hook::counts", XS_counts, __FILE__);
    newXS("Hook::take_magic_off", XS_take_magic_off, __FILE__);
    newXS("Hook::destroy_everything", XS_destroy_everything, __FILE__);
    PERL_UNUSED_VAR(items);
    XSRETURN_YES;
}
C

SKIP: {
    my $dir = File::Temp->newdir;
    open my $source, '>', "$dir/Hook.c" or die "$dir/Hook.c: $!\n";
    print {$source} $hook;
    close $source or die "$dir/Hook.c: $!\n";
    my $options = ExtUtils::Embed::ccopts(1);
    system("$Config{cc} $options $Config{cccdlflags} $Config{lddlflags} -o $dir/Hook.so $dir/Hook.c") == 0
        or skip 'XS code cannot be compiled here', 34;
    my $load = filled(<<'PERL', FOLDER => $dir);
require DynaLoader;
my $library = DynaLoader::dl_load_file('FOLDER/Hook.so');
DynaLoader::dl_install_xsub('Hook::boot', DynaLoader::dl_find_symbol($library, 'boot_Hook'));
Hook::boot();
PERL

    is worker($load . <<'PERL'), "hook\nstatus 768\n", 'XS code is called when its object goes';
our $object = bless [], 'Hook';
Hook::hook($object);
PERL

    is worker($load . <<'PERL'), "hook\nstatus 768\n", 'XS code is called when a variable goes that an object holds';
our $object = bless [1, [{ deep => 2 }]], 'Object';
Hook::hook(\$object->[1][0]{deep});
PERL

    is worker($load . <<'PERL'), "hook\nstatus 768\n", 'XS code is called when an array goes that an object holds';
our $object = bless { list => [1] }, 'Object';
Hook::hook($object->{list});
PERL

    # The program has no named sub, as each of them would keep the file's code; that goes at exit, with the variables
    # that it holds. A child of fork alone shows what is to be called.
    my $plain_child = <<'PERL';
use strict;
use warnings;
use feature 'state';
use Parallel::Prefork;
use POSIX ();

our ($object, $variable);
BEGIN {
    LOAD
    *main::make_constant = sub { my $value = shift; sub () { $value } };
    my $constant = [1];
    Hook::hook($constant);
    *main::K = make_constant($constant);
}
my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub { $_[0]->signal_received('enough') });
if ($ARGV[0] eq 'fork' ? fork : $pm->start) {
    $ARGV[0] eq 'fork' ? wait : $pm->wait_all_children;
    POSIX::_exit(0);
}
WORKER;
exit 3;
PERL
    my %in_child = (
        'a state variable of the file' => <<'PERL',
state $kept = 1;
Hook::hook(\$kept);
PERL
        'a state variable of a sub of the file' => <<'PERL',
my $code = sub {
    state $kept = 1;
    Hook::hook(\$kept);
};
$code->();
PERL
        'what a sub in an object has captured' => <<'PERL',
my $own = 1;
Hook::hook(\$own);
$object = bless [sub { $own }];
undef $own;
PERL
        'what a sub that is an object has captured' => <<'PERL',
my $own = 1;
Hook::hook(\$own);
$object = bless sub { $own };
PERL
        'a glob in an object' => <<'PERL',
Hook::hook($object = \*main::gone);
delete $main::{gone};
$object = bless [$object];
PERL
        'a copy of a glob in an object' => <<'PERL',
$object = bless [*STDOUT];
Hook::hook(\$object->[0]);
PERL
        'a value deep in a large object' => <<'PERL',
$object = bless [map { { deep => [[$_]] } } 1 .. 1000];
Hook::hook($object->[999]{deep}[0]);
PERL
        'a hash with a tie in an object' => <<'PERL',
require Tie::Hash;
tie my %tied, 'Tie::StdHash';
Hook::hook(\%tied);
$object = bless [\%tied];
PERL
        'a constant sub in an object' => <<'PERL',
my $own = [1];
Hook::hook($own);
$object = bless [make_constant($own)];
PERL
        'a constant of the file' => <<'PERL',
my $own = K();
undef $own;
delete $main::{K};
PERL
        'what a handle writes to' => <<'PERL',
my $text = '';
open our $out, '>', \$text or die;
Hook::hook(\$text);
PERL
        'a variable of a package that is gone' => <<'PERL',
$Gone::x = 1;
Hook::hook(\$Gone::x);
$object = bless [\%Gone::];
delete $main::{'Gone::'};
PERL
        'a variable of a package' => <<'PERL',
Hook::hook(\$variable);
PERL
    );
    for my $what (sort keys %in_child) {
        my $source = filled($plain_child, LOAD => $load, WORKER => $in_child{$what});
        my ($of_fork, $of_ours) = map { run($source, args => [$_], deadline => 30)->out } qw(fork start);
        is $of_ours, $of_fork, "$what: XS code is called as in a child of fork";
    }

    # This is not looked for, which shows what is left out, and when it is not.
    my $inside = $load . <<'PERL';
our $object = bless [1], 'Object';
Hook::hidden(\$object->[0]);
PERL
    is worker($inside), has_trick('exit') ? "status 768\n" : "hook\nstatus 768\n",
        'where no object could tell, perl does not destroy everything';
    is worker($inside, env => { PERL_DESTRUCT_LEVEL => 0 }), "hook\nstatus 768\n",
        'perl destroys everything where PERL_DESTRUCT_LEVEL says so';
    like worker("$witness$inside" . <<'PERL'), qr/^hook$/m, 'perl destroys everything where one object could tell';
our $witness = bless [], 'Witness';
PERL

    # The manager object, of which a worker leaves in memory what nobody can see go.
    is worker($load . <<'PERL'), "hook\nstatus 768\n",
{
    require Tie::Hash;
    my %tied;
    Hook::hook(\%tied);
    tie %tied, 'Tie::StdHash';
    $pm->{of_mine} = \%tied;
}
undef $pm;
PERL
        'XS code is called when a tied hash goes that the manager object holds';
    (my $copied = $program) =~ s/(?=^if \(\$pm->start)/COPY\n/m;
    my $p = run(filled($copied, COPY => $load . <<'PERL', WORKER => 'undef $pm;'), deadline => 30);
my $template = $pm;
$pm = bless {}, 'Parallel::Prefork';
Hook::counts($pm);
%$pm = %$template;
PERL
    is $p->err, '', 'a manager object that XS code looks into: nothing is said of errors';
    like $p->out, qr/\Aelements: 1\nstatus/,
        'XS code that looks into the manager object when it goes finds what was there';
    is worker($load . <<'PERL'), "7\nstatus 768\n",
Hook::take_magic_off($pm);
note($pm->{generation} + 6);
PERL
        'a manager object stays as it is where somebody takes its magic off';
    $p = run(filled($program, WORKER => "$load Hook::destroy_everything(); undef \$pm;"), deadline => 30);
    is $p->err, '', 'perl misses nothing where it frees everything';

    is worker($load . <<'PERL'), "at exit\nstatus 768\n", "what XS code has left for perl's exit is called";
Hook::at_exit();
PERL
}

# close(2) waits for the other side where the program has asked for that (SO_LINGER), and the end of a process does
# not. The other side begins to read long after the worker has nothing more to do.
my $lingers = <<'PERL';
use strict;
use warnings;
use IO::Socket::INET;
use Parallel::Prefork;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);

$| = 1;
my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
setsockopt $listener, SOL_SOCKET, SO_RCVBUF, 4096 or die;
my $reader = fork // die;
if (!$reader) {
    my $connection = $listener->accept or die;
    sleep 1;
    print "is read\n";
    1 while sysread $connection, my $data, 65536;
    exit 0;
}
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => $ARGV[0],
    on_child_reap => sub {
        my ($pm, $pid, $status) = @_;
        return if $pid == $reader;
        print "status $status\n";
        $pm->signal_received('enough');
    },
);
$pm->start(sub {
    our $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport) or die;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 30) or die;
    $socket->blocking(0);
    1 while syswrite $socket, 'x' x 65536;
    exit 3;
});
PERL

for my $fast_exit (0, 1) {
    my $p = run($lingers, args => [$fast_exit], deadline => 40);
    is $p->err, '', "a socket that lingers: nothing is said of errors (fast_exit => $fast_exit)";
    is $p->out, "is read\nstatus 768\n",
        "a worker ends after the other side of a socket that lingers has read (fast_exit => $fast_exit)";
}

# Where nothing is to be seen, an exit takes no longer than that of a plain child, however many objects there are, of
# however many classes: in processor time, of runs in turn.
my $with_objects = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my $classes = shift;
our @objects = map { bless [], 'Class' . int rand $classes } 1 .. 300_000;

sub time_of_children {
    my (undef, undef, $user, $system) = times;
    return $user + $system;
}

sub own_time {
    my ($user, $system) = times;
    return $user + $system;
}

my ($plain, $worker, $start) = (0, 0, 0);
for (1 .. 8) {
    my $before = time_of_children();
    my $pid = fork // die;
    exit 0 if !$pid;
    waitpid $pid, 0;
    $plain += time_of_children() - $before;

    my $pm = Parallel::Prefork->new(
        max_workers   => 1,
        on_child_reap => sub { $_[0]->signal_received('enough') },
    );
    my $own_before = own_time();
    $before = time_of_children();
    $pm->start(sub { exit 0 });
    $worker += time_of_children() - $before;
    $start += own_time() - $own_before;
}
print "plain $plain, worker $worker, start $start\n";
print $worker <= 0.8 * $plain && $start <= 0.5 * $plain ? "fast\n" : "slow\n";
PERL

for my $classes (has_trick('exit') ? (10, 2000) : ()) {
    my $p = run($with_objects, args => [$classes], deadline => 120);
    like $p->out, qr/^fast$/m, "a worker exits fast with objects of $classes classes" or diag $p->out, $p->err;
}

done_testing;
