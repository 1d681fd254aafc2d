# The two examples of the README are programs, and they work.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CProgram;
use ProcessTest;

open my $fh, '<', 'README.md' or die "README.md: $!";
my $readme = do { local $/; <$fh> };
my %example = $readme =~ /^<!-- example: (\w+) -->\n```\w+\n(.*?)^```$/msg;
is_deeply [sort keys %example], ['c', 'perl'], 'there is one of each';

my $source = File::Temp->new(SUFFIX => '.c');
print {$source} $example{c};
close $source;

my %program = (
    perl => start_program($example{perl}, deadline => 20),
    c    => start_program(undef, deadline => 20,
        command => [compile($source->filename, qw(-std=gnu99 -Wall -Wextra -Werror))]),
);
for my $language (sort keys %program) {
    my $program = $program{$language};
    my %pid_of;
    for (1 .. 3) {
        my $line = $program->line;
        $pid_of{$1} = $2 if defined $line && $line =~ /^worker (\d) is (\d+)$/;
    }
    is join(' ', sort keys %pid_of), '0 1 2', "$language: three workers say who they are";
    $program->signal('TERM');
    is $program->line, 'all workers have finished', "$language: TERM ends them";
    is $program->wait, 0, "$language: and the program";
    is_deeply [$program->members], [], "$language: nobody is left";
    is $program->err, '', "$language: nothing is said of errors";
}

done_testing;
