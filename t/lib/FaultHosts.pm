package FaultHosts;

# The two managers of the fault suite, one in Perl (t/faults/host.pl) and one in C (host.c), which
# take the same arguments and print the same lines.

use strict;
use warnings;

use Exporter qw(import);

use CProgram;
use FaultTest;
use Preload;
use ProcessTest;
use TextFiles;

our @EXPORT = qw(hosts start_host lines has_lines unmatched failing_forks);

# 0.18 has no C host.
sub hosts { return on_the_original() ? ('Perl') : ('Perl', 'C') }

my %loaded;

# start_host('Perl' or 'C', [name => value, ...], options of start_program)
sub start_host {
    my ($host, $arguments, %opt) = @_;
    my (@name, %value);
    for (my $i = 0; $i < @$arguments; $i += 2) {
        push @name, $arguments->[$i] if !exists $value{ $arguments->[$i] };
        $value{ $arguments->[$i] } = $arguments->[ $i + 1 ];
    }
    my @argument = map { "$_=$value{$_}" } @name;
    if ($host eq 'C') {
        $loaded{C} ||= compile('t/faults/host.c', qw(-std=gnu99 -Wall -Wextra -Werror -pedantic));
        return start_program(undef, %opt, command => [$loaded{C}, @argument]);
    }
    $loaded{Perl} ||= slurp('t/faults/host.pl');
    return start_program($loaded{Perl}, %opt, args => \@argument);
}

# What stood after this word in the lines that a host has printed so far; in scalar context how many
# those were.
sub lines {
    my ($program, $word) = @_;
    my @found = $program->out =~ /^\Q$word\E ?(.*)\n/mg;
    return @found;
}

# Reads on until a host has printed so many such lines; false if it ends, or is ended, before.
sub has_lines {
    my ($program, $word, $count) = @_;
    my $found = lines($program, $word);
    while ($found < $count) {
        my $line = $program->line;
        return 0 if !defined $line;
        $found++ if $line =~ /^\Q$word\E(?: |\z)/;
    }
    return 1;
}

# How many workers were not reported exactly once: of each number as many ends as beginnings, since
# the system gives numbers out again.
sub unmatched {
    my $program = shift;
    my %count;
    $count{ (split / /)[0] }++ for lines($program, 'worker');
    $count{ (split / /)[0] }-- for lines($program, 'reaped');
    my $unmatched = 0;
    $unmatched += abs for values %count;
    return $unmatched;
}

my $fork_fails;

# failing_forks(ERROR NUMBER, EVERY, FILE): the environment in which, as long as the file is there, each
# so many-th fork(2) fails with that error.
sub failing_forks {
    my ($error, $every, $file) = @_;
    $fork_fails ||= preload_library('t/faults/fork-fails.c') || die "no C compiler\n";
    return (
        preloaded($fork_fails),
        FORK_FAILS_WHILE => $file,
        FORK_FAILS_WITH  => $error,
        FORK_FAILS_EVERY => $every,
    );
}

1;
