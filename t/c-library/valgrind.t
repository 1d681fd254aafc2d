# Each test in C and two of the examples under Valgrind's Memcheck, in all of their processes: no memory is
# used as it may not be, and when a process ends none is lost. Nothing is suppressed.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CProgram;
use CTests;
use ExampleTest;
use ProcessTest;

need('valgrind', scalar `valgrind --version 2>&1` =~ /^valgrind-3/);

my ($processes, $whole, $memory_only) = (0, 0, 0);

# The command that runs a program under Valgrind, with a log for each process in the folder.
sub valgrind {
    my ($logs, @command) = @_;
    # Programs of the tests change their user, and their workers write logs as that.
    chmod 01777, $logs;
    return [
        qw(valgrind --tool=memcheck --fair-sched=try --num-callers=25 --leak-check=full),
        # Leaks are judged here, by the log; what makes a process fail is use of memory.
        '--show-leak-kinds=definite,indirect,possible', '--errors-for-leak-kinds=none',
        '--error-exitcode=99',
        "--log-file=$logs/%p", @command,
    ];
}

# What is wrong by the log of one process; the empty string for nothing. A process that was killed by
# KILL, or that has become another program, has no summary.
sub fault {
    my ($log, $leaks_count, $is_main) = @_;
    my ($errors) = $log =~ /^==\d+== ERROR SUMMARY: (\d+) errors/m;
    if (!defined $errors) {
        # Where it was when a signal ended it is no error; KILL may have come before the summary.
        $log =~ s/^==\d+== Process terminating with default action of signal .*\n(?:==\d+==    .*\n)*//mg;
        return $log =~ /^==\d+==    at 0x/m ? 'errors before it was killed' : '';
    }
    return "$errors errors" if $errors;
    return '' if !$leaks_count;
    # A fork has none of the other threads, but glibc's block for each of them.
    my $record = qr/^==\d+== ([\d,]+ .*? are (?:definitely|indirectly|possibly) lost) .*\n((?:==\d+==    .*\n)*)/m;
    my ($of_threads, @lost) = (0);
    while ($log =~ /$record/g) {
        my ($what, $stack) = ($1, $2);
        !$is_main && $stack =~ /: _dl_allocate_tls / ? $of_threads++ : push @lost, $what;
    }
    # The summary knows them all.
    push @lost, $log =~ /^==\d+== +((?:definitely|indirectly|possibly) lost: [1-9].*)/mg if !$of_threads;
    return join ', ', @lost;
}

# Looks at all logs of a run. With `leaks_in`, a pattern for the pids in which leaks count.
sub check_logs {
    my ($name, $logs, $main, %opt) = @_;
    my ($of_run, @faults) = (0);
    for my $file (glob "$logs/*") {
        my ($pid) = $file =~ /(\d+)\z/;
        open my $fh, '<', $file or die "cannot open $file: $!\n";
        my $log = do { local $/; readline $fh };
        my $leaks_count = $pid == $main || !$opt{only_main_leaks};
        my $fault = fault($log, $leaks_count, $pid == $main);
        push @faults, "process $pid: $fault\n$log" if $fault ne '';
        $of_run++;
        if ($log =~ /ERROR SUMMARY/) {
            $leaks_count ? $whole++ : $memory_only++;
        }
    }
    ok !@faults, "$name: no error and no leak" or diag @faults;
    cmp_ok $of_run, '>', $opt{most_is_left_out} ? 0 : 3, "$name: no error and no leak in each of $of_run processes";
    $processes += $of_run;
    return;
}

# Three at a time: they wait a lot, and take memory.
my @sources = c_tests();
while (my @some = splice @sources, 0, 3) {
    my (%logs, %run);
    for my $source (@some) {
        my $program = compile($source, qw(-std=gnu99 -g -pthread));
        my $logs = $logs{$source} = File::Temp->newdir('prefork-valgrind-XXXXXX', TMPDIR => 1);
        $run{$source} = start_c_test(command => valgrind($logs, $program), deadline => 300);
    }
    for my $source (@some) {
        relay_c_test($source, $run{$source});
        # A fork has none of the other threads, and with them goes what only their stacks led to. What traces
        # processes has none under Valgrind.
        check_logs($source, $logs{$source}, $run{$source}->pid,
            only_main_leaks  => scalar($source =~ m{threads|thieves}),
            most_is_left_out => scalar($source =~ m{steps|traced}));
    }
}

for my $name (qw(workers pull)) {
    my $logs = File::Temp->newdir('prefork-valgrind-XXXXXX', TMPDIR => 1);
    my $manager = start_program(undef, command => valgrind($logs, example($name)), deadline => 300);
    manages($manager);
    stops($manager);
    check_logs("examples/$name.c", $logs, $manager->pid);
}

diag "Valgrind: $processes processes; $whole to their end, without an error or a leak; $memory_only more"
    . ' without an error; the others were killed, or were exec\'d';

done_testing;
