# examples/spare.c: the pool grows with its connections, shrinks when they end, and the scoreboard
# shows it.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ExampleTest;
use ProcessTest;

# A connection whose worker was killed is for a test to see, not to die of.
$SIG{PIPE} = 'IGNORE';

my $program = example('spare');
my $server  = start_program(undef, command => [$program], deadline => 60);
my ($port)  = ($server->line || '') =~ /^manager: pid \d+, port (\d+)$/;

# Reads until the scoreboard shows so many workers with a connection, and so many idle ones.
sub shows {
    my ($busy, $idle, $why) = @_;
    while (defined(my $line = $server->line)) {
        return pass($why)
            if $line =~ /\A[C_.]{10}\z/ && $line =~ tr/C// == $busy && $line =~ tr/_// == $idle;
    }
    return fail($why);
}

sub echoes {
    my ($connection, $text) = @_;
    print {$connection} "$text\n";
    $connection->flush;
    my $line = readline $connection;
    return defined $line && $line eq "$text\n";
}

shows(0, 2, 'two idle workers');
my @connections = map { connection($port) } 1 .. 5;
is scalar(grep { echoes($_, 'hello') } @connections), 5, 'five clients are served';
shows(5, 2, 'two workers are idle beside those that serve five clients');
is keys %{ $server->children }, 7, 'five clients and two idle workers make seven processes';

push @connections, map { connection($port) } 6 .. 10;
is scalar(grep { echoes($_, 'hello') } @connections), 10, 'ten clients are served';
shows(10, 0, 'there are no more workers than ten for ten clients');

push @connections, connection($port);
print { $connections[10] } "first come, first served\n";
$connections[10]->flush;
close shift @connections;
is readline $connections[9], "first come, first served\n",
    'an eleventh waits until another leaves';

# Its slot is free again, and is taken by the worker that replaces it.
my ($victim) = sort { $a <=> $b } keys %{ $server->children };
$server->signal(KILL => $victim);
shows(9, 1, 'a worker is killed at work, and replaced by an idle one');
my @alive = grep { echoes($_, 'alive?') } @connections;
is @alive, 9, 'the connection of a killed worker is lost, and no other';

my @kept = splice @alive, 0, 2;
@connections = @alive = ();
shows(2, 3, 'when seven clients leave, three workers remain idle');
ok eventually(sub { keys %{ $server->children } == 5 }, 30), 'the others have gone';
is $server->spins, '', 'a manager with nothing to do sleeps';

my %is_old = %{ $server->children };
$server->signal('HUP');
ok eventually(sub {
    my @now = keys %{ $server->children };
    my @old = grep { $is_old{$_} } @now;
    @old == 2 && @now >= 4;
}, 30), 'HUP: new workers, and the two old ones that have a connection';
is scalar(grep { echoes($_, 'still there') } @kept), 2, 'old workers that have a connection go on after HUP';
close pop @kept;
ok eventually(sub { 1 == grep { $is_old{$_} } keys %{ $server->children } }, 30),
    'until their clients leave';

$server->signal('TERM');
ok eventually(sub { keys %{ $server->children } == 1 }, 30), 'TERM: the idle workers leave';
ok echoes($kept[0], 'and I?'), 'the busy one goes on';
close pop @kept;
is $server->wait, 0, 'until its client leaves, then the manager exits with 0';
is_deeply [$server->members], [], 'nobody is left';
like $server->out, qr/^manager: stopped$/m, 'the manager says that it has stopped';
like $server->err, qr/\A\w+: pid $victim was killed by signal 9\n\z/,
    'nothing was wrong but that one';

my $held = start_program(undef, command => [$program]);
($port) = ($held->line || '') =~ /port (\d+)$/;
my $connection = connection($port);
ok echoes($connection, 'hello'), 'a client that stays';
$held->signal('INT');
is $held->wait, 0, 'INT: its time is limited';
is reply($connection), '', 'the connection ends';
is_deeply [$held->members], [], 'nobody is left after the second TERM';
like $held->err, qr/\A\w+: pid \d+ was killed by signal 9\n\z/, 'the worker of the connection was killed';

refuses_ports($program);

done_testing;
