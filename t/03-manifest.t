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
is_deeply [grep { !-f } sort keys %$named], [], 'what it names is there';

my @unnamed;
File::Find::find({
    no_chdir   => 1,
    preprocess => sub { return grep { my $path = _path("$File::Find::dir/$_"); !$is_skipped->(-d $path ? "$path/" : $path) } @_ },
    wanted     => sub { my $path = _path($_); push @unnamed, $path if !-d && !exists $named->{$path} },
}, '.');
is_deeply [sort @unnamed], [], 'what is there it names' or diag 'run: make manifest';

sub _path { return $_[0] =~ s{\A(?:\./)+}{}r }

done_testing;
