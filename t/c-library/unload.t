# A program that opens the library by dlopen(3) and closes it again, with its signals trapped or given back: no
# signal runs into memory that is gone.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CLibrary;
use CProgram;
use ProcessTest;

# It has nothing of the library's by itself, or that would be there in any case.
my $program = compile('t/c-library/unload.c', qw(-std=gnu99 -Wall -Wextra -Werror -ldl), q(-Wl,--as-needed));
unlike shell_ok("objdump -p $program", 'objdump'), qr/NEEDED\s+libprefork/,
    'the program is not linked with the library';

# As prefork-signals(3) says. Before glibc 2.34 some of what the library needs is not in libc itself.
my $prefix = installed_library();
shell_ok("cc -shared -o $prefix/plugin.so -Wl,--whole-archive $prefix/lib/libprefork.a -Wl,--no-whole-archive"
    . ' $(pkg-config --static --libs prefork | sed s/-lprefork//) -Wl,-z,nodelete',
    'a plugin that has the static library in it', PKG_CONFIG_PATH => "$prefix/lib/pkgconfig");

for my $library (library(), "$prefix/plugin.so") {
    for my $frees ('frees', 'keeps') {
        my $run = start_program(undef, command => [$program, $library, $frees]);
        $run->wait;
        is $run->status, 0, "a program that $frees its manager and closes the library lives on";
        is $run->out, "1\n1\n0\n0\n" x 2,
            "a program that $frees its manager and closes the library: each handler of its own is called once";
        is $run->err, '', "a program that $frees its manager and closes the library has nothing to say";
    }
}

done_testing;
