# bench/run.pl is what script/bench runs, and that says what the options are. The environment says where the modules to
# measure are: BENCH_OURS, BENCH_ORIGINAL and BENCH_FORKMANAGER are perl's options that load them, one a line. BENCH_BIN
# has the compiled programs.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Getopt::Long;

use Bench::Check   ();
use Bench::Machine ();
use Bench::Plot    ();
use Bench::Results ();
use Bench::Run     ();
use Bench::Table   ();

my ($root) = $FindBin::RealBin =~ m{\A(.*)/};
binmode $_, ':encoding(UTF-8)' for \*STDOUT, \*STDERR;
GetOptions(
    'quick'     => \my $is_quick,
    'markdown'  => \my $markdown,
    'list'      => \my $list,
    'to=s'      => \my $directory,
) or exit 2;
$directory ||= "$root/.cache/bench" . ($is_quick ? '/quick' : '');

my %file = map { m{/\d+-([^/]+)\.pl\z} ? ($1 => $_) : () } glob "$FindBin::Bin/figures/*.pl";
my @all  = sort { $file{$a} cmp $file{$b} } keys %file;
for my $name (@ARGV) {
    $file{$name} or die "there is no figure '$name', but: @all\n";
}
if ($list) {
    print "$_\n" for @all;
    exit 0;
}

my $results = Bench::Results->read("$directory/results.json");
if ($markdown) {
    @{ $results->figures(@all) } or die "there are no results in $directory yet\n";
    print Bench::Table::markdown($results->figures(@all));
    exit 0;
}

my $scratch = "$root/.cache/bench/scratch";
for ($directory, $scratch) {
    make_path($_);
}
my $machine = Bench::Machine::facts($root);
print "$machine->{cpu}, $machine->{cores} cores, $machine->{kernel}, perl $machine->{perl}; load $machine->{load}\n";
my %is_named = map { $_ => 1 } @ARGV;
my @names    = grep { !@ARGV || $is_named{$_} } @all;
my @failed;
for my $name (@names) {
    my $figure = do $file{$name} or die $@ || "$file{$name}: $!";
    my $run    = Bench::Run->new(
        figure   => $name,
        root     => $root,
        bin      => $ENV{BENCH_BIN},
        scratch  => $scratch,
        quick    => $is_quick,
        switches => {
            map { $ENV{ 'BENCH_' . uc } ? ($_ => [split /\n/, $ENV{ 'BENCH_' . uc }]) : () }
                qw(ours original forkmanager)
        },
    );
    my $began = time;
    if (!eval { $figure->{measure}->($run); 1 }) {
        print {*STDERR} "$name: $@";
        push @failed, $name;
        next;
    }
    my $result = {
        name    => $name,
        title   => $figure->{title},
        seconds => time - $began,
        machine => Bench::Machine::facts($root),
        rows    => $run->rows,
    };
    # Figures of other runs stay as they are: each says when and where it was measured.
    $results->store($result);
    $results->write("$directory/results.json");
    local $| = 1;
    print Bench::Table::text($result);
}

Bench::Plot::write("$directory/results.svg", $results->figures(@all));
print "\n$directory/results.json\n$directory/results.svg\n";
die "failed: @failed\n" if @failed;
print Bench::Check::check($directory, \@names, \@all), "\n" if $is_quick;
