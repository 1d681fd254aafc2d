package SourceTree;

# A copy of the sources in a folder of its own, for tests that build.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Find ();
use File::Path qw(make_path);
use File::Temp ();
use ProcessTest;

our @EXPORT = qw(copy_of_the_sources files_in in_dir);

my @PARTS = qw(
    Cargo.toml Cargo.lock Changes Makefile.PL build.rs c examples include man perl script/man src t/01-load.t
    t/lib tests
);

# The folder, as an object that takes it away in the end. No product of a build is in it.
sub copy_of_the_sources {
    my $copy = File::Temp->newdir('prefork-build-XXXXXX', TMPDIR => 1);
    File::Find::find({
        no_chdir => 1,
        wanted   => sub {
            return if !-f || m{\Aperl/(?:Prefork\.c|parts\.inc)\z} || /\.(?:o|bs|xsc)\z/;
            make_path(dirname("$copy/$_"));
            copy($_, "$copy/$_") or die "cannot copy $_: $!\n";
        },
    }, @PARTS);
    return $copy;
}

# Every file below, as paths relative to it, sorted.
sub files_in {
    my $dir = shift;
    my @files;
    File::Find::find({
        no_chdir => 1,
        wanted   => sub { push @files, substr $_, 1 + length $dir if -f || -l },
    }, "$dir");
    return [sort @files];
}

# Runs a command line of the shell in the folder; returns the finished program.
sub in_dir {
    my ($dir, $command, %opt) = @_;
    my $program = start_program(undef, deadline => 400, %opt,
        command => ['/bin/sh', '-c', 'cd "$1" && eval "$2"', 'sh', "$dir", "exec 2>&1; $command"]);
    # A pipe that nobody reads would hold a build that prints much.
    1 while defined $program->line;
    $program->wait;
    return $program;
}

1;
