# 0.18 loads modules of its own need, and a program may call their functions by their full names without having loaded
# them: those of Parallel::Prefork from the start, those of SpareWorkers after new.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my %program = (
    'Time::HiRes and List::Util, with Parallel::Prefork' => [<<'PERL', "1 5\n1 1\n2 7\n"],
use Parallel::Prefork;
print Time::HiRes::time() > 1e9 ? 1 : 0, ' ', List::Util::max(1, 5, 3), "\n";
print join(' ', map { $INC{$_} ? 1 : 0 } qw(Time/HiRes.pm List/Util.pm)), "\n";
my $pm = Parallel::Prefork->new(
    trap_signals  => {},
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    Time::HiRes::sleep(0.01);
    print List::Util::first(sub { $_ > 1 }, 1, 2), " 7\n";
});
PERL
    'calls without parentheses' => [<<'PERL', "yes yes 3 2 2\nyes 3\n"],
use Parallel::Prefork;
my $start  = Time::HiRes::time;
my @now    = Time::HiRes::gettimeofday;
my $passed = Time::HiRes::time - $start;
print $start > 1e9 ? 'yes' : 'no', ' ', $passed >= 0 ? 'yes' : 'no', ' ';
print join(' ', List::Util::max(1, 3), (List::Util::first { $_ > 1 } 1, 2), scalar @now), "\n";
Time::HiRes::usleep 1;
my $slept = Time::HiRes::sleep 0.001;
my $sum   = List::Util::sum 1, 2;
print $slept < 1 ? 'yes' : 'no', " $sum\n";
PERL
    'calls without parentheses, where Parallel::Prefork is required in the run' => [<<'PERL', "yes\n"],
require Parallel::Prefork;
my $time = eval 'Parallel::Prefork->new(trap_signals => {}); Time::HiRes::time' or die $@;
print $time > 1e9 ? 'yes' : 'no', "\n";
PERL
    'functions that nobody names' => [<<'PERL', "all List::Util::first\n"],
use Parallel::Prefork;
require List::Util;
require Time::HiRes;
my @lack = grep { !defined &$_ } map { "List::Util::$_" } qw(first max sum uniq);
print @lack ? "@lack" : 'all', ' ';
my $first = List::Util->can('first');
print $first == \&List::Util::first ? 'List::Util::first' : 'another', "\n";
PERL
    'POSIX, Fcntl, File::Basename, Scalar::Util, with SpareWorkers' => [<<'PERL', "1 2 1970 name ARRAY\nstatus 1024\n"],
use Parallel::Prefork::SpareWorkers;
my $pm = Parallel::Prefork::SpareWorkers->new({
    min_spare_workers => 1,
    max_workers       => 1,
    trap_signals      => {},
    on_child_reap     => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
});
if (!$pm->start) {
    print join(' ',
        POSIX::WNOHANG(),
        Fcntl::LOCK_EX(),
        POSIX::strftime('%Y', gmtime 0),
        File::Basename::basename('/a/name'),
        Scalar::Util::reftype([]),
    ), "\n";
    STDOUT->flush;
    POSIX::_exit(4);
}
PERL
    'Time::HiRes, where Parallel::Prefork is required in the run' => [<<'PERL', "1\n3\n"],
require Parallel::Prefork;
$@ = 3;
my $pm = Parallel::Prefork->new(trap_signals => {});
my $error = $@;
print Time::HiRes::time() > 1e9 ? 1 : 0, "\n$error\n";
PERL
    'Time::HiRes, where Parallel::Prefork is required in the run, without new' => [<<'PERL', "1\n"],
require Parallel::Prefork;
print Time::HiRes::time() > 1e9 ? 1 : 0, "\n";
PERL
    'Time::HiRes, where Parallel::Prefork is required just before the run' => [<<'PERL', "1\n"],
UNITCHECK { require Parallel::Prefork }
print Time::HiRes::time() > 1e9 ? 1 : 0, "\n";
PERL
    'what the program itself loads later' => [<<'PERL', "1 1\n"],
use Parallel::Prefork;
use Time::HiRes qw(time);
use List::Util qw(max);
print time =~ /\./ ? 1 : 0, ' ', max(1, 0), "\n";
PERL
    'a name that nobody has, which dies as ever' => [<<'PERL', "Undefined subroutine &List::Util::nothing called\n"],
use Parallel::Prefork;
$SIG{__DIE__} = sub { print "died: $_[0]" if $_[0] !~ /nothing/ };
eval { List::Util::nothing(1) };
print $@ =~ /\A(.*) at/, "\n";
PERL
);

for my $name (sort keys %program) {
    my ($source, $expected) = @{ $program{$name} };
    for my $switches ([], ['-w'], ['-T']) {
        my $p = run("use strict;\nuse warnings;\n$source", deadline => 30, switches => $switches);
        my $how = @$switches ? " (perl @$switches)" : '';
        is $p->out, $expected, "a program can call: $name$how";
        is $p->err, '', "there is no warning: $name$how";
    }
}

# A program that has not loaded strict either. Perl takes strict->import for nothing then.
for my $switches ([], ['-T']) {
    my $p = run(<<'PERL', deadline => 30, switches => $switches);
use Parallel::Prefork;
BEGIN { strict->import }
print strict::bits('refs') ? "bits\n" : "no bits\n";
XSLoader::load('POSIX');
print POSIX::floor(1.5), "\n";
eval '$undeclared = 1';
print $@;
PERL
    is $p->err, '', "a program can call strict and XSLoader (perl @$switches): nothing is said of errors";
    like $p->out, qr/\Abits\n1\nGlobal symbol "\$undeclared" requires/,
        "a program can call strict and XSLoader (perl @$switches)";
}

done_testing;
