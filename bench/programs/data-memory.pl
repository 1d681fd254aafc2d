# data-memory.pl MEGABYTES [OPTION VALUE]...
#
# A manager with so much data, and one worker. For both it prints three numbers in kB: what is in memory, what of that
# is the process's own, and the page tables. It does so when the worker has "begun", when it has "read" all the data, and
# when it has "written" a tenth of it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Data;
use Parallel::Prefork;

my ($megabytes, %options) = @ARGV;

my $data = Data::of_megabytes($megabytes);
my $pm   = Parallel::Prefork->new({ max_workers => 1, %options });
$pm->start and exit 0;

sub report {
    my $what = shift;
    for my $who ([ manager => getppid ], [ worker => $$ ]) {
        my ($name, $pid) = @$who;
        my %kb = (Private => 0);
        open my $map, '<', "/proc/$pid/smaps_rollup" or die "smaps_rollup: $!";
        while (<$map>) {
            $kb{Private} += $1 if /^Private_\w+: +(\d+)/;
            $kb{Rss} = $1 if /^Rss: +(\d+)/;
        }
        close $map;
        open my $status, '<', "/proc/$pid/status" or die "status: $!";
        while (<$status>) {
            $kb{VmPTE} = $1 if /^VmPTE:\s+(\d+)/;
        }
        close $status;
        syswrite STDOUT, "$what $name $kb{Rss} $kb{Private} $kb{VmPTE}\n";
    }
    return;
}

report('begun');
my $sum = 0;
for my $i (0 .. $#$data) {
    $sum += ord $data->[$i];
}
report('read');
for my $i (0 .. $#$data / 10) {
    substr $data->[$i], 0, 1, 'y';
}
report('written');
syswrite STDOUT, "done\n";
sleep 600;
