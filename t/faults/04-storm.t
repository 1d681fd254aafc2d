# A storm of HUP, USR1 and USR2: each is acted on, merged or not, so that what the manager has read
# last is what was written last; the pool is whole; memory and descriptors stay flat.

use strict;
use warnings;

use File::Temp ();
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use FaultPool;
use FaultTest;

my $WORKERS  = 4;
my $SIGNALS  = scale(full => 100_000, quick => 3_000);
my $STORMS   = scale(full => 20, quick => 3);
my $RATE     = 2_500;    # a second
my $PATIENCE = on_the_original() ? 3 : 60;

# Kilobytes by which a manager's memory may differ between two looks.
my $FLAT = 256;

my @kinds = qw(HUP USR1 USR2);
my ($config, %value);

# What a signal is about is written before it is sent.
sub send_one {
    my $pool = shift;
    my $kind = int rand @kinds;
    my $next = sprintf '%08d', ++$value{ $kinds[$kind] };
    sysseek $config, 8 * $kind, 0;
    syswrite $config, $next;
    $pool->program->signal($kinds[$kind]);
    return;
}

sub storm {
    my ($pool, $signals) = @_;
    my ($begin, $sent) = (time, 0);
    while ($sent < $signals && $pool->is_alive) {
        for ($sent + 1 .. (time - $begin) * $RATE) {
            last if $sent == $signals;
            send_one($pool);
            $sent++;
        }
        $pool->hear(0.002);
    }
    return;
}

for my $host (FaultPool->hosts) {
    $config = File::Temp->new;
    %value = map { $_ => 0 } @kinds;
    syswrite $config, '00000000' x @kinds;
    my $pool = FaultPool->start($host, $WORKERS, file => $config->filename, deadline => 290);
    $pool->settle(30) or die "$host: there is no pool\n";

    my ($memory, $descriptors, @wrong);
    for my $n (1 .. $STORMS) {
        storm($pool, $SIGNALS / $STORMS);
        my @lost = $pool->settle($PATIENCE) ? () : 'some reload';
        push @lost, grep { ($pool->{last_value}{$_} || 0) != $value{$_} } @kinds;
        push @wrong, "storm $n: @lost" if @lost;
        ($memory, $descriptors) = ($pool->memory, $pool->descriptors) if $n == 1;
    }
    my ($grown, $opened) = ($pool->memory - $memory, $pool->descriptors - $descriptors);

    my ($zombies, $alive) = $pool->children;
    my %acted = map { $_ => $pool->{acted}{$_} || 0 } @kinds;
    figure("$SIGNALS HUP, USR1, USR2 in $STORMS storms, $host host",
        sprintf('acted on %d HUP, %d USR1, %d USR2, the last of one was lost in %d storms; '
                . '%d workers, %d zombies; memory %+d kB, descriptors %+d',
            @acted{@kinds}, scalar @wrong, $alive, $zombies, $grown, $opened));
    is_deeply \@wrong, [], "$host: after each storm the last of each signal is acted on";
    is_deeply [grep { $acted{$_} > $value{$_} } @kinds], [], "$host: none more often than it was sent";
    is $alive, $WORKERS, "$host: $WORKERS workers";
    is $zombies, 0, "$host: no zombie";
    is $pool->{forks} - $pool->{reaps}, $WORKERS, "$host: all others were reaped";
    is_deeply $pool->{strange}, [], "$host: nobody twice";
    cmp_ok $grown, '<=', $FLAT, "$host: memory is flat";
    is $opened, 0, "$host: descriptors are flat";
    ok $memory && $descriptors, "$host: ... and both can be seen";
    $pool->program->signal('TERM');
    $pool->until_true($PATIENCE, sub { defined $pool->{left} });
    is $pool->{left}, 0, "$host: TERM ends it" or diag $pool->program->err;
}

done_testing;
