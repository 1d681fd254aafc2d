# What the libraries give to programs and take from the system: the functions of the header, and
# nothing else.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CLibrary;
use TextFiles;

my $prefix = installed_library();
my $lib    = "$prefix/lib";
my $listed = functions_on_the_list();

is_deeply $listed, [sort @$listed], 'c/symbols is sorted';
is_the_list(functions_in_the_headers(), 'the headers declare what c/symbols lists');
is_the_list(globals("nm -D --defined-only $lib/libprefork.so"), 'libprefork.so exports that');
is_the_list(globals("nm -g --defined-only $lib/libprefork.a"), 'libprefork.a exports that');

# What it wants of the system.
my $object  = shell_ok("objdump -p $lib/libprefork.so", 'objdump');
my @needed  = $object =~ /^\s*NEEDED\s+(\S+)/mg;
# The loader is the one of __tls_get_addr, which some systems have elsewhere.
my $has_unwinder = shell_ok('cc -print-file-name=libgcc_eh.a', 'cc') =~ m{\A/};
# Before glibc 2.34 these were apart.
my $of_libc = qr/^(?:ld-linux|lib(?:dl|pthread|rt|m)\.so)/;
is_deeply [sort grep { !/$of_libc/ } @needed], ['libc.so.6', ('libgcc_s.so.1') x !$has_unwinder],
    'the library needs libc, and brings the unwinder along where gcc has it as an archive';
my @foreign = grep { /\A\s*U / && !/\@(?:GLIBC|GCC)_[\d.]+\z/ }
    split /\n/, shell_ok("nm -D --undefined-only $lib/libprefork.so", 'nm');
is_deeply \@foreign, [], 'the library needs no symbol of anything but libc';
like $object, qr/^\s*SONAME\s+libprefork\.so\.1$/m, 'the SONAME of the library is libprefork.so.1';

my $dir = File::Temp->newdir;

# Each fork copies each mapping: constants, code, what is read-only once it is relocated, data.
my @segments = grep { /^\s+LOAD\s/ } split /\n/, shell_ok("readelf -lW $lib/libprefork.so", 'readelf');
cmp_ok scalar(@segments), '<=', 4, 'the library is loaded as no more than four segments';

# Another static library of Rust's brings the same standard library along.
spew("$dir/other.rs", <<'RUST');
#[unsafe(no_mangle)]
pub extern "C" fn other(n: i32) -> i32 {
    std::panic::catch_unwind(|| if n < 0 { panic!("negative") } else { format!("{n}").len() as i32 }).unwrap_or(-1)
}
RUST
spew("$dir/both.c", <<'C');
#include <stdio.h>
#include <prefork.h>

int other(int n);

int main(void)
{
    pf_t *pf = pf_new();

    printf("%d %d %s\n", other(1000), other(-1), pf_strerror(pf_set_max_workers(pf, 3)));
    pf_free(pf);
    return 0;
}
C
shell_ok("rustc --edition 2024 -O --crate-type staticlib -o $dir/libother.a $dir/other.rs",
    'another static library of Rust');
for my $order ('libother.a libprefork.a', 'libprefork.a libother.a') {
    my $archives = $order =~ s{libother}{$dir/libother}r =~ s{libprefork}{$lib/libprefork}r;
    shell_ok("cc -o $dir/both $dir/both.c -I$prefix/include $archives -lpthread -ldl -lm",
        "$order: one program links both");
    like shell_ok("$dir/both 2>/dev/null", '... and runs'), qr/\A4 -1 success\n\z/,
        "$order: the program that links both works";
}

done_testing;

sub is_the_list {
    my ($found, $name) = @_;
    my %found  = map { $_ => 1 } @$found;
    my %listed = map { $_ => 1 } @$listed;
    is_deeply $found, $listed, $name or diag <<"WHY";
not in c/symbols: @{[grep { !$listed{$_} } @$found]}
only in c/symbols: @{[grep { !$found{$_} } @$listed]}
A new function: add its name to c/symbols, in its place, and run make -C c. A function of a release
that is gone breaks the programs that call it: give it back, or give the library a new SONAME.
WHY
    return;
}

# The names, sorted; every one is a function.
sub globals {
    my $command = shift;
    my @lines = grep { /\S/ && !/:\z/ } split /\n/, shell_ok($command, $command =~ s{/\S+/}{}r);
    return [sort map { /\A[0-9a-f]+ T (\S+)\z/ ? $1 : "not a function: $_" } @lines];
}
