# make dist: the release has what MANIFEST names, from which Makefile.PL makes a Makefile; and what it leaves in a
# checkout is no file that MANIFEST lacks.

use strict;
use warnings;

use ExtUtils::Manifest ();
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use SourceTree;

my $perl = $^X;
my $tree = File::Temp->newdir('prefork-dist-XXXXXX', TMPDIR => 1);
my $named = ExtUtils::Manifest::maniread();
for my $file (sort keys %$named) {
    make_path(dirname("$tree/$file"));
    copy($file, "$tree/$file") or die "cannot copy $file: $!";
}
copy('MANIFEST.SKIP', "$tree/MANIFEST.SKIP") or die "cannot copy MANIFEST.SKIP: $!";
# For t/03-manifest.t it is a checkout.
mkdir "$tree/.git" or die "mkdir: $!";

sub ok_in_tree {
    my ($command, $name) = @_;
    my $run = in_dir($tree, $command);
    is $run->status, 0, $name or diag $run->out;
    return;
}

ok_in_tree("$perl Makefile.PL", 'perl Makefile.PL');
ok_in_tree('prove t/03-manifest.t', 'all files are named');
ok_in_tree('make dist', 'make dist');
my ($tarball, @others) = glob "$tree/Parallel-Prefork-*.tar.gz";
ok $tarball && !@others, 'there is one tarball' or diag "$tarball @others";
ok_in_tree('make distdir', 'make distdir');
ok_in_tree('prove t/03-manifest.t', 'make manifest leaves no file without a name');

my $unpacked = File::Temp->newdir('prefork-dist-XXXXXX', TMPDIR => 1);
is in_dir($unpacked, "tar -xzf $tarball")->status, 0, 'what make dist packs can be unpacked';
my ($top) = glob "$unpacked/*";
my @packed = @{ files_in($top) };
is_deeply [grep { !/\AMETA\.(?:yml|json)\z/ } @packed], [sort keys %$named],
    'what make dist packs is what MANIFEST names';
my $run = in_dir($top, "$perl Makefile.PL");
is $run->status, 0, 'what make dist packs can be configured';
unlike $run->out, qr/warning/i, 'what make dist packs configures without a warning' or diag $run->out;

done_testing;
