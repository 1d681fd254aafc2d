# make -C c install and uninstall: what is put where, and that programs find it by pkg-config, for the
# shared library and for the static one.

use strict;
use warnings;

use Fcntl qw(S_IMODE);
use File::Basename qw(basename);
use File::Find ();
use File::Temp ();
use Test::More;
use Time::HiRes ();

use lib 't/lib';
use CLibrary;
use ProcessTest;
use SourceTree;

my $tmp = File::Temp->newdir('prefork-install-XXXXXX', TMPDIR => 1);
my ($version) = text('Cargo.toml') =~ /^version = "(.*)"$/m;

shell_ok('make -C c', 'make -C c');
my @pages = map { basename $_ } glob 'target/c/man/man3/*.3';
cmp_ok scalar @pages, '>=', 1, 'there are man pages';

# Each file, as its mode and where it points to.
my %installed = (
    'include/prefork.h'         => '0644',
    'include/prefork-host.h'    => '0644',
    "lib/libprefork.so.$version" => '0755',
    'lib/libprefork.so.1'       => "-> libprefork.so.$version",
    'lib/libprefork.so'         => '-> libprefork.so.1',
    'lib/libprefork.a'          => '0644',
    'lib/pkgconfig/prefork.pc'  => '0644',
    map { ("share/man/man3/$_" => '0644') } @pages,
);

#
# Where things go
#

my $before = times_in('target/c', 'target/release/libprefork.so', 'c', 'include');
my $prefix = "$tmp/prefix";
shell_ok("umask 077; make -C c install PREFIX=$prefix", 'install, in PREFIX, with a umask of 077');
is_deeply found_in($prefix), \%installed, 'install, in PREFIX: every file is there, with its mode';
is_deeply [directories_closed_to_others($prefix)], [], 'install, in PREFIX: all may enter the folders';
is_deeply times_in('target/c', 'target/release/libprefork.so', 'c', 'include'), $before,
    'install, in PREFIX: nothing is written into the sources and what is built';
shell_ok("make -C c install PREFIX=$prefix", 'install, in PREFIX, once more');
is_deeply found_in($prefix), \%installed, 'install, in PREFIX, once more: the same files are there';
is text("$prefix/include/$_"), text("include/$_"), "$_ is that of the sources" for qw(prefork.h prefork-host.h);

my $stage = "$tmp/staging area";
shell_ok("make -C c install PREFIX=/opt/prefork DESTDIR='$stage'", 'install, in DESTDIR');
is_deeply found_in("$stage/opt/prefork"), \%installed,
    'install, in DESTDIR: the same files are there, below PREFIX in it';
is_deeply [glob "'$stage/*'"], ["$stage/opt"], 'install, in DESTDIR: nothing is elsewhere';
like text("$stage/opt/prefork/lib/pkgconfig/prefork.pc"), qr{^prefix=/opt/prefork$}m,
    'install, in DESTDIR: prefork.pc knows of no DESTDIR';
unlike text("$stage/opt/prefork/lib/pkgconfig/prefork.pc"), qr{\@|staging},
    'install, in DESTDIR: prefork.pc leaves no place open';

my $spread = 'PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu INCLUDEDIR=/usr/include/prefork MANDIR=/srv/man';
shell_ok("make -C c install $spread DESTDIR=$tmp/spread", 'install, into folders of their own');
my %spread = map {
    (s{\Alib/}{usr/lib/x86_64-linux-gnu/}r =~ s{\Ainclude/}{usr/include/prefork/}r =~ s{\Ashare/man/}{srv/man/}r
        => $installed{$_})
} keys %installed;
is_deeply found_in("$tmp/spread"), \%spread, 'install, into folders of their own: each file is where it was told to';
my $spread_pc = "$tmp/spread/usr/lib/x86_64-linux-gnu/pkgconfig/prefork.pc";
is shell_ok("PKG_CONFIG_SYSROOT_DIR= pkg-config --keep-system-libs --cflags --libs $spread_pc", 'pkg-config')
    =~ s/\s+\z//r, '-I/usr/include/prefork -L/usr/lib/x86_64-linux-gnu -lprefork',
        'install, into folders of their own: prefork.pc says so';

SKIP: {
    skip 'no man here', 2 if in_dir('.', 'man --version')->status != 0;
    # A page that only leads to another one.
    like shell_ok("MANPAGER=cat man -M $tmp/spread/srv/man pf_new", 'man pf_new'), qr/pf_new.*-/s,
        'man shows the page of a function, wherever that is';
}

# The Perl distribution's Makefile hands on what it was given, and has a PREFIX of its own.
SKIP: {
    skip 'no Makefile, or an old one: perl Makefile.PL', 10
        if !-e 'Makefile' || -M 'Makefile' > -M 'Makefile.PL';
    shell_ok("make install-c PREFIX=/opt/prefork DESTDIR=$tmp/from-perl", 'make install-c');
    is_deeply found_in("$tmp/from-perl/opt/prefork"), \%installed, 'make install-c installs the same files';
    shell_ok("make uninstall-c PREFIX=/opt/prefork DESTDIR=$tmp/from-perl", 'make uninstall-c');
    is_deeply found_in("$tmp/from-perl"), {}, 'make uninstall-c takes all of it away';
    shell_ok("make install-c DESTDIR=$tmp/from-perl", 'make install-c without PREFIX', PREFIX => '/opt/other');
    is_deeply found_in("$tmp/from-perl/usr/local"), \%installed,
        'make install-c without PREFIX installs into /usr/local';
    is_deeply [glob "$tmp/from-perl/usr/*"], ["$tmp/from-perl/usr/local"],
        'make install-c without PREFIX installs nowhere else';
}

#
# Programs that use it
#

my $pc = "PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config";
shell_ok("$pc --validate prefork", 'prefork.pc is valid');
is shell_ok("$pc --modversion prefork", 'pkg-config --modversion'), "$version\n",
    'pkg-config --modversion says the version';
like text('include/prefork.h'), qr/^#define PF_VERSION "\Q$version\E"$/m,
    'the version of pkg-config is that of the header';

my $cc = 'cc -Wall -Wextra -Werror examples/workers.c -o';
shell_ok("$cc $tmp/dynamic \$($pc --cflags --libs prefork)", 'the shared library: it compiles');
runs("$tmp/dynamic", LD_LIBRARY_PATH => "$prefix/lib");
like shell_ok("LD_LIBRARY_PATH=$prefix/lib ldd $tmp/dynamic", 'ldd'),
    qr{libprefork\.so\.1 => \Q$prefix\E/lib/libprefork\.so\.1 },
        'the shared library: the program takes the one that was installed';
shell_ok("$cc $tmp/rpath \$($pc --cflags --libs prefork) -Wl,-rpath,$prefix/lib",
    'the shared library, with a run path: it compiles');
runs("$tmp/rpath");

shell_ok("$cc $tmp/static \$($pc --static --cflags --libs prefork | sed s/-lprefork/-l:libprefork.a/)",
    'the static library: it compiles');
unlike shell_ok("ldd $tmp/static", 'ldd'), qr/libprefork/, 'the static library: the shared one is not used';
runs("$tmp/static");

shell_ok("$cc $tmp/all-static -static \$($pc --static --cflags --libs prefork)", 'all static: it compiles');
is shell_ok("readelf -d $tmp/all-static", 'readelf') =~ s/\s+\z//r =~ s/\A\s+//r,
    'There is no dynamic section in this file.', 'all static: the program needs no shared library';
SKIP: {
    # Before 2.34 a static program took a part of libpthread.a, in which others were missing.
    my ($glibc) = shell_ok('ldd --version', 'ldd') =~ /\b2\.(\d+)\s/;
    skip 'static programs with threads need a later C library', 3 if ($glibc || 99) < 34;
    runs("$tmp/all-static");
}

# What the static library needs may be more one day.
shell_ok("echo | rustc --crate-type staticlib --crate-name empty -o $tmp/empty.a --print native-static-libs -"
    . " 2> $tmp/native", 'rustc says what its static libraries need');
my ($native) = text("$tmp/native") =~ /native-static-libs: (.*)/;
my %private  = map { $_ => 1 } split ' ', shell_ok("$pc --static --libs-only-l prefork", 'pkg-config --static');
is_deeply [grep { !$private{$_} && !/\A-l(?:c|gcc_s)\z/ } split ' ', $native], [],
    'prefork.pc names what a static program needs';

#
# Uninstalling, and what cannot be done
#

shell_ok("make -C c uninstall PREFIX=$prefix", 'uninstall, from PREFIX');
shell_ok("make -C c uninstall PREFIX=/opt/prefork DESTDIR='$stage'", 'uninstall, from DESTDIR');
shell_ok("make -C c uninstall $spread DESTDIR=$tmp/spread", 'uninstall, from folders of their own');
is_deeply found_in($_), {}, 'nothing is left in ' . basename($_) for $prefix, $stage, "$tmp/spread";
open my $other, '>', "$prefix/lib/libother.so" or die $!;
close $other;
shell_ok("make -C c uninstall PREFIX=$prefix", 'uninstall, where there is nothing of ours');
is_deeply [keys %{ found_in($prefix) }], ['lib/libother.so'], 'uninstall leaves what others have';

my $install = "make -C c install DESTDIR=$tmp/wrong";
fails("$install PREFIX=somewhere", qr{PREFIX=somewhere is not an absolute path});
fails("$install 'PREFIX=$tmp/a b'", qr{PREFIX=\Q$tmp\E/a b is not an absolute path without spaces});
fails("$install LIBDIR=lib", qr{LIBDIR=lib is not an absolute path});

my $bare = copy_of_the_sources();
open my $old, '>', "$tmp/cargo" or die $!;
print {$old} "#!/bin/sh\necho 'cargo 1.63.0 (fd9c4297c 2022-07-01)'\n";
close $old;
chmod 0755, "$tmp/cargo";
fails("make -C $bare/c CARGO=/nonexistent/cargo", qr{cargo is missing: install Rust 1\.85 or later});
fails("make -C $bare/c CARGO=$tmp/cargo", qr{cargo is version 1\.63\.0, and 1\.85 is needed: install Rust});

done_testing;

# Starts the example, sees its three workers, and ends it.
sub runs {
    my ($program, %env) = @_;
    my $manager = start_program(undef, command => [$program], env => \%env, deadline => 60);
    my %pid_of;
    while (keys %pid_of < 3 && defined(my $line = $manager->line_like(qr/^worker/))) {
        $pid_of{$1} = $2 if $line =~ /^worker (\d): pid (\d+), generation 1$/;
    }
    is join(' ', sort keys %pid_of), '0 1 2', 'the installed example has three workers';
    $manager->signal('TERM');
    is $manager->wait, 0, 'the installed example stops on TERM, with status 0' or diag $manager->err;
    is_deeply [$manager->members], [], 'the installed example leaves nobody';
    return;
}

sub fails {
    my ($command, $why) = @_;
    my $run = in_dir('.', $command);
    isnt $run->status, 0, "$command: fails";
    my @said = grep { !/\Amake(?:\[\d+\])?: (?:Entering|Leaving) / } split /\n/, $run->out;
    like "@said", $why, "$command: says why it fails";
    is scalar @said, 1, "$command: says one line" or diag $run->out;
    return;
}

sub found_in {
    my $dir = shift;
    my %found;
    for my $file (@{ files_in($dir) }) {
        my $path = "$dir/$file";
        $found{$file} = -l $path ? '-> ' . readlink $path : sprintf '%04o', S_IMODE((stat $path)[2]);
    }
    return \%found;
}

sub directories_closed_to_others {
    my $dir = shift;
    my @closed;
    my $look = sub { push @closed, $_ if -d && (S_IMODE((stat)[2]) & oct 755) != oct 755 };
    File::Find::find({ no_chdir => 1, wanted => $look }, $dir);
    return @closed;
}

sub times_in {
    my %time;
    my $look = sub { $time{$_} = join ' ', (Time::HiRes::lstat $_)[9, 10] };
    File::Find::find({ no_chdir => 1, wanted => $look }, @_);
    return \%time;
}

sub text {
    my $file = shift;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar readline $fh;
}
