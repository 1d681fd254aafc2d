# The C example: it forks workers, survives the kill of one, reloads, and stops on TERM.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use ProcessTest;

my $program = compile('examples/workers.c', qw(-std=gnu99 -Wall -Wextra -Werror -pedantic));
my $manager = start_program(undef, command => [$program], deadline => 30);

sub workers {
    my $generation = shift;
    my %pid_of;
    while (keys %pid_of < 3) {
        my $line = $manager->line_like(qr/^worker \d: pid \d+, generation/);
        defined $line or last;
        my ($index, $pid, $got) = $line =~ /^worker (\d): pid (\d+), generation (\d+)$/;
        $pid_of{$index} = $pid if $got == $generation;
    }
    return \%pid_of;
}

my $first = workers(1);
is join(' ', sort keys %$first), '0 1 2', 'three workers with indexes from 0';

$manager->signal(KILL => $first->{1});
is $manager->line, "worker 1: pid $first->{1} was killed by signal 9", 'a killed worker is reaped';
like $manager->line, qr/^worker 1: pid \d+, generation 1$/, 'a killed worker is replaced under its index';

$manager->signal('HUP');
my $second = workers(2);
is join(' ', sort keys %$second), '0 1 2', 'HUP: three workers of a new generation';

$manager->signal('TERM');
is $manager->line_like(qr/^manager: stopped/), 'manager: stopped', 'TERM stops the example';
is $manager->wait, 0, 'the example ends with status 0';
is scalar(() = $manager->out =~ /exited with 0$/mg), 6,
    'each of the six that were not killed finished its work';
is_deeply [$manager->members], [], 'no process of the example is left';
is $manager->err, '', 'the example says nothing of errors';

done_testing;
