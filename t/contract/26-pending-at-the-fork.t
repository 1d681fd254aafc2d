# Contract 8: what perl has noted for the manager is the manager's. A signal that comes too late to be handled before the fork is not handled
# in the worker as well, when the next signal makes perl look.
use strict;
use warnings;

use Config;
use File::Temp ();
use lib 't/lib';
use ProcessTest;
use Test::More;

my $dir = File::Temp->newdir;
my $aim = "$dir/aim.so";
system(split(' ', $Config{cc}), qw(-shared -fPIC -O1 -Wall -Werror -o), $aim, 't/faults/aim.c', '-ldl') == 0
    or plan skip_all => 'the C compiler cannot make a library to preload';

for my $options ('', 'before_fork => sub { }', 'after_fork => sub { }') {
    my $p = run(<<"PERL", env => { LD_PRELOAD => $aim }, deadline => 60);
use strict;
use warnings;
use POSIX ();
use Parallel::Prefork;
my (%handled, \$reaped);
\$SIG{USR2} = sub { \$handled{\$\$}++ };
my \$pm = Parallel::Prefork->new({
    max_workers   => 3,
    on_child_reap => sub {
        return if ++\$reaped < 30;
        syscall(-4711, 0, 0, 0);
        \$_[0]->signal_received('enough');
    },
    $options
});
# USR2, each time that the program blocks signals, waits or forks.
syscall(-4711, 1, POSIX::SIGUSR2(), 0);
if (!\$pm->start) {
    my \$alarms = 0;
    local \$SIG{ALRM} = sub { \$alarms++ };
    kill 'ALRM', \$\$;
    select undef, undef, undef, 0.01 if !\$alarms;
    print "in the worker: \$handled{\$\$}\\n" if \$handled{\$\$};
    exit 0;
}
\$pm->wait_all_children;
print "in the manager: ", \$handled{\$\$} > 30 ? 'often' : 'seldom', "\\n";
PERL
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric le .*\n//mg;
    is $said, '', 'signals at each fork' . ($options && ", with $options");
    is $p->out, "in the manager: often\n", '... are handled in the manager only';
}

done_testing;
