# The headers compile by themselves, in each C and C++ that programs are written in, without a warning; and
# a host in C++ works.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;

use lib 't/lib';
use CLibrary;
use ProcessTest;
use SourceTree;

my $tmp      = File::Temp->newdir('prefork-header-XXXXXX', TMPDIR => 1);
my @warnings = qw(-Wall -Wextra -Werror -pedantic -Wconversion -Wshadow);
my %languages = (
    c     => { flags => ['-Wstrict-prototypes'], standards => [qw(c99 c11 c17 gnu99 gnu17)] },
    'c++' => { flags => ['-Wold-style-cast'], standards => [qw(c++11 c++14 c++17 c++20)] },
);
# What a system may not have.
my %may_be_missing = map { $_ => 1 } qw(c++20 clang clang++);

my $alone  = file('alone.c', qq{#include "prefork.h"\n});
my $host   = file('host.c', qq{#include "prefork-host.h"\n});
my $macros = file('macros.c', uses_of_all_macros());
my $twice  = file('twice.c', qq{#include "prefork-host.h"\n#include "prefork.h"\n#include "prefork-host.h"\n});

for my $compiler (qw(gcc g++ clang clang++)) {
    my $language = $compiler =~ /\+\+\z/ ? 'c++' : 'c';
    SKIP: {
        skip "no $compiler here", 1
            if $may_be_missing{$compiler} && in_dir('.', "$compiler --version")->status != 0;
        for my $standard (@{ $languages{$language}{standards} }) {
            SKIP: {
                my $command = "$compiler -x $language -std=$standard -fsyntax-only -Iinclude";
                skip "no $standard in $compiler", 1
                    if $may_be_missing{$standard} && in_dir('.', "$command /dev/null")->status != 0;
                $command .= " @warnings @{ $languages{$language}{flags} }";
                shell_ok("$command $alone",  "$compiler -std=$standard compiles the header alone");
                shell_ok("$command $host",   "$compiler -std=$standard compiles the header for fronts");
                shell_ok("$command $macros", "$compiler -std=$standard compiles what uses the header's macros");
                shell_ok("$command $twice",  "$compiler -std=$standard compiles the header twice");
            }
        }
    }
}

my $library = abs_path('blib/arch/auto/Parallel/Prefork/libprefork.so.1');
my ($dir)   = $library =~ m{(.*)/};
shell_ok("g++ -std=c++11 @warnings @{ $languages{'c++'}{flags} } -Iinclude -o $tmp/host t/c-library/host.cc"
    . " $library -Wl,-rpath,$dir", 'a host in C++ compiles');
my $program = start_program(undef, command => ["$tmp/host"], deadline => 60);
my @workers = sort map { $program->line } 1, 2;
is_deeply \@workers, ['worker 0', 'worker 1'], 'the host in C++ has two workers';
$program->signal('TERM');
is $program->wait, 0, 'the host in C++ ends on TERM' or diag $program->err;
is $program->out =~ s/^worker \d\n//mgr, <<'END', 'the hooks of the host in C++ were called, and errors are exceptions';
2 asked, 2 forked, sum 1
pf_trap_signal: signal 1000 cannot be trapped
freed
END
is_deeply [$program->members], [], 'the host in C++ leaves nobody';

done_testing;

# A number has to do in #if, a string where one is expected.
sub uses_of_all_macros {
    my @code = ('#include "prefork-host.h"');
    my %value_of;
    for my $header (qw(prefork.h prefork-host.h)) {
        open my $fh, '<', "include/$header" or die $!;
        while (<$fh>) {
            $value_of{$1} = $2 if /^#define (PF_\w+) (.+)$/;
        }
        close $fh;
    }
    cmp_ok scalar keys %value_of, '>=', 2, 'the header has macros';
    for my $name (sort keys %value_of) {
        push @code, $value_of{$name} =~ /\A"/
            ? "extern const char ${name}_in_use[sizeof(\"<\" $name \">\")];"
            : "#if !($name > 0)\n#error $name is no number\n#endif\nextern const char ${name}_in_use[$name > 0];";
    }
    return join "\n", @code, '';
}

sub file {
    my ($name, $text) = @_;
    open my $fh, '>', "$tmp/$name" or die $!;
    print {$fh} $text;
    close $fh or die $!;
    return "$tmp/$name";
}
