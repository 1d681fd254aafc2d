# memory.pl
#
# Prints the kB of memory that this process has for itself alone. What is to be measured is loaded
# with perl's -M.
# So even strict would be in the way.
## no critic (RequireUseStrict)

open my $map, '<', '/proc/self/smaps_rollup' or die "/proc/self/smaps_rollup: $!";
my $sum = 0;
while (<$map>) {
    $sum += $1 if /^Private_\w+: +(\d+)/;
}
print "$sum\n";
