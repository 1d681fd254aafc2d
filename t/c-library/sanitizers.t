# Each test in C and two of the examples, built with AddressSanitizer, which looks for leaks too, and
# UndefinedBehaviorSanitizer: not one report from any of their processes. So is the library, with checks
# of arithmetic too, where the Rust compiler can; where it cannot, its heap is the sanitizer's all
# the same, and what it reads and writes through the C library is checked.
#
# ThreadSanitizer is of no use here: it does not see the locks of Rust's standard library, and reports
# what they keep apart.

use strict;
use warnings;

use Cwd ();
use File::Temp ();
use Test::More;

use lib 't/lib';
use CProgram;
use CTests;
use ExampleTest;
use ProcessTest;

my @flags = (qw(-std=gnu99 -Wall -Wextra -Werror -pedantic -pthread -g -O1 -fno-omit-frame-pointer),
    '-fsanitize=address,undefined', '-fno-sanitize-recover=all');

# Not `example`: with flags of our own.
my %example = map { $_ => scalar eval { compile("examples/$_.c", @flags) } } qw(workers pull);
need('AddressSanitizer, which comes with gcc,', defined $example{workers});

# A folder with a library that is instrumented; nothing if that cannot be built.
sub instrumented_library {
    my ($host) = `rustc -vV 2>&1` =~ /^host: (\S+)/m;
    return if !defined $host;
    my $target = '.cache/sanitizers';
    my $build = start_program(undef,
        command  => [qw(cargo build --release --locked --lib --target), $host, '--target-dir', $target],
        deadline => 400,
        env      => {
            # It is an option of the nightly compiler, which a stable one has as well.
            RUSTC_BOOTSTRAP => 1,
            RUSTFLAGS       => '-Zsanitizer=address -Zexternal-clangrt',
            CARGO_PROFILE_RELEASE_LTO              => 'off',
            CARGO_PROFILE_RELEASE_CODEGEN_UNITS    => 16,
            CARGO_PROFILE_RELEASE_DEBUG            => 1,
            CARGO_PROFILE_RELEASE_STRIP            => 'none',
            CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS  => 'true',
            CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS => 'true',
        },
    );
    if ($build->wait != 0) {
        diag 'the library cannot be instrumented here: ', $build->err;
        return;
    }
    my $folder = File::Temp->newdir('prefork-sanitizers-XXXXXX', TMPDIR => 1);
    symlink Cwd::abs_path("$target/$host/release/libprefork.so"), "$folder/libprefork.so.1"
        or die "symlink: $!\n";
    # The run path of the programs comes after this, but not everywhere.
    return if `LD_LIBRARY_PATH=$folder ldd $example{workers}` !~ m{ => \Q$folder\E/};
    return $folder;
}

my $library = instrumented_library();
my $processes = 0;

# Where the sanitizers of a program are to write, and how strict they are.
sub sanitized {
    my ($reports, %asan) = @_;
    # Programs of the tests change their user, and report as that.
    chmod 01777, $reports;
    my %options = (
        detect_leaks => 1, detect_stack_use_after_return => 1, strict_string_checks => 1,
        check_initialization_order => 1, exitcode => 98, log_path => "$reports/report", %asan,
    );
    return {
        defined $library ? (LD_LIBRARY_PATH => "$library") : (),
        ASAN_OPTIONS  => join(':', map { "$_=$options{$_}" } sort keys %options),
        UBSAN_OPTIONS => "print_stacktrace=1:log_path=$reports/report",
    };
}

sub no_reports {
    my ($name, $reports) = @_;
    my @said = grep { /\S/ } map { said_in($_) } glob "$reports/*";
    ok !@said, "$name: no report" or diag @said;
    return;
}

# A report, but for what is none: older compilers warn of each jump from an alternate stack; and the look for leaks says
# so if a thread ends while it is being stopped for that (lsan_common.cpp), which no longer has a stack to look at.
sub said_in {
    my $file = shift;
    open my $fh, '<', $file or die "cannot open $file: $!\n";
    my $said = do { local $/; readline $fh };
    $said =~ s{
        ^==\d+==WARNING:[ ]ASan[ ]is[ ]ignoring[ ]requested[ ]__asan_handle_no_return.*\n
        False[ ]positive.*\n
        For[ ]details.*\n
    }{}mgx;
    $said =~ s/^==\d+==Unable to get registers from thread \d+\.\n//mg;
    return $said;
}

for my $source (c_tests()) {
    my $program = compile($source, @flags);
    my $reports = File::Temp->newdir('prefork-sanitizers-XXXXXX', TMPDIR => 1);
    # A fork has none of the other threads, and with them goes what only their stacks led to.
    # t/c-library/valgrind.t looks for leaks there, in the process that has them.
    my $env = sanitized($reports, $source =~ m{threads} ? (detect_leaks => 0) : ());
    my $run = start_c_test(command => [$program], deadline => 200, env => $env);
    relay_c_test($source, $run);
    no_reports($source, $reports);
    my ($forked) = $run->out =~ /^# (\d+) processes$/m;
    $processes += $forked || 0;
}

for my $name (sort keys %example) {
    my $reports = File::Temp->newdir('prefork-sanitizers-XXXXXX', TMPDIR => 1);
    my $manager = start_program(undef, command => [$example{$name}], deadline => 100,
        env => sanitized($reports));
    manages($manager);
    stops($manager);
    no_reports("examples/$name.c", $reports);
    $processes += 8;
}

diag 'AddressSanitizer and UndefinedBehaviorSanitizer, the library ',
    defined $library ? 'too' : 'excepted', ": $processes processes, no report"
    if Test::More->builder->is_passing;

done_testing;
