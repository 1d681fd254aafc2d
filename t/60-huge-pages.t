# huge_pages => 1: a real program's data are moved to huge pages before its first worker is forked, and are what
# they were, in the manager and in its workers; without the option nothing of it happens.

use strict;
use warnings;

use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;

# Each generation prints: its number; megabytes that are resident, and such that are in huge pages, before the first
# fork, and the same after it; how many workers have failed; whether the manager's data are what they were.
my $PROGRAM = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my ($megabytes, @options) = @ARGV;

my (@text, %number);
for my $i (1 .. $megabytes * 5_500) {
    push @text, sprintf '%0100d', $i;
    $number{$i} = $i * 3 if $i % 10 == 0;
}

sub is_intact {
    for my $i (1 .. @text) {
        return 0 if $text[$i - 1] ne sprintf '%0100d', $i;
        return 0 if $i % 10 == 0 && $number{$i} != $i * 3;
    }
    return 1;
}

# Megabytes that are resident, and such of them as are in huge pages.
sub memory {
    open my $smaps, '<', '/proc/self/smaps' or die "smaps: $!";
    my ($resident, $huge) = (0, 0);
    while (my $line = <$smaps>) {
        $resident += $1 if $line =~ /^Rss:\s+(\d+) kB/;
        $huge     += $1 if $line =~ /^AnonHugePages:\s+(\d+) kB/;
    }
    return map { int($_ / 1024) } $resident, $huge;
}

my ($generation, $forks, @seen);
my $pm = Parallel::Prefork->new(
    max_workers  => 2,
    trap_signals => { USR1 => '' },
    @options,
    before_fork  => sub { @seen = memory() if !@seen },
    after_fork   => sub { $_[0]->signal_received('USR1') if ++$forks == 2 },
);
for (1, 2) {
    $generation = $_;
    $forks = 0;
    @seen  = ();
    $pm->start(sub {
        my $was_intact = is_intact();
        my ($resident, $huge) = memory();
        $text[0] = $text[-1] = 'mine';
        $pm->finish(!$was_intact || $text[0] ne 'mine' || is_intact());
    });
    my ($resident, $huge) = memory();
    my $failed = 0;
    $pm->on_child_reap(sub { $failed++ if $_[2] });
    $pm->wait_all_children;
    print join(' ', $generation, @seen, $resident, $huge, $failed, is_intact()), "\n";
}
PERL

sub kernel_file {
    my $path = "/sys/kernel/mm/transparent_hugepage/$_[0]";
    open my $file, '<', $path or return '';
    return scalar(readline $file) // '';
}

# What the kernel cannot do, as far as it can be told from here.
sub missing {
    return "$^O is not Linux" if $^O ne 'linux';
    my ($major, $minor) = (POSIX::uname())[2] =~ /\A(\d+)\.(\d+)/;
    return "Linux $major.$minor has no MADV_COLLAPSE, 6.1 has" if $major < 6 || $major == 6 && $minor < 1;
    my $size = kernel_file('hpage_pmd_size') or return 'the kernel has no transparent huge pages';
    return 'its huge pages are ' . ($size >> 20) . ' MB large' if $size > 4 << 20;
    return '/proc/self/smaps cannot be read' if !-r '/proc/self/smaps';
    return '';
}

my $missing   = missing();
my $MEGABYTES = 64;
# Then the data may have been in huge pages all along.
my $for_all = kernel_file('enabled') =~ /\[always\]/;

for my $case (
    ['with huge_pages'           => 1, huge_pages => 1],
    ['with anything that is true' => 1, huge_pages => 'yes'],
    ['without'                   => 0],
    ['with a false value'        => 0, huge_pages => ''],
) {
    my ($name, $is_wanted, @options) = @$case;
    my $run = run($PROGRAM, args => [$MEGABYTES, @options], env => { PREFORK_DEBUG => 1 });
    my @generation = map { [split] } split /\n/, $run->out;
    is $run->status, 0, "$name: the program runs to its end";
    is_deeply [map { $_->[0] } @generation], [1, 2], "$name: there are two generations";
    is_deeply [map { [@$_[5, 6]] } @generation], [([0, 1]) x 2],
        "$name: workers find their data, as the manager does";
    SKIP: {
        skip $missing, 2 if $missing;
        # Each mapping has ends that are no whole huge page.
        my ($before, $huge_before, $after, $huge) = @{ $generation[0] }[1 .. 4];
        cmp_ok $before, '>=', $MEGABYTES, "$name: the manager has data of $before MB";
        if ($is_wanted) {
            is $run->err, '', "$name: nothing is said of errors";
            cmp_ok $huge, '>=', $before * 0.6, "$name: $huge MB of the data are in huge pages";
            cmp_ok $after, '<=', $before * 8 / 7 + 2, "$name: the manager has not grown by more than a seventh";
            cmp_ok $generation[1][4], '>=', $before * 0.6, "$name: the huge pages are there in the second generation";
        }
        SKIP: {
            skip 'here everybody gets huge pages', 1 if $for_all;
            cmp_ok $huge_before, '<', $before * 0.1, "$name: the data were in small pages before";
            cmp_ok $huge, '<', $before * 0.1, "$name: the data stay in small pages" if !$is_wanted;
        }
    }
}

# An option like the others, which start reads.
my $accessor = run(<<'PERL');
use Parallel::Prefork;
my $pm = Parallel::Prefork->new;
print defined $pm->huge_pages ? 'set' : 'unset', "\n";
print $pm->huge_pages(1), $pm->huge_pages, "\n";
PERL
is_deeply [split /\n/, $accessor->out], ['unset', '11'], 'huge_pages is an accessor too';
is $accessor->err, '', 'the accessor huge_pages says nothing';

done_testing;
