# 25 HUPs, each a millisecond later after the last one: the manager lives, the next reload is a
# clean one, and no worker from before is left.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use FaultPool;
use FaultTest;
use ProcessTest;

my $WORKERS = 10;
my $STEPS   = 25;
my $LADDERS = scale(full => 40, quick => 2);
my $PATIENCE = on_the_original() ? 3 : 30;

# Returns undef, or what went wrong.
sub climb {
    my $pool  = shift;
    my %old   = %{ $pool->live };
    my $acted = $pool->{acted}{HUP} || 0;
    for my $step (0 .. $STEPS - 1) {
        sleep $step / 1000;
        $pool->program->signal('HUP');
        $pool->hear(0);
    }
    $pool->settle($PATIENCE) or return 'not all workers are of the last generation';

    my %middle = %{ $pool->live };
    my ($acted_before, $forks_before) = ($pool->{acted}{HUP} || 0, $pool->{forks});
    my $reloads = $acted_before - $acted;
    return "$reloads reloads" if $reloads < 1 || $reloads > $STEPS;
    $pool->program->signal('HUP');
    $pool->until_true($PATIENCE, sub { $pool->{acted}{HUP} > $acted_before })
        && $pool->settle($PATIENCE)
        or return 'the reload after it does not end';
    return 'the reload after it is more than one' if $pool->{acted}{HUP} != $acted_before + 1;
    return 'the reload after it forks ' . ($pool->{forks} - $forks_before)
        if $pool->{forks} != $forks_before + $WORKERS;
    my @left = grep { exists $pool->live->{$_} || !$pool->{reaped}{$_} } keys %old, keys %middle;
    return "old workers are left: @left" if @left;
    my ($zombies, $alive) = $pool->children;
    return "$zombies zombies, $alive workers" if $zombies || $alive != $WORKERS;
    return undef;
}

for my $host (FaultPool->hosts) {
    my $pool = FaultPool->start($host, $WORKERS, deadline => 280);
    $pool->settle(30) or die "$host: there is no pool\n";
    my ($climbed, @wrong) = (0);
    for (1 .. $LADDERS) {
        my $wrong = climb($pool);
        $climbed++;
        push @wrong, $wrong if defined $wrong;
        last if !$pool->is_alive || @wrong >= 10;
    }
    my $clean = $climbed - @wrong;
    figure("ladder of $STEPS HUPs 0 to 24 ms apart, $WORKERS workers, $host host, $LADDERS times",
        'manager ' . ($pool->is_alive ? 'alive' : 'dead')
            . ", $pool->{acted}{HUP} reloads, after $clean of $climbed ladders all well");
    is_deeply \@wrong, [], "$host: after each of $climbed ladders all is well";
    # A worker that is forked just when HUP comes sees it there, and exits with 0.
    is_deeply [grep { $_ != 15 && $_ != 0 } keys %{ $pool->{status} }], [],
        "$host: the old workers have ended by TERM";
    is_deeply $pool->{strange}, [], "$host: nobody is reaped twice";
    $pool->program->signal('TERM');
    $pool->until_true($PATIENCE, sub { defined $pool->{left} });
    is $pool->{left}, 0, "$host: TERM ends it, and nobody is left";
    is $pool->program->wait, 0, "$host: it ends well" or diag $pool->program->err;
}

done_testing;
