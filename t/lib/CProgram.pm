package CProgram;

# Compiles C programs against the header and the library that the build has made.

use strict;
use warnings;

use Config;
use Cwd ();
use Exporter qw(import);
use File::Temp ();

our @EXPORT = qw(compile library);

# The path of the library.
sub library { return Cwd::abs_path('blib/arch/auto/Parallel/Prefork/libprefork.so.1') }

# compile(SOURCE FILE, flag, ...): the path of the program, in a folder that goes with the
# test; dies with what the compiler said. Libraries (-lname) are looked into after the source.
sub compile {
    my ($source, @options) = @_;
    my @flags     = grep { !/\A-l/ } @options;
    my @libraries = grep { /\A-l/ } @options;
    my $library = library();
    my ($dir) = $library =~ m{\A(.*)/};
    my $program = File::Temp->newdir('prefork-c-XXXXXX', TMPDIR => 1, CLEANUP => 0) . '/program';
    push @CProgram::made, $program;
    my @cc = (split(' ', $Config{cc}), @flags, '-Iinclude', '-o', $program, $source, $library,
        @libraries, "-Wl,-rpath,$dir");
    my $pid = open my $output, '-|';
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @cc or die "cannot run $cc[0]: $!\n";
    }
    my $said = do { local $/; readline $output };
    close $output or die "@cc\n$said";
    return $program;
}

my $owner = $$;

END {
    if ($$ == $owner) {
        local $?;
        for my $program (@CProgram::made) {
            my ($dir) = $program =~ m{\A(.*)/};
            unlink $program;
            rmdir $dir;
        }
    }
}

1;
