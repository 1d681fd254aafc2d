# script/debian-sources finds the Debian archive's entries in both forms that apt knows, and
# leaves out what is not of Debian, or not of this release.

use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp ();
use Test::More;

# What the script prints for a system with these files below its root, and its exit status.
sub entries {
    my (%file) = @_;
    my $root = File::Temp->newdir;
    $file{'etc/os-release'} ||= qq{PRETTY_NAME="Debian"\nVERSION_CODENAME=trixie\n};
    for my $name (keys %file) {
        my ($dir) = $name =~ m{(.*)/};
        make_path("$root/$dir");
        open my $fh, '>', "$root/$name" or die "cannot write $root/$name: $!";
        print {$fh} $file{$name};
        close $fh;
    }
    my @lines = split /^/, `"$^X" script/debian-sources "$root" 2>&1`;
    return ($? >> 8, map { s/\n//r } @lines);
}

sub both {
    my ($options, $rest) = @_;
    return map { "$_->[0] [target=$_->[1]$options] $rest" } ['deb', 'Packages'], ['deb-src', 'Sources'];
}

is_deeply [entries('etc/apt/sources.list' => <<'END')],
# deb http://mirror.example/debian trixie main
deb cdrom:[Debian 13]/ trixie main
deb http://mirror.example/debian trixie main contrib # the archive
deb-src http://mirror.example/debian trixie main
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] http://mirror.example/debian-security trixie-security main
deb [trusted=yes] http://mirror.example/debian stable-updates main
deb http://mirror.example/debian trixie main
deb http://mirror.example/debian trixie-backports main
deb http://mirror.example/debian bookworm main
deb http://mirror.example/debian trixie contrib
deb http://tools.example/linux trixie main
deb [signed-by=/k/tools.gpg] http://tools.example/debian trixie main
END
    [
        0,
        both('', 'http://mirror.example/debian trixie main'),
        both(' signed-by=/k/debian-archive-keyring.gpg',
            'http://mirror.example/debian-security trixie-security main'),
        both(' trusted=yes', 'http://mirror.example/debian stable-updates main'),
    ],
    'one-line entries';

is_deeply [entries('etc/apt/sources.list.d/debian.sources' => <<'END')],
# Debian
Types: deb deb-src
URIs: http://mirror.example/debian/ http://mirror2.example/debian/
# two of them
Suites: trixie
 trixie-updates
Components: main non-free-firmware
Signed-By: /k/debian-archive-keyring.pgp

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main
Enabled: no

types: deb-src
uris: http://mirror.example/debian-security
suites: trixie-security
components: main

Types: deb
URIs: http://tools.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 debian-archive
 -----END PGP PUBLIC KEY BLOCK-----
END
    [
        0,
        map { both(' signed-by=/k/debian-archive-keyring.pgp', "$_ main") }
            map { ("http://$_.example/debian/ trixie", "http://$_.example/debian/ trixie-updates") }
            qw(mirror mirror2)
    ],
    'deb822 entries';

is_deeply [entries(
        'usr/share/keyrings/debian-archive-keyring.gpg' => '',
        'etc/apt/sources.list.d/a.list' => "deb http://mirror.example/debian trixie main\n",
        'etc/apt/sources.list.d/b.list.disabled' => "deb http://other.example/debian trixie main\n",
    )],
    [
        0,
        both(' signed-by=/usr/share/keyrings/debian-archive-keyring.gpg',
            'http://mirror.example/debian trixie main'),
    ],
    'an entry that names no key has to be signed with that of Debian, where that is known';

my ($status, $said) = entries('etc/apt/sources.list' => "deb http://tools.example/linux trixie main\n");
isnt $status, 0, 'debian-sources fails without an entry';
like $said, qr/\Ano entry of the Debian archive for 'trixie' in /,
    'debian-sources without an entry says what it looked for';

($status, $said) = entries('etc/os-release' => "ID=other\n");
isnt $status, 0, 'debian-sources fails on a system without a codename';
like $said, qr/names no VERSION_CODENAME/, 'debian-sources says that the system has no codename';

done_testing;
