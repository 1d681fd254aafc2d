# What is missing for the build is said by Makefile.PL, in one line that says what to install.

use strict;
use warnings;

use Config;
use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use SourceTree;

my $tree = copy_of_the_sources();

# A folder of links to the programs named, to be the whole PATH.
sub path_of {
    my $dir = File::Temp->newdir;
    for my $name (@_) {
        my ($program) = grep { -x } map { "$_/$name" } split /:/, $ENV{PATH};
        symlink $program, "$dir/$name" or die "$name: $!" if $program;
    }
    return $dir;
}

sub fails_with_one_line {
    my ($name, $pattern, $program, %env) = @_;
    my $run = in_dir($tree, $program, env => \%env);
    isnt $run->status, 0, "$name: Makefile.PL fails";
    like $run->out, $pattern, "$name: Makefile.PL says what to install";
    is scalar(split /\n/, $run->out), 1, "$name: Makefile.PL says one line" or diag $run->out;
    ok !-e "$tree/Makefile", "$name: Makefile.PL writes no Makefile";
    return;
}

my ($cc)    = split ' ', $Config{cc};
my @tools   = ($cc, qw(sh make uname cat rm mv));
my $cargo   = qr/cargo is missing: install Rust 1\.85/;
my $perl    = $^X;
my $nothing = path_of(@tools);
fails_with_one_line('no cargo', $cargo, "$perl Makefile.PL", PATH => "$nothing", CARGO => '');

my $old = path_of(@tools);
open my $fh, '>', "$old/cargo" or die $!;
print {$fh} "#!/bin/sh\necho 'cargo 1.63.0 (fd9c4297c 2022-07-01)'\n";
close $fh;
chmod 0755, "$old/cargo";
fails_with_one_line('an old cargo', qr/version 1\.63, and 1\.85 is needed: install/,
    "$perl Makefile.PL", PATH => "$old", CARGO => '');

my $no_cc = path_of(grep { $_ ne $cc } @tools, 'cargo');
fails_with_one_line('no C compiler', qr/C compiler \Q$cc\E is missing: install/,
    "$perl Makefile.PL", PATH => "$no_cc", CARGO => '');

fails_with_one_line('an old perl',
    qr/\AParallel::Prefork: Perl v5\.32\.0 required--this is only v5\.30\.3: install a later perl\n\z/,
    "$perl Makefile.PL", PREFORK_TEST_PERL_VERSION => '5.030003');

# %Config is read-only, but the object behind it is a hash.
fails_with_one_line('no perl headers', qr/perl's headers are missing: install.*libperl-dev/,
    "$perl -MConfig -e '(tied %Config)->{archlibexp} = q{/nonexistent}; do q{./Makefile.PL}'");
my $blind = File::Temp->newdir;
open $fh, '>', "$blind/cc" or die $!;
print {$fh} "#!/bin/sh\nexit 1\n";
close $fh;
chmod 0755, "$blind/cc";
my $without_crypt = <<"PERL";
(tied %Config)->{cc} = q{$blind/cc};
(tied %Config)->{i_crypt} = q{define};
do q{./Makefile.PL};
PERL
fails_with_one_line('no crypt.h', qr/crypt\.h, which perl's headers include, is missing: install.*libcrypt-dev/,
    "$perl -MConfig -e '$without_crypt'");
fails_with_one_line('Windows', qr/\AOS unsupported\n\z/,
    "$perl -MExtUtils::MakeMaker -e " . q('$^O = q{MSWin32}; do q{./Makefile.PL}; die $@ if $@'));

done_testing;
