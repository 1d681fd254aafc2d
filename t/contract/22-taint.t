# Programs under taint checks: with -T, and, as perl turns them on by itself, where the real and the effective user
# differ. What runs without them runs with them, all parts of the module that are loaded late included; what perl
# refuses to do with tainted data (kill, sysopen) is refused.
use strict;
use warnings;

use File::Temp ();
use lib 't/lib';
use ProcessTest;
use Test::More;

my %program = (
    'a pool with all hooks' => <<'PERL',
use Parallel::Prefork;
my %ran;
my $pm = Parallel::Prefork->new({
    max_workers   => 2,
    before_fork   => sub { $ran{before}++ },
    after_fork    => sub { $ran{after}++ },
    on_child_reap => sub {
        $ran{reaped}++;
        $_[0]->signal_received('enough');
    },
});
$pm->start(sub { exit 0 });
$pm->wait_all_children;
print join(' ', map { "$_ $ran{$_}" } sort keys %ran), "\n";
PERL
    'worker_pids' => <<'PERL',
use Parallel::Prefork;
my $seen;
my $pm = Parallel::Prefork->new({
    max_workers => 2,
    after_fork  => sub {
        my ($pm, $pid) = @_;
        return if $pm->num_workers < 1;
        $seen = keys %{ $pm->{worker_pids} };
        kill 'KILL', $pid, keys %{ $pm->{worker_pids} };
        $pm->signal_received('enough');
    },
});
if (!$pm->start) {
    sleep 1 while 1;
}
$pm->wait_all_children;
print "saw $seen\n";
PERL
    'spare workers' => <<'PERL',
use Parallel::Prefork::SpareWorkers qw(:status);
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 3,
    min_spare_workers => 1,
    on_child_reap     => sub { $_[0]->signal_received('enough') },
});
if (!$pm->start) {
    $pm->set_status('A');
    $pm->set_status(STATUS_IDLE);
    exit 0;
}
$pm->signal_all_children('TERM');
$pm->wait_all_children;
print 'left: ', $pm->num_workers, "\n";
PERL
    'a subclass' => <<'PERL',
package Mine;
use parent 'Parallel::Prefork';
our $decided = 0;
sub _decide_action {
    my $self = shift;
    $decided++;
    return $self->SUPER::_decide_action;
}

package main;
my $pm = Mine->new({
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
});
$pm->start(sub { exit 0 });
$pm->wait_all_children;
print 'decides: ', $Mine::decided ? 'yes' : 'no', "\n";
PERL
    'tainted numbers' => <<'PERL',
use Parallel::Prefork;
my $taint = substr $ENV{PATH}, 0, 0;
my $pm = Parallel::Prefork->new({
    max_workers          => "2$taint",
    spawn_interval       => "0$taint",
    err_respawn_interval => "0$taint",
    on_child_reap        => sub { $_[0]->signal_received("enough$taint") },
    "name$taint"         => 1,
});
$pm->start(sub { exit 1 });
$pm->wait_all_children("5$taint");
print 'left: ', $pm->num_workers, "\n";
PERL
    'a tainted signal' => <<'PERL',
use Parallel::Prefork;
my $taint = substr $ENV{PATH}, 0, 0;
my $pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
});
if (!$pm->start) {
    sleep 1 while 1;
}
eval { $pm->signal_all_children("TERM$taint") };
print $@ =~ /^Insecure dependency in (kill)/ ? "refused to $1\n" : "TERM sent\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
    'a tainted name of a scoreboard' => <<'PERL',
use Parallel::Prefork::SpareWorkers;
my $name = "$ENV{BOARD_DIR}/scoreboard";
eval {
    Parallel::Prefork::SpareWorkers->new({
        max_workers       => 1,
        min_spare_workers => 1,
        scoreboard_file   => $name,
    });
};
print $@ =~ /^Insecure dependency in (sysopen)/ ? "refused to $1\n" : "made: $@\n";
print -e $name ? "it is there\n" : "there is none\n";
PERL
);

my %says = (
    'a pool with all hooks'          => qr/^after \d+ before \d+ reaped \d+$/,
    'worker_pids'                    => qr/^saw 1$/,
    'spare workers'                  => qr/^left: 0$/,
    'a subclass'                     => qr/^decides: yes$/,
    'tainted numbers'                => qr/^left: 0$/,
    'a tainted signal'               => qr/^refused to kill$/,
    'a tainted name of a scoreboard' => qr/^refused to sysopen\nthere is none$/,
);

for my $name (sort keys %program) {
    my $dir = File::Temp->newdir;
    my @options = (deadline => 20, env => { BOARD_DIR => "$dir" });
    my $source = "use strict;\nuse warnings;\n\$ENV{PATH} or die;\n$program{$name}";
    my $p = run($source, switches => ['-T'], @options);
    is $p->err, '', "with -T, $name: nothing is said of errors";
    like $p->out, $says{$name}, "with -T, $name: the program does what it does without, or perl refuses";

    # -T stands for the switch above: to run a program as another user than the real one needs root.
  SKIP: {
        skip 'this needs root', 2 if $> != 0;
        my @other = ($^X, '-e', '$< = 65534; exec { $ARGV[0] } @ARGV or die $!');
        my $as_other = run("die if !\${^TAINT};\n$source", under => \@other, @options);
        is $as_other->err, '', "with another real user, $name: nothing is said of errors";
        like $as_other->out, $says{$name},
            "with another real user, $name: the program does what it does without, or perl refuses";
    }
}

done_testing;
