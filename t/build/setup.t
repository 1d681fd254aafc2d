# script/setup: what is missing it installs with one run of apt, on Debian and on its relatives; elsewhere, and where
# apt has no Rust that is new enough, it says so in one line.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;

plan skip_all => 'this needs dpkg, which compares versions' if !grep { -x "$_/dpkg" } split /:/, $ENV{PATH};

# A folder that is the whole PATH: a few programs of the system's, and apt's, which note what they are asked for. None
# of what script/setup looks for is there.
my $bin = File::Temp->newdir('prefork-setup-XXXXXX', TMPDIR => 1);
for my $name (qw(bash cat dirname dpkg env readlink sed sh)) {
    my ($program) = grep { -x } map { "$_/$name" } split /:/, $ENV{PATH};
    symlink $program, "$bin/$name" or die "$name: $!";
}
write_program('sudo',       'exec "$@"');
write_program('dpkg-query', 'exit 1');
write_program('apt-get',    <<"SH");
echo "\$*" >> $bin/log
if [ "\$APT_FAILS" = 1 ]; then
    echo 'E: apt is sad'
    exit 100
fi
SH
write_program('apt-cache',  <<'SH');
eval version=\$VERSION_OF_$(echo "$2" | sed s/-/_/)
[ -z "$version" ] || printf '%s:\n  Installed: (none)\n  Candidate: %s\n' "$2" "$version"
SH

sub write_program {
    my ($name, $text) = @_;
    open my $file, '>', "$bin/$name" or die "$name: $!";
    print {$file} "#!/bin/sh\n$text\n";
    close $file or die $!;
    return chmod 0755, "$bin/$name";
}

# What need_tools says, its status, and what apt-get was called for. The cargo that it wants is one that nobody has.
sub need {
    my ($release, $env, @sets) = @_;
    open my $file, '>', "$bin/os-release" or die $!;
    print {$file} $release;
    close $file or die $!;
    unlink "$bin/log";
    my $script = <<'SH';
exec 2>&1
. script/setup
min_cargo() { echo 999.1; }
need_tools "$@"
SH
    my $run = run(undef,
        command => ['bash', '-c', $script, 'setup', @sets],
        env     => {
            PATH                 => "$bin",
            CARGO                => '',
            CARGO_HOME           => "$bin/none",
            PREFORK_OS_RELEASE   => "$bin/os-release",
            VERSION_OF_cargo     => '',
            VERSION_OF_cargo_web => '',
            %$env,
        },
    );
    open my $log, '<', "$bin/log" or return ($run->out, $run->status >> 8);
    chomp(my @calls = <$log>);
    return ($run->out, $run->status >> 8, @calls);
}

sub packages_of {
    my ($call) = grep { / install / } @_ or return '';
    return $call =~ / --no-remove (.*)/ ? $1 : $call;
}

my $debian  = "ID=debian\nVERSION_ID=\"13\"\n";
my $relative = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\n";
my $build   = 'perl gcc libc6-dev libperl-dev make';
my $c       = 'g++ pkgconf abigail-tools valgrind man-db python3 libev-dev';
my @all     = qw(build lints c);
my %has     = (VERSION_OF_cargo => '999.2.0+dfsg-1');
for my $case (
    ['Debian 13', $debian],
    ['a Debian that is in no list', "ID=debian\nVERSION_CODENAME=forky\n"],
    ['a relative of Debian', $relative],
) {
    my ($name, $release) = @$case;
    my ($said, $status, @calls) = need($release, \%has, @all);
    is scalar(grep { / install / } @calls), 1, "$name: apt installs once";
    is packages_of(@calls), "$build cargo ca-certificates rustfmt rust-clippy $c",
        "$name: apt installs what is missing";
    # Here nothing is there afterwards.
    like $said, qr/\Ainstalling .*\nsetup: there is no cargo 999\.1 or later.*\n\z/,
        "$name: script/setup looks whether what apt has installed was enough";
    is $status, 1, "$name: script/setup fails where it was not enough";
}
my (undef, undef, @calls) = need($debian, \%has, 'build');
is packages_of(@calls), "$build cargo ca-certificates", 'who builds only needs no more';

my %versions = (VERSION_OF_cargo => '0.66.0+ds1-1', VERSION_OF_cargo_web => '999.1.0+dfsg-1');
(undef, undef, @calls) = need($debian, \%versions, @all);
is packages_of(@calls), "$build cargo-web ca-certificates rustfmt-web rust-web-clippy $c",
    'where cargo is too old, apt installs that of the browsers';

for my $case (
    [   'two that are too old',
        { VERSION_OF_cargo => '0.47.0-3', VERSION_OF_cargo_web => '998.78.0+dfsg1-2~deb11u3' },
        ' (the latest is 998.78.0)'
    ],
    ['one that is too old', { VERSION_OF_cargo => '0.47.0-3' }, ' (the latest is 0.47.0)'],
    ['none', {}, ''],
) {
    my ($name, $env, $latest) = @$case;
    my ($said, $status, @calls) = need($debian, $env, @all);
    is packages_of(@calls), '', "of cargo apt has $name: apt installs nothing";
    my $missing = "setup: cargo 999.1 or later is missing, and apt has none$latest: install Rust with rustup, ";
    like $said, qr{\A\Q$missing\E.*\n\z}, "of cargo apt has $name: script/setup says so in one line";
    is $status, 1, "of cargo apt has $name: script/setup fails";
}

my ($said, $status) = need($debian, { %has, APT_FAILS => 1 }, @all);
like $said, qr/^E: apt is sad\nsetup: apt-get could not install $build .*: see above\n\z/m, 'what apt says is shown';

($said, $status, @calls) = need("ID=fedora\n", \%has, @all);
is "@calls", '', 'on another system script/setup calls no apt';
my @missing = (
    'perl with its core modules, a C compiler, ',
    ', make, cargo 999.1 or later, cargo fmt, ',
    'libev. Install',
);
my $names = join '.*', map { quotemeta } @missing;
like $said, qr/\Asetup: missing: $names/, 'on another system script/setup names all that is missing';
is scalar(split /\n/, $said), 1, 'on another system script/setup says one line';
is $status, 1, 'on another system script/setup fails';

done_testing;
