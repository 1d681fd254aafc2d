# perl Makefile.PL && make && make install, from the bare sources: where things go, that they
# find each other there, that a changed source is rebuilt, and that clean is clean.

use strict;
use warnings;

use Config;
use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use SourceTree;

my $tree    = copy_of_the_sources();
my $pristine = files_in($tree);
my $perl    = $^X;

sub ok_in_tree {
    my ($command, $name) = @_;
    my $run = in_dir($tree, $command);
    is $run->status, 0, $name or diag $run->out;
    return $run;
}

ok_in_tree("$perl Makefile.PL", 'perl Makefile.PL');
my $make = ok_in_tree('make', 'make');
unlike $make->out, qr/warning/i, 'nothing to warn of';
ok_in_tree('make test TEST_FILES=t/01-load.t', 'make test');
unlike ok_in_tree('make', 'make once more')->out, qr/cargo|cc /, 'make after make has nothing to do';

my $library = "$tree/blib/arch/auto/Parallel/Prefork/libprefork.so.1";
my $before  = (stat $library)[9];
ok -f $library, 'the library is beside the XS object';
# make compares times of a second on some file systems.
utime $before + 2, $before + 2, "$tree/src/machine/spare.rs" or die $!;
like ok_in_tree('make', 'make after a change of a .rs file')->out, qr/Compiling libprefork/,
    'make after a change of a .rs file compiles the core';
isnt +(stat $library)[9], $before, 'make after a change of a .rs file puts the new library into place';

my $program = <<'PERL';
use Parallel::Prefork;
print "$INC{q{Parallel/Prefork.pm}}\n";
my $pm = Parallel::Prefork->new(max_workers => 1);
kill TERM => $$;
print $pm->start(sub { });
PERL
my $installed = File::Temp->newdir;
for my $way (
    [DESTDIR      => 'INSTALLDIRS=site', "DESTDIR=$installed/destdir"],
    [PREFIX       => "PREFIX=$installed/prefix", ''],
    [INSTALL_BASE => "INSTALL_BASE=$installed/base", ''],
) {
    my ($name, $configure, $install) = @$way;
    ok_in_tree("$perl Makefile.PL $configure", "$name: perl Makefile.PL $configure");
    ok_in_tree("make && make install $install", "$name: make install $install");
    my $root = "$installed/" . { DESTDIR => 'destdir', PREFIX => 'prefix', INSTALL_BASE => 'base' }->{$name};
    my @files = @{ files_in($root) };
    my ($module) = grep { m{/Parallel/Prefork\.pm\z} } @files;
    my ($object) = grep { m{/auto/Parallel/Prefork/Prefork\.\Q$Config{dlext}\E\z} } @files;
    my ($core)   = grep { m{/auto/Parallel/Prefork/libprefork\.so\.1\z} } @files;
    ok $module && $object && $core, "$name: module, object and library are there"
        or diag "@files";
    s{(?:/auto)?/Parallel/Prefork.*}{} for my ($lib, $arch) = ($module, $object);
    my $run = in_dir('/', "$perl -I$root/$lib -I$root/$arch -e '$program'");
    is $run->out, "$root/$module\n1", "$name: a program runs with it, from another directory";
    like in_dir('/', "ldd $root/$object")->out, qr{libprefork\.so\.1 => \Q$root/$core\E },
        "$name: the object finds the library beside itself";
}
# A perl may be configured without man pages. MakeMaker puts ours in a folder named "none" then, and leaves it there.
my $has_man_pages = $Config{installman3dir} =~ /\S/;
SKIP: {
    skip 'this perl installs no man pages', 1 if !$has_man_pages;
    like join("\n", @{ files_in("$installed/base") }), qr{man3/Parallel::Prefork\.3}, "make install: a man page is there";
}

# t/c-library/install.t looks closer.
unlike ok_in_tree("make install-c PREFIX=/opt/prefork DESTDIR=$installed/c", 'make install-c')->out, qr/cargo build/,
    "install-c takes the library that is there";
my $c_files = join "\n", @{ files_in("$installed/c/opt/prefork") };
like $c_files, qr{^\Q$_\E}m, "install-c installs $_"
    for qw(include/prefork.h lib/libprefork.so.1 lib/libprefork.a lib/pkgconfig/prefork.pc share/man/man3/prefork.3);

ok_in_tree('make clean', 'make clean');
is_deeply [grep { $_ ne 'Makefile.old' && ($has_man_pages || !m{\Anone/}) } @{ files_in($tree) }], $pristine,
    'make realclean leaves nothing but the sources';

done_testing;
