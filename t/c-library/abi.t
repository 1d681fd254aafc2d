# The ABI of today is the one that c/abi.xml has recorded, and what was added to it: a program that was
# linked with the recorded one runs with today's.
#
#     PREFORK_WRITE_ABI=1 prove -b t/c-library/abi.t     records today's
#
# What is recorded and compared is a library of empty functions, compiled from the headers with
# debug information: it shows what a C program sees of the library. That of the library itself does not
# do: it shows what is inside of the opaque types, whose every change would count, and does not show
# enumerators that no function takes or returns. tests/header.rs sees to it that the header says what the
# library does, and symbols.t that the library has the functions.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CLibrary;
use SourceTree;

my $RECORD = 'c/abi.xml';
my $ADVICE = <<'ADVICE';
Programs that were linked with the recorded ABI would break. Give back what they rely on and add a new
function beside it. If that is not to be, it is a new library: the SONAME (build.rs) and the major version
(Cargo.toml) count up. Where the change is one that no program can notice, or in a function that was in no
release yet, record the ABI anew: PREFORK_WRITE_ABI=1 prove -b t/c-library/abi.t
ADVICE

plan skip_all => "abidiff is missing (Debian: apt-get install abigail-tools)"
    if in_dir('.', 'abidiff --version')->status != 0;
my ($recorded_for) = slurp($RECORD) =~ /architecture='elf-(\S+)'/;
plan skip_all => "the recorded ABI is that of $recorded_for" if in_dir('.', 'uname -m')->out !~ /\Ax86_64$/m;

my $tmp      = File::Temp->newdir('prefork-abi-XXXXXX', TMPDIR => 1);
my $header   = join '', map { slurp("include/$_") =~ s/^#include "prefork.h"\n//mr } qw(prefork.h prefork-host.h);
my ($soname) = shell_ok('objdump -p blib/arch/auto/Parallel/Prefork/libprefork.so.1', 'the library')
    =~ /^\s*SONAME\s+(\S+)/m;

if ($ENV{PREFORK_WRITE_ABI}) {
    # Neither the time nor the place is to be in it.
    shell_ok("abidw --no-corpus-path --no-comp-dir-path --no-show-locs --out-file $RECORD "
        . library_of($header), "the ABI is recorded in $RECORD");
}

is_deeply [slurp($RECORD) =~ m{=(['"]/\S*)}g], [], "no path is in $RECORD";
my $today = compared(library_of($header));
is $today->status, 0, 'today\'s ABI is the recorded one, and additions' or diag $today->out, "\n", $ADVICE;

# That abidiff sees what would break programs, and nothing else.
my @breaking = (
    ['a function is gone'      => qr/^pf_result pf_suspend\(.*\n/m,              ''],
    ['a parameter'             => qr/(pf_demand\(pf_t \*pf,\s+)int32_t/,         'int64_t'],
    ['one more parameter'      => qr/(pf_suspend\(pf_t \*pf)/,                    ', int more'],
    ['what is returned'        => qr/^()size_t(?= pf_num_workers)/m,           'uint32_t'],
    ['a callback'              => qr/(\*pf_after_fork_fn\)\(pf_t \*pf, )int32_t/, 'uint64_t'],
    ['a member'                => qr/()int32_t(?= fd;)/,                       'int64_t'],
    ['one more member'         => qr/(uint32_t reserved\[\d+\];)/,               ' int more;'],
    ['members change places'   => qr/()uint32_t type;(.*?)uint32_t reason;/s,  'uint32_t reason; uint32_t type;'],
    ['the number of a result'  => qr/(PF_ERR_NO_SLOT = )8/,                    '18'],
    ['the number of an event'  => qr/(PF_EVENT_TIMED_OUT = )6/,                '16'],
    ['a reason is gone'        => qr/()PF_REASON_FOREIGN = 4,/,                ''],
);
my @harmless = (
    ['a function more'         => qr/(\npf_result pf_suspend\(.*\n)/,             "pf_result pf_one_more(pf_t *pf);\n"],
    ['a type more'             => qr/(\npf_result pf_suspend\(.*\n)/,
        "typedef struct { int a; } pf_more;\npf_result pf_one_more(pf_more *more);\n"],
    ['a result more'           => qr/(PF_ERR_NO_SLOT = 8,)/,                   'PF_ERR_MORE = 1000,'],
    ['an event more'           => qr/(PF_EVENT_TIMED_OUT = 6,)/,               'PF_EVENT_MORE = 1000,'],
    ['another name of a parameter' => qr/(pf_demand\(pf_t \*pf,\s+int32_t )\w+/, 'other'],
);
for my $case ($today->status == 0 ? @breaking : ()) {
    my $run = changed(@$case);
    # 4 is the bit of "there is a change", and what is worse adds others; 1 and 2 are errors.
    ok $run->status >> 8 & 4 && !($run->status >> 8 & 3), "a change would be seen: $case->[0]" or diag $run->out;
}
for my $case ($today->status == 0 ? @harmless : ()) {
    my $run = changed(@$case);
    is $run->status, 0, "an addition is allowed: $case->[0]" or diag $run->out;
}

done_testing;

# The header with a change, compared.
sub changed {
    my ($name, $pattern, $text) = @_;
    my $other = $header;
    $other =~ s/$pattern/(defined $1 ? $1 : '') . $text/e or die "$name: nothing in the header is like $pattern\n";
    return compared(library_of($other));
}

sub compared {
    my $library = shift;
    return in_dir('.', "abidiff --no-added-syms $RECORD $library");
}

# A library of empty functions, with a variable of each enum: not all of those are in a declaration.
sub library_of {
    my $code  = shift;
    my @enums = $code =~ /^typedef enum \{.*?^\} (\w+);/gms;
    $code =~ s{//.*}{}g;
    # A type without a tag has a name of its own in one version of abidiff, and that of its typedef in another.
    $code =~ s/^typedef (enum|struct) (\{[^{}]*\} (\w+);)/typedef $1 $3 $2/gm;
    $code =~ s/^(?!typedef)([^\n;{}#]*\bpf_\w+\([^;{}]*\));/$1 { __builtin_trap(); }/gm;
    open my $fh, '>', "$tmp/prefork.c" or die $!;
    print {$fh} $code, map { "$_ a_$_;\n" } @enums;
    close $fh or die $!;
    my $run = in_dir("$tmp", "cc -std=c99 -g -fPIC -shared -Wl,-soname,$soname -o libprefork.so prefork.c");
    $run->status == 0 or die $run->out;
    return "$tmp/libprefork.so";
}

sub slurp {
    my $file = shift;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar readline $fh;
}
