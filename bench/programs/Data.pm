package Data;

use strict;
use warnings;

# Strings of 1,000 bytes, of so many megabytes in all, as a program has that keeps what it has read.
sub of_megabytes {
    my $megabytes = shift;
    # Perl takes a little more than 1,100 bytes for each.
    return [ map { 'x' x 1000 . $_ } 1 .. $megabytes * 950 ];
}

1;
