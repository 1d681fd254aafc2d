# The tests that are written in C, compiled as C99 here and now.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use ProcessTest;

for my $source (sort glob 't/c/*.c') {
    my $program = compile($source, qw(-std=gnu99 -Wall -Wextra -Werror -pedantic));
    my $run = start_program(undef, command => [$program], deadline => 60);
    subtest $source => sub {
        while (defined(my $line = $run->line)) {
            $line =~ /^(not )?ok \d+ - (.*)/ ? ok(!$1, $2)
                : $line =~ /^1\.\.(\d+)$/ ? plan(tests => $1)
                :                           fail("not TAP: $line");
        }
        $run->wait;
    };
    is $run->status, 0, "$source ends well" or diag $run->err;
    is_deeply [$run->members], [], '... and leaves nobody behind';
}

done_testing;
