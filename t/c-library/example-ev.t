# examples/ev.c: the manager in libev's loop, which tells of it over TCP at the same time.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ExampleTest;
use ProcessTest;

need('libev-dev', has_header('ev.h'));
my $program = example('ev', '-lev');
my $manager = start_program(undef, command => [$program]);
my ($port)  = ($manager->line || '') =~ /^manager: pid \d+, port (\d+)$/;

manages($manager, sub {
    my ($generation, @pids) = @_;
    my $pids = join ' ', sort { $a <=> $b } @pids;
    is reply(connection($port)), "generation $generation, 3 workers: $pids\n", "the example tells of $pids";
});

my %wrong;
for my $generation (3 .. 12) {
    $manager->signal('HUP');
    my %is_new;
    while (keys %is_new < 3) {
        my $line = $manager->line;
        defined $line or last;
        $is_new{$1} = 1 if $line =~ /: pid (\d+), generation $generation$/;
        my $said = reply(connection($port));
        my ($told, $workers, $pids) = $said =~ /\Ageneration (\d+), (\d) workers:((?: \d+)*)\n\z/;
        $wrong{$said}++
            if !defined $pids || $told != $generation || $workers > 3
            || $workers != split ' ', $pids;
    }
}
is_deeply \%wrong, {}, 'the example tells while workers come and go, ten times over';
stops($manager);
is scalar(() = $manager->out =~ /exited with 0$/mg), 36, 'all others finished their work';

my $waiting = start_program(undef, command => [$program]);
my $pids    = manages($waiting);
$waiting->signal(STOP => $pids->{1});
stops($waiting, 'INT');
like $waiting->out, qr/^worker 1: pid $pids->{1} was killed by signal 9$/m,
    'a worker that does not finish is killed';

refuses_ports($program);

done_testing;
