# The tests that are written in C, compiled as C99 here and now; and that one of them misuses every
# function of the headers.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CLibrary;
use CProgram;
use CTests;
use TextFiles;

# They run side by side: most of them wait most of the time.
my %run;
for my $source (c_tests()) {
    my $program = compile($source, qw(-std=gnu99 -Wall -Wextra -Werror -pedantic -pthread));
    $run{$source} = start_c_test(command => [$program], deadline => 100);
}
relay_c_test($_, $run{$_}) for sort keys %run;

my $misuse = slurp('t/c/misuse.c');
my @functions = @{ functions_in_the_headers() };
cmp_ok scalar @functions, '>', 60, 'the headers declare functions';
is_deeply [grep { $misuse !~ /\b$_\(/ } @functions], [], 't/c/misuse.c calls each of them';

done_testing;
