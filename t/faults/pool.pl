# The Perl host of several cases: keeps a pool whose workers stay, reloads on HUP, and says what happens.
#
#     pool.pl WORKERS [FILE]
#
# FILE is a configuration that is read anew after each signal: a number of eight digits for each of
# HUP, USR1 and USR2.

use strict;
use warnings;

use Parallel::Prefork;

$| = 1;
my ($workers, $file) = @ARGV;
my %place = (HUP => 0, USR1 => 8, USR2 => 16);
open my $config, '<', $file || '/dev/null' or die "cannot read $file: $!\n";

my $pm = Parallel::Prefork->new({
    max_workers          => $workers,
    err_respawn_interval => 0,
    trap_signals  => { TERM => 'TERM', HUP => 'TERM', USR1 => 'WINCH', USR2 => ['WINCH', 0.001] },
    after_fork    => sub {
        my ($pm, $pid) = @_;
        print "forked $pid $pm->{generation}\n";
    },
    on_child_reap => sub {
        my (undef, $pid, $status) = @_;
        print "reaped $pid $status\n";
    },
});

# What the program has read is its own, so each signal is read once, and then dealt with.
while (1) {
    $pm->start(sub { sleep 60 while 1 });
    my $signal = $pm->signal_received;
    last if $signal eq 'TERM';
    sysseek $config, $place{$signal}, 0;
    sysread $config, my $value, 8;
    print "acted $signal ", $value || 0, "\n";
}
print 'left ', $pm->wait_all_children, "\n";
