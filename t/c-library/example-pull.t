# examples/pull.c: the pull API in a loop around poll.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ExampleTest;
use ProcessTest;

my $program = example('pull');

my $manager = start_program(undef, command => [$program]);
manages($manager);
stops($manager);
is scalar(() = $manager->out =~ /exited with 0$/mg), 6, 'all others finished their work';

my $waiting = start_program(undef, command => [$program]);
my $pids   = manages($waiting);
$waiting->signal(STOP => $pids->{1});
stops($waiting, 'INT');
like $waiting->out, qr/^worker 1: pid $pids->{1} was killed by signal 9$/m,
    'a worker that does not finish is killed';

done_testing;
