# memory.pl
#
# Prints the kB of memory that this process has for itself alone, and how much of it are pages that it has
# changed; the rest are pages of files, which are anybody's who has them mapped, and just now nobody has. What is to be
# measured is loaded with perl's -M.
# So even strict would be in the way.
## no critic (RequireUseStrict)

open my $map, '<', '/proc/self/smaps_rollup' or die "/proc/self/smaps_rollup: $!";
my ($sum, $changed) = (0, 0);
while (<$map>) {
    $sum     += $1 if /^Private_\w+: +(\d+)/;
    $changed += $1 if /^Private_Dirty: +(\d+)/;
}
print "$sum $changed\n";
