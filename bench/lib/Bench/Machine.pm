package Bench::Machine;

# The machine and the versions that were measured.

use strict;
use warnings;

use POSIX ();

sub facts {
    my $root = shift;
    my (undef, undef, $release) = POSIX::uname();
    my $cpus = _content('/proc/cpuinfo');
    my ($cpu) = $cpus =~ /^model name\s*:\s*(.*)/m;
    my ($kb)  = _content('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    my ($huge) = _content('/sys/kernel/mm/transparent_hugepage/enabled') =~ /\[(\w+)\]/;
    my ($version) = _content("$root/Cargo.toml") =~ /^version = "(.*)"/m;
    return {
        time          => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
        cpu           => $cpu || (POSIX::uname())[4],
        cores         => scalar(() = $cpus =~ /^processor\b/mg),
        memory_mb     => int($kb / 1024),
        kernel        => "Linux $release",
        huge_pages    => $huge || 'none',
        load          => (split ' ', _content('/proc/loadavg'))[0],
        perl          => sprintf('%vd', $^V),
        libprefork    => $version,
        commit        => _output('git', '-C', $root, 'describe', '--always', '--dirty'),
        compiler      => _output('cc', '--version'),
        rust          => _output('rustc', '--version'),
        original      => _version($ENV{BENCH_ORIGINAL}, 'Parallel::Prefork'),
        forkmanager   => _version($ENV{BENCH_FORKMANAGER}, 'Parallel::ForkManager'),
    };
}

sub _content {
    my $path = shift;
    open my $file, '<', $path or return '';
    local $/;
    return <$file>;
}

# The first line.
sub _output {
    my @command = @_;
    no warnings 'exec';
    open my $saved, '>&', \*STDERR or die "STDERR: $!\n";
    open STDERR, '>', '/dev/null' or die "/dev/null: $!\n";
    my $line;
    if (open my $output, '-|', @command) {
        $line = <$output>;
    }
    open STDERR, '>&', $saved or die "STDERR: $!\n";
    chomp $line if defined $line;
    return $line;
}

sub _version {
    my ($switches, $module) = @_;
    return if !$switches;
    return _output($^X, (split /\n/, $switches), "-M$module", '-e', 'print $ARGV[0]->VERSION', $module);
}

1;
