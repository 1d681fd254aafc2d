# memory.pl
#
# Prints two numbers in kB: the memory that this process has for itself alone, and how much of it is pages that it has
# changed. The rest is pages of files that no other process has mapped just now. Perl's -M loads the module to
# measure, so even strict would be in the way.
## no critic (RequireUseStrict)

open my $map, '<', '/proc/self/smaps_rollup' or die "/proc/self/smaps_rollup: $!";
my ($sum, $changed) = (0, 0);
while (<$map>) {
    $sum     += $1 if /^Private_\w+: +(\d+)/;
    $changed += $1 if /^Private_Dirty: +(\d+)/;
}
print "$sum $changed\n";
