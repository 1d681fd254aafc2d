# MANIFEST names what a release contains: every file of the checkout that MANIFEST.SKIP lets by.

use strict;
use warnings;

use ExtUtils::Manifest ();
use Test::More;

plan skip_all => 'not a checkout' if !-e '.git';

$ExtUtils::Manifest::Quiet = 1;
is_deeply [ExtUtils::Manifest::manicheck()], [], 'what it names is there';
is_deeply [ExtUtils::Manifest::filecheck()], [], 'what is there it names'
    or diag 'run: make manifest';

done_testing;
