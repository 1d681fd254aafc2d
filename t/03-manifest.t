# MANIFEST names what a release contains: every file of the checkout that MANIFEST.SKIP lets by.

use strict;
use warnings;

use ExtUtils::Manifest ();
use File::Find ();
use Test::More;

plan skip_all => 'not a checkout' if !-e '.git';

# ExtUtils::Manifest compares by itself, but looks into each folder that is left out: there may be
# links in .cache that go round in circles.
my $is_skipped = ExtUtils::Manifest::maniskip();
my $named      = ExtUtils::Manifest::maniread();
is_deeply [grep { !-f } sort keys %$named], [], 'what MANIFEST names is there';

my @unnamed;
File::Find::find({
    no_chdir   => 1,
    preprocess => sub { return grep { !$is_skipped->(_path("$File::Find::dir/$_")) } @_ },
    wanted     => sub { push @unnamed, $_ if !-d && !exists $named->{ _path($_) } },
}, '.');
is_deeply [sort @unnamed], [], 'MANIFEST names what is there' or diag 'run: make manifest';

# A path as MANIFEST and MANIFEST.SKIP have it; one of a folder ends in a slash.
sub _path {
    my $path = $_[0] =~ s{\A(?:\./)+}{}r;
    return -d $path ? "$path/" : $path;
}

done_testing;
