# script/setup: what is missing it installs with one run of apt, on Debian and on its relatives; elsewhere, and where apt
# has no Rust that is new enough, it says so in one line.

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
write_program('apt-get',    qq(echo "\$*" >> $bin/log\n[ "\$APT_FAILS" != 1 ] || { echo 'E: apt is sad'; exit 100; }));
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
    my $run = run(undef,
        command => ['bash', '-c', 'exec 2>&1; . script/setup; min_cargo() { echo 999.1; }; need_tools "$@"', 'setup', @sets],
        env     => {
            PATH => "$bin", CARGO => '', CARGO_HOME => "$bin/none", PREFORK_OS_RELEASE => "$bin/os-release",
            VERSION_OF_cargo => '', VERSION_OF_cargo_web => '', %$env,
        });
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
    is packages_of(@calls), "$build cargo ca-certificates rustfmt rust-clippy $c", '... all that is missing';
    # Here nothing is there afterwards.
    like $said, qr/\Ainstalling .*\nsetup: there is no cargo 999\.1 or later.*\n\z/, '... and looks whether that was enough';
    is $status, 1, '... or fails';
}
my (undef, undef, @calls) = need($debian, \%has, 'build');
is packages_of(@calls), "$build cargo ca-certificates", 'who builds only needs no more';

(undef, undef, @calls) = need($debian, { VERSION_OF_cargo => '0.66.0+ds1-1', VERSION_OF_cargo_web => '999.1.0+dfsg-1' }, @all);
is packages_of(@calls), "$build cargo-web ca-certificates rustfmt-web rust-web-clippy $c",
    'where cargo is too old, that of the browsers';

for my $case (
    ['and none that is new enough', { VERSION_OF_cargo => '0.47.0-3', VERSION_OF_cargo_web => '998.78.0+dfsg1-2~deb11u3' },
        ' (the latest is 998.78.0)'],
    ['and only an old one', { VERSION_OF_cargo => '0.47.0-3' }, ' (the latest is 0.47.0)'],
    ['and none at all', {}, ''],
) {
    my ($name, $env, $latest) = @$case;
    my ($said, $status, @calls) = need($debian, $env, @all);
    is packages_of(@calls), '', "apt $name: installs nothing";
    like $said, qr{\Asetup: cargo 999\.1 or later is missing, and apt has none\Q$latest\E: install Rust with rustup, .*\n\z},
        '... and says so in one line';
    is $status, 1, '... and fails';
}

my ($said, $status) = need($debian, { %has, APT_FAILS => 1 }, @all);
like $said, qr/^E: apt is sad\nsetup: apt-get could not install $build .*: see above\n\z/m, 'what apt says is shown';

($said, $status, @calls) = need("ID=fedora\n", \%has, @all);
is "@calls", '', 'on another system it calls no apt';
like $said, qr/\Asetup: missing: perl with its core modules, a C compiler, .*, make, cargo 999\.1 or later, cargo fmt, .*libev\. Install/,
    '... but names all that is missing';
is scalar(split /\n/, $said), 1, '... in one line';
is $status, 1, '... and fails';

done_testing;
