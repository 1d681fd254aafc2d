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

# What a worker of this says, and how it ends. Its output is that of syswrite, which needs no flush.
sub worker {
    my ($code, %options) = @_;
    my $p = start_program(<<"PERL", deadline => 30, %options);
use strict;
use warnings;
use Parallel::Prefork;
sub note { syswrite STDOUT, "\$_[0]\\n"; return }
our (\$thing, \$pm);
\$pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub {
    note("status \$_[2]");
    \$_[0]->signal_received('enough');
});
if (\$pm->start) { \$pm->wait_all_children; exit 0 }
$code
PERL
    is $p->wait, 0, 'the manager ends as it should' or diag $p->err;
    return $p->out;
}

# Whether perl's destruction ran, as its phase would have been seen by the one who was destroyed.
my $witness = 'sub W::DESTROY { main::note(${^GLOBAL_PHASE}) }';

is worker("$witness our \$w = bless [], 'W'; exit 3"), "DESTRUCT\nstatus 768\n", 'an object with a destructor is destroyed';
is worker("$witness our \@w = ({ deep => [bless [], 'W'] }); exit 3"), "DESTRUCT\nstatus 768\n", '... wherever it is';
is worker("$witness \@V::ISA = 'W'; our \$v = bless [], 'V'; exit 3"), "DESTRUCT\nstatus 768\n", '... by a method that it has inherited';
is worker("$witness { no warnings 'once'; *UNIVERSAL::DESTROY = \\&W::DESTROY } our \$v = bless [], 'V'; exit 3") =~ /^DESTRUCT$/m,
    1, '... or that all have';
is worker("$witness { no warnings 'once'; *V::AUTOLOAD = \\&W::DESTROY } our \$v = bless [], 'V'; exit 3"),
    "DESTRUCT\nstatus 768\n", '... or by AUTOLOAD';
is worker("$witness our \$w = bless [], 'W'; sub E::DESTROY {} our \$e = bless [], 'E'; exit 3"), "DESTRUCT\nstatus 768\n",
    '... and one that does nothing is no reason to look no further';
is worker("$witness sub T::TIESCALAR { bless [], 'W' } tie our \$tied, 'T'; exit 3"), "DESTRUCT\nstatus 768\n", 'a tie is destroyed';
is worker("$witness my \$w = bless [], 'W'; END { note('END') if \$main::pm->{in_child} } exit 3"), "RUN\nEND\nstatus 768\n",
    'a variable of the file goes before END blocks run';
is worker("$witness our \$w = bless [], 'W'; \$pm->{of_mine} = sub { \$w }; undef \$pm; exit 3") =~ /^DESTRUCT$/m, 1,
    'what the manager object holds is destroyed';
is worker("$witness sub Sub::new { bless \$_[1], 'W' } Sub->new(\$pm); undef \$pm; exit 3") =~ /^\w+\nstatus 768$/m, 1,
    '... and it itself where its class wants to know';

# A manager object that only the handlers hold goes with them, and with it what it holds, before END.
for my $case (
    ['an object in the manager object', 'mine => [{ deep => bless [], "W" }]'],
    ['what a hook has captured', 'before_fork => do { my $w = bless [], "W"; sub { $w } }'],
    ['the manager object', '', 'My'],
) {
    my ($name, $option, $class) = @$case;
    my $held = run(<<"PERL", deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
sub note { syswrite STDOUT, "\$_[0]\n"; return }
sub W::DESTROY { main::note("destroyed: \${^GLOBAL_PHASE}") if \$main::in_worker }
\@My::ISA = qw(Parallel::Prefork W);
our \$in_worker = 0;
my \$pm = @{[$class || 'Parallel::Prefork']}->new(max_workers => 1, $option);
\$pm->on_child_reap(eval 'sub { \$_[0]->signal_received("enough") }');
END { note('END') if \$in_worker }
if (!\$pm->start) { \$in_worker = 1; exit 0 }
\$pm->wait_all_children;
PERL
    is $held->err, '', 'the manager ends as it should';
    is $held->out, "destroyed: RUN\nEND\n", "$name goes with the manager's handlers, before END";
}

# What the worker itself puts there goes with it, when the worker says so and not later.
for my $case (
    ['a handle',   'pipe my $r, my $w or die; $pm->{of_mine} = $w; undef $w; undef $pm; note(defined readline $r ? "?" : "end of file")', "end of file\n"],
    ['an object',  "$witness \$pm->{of_mine} = bless [], 'W'; undef \$pm; note('after')", "RUN\nafter\n"],
    ['a weak reference to it', 'require Scalar::Util; Scalar::Util::weaken(my $weak = $pm); undef $pm; note(defined $weak ? "?" : "gone")', "gone\n"],
) {
    my ($name, $code, $said) = @$case;
    is worker("$code; exit 3"), "${said}status 768\n", "$name in the manager object goes with it";
}

# Handles: what is in them is written, and a pipe waits for its process.
is worker(q{print 'not flushed'; $SIG{TERM} = 'IGNORE'; exit 3}) =~ /not flushed/, 1, 'handles are flushed';
is worker(q{open our $pipe, '|-', 'cat; sleep 0.3; echo done' or die; print {$pipe} "piped\n"; exit 3}), "piped\ndone\nstatus 768\n",
    'a pipe that is open waits for its process';
SKIP: {
    eval { require PerlIO::via; 1 } or skip 'this perl has no PerlIO::via', 2;
    my $via = q{
        { package Via; $INC{'Via.pm'} = 1; sub PUSHED { bless {}, $_[0] } sub WRITE { length $_[1] }
          sub FLUSH { 0 } sub POPPED { main::note('popped') } }
        open our $via, '>:via(Via)', '/dev/null' or die "via: $!"; exit 3};
    is worker($via) =~ /^popped$/m, 1, 'a layer of the program is taken off its handle';
}

SKIP: {
    -c '/dev/full' or skip 'there is no /dev/full', 2;
    my $fails = q{$SIG{__WARN__} = sub { syswrite STDOUT, $_[0] =~ /^(Warning: unable to close filehandle)/ ? "$1\n" : $_[0] };};
    is worker("$fails open our \$full, '>', '/dev/full' or die; print {\$full} 'lost'; exit 3"),
        "Warning: unable to close filehandle\nstatus 768\n", 'perl warns of what could not be written';
}
{
    my $dir = File::Temp->newdir;
    open my $file, '>', "$dir/file" or die "$dir/file: $!\n";
    print {$file} "a\nb\n";
    close $file or die "$dir/file: $!\n";
    worker("local (\$^I, \@ARGV) = ('', '$dir/file'); while (<>) { print; last } exit 3");
    is_deeply [map { s{.*/}{}r } glob "$dir/* $dir/.[!.]*"], ['file'], 'an edit in place that the exit ends leaves no file behind';
}
SKIP: {
    eval { require mro; 1 } or skip 'this perl has no mro', 2;
    my $p = run(<<'PERL', deadline => 30);
use Parallel::Prefork;
{ package A1; our @ISA = (); package A2; our @ISA = 'A1'; package XX; require mro; mro::set_mro('XX', 'c3'); }
our $object = bless [], 'XX';
eval { @XX::ISA = ('A1', 'A2') };
my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub { $_[0]->signal_received('enough') });
print eval { $pm->start(sub { exit 0 }); 1 } ? "started\n" : "start: $@";
PERL
    is $p->out, "started\n", 'an object whose class has no order of methods hinders nobody';
}

# XS code that is called when its object goes, and has no DESTROY.
SKIP: {
    my $dir = File::Temp->newdir;
    open my $source, '>', "$dir/Hook.c" or die "$dir/Hook.c: $!\n";
    print {$source} <<'C';
#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
#include <unistd.h>
static int gone(pTHX_ SV *sv, MAGIC *mg) { (void)sv; (void)mg; return write(1, "hook\n", 5) == 5 ? 0 : 1; }
static MGVTBL hook = { NULL, NULL, NULL, NULL, gone };
static void at_exit(pTHX_ void *arg) { (void)arg; if (write(1, "at exit\n", 8) != 8) abort(); }
/* Of a type that perl keeps for itself, and that no XS code has a hook on. */
static void hide(pTHX_ SV *sv) { sv_magicext(sv, NULL, PERL_MAGIC_utf8, &hook, NULL, 0); }
XS(XS_hidden) { dXSARGS; hide(aTHX_ SvRV(ST(0))); PERL_UNUSED_VAR(items); XSRETURN(0); }
XS(XS_hook) { dXSARGS; sv_magicext(SvRV(ST(0)), NULL, PERL_MAGIC_ext, &hook, NULL, 0); PERL_UNUSED_VAR(items); XSRETURN(0); }
XS(XS_at_exit) { dXSARGS; call_atexit(at_exit, NULL); PERL_UNUSED_VAR(items); XSRETURN(0); }
XS(boot_Hook) { dXSARGS; newXS("Hook::hook", XS_hook, __FILE__); newXS("Hook::hidden", XS_hidden, __FILE__); newXS("Hook::at_exit", XS_at_exit, __FILE__);
    PERL_UNUSED_VAR(items); XSRETURN_YES; }
C
    close $source or die "$dir/Hook.c: $!\n";
    my $options = ExtUtils::Embed::ccopts(1);
    system("$Config{cc} $options $Config{cccdlflags} $Config{lddlflags} -o $dir/Hook.so $dir/Hook.c") == 0
        or skip 'XS code cannot be compiled here', 10;
    my $load = qq{require DynaLoader; DynaLoader::dl_install_xsub('Hook::boot', DynaLoader::dl_find_symbol(
        DynaLoader::dl_load_file('$dir/Hook.so'), 'boot_Hook')); Hook::boot(); };
    is worker("$load our \$h = bless [], 'Hook'; Hook::hook(\$h); exit 3"), "hook\nstatus 768\n", 'XS code is called when its object goes';
    is worker("$load our \$o = bless [1, [{ deep => 2 }]], 'Object'; Hook::hook(\\\$o->[1][0]{deep}); exit 3"), "hook\nstatus 768\n",
        '... and when a variable goes that an object holds';
    is worker("$load our \$o = bless { list => [1] }, 'Object'; Hook::hook(\$o->{list}); exit 3"), "hook\nstatus 768\n",
        '... or an array';
    # This is not looked for, which shows what is left out, and when it is not.
    my $inside = "$load our \$o = bless [1], 'Object'; Hook::hidden(\\\$o->[0]); exit 3";
    is worker($inside), has_trick('exit') ? "status 768\n" : "hook\nstatus 768\n",
        'where no object could tell, perl does not destroy everything';
    is worker($inside, env => { PERL_DESTRUCT_LEVEL => 0 }), "hook\nstatus 768\n", '... unless it is told to';
    is worker("$witness our \$w = bless [], 'W'; $inside") =~ /^hook$/m, 1, '... or one of them could';
    is worker("$load Hook::at_exit(); exit 3"), "at exit\nstatus 768\n", "... and what it has left for perl's exit";
}

# close(2) waits for the other side where the program has asked for that (SO_LINGER), and the end of a process does not. The
# other side begins to read long after the worker has nothing more to do.
for my $fast (0, 1) {
    my $p = run(<<"PERL", args => [$fast], deadline => 40);
use strict;
use warnings;
use IO::Socket::INET;
use Parallel::Prefork;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
\$| = 1;
my \$listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
setsockopt \$listener, SOL_SOCKET, SO_RCVBUF, 4096 or die;
my \$reader = fork // die;
if (!\$reader) {
    my \$connection = \$listener->accept or die;
    sleep 1;
    print "is read\n";
    1 while sysread \$connection, my \$data, 65536;
    exit 0;
}
my \$pm = Parallel::Prefork->new(max_workers => 1, fast_exit => \$ARGV[0], on_child_reap => sub {
    my (\$pm, \$pid, \$status) = \@_;
    return if \$pid == \$reader;
    print "status \$status\n";
    \$pm->signal_received('enough');
});
\$pm->start(sub {
    our \$socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => \$listener->sockport) or die;
    setsockopt \$socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 30) or die;
    \$socket->blocking(0);
    1 while syswrite \$socket, 'x' x 65536;
    exit 3;
});
PERL
    is $p->err, '', 'a socket that lingers' . ($fast ? ', with fast_exit' : '');
    is $p->out, "is read\nstatus 768\n", '... is waited for';
}

# Where nothing is to be seen, an exit takes no longer than that of a plain child, however many objects there are, of however many
# classes: in processor time, of runs in turn.
for my $classes (10, 2000) {
    my $p = run(<<'PERL', args => [$classes], deadline => 120);
use strict;
use warnings;
use Parallel::Prefork;
my $classes = shift;
our @objects = map { bless [], 'Class' . int rand $classes } 1 .. 300_000;
sub children { my (undef, undef, $user, $system) = times; return $user + $system }
sub own      { my ($user, $system) = times; return $user + $system }
my ($plain, $worker, $start) = (0, 0, 0);
for (1 .. 8) {
    my $before = children();
    my $pid = fork // die;
    exit 0 if !$pid;
    waitpid $pid, 0;
    $plain += children() - $before;
    my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub { $_[0]->signal_received('enough') });
    my $own = own();
    $before = children();
    $pm->start(sub { exit 0 });
    $worker += children() - $before;
    $start += own() - $own;
}
print "plain $plain, worker $worker, start $start\n";
print $worker <= 0.8 * $plain && $start <= 0.5 * $plain ? "fast\n" : "slow\n";
PERL
  SKIP: {
        skip 'a build in which perl destroys everything', 1 if !has_trick('exit');
        like $p->out, qr/^fast$/m, "objects of $classes classes" or diag $p->out, $p->err;
    }
}

done_testing;
