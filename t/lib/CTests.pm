package CTests;

# Runs the tests that are written in C (t/c), which speak TAP, and makes their results this test's.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use Test::More;

use LoadClock ();
use ProcessTest;

our @EXPORT = qw(c_tests start_c_test relay_c_test);

sub c_tests {
    my @sources = sort glob 't/c/*.c';
    return @sources;
}

# start_c_test(deadline => SECONDS, command => [...], env => {...}): the program, as start_program
# gives it.
sub start_c_test {
    my %opt = @_;
    # The keeper ends them all, by a clock that knows how busy the machine is. Only whoever leaves the keeper's group
    # is ended by an alarm of its own.
    my $alarm = LoadClock::longest($opt{deadline});
    return start_program(undef, %opt, env => { PF_TEST_DEADLINE => $alarm, %{ $opt{env} || {} } });
}

# relay_c_test(NAME, RUN): reads what it prints until it ends, each of its tests as one of a subtest of
# that name.
sub relay_c_test {
    my ($name, $run) = @_;
    subtest $name => sub {
        my ($seen, $planned) = (0);
        while (defined(my $line = $run->line)) {
            if ($line =~ /^(not )?ok \d+ - (.*)/) {
                my ($failed, $what) = ($1, $2);
                $seen++;
                if ($what =~ s/ # SKIP (.*)//) { Test::More->builder->skip("$what: $1") }
                else                           { ok !$failed, $what }
            }
            elsif ($line =~ /^1\.\.(\d+)$/) { $planned = $1 }
            elsif ($line =~ /^#/)           { note $line }
            else                            { fail "not TAP: $line" }
        }
        is $seen, $planned, "$name has run to its end";
        done_testing;
    };
    $run->wait;
    is $run->status, 0, "$name ends well";
    diag $run->err if $run->status || $run->err ne '';
    ok eventually(sub { !$run->members }), "$name leaves nobody behind";
    return;
}

1;
