package Preload;

# Libraries that a test puts in front of libc (LD_PRELOAD), and so between a program and the system: they let a call
# fail, let a signal come inside of one, or write down which calls there were.

use strict;
use warnings;

use Config;
use Exporter qw(import);
use File::Temp ();
use TextFiles;

our @EXPORT = qw(preload_library preloaded);

# They go when the test does.
my @folders;

# preload_library(SOURCE)
#
# Compiles a library from a text in C, or from the file of this name (FILE.c); returns its path. Without a C compiler
# returns nothing, so that the test can be skipped; a source that does not compile is an error.
sub preload_library {
    my $source   = shift;
    my @compiler = split ' ', $Config{cc};
    return if system("$compiler[0] --version >/dev/null 2>&1") != 0;
    my $folder = File::Temp->newdir('prefork-preload-XXXXXX', TMPDIR => 1);
    push @folders, $folder;
    my $file = $source;
    if ($source !~ /\A\S+\.c\z/) {
        $file = "$folder/library.c";
        spew($file, $source);
    }
    my @flags = qw(-std=gnu99 -O1 -Wall -Wextra -Werror -shared -fPIC -pthread);
    system(@compiler, @flags, '-o', "$folder/library.so", $file, '-ldl') == 0
        or die "$file does not compile\n";
    return "$folder/library.so";
}

# preloaded(LIBRARY): the variable of the environment of a program that has this library in front of libc, and behind
# it what the test itself has there.
sub preloaded {
    my $library = shift;
    return (LD_PRELOAD => join ' ', $library, grep { defined } $ENV{LD_PRELOAD});
}

1;
