# stay-bare.pl POOL [STOP]
#
# As stay-manager.pl, with only fork, kill and wait. With STOP, that program ends the workers.

use strict;
use warnings;

my ($pool, $stop) = @ARGV;

my @pids;
my $is_stopped;
$SIG{TERM} = sub { $is_stopped = 1 };
syswrite STDOUT, "begin\n";
for (1 .. $pool) {
    my $pid = fork;
    defined $pid or die "fork: $!";
    if (!$pid) {
        $SIG{TERM} = 'DEFAULT';
        sysread STDIN, my $mark, 1;
        syswrite STDOUT, "end\n" if $mark eq '!';
        sleep 600;
        exit 0;
    }
    push @pids, $pid;
}
if ($stop) {
    # It takes TERM, even if that comes now.
    require POSIX;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGTERM())) or die "sigprocmask: $!";
    kill TERM => $$ if $is_stopped;
    exec $stop, @pids or die "$stop: $!";
}
# TERM comes long after that look, so it does not matter that there is a gap before the sleep.
sleep 600 if !$is_stopped;
kill TERM => @pids;
1 while wait != -1;
syswrite STDOUT, "stopped\n";
