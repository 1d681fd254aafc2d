# What `use Parallel::Prefork` brings along: one version everywhere, the library beside the XS
# object, and nothing from outside of perl's core.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use ProcessTest;

require Parallel::Prefork;
require Parallel::Prefork::SpareWorkers;

open my $fh, '<', 'Cargo.toml' or die "Cargo.toml: $!";
my ($crate) = map { /^version = "(.*)"$/ ? $1 : () } <$fh>;
my ($major, $minor, $patch) = split /\./, $crate;
is $Parallel::Prefork::VERSION, sprintf('%d.%02d', $major, $minor), "the crate's version, $crate";
is $patch, 0, 'whose last number has no place in the module\'s';
is Parallel::Prefork::Core::library_version(), $crate, 'the library that is loaded has the version of the module';
for my $module (qw(SpareWorkers SpareWorkers::Scoreboard)) {
    is "Parallel::Prefork::$module"->VERSION, $Parallel::Prefork::VERSION, "$module has it as well";
}

my $loads = run(<<'PERL');
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers qw(:all);
my $pm = Parallel::Prefork::SpareWorkers->new(max_workers => 1, min_spare_workers => 1);
kill TERM => $$;
$pm->start(sub { });
print "$_=$INC{$_}\n" for sort keys %INC;
PERL
is $loads->err, '', 'the module loads and runs without a warning';
my %loaded = $loads->out =~ /^(.*?)=(.*)$/mg;
ok $loaded{'Parallel/Prefork.pm'}, 'the module is loaded';
my @core = grep { defined && length } @Config{qw(privlibexp archlibexp)};
my $is_core = sub {
    my $path = shift;
    # Debian keeps a part of the core under /usr/lib/<triplet>/perl-base.
    return $path =~ m{/perl-base/} || grep { index($path, "$_/") == 0 } @core;
};
is_deeply [grep { !m{\bParallel/Prefork} && !$is_core->($loaded{$_}) } sort keys %loaded], [],
    'every other module is from perl\'s core';

my ($object) = grep { -f } map { "$_/auto/Parallel/Prefork/Prefork.so" } @INC;
ok $object, 'there is an XS object' or BAIL_OUT('no XS object in @INC');
SKIP: {
    skip 'objdump is not installed', 3 if !grep { -x "$_/objdump" } split /:/, $ENV{PATH};
    my $headers = `objdump -p "$object"`;
    like $headers, qr/^\s*NEEDED\s+libprefork\.so\.1$/m, 'the XS object links libprefork.so.1';
    like $headers, qr/^\s*RU?N?PATH\s+\$ORIGIN$/m,       'the XS object looks for libprefork.so.1 beside itself';
    (my $library = $object) =~ s/Prefork\.so\z/libprefork.so.1/;
    like `objdump -p "$library"`, qr/^\s*SONAME\s+libprefork\.so\.1$/m, 'the library has the SONAME libprefork.so.1';
}
SKIP: {
    skip 'no /proc/self/maps', 1 if !-r '/proc/self/maps';
    open my $maps, '<', '/proc/self/maps' or die $!;
    my %libraries = map { m{/(libprefork[^/\s]*)$} ? ($1 => 1) : () } <$maps>;
    is_deeply [keys %libraries], ['libprefork.so.1'],
        'the library beside the XS object is the one in this process';
}

done_testing;
