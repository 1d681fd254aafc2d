# Code of the program that the module calls sees the module as its caller, and Carp blames the program's line, not one
# of the module, where a subclass croaks.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

for my $hook (qw(before_fork after_fork on_child_reap)) {
    my $p = run(<<"PERL", deadline => 15);
use Parallel::Prefork;
my \%seen;
my \$pm = Parallel::Prefork->new({
    max_workers => 1,
    $hook       => sub {
        \$seen{ (caller 0)[0] }++;
        \$_[0]->signal_received('enough');
    },
});
\$pm->start(sub { exit 0 });
\$pm->wait_all_children;
print join(' ', sort keys \%seen), "\\n";
PERL
    is $p->out, "Parallel::Prefork\n", "$hook is called by the module";
}

my $p = run(<<'PERL', deadline => 15);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
});
$pm->start(sub {
    print((caller 0)[0], "\n");
    my $level = 0;
    while (my $name = (caller $level++)[3]) {
        print "by start\n" if $name eq 'Parallel::Prefork::start';
    }
});
$pm->wait_all_children;
PERL
is $p->out, "Parallel::Prefork\nby start\n", 'the code of a worker is called by the module, in start';

$p = run(<<'PERL', deadline => 15);
package Mine;
our @ISA = ('Parallel::Prefork');
require Parallel::Prefork;
sub start {
    &Parallel::Prefork::start;
    my ($pm, $code, @rest) = @_;
    return print "@rest\n";
}
package main;
my $pm = Mine->new({ max_workers => 1, after_fork => sub { $_[0]->signal_received('enough') } });
$pm->start(sub { }, 'and more');
$pm->wait_all_children;
PERL
is $p->out, "and more\n", 'start leaves the arguments of a subclass alone that calls it with its own';

for my $method (qw(_on_child_reap _update_spawn_delay _decide_action)) {
    my $q = run(<<"PERL", deadline => 15);
package Mine;
use Carp;
our \@ISA = ('Parallel::Prefork');
require Parallel::Prefork;
my \$told;
sub $method {
    if (!\$told++) {
        eval { croak 'no' };
        print \$@;
        \$_[0]->signal_received('enough');
    }
    my \$super = 'SUPER::$method';
    return shift->\$super(\@_);
}
package main;
my \$pm = Mine->new({ max_workers => 1 });
#line 1000 "of the program"
\$pm->start(sub { exit 0 });
#line 2000 "of the program"
\$pm->wait_all_children;
PERL
    like $q->out, qr/\Ano at of the program line 1000\.?\n/,
        "where $method of a subclass croaks, the line that called start is named";
}

done_testing;
