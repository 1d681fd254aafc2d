# Contract 9: when fork fails, start warns "fork failed:" with the error and tries again
# after err_respawn_interval.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Errno ();
use Time::HiRes ();
my (@tries, @log);
BEGIN {
    *CORE::GLOBAL::fork = sub {
        push @tries, Time::HiRes::time();
        push @log, 'try';
        return CORE::fork() if @tries > 2;
        $! = Errno::EAGAIN();
        return undef;
    };
}
use Parallel::Prefork;
my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };
my $pm = Parallel::Prefork->new(
    max_workers          => 1,
    err_respawn_interval => 0.3,
    before_fork          => sub { push @log, 'before' },
    after_fork           => sub { push @log, 'after' },
    on_child_reap        => sub {
        push @log, 'reap';
        $_[0]->signal_received('reaped');
    },
);
$! = Errno::EAGAIN();
print "expected = $!\n";
print "returned = ", $pm->start(sub { print "worker = runs\n" }), "\n";
print "warning = $warnings[0]";
print "others = ", scalar(grep { !/^fork failed:/ } @warnings), "\n";
print "log = @log\n";
printf "gap %d = %.3f\n", $_, $tries[$_] - $tries[$_ - 1] for 1 .. $#tries;
PERL
my %saw = $program->out =~ /^(.+?) = (.*)$/mg;

is $program->status, 0, 'the program ends as it should' or diag $program->err;
like $saw{warning}, qr/^fork failed:\Q$saw{expected}\E/, 'a fork that fails gives a warning with the error';
is $saw{others}, 0, 'a fork that fails gives no warning of another kind';
is $saw{worker}, 'runs', 'start goes on until a fork succeeds';
is $saw{returned}, 1, 'start returns as always after forks that failed';
is $saw{log}, 'before try before try before try after reap',
    'before_fork runs before every try, after_fork only after the one that succeeded';
cmp_ok $saw{"gap $_"}, '>=', 0.28, "try $_ after a failure comes not before err_respawn_interval" for 1, 2;

done_testing;
