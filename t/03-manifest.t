# MANIFEST names what a release contains: every file of the checkout that MANIFEST.SKIP lets by.

use strict;
use warnings;

use ExtUtils::Manifest ();
use File::Find ();
use Test::More;

plan skip_all => 'not a checkout' if !-e '.git';

$ExtUtils::Manifest::Quiet = 1;

# It follows links, and dies where two lead to one file, as in packages that .cache has.
{
    no warnings 'redefine';
    *ExtUtils::Manifest::find = sub {
        my ($options, @folders) = @_;
        return File::Find::find({ wanted => $options->{wanted}, preprocess => sub { grep { !/\A\.[^.]/ } @_ } }, @folders);
    };
}

is_deeply [ExtUtils::Manifest::manicheck()], [], 'what it names is there';
is_deeply [ExtUtils::Manifest::filecheck()], [], 'what is there it names'
    or diag 'run: make manifest';

done_testing;
