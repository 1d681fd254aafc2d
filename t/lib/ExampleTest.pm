package ExampleTest;

# What the tests of the C library's examples have in common.

use strict;
use warnings;

use Config;
use Exporter qw(import);
use IO::Socket::INET;
use Test::More;

use CProgram;
use ProcessTest;

our @EXPORT = qw(need has_header has_python example manages stops refuses_ports connection reply);

# need(NAME, whether it is there): without it the test is skipped, aloud; not on CI, where
# script/test has installed it.
sub need {
    my ($what, $is_there) = @_;
    return if $is_there;
    die "$what is missing\n" if ($ENV{CI} || '') eq 'true';
    plan skip_all => "$what is missing";
    return;
}

sub has_header {
    my $header = shift;
    my ($cc) = split ' ', $Config{cc};
    open my $compiler, '|-', "$cc -E - >/dev/null 2>&1" or return 0;
    print {$compiler} "#include <$header>\n";
    return close $compiler;
}

sub has_python { return run(undef, command => [qw(python3 -c), 'import ctypes'])->status == 0 }

# example(NAME, library...): compiles examples/NAME.c; the path of the program.
sub example {
    my ($name, @libraries) = @_;
    return compile("examples/$name.c", qw(-std=gnu99 -Wall -Wextra -Werror -pedantic), @libraries);
}

# Reads until this many workers of the generation have said who they are: their pids by index.
sub workers {
    my ($manager, $number, $generation) = @_;
    my %pid_of;
    while (keys %pid_of < $number) {
        my $line = $manager->line_like(qr/^worker \d+: pid \d+, generation $generation$/);
        defined $line or last;
        my ($index, $pid) = $line =~ /^worker (\d+): pid (\d+)/;
        $pid_of{$index} = $pid;
    }
    return \%pid_of;
}

# The life of a manager of 3 workers that reports as examples/workers.c does: a worker is killed,
# HUP comes; `stops` is the end of it. `$look->(GENERATION, pids)` is called when all are there.
sub manages {
    my ($manager, $look) = @_;
    $look ||= sub { };
    my $first = workers($manager, 3, 1);
    is join(' ', sort keys %$first), '0 1 2', 'three workers with indexes from 0';
    $look->(1, values %$first);

    $manager->signal(KILL => $first->{1});
    is $manager->line, "worker 1: pid $first->{1} was killed by signal 9",
        'a killed worker is reaped';
    my $line = $manager->line || '';
    like $line, qr/^worker 1: pid \d+, generation 1$/, 'a killed worker is replaced under its index';
    ($first->{1}) = $line =~ /pid (\d+)/;
    $look->(1, values %$first);
    is_deeply [sort { $a <=> $b } keys %{ $manager->children }],
        [sort { $a <=> $b } values %$first], 'the manager has these three children, and no zombie';

    $manager->signal('HUP');
    my $second = workers($manager, 3, 2);
    is join(' ', sort keys %$second), '0 1 2', 'HUP: three workers of a new generation';
    my %is_old = map { $_ => 1 } values %$first;
    is_deeply [grep { $is_old{$_} } values %$second], [], 'the workers of the new generation are new';
    $look->(2, values %$second);
    is $manager->spins, '', 'a manager with nothing to do sleeps';
    return $second;
}

# TERM ends a manager and its workers.
sub stops {
    my ($manager, $signal) = @_;
    $manager->signal($signal || 'TERM');
    is $manager->line_like(qr/^manager: stopped/), 'manager: stopped',
        ($signal || 'TERM') . ' stops the manager';
    is $manager->wait, 0, 'the manager ends with status 0';
    is_deeply [$manager->members], [], 'no process of the example is left';
    is $manager->err, '', 'nothing is said of errors';
    return;
}

# What a server says to a port that is none, or not to be had.
sub refuses_ports {
    my $program = shift;
    for my $port (qw(http 70000 1x -1)) {
        my $run = run(undef, command => [$program, $port]);
        is $run->status >> 8, 2, "port $port is refused";
        like $run->err, qr/give a port from 0 to 65535, not $port$/, "port $port is named as what is wrong";
    }
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $port = $taken->sockport;
    my $run = run(undef, command => [$program, $port]);
    is $run->status >> 8, 1, 'a port that is taken is an error';
    like $run->err, qr/cannot listen on port $port: Address already in use$/, 'the program names a port that is taken';
    return;
}

sub connection {
    my $port = shift;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 30)
        or diag "cannot connect to port $port: $@";
    return $socket;
}

# What comes from a connection until its end, and the error if that was one.
sub reply {
    my $socket = shift or return '';
    my $text = '';
    while (1) {
        my $got = sysread $socket, $text, 65536, length $text;
        defined $got or return "$text\n[$!]";
        $got or return $text;
    }
}

1;
