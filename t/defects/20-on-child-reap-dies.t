# Defect 20: what on_child_reap throws is reported as a warning, and the program's $@ is
# left alone. In the original the error vanishes, and every call of the hook changes $@.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my ($where, $throw) = @ARGV;
my $pm = Parallel::Prefork->new({
    max_workers   => 1,
    after_fork    => sub { $_[0]->signal_received('enough') if $where ne 'start' },
    on_child_reap => sub {
        print "reaped\n";
        $_[0]->signal_received('enough');
        die "thrown by the hook\n" if $throw;
    },
});
$SIG{__WARN__} = sub { print "warning: $_[0]" };

$@ = "the program's own error\n";
$pm->start(sub { exit 0 });
$pm->wait_all_children if $where ne 'start';
print $@ eq "the program's own error\n" ? "kept\n" : "changed\n";
PERL

for my $where ('start', 'wait_all_children') {
    my $p = run($program, args => [$where, 1], deadline => 15);
    my @warnings = $p->out =~ /^warning: (.*)$/mg;
    is @warnings, 1, "$where: an error of on_child_reap gives a warning";
    like $warnings[0], qr/thrown by the hook/, "$where: that says what was thrown";
    like $p->out, qr/^kept$/m, "$where: \$\@ is kept when on_child_reap throws";
    is $p->status, 0, "$where: the manager goes on" or diag $p->err;

    $p = run($program, args => [$where, 0], deadline => 15);
    is $p->out, "reaped\nkept\n", "$where: \$\@ is kept when on_child_reap does not throw, and nothing is said";
}

done_testing;
