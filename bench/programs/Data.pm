package Data;

use strict;
use warnings;

# Strings of 1,000 bytes, of so many megabytes in all, as a program has that keeps what it has read.
sub of_megabytes {
    my $megabytes = shift;
    my @data;
    # Perl takes a little more than 1,100 bytes for each. Not by map, whose temporary values would be freed
    # after the fork, by manager and worker, each in its own copy of the page.
    for my $number (1 .. $megabytes * 900) {
        push @data, 'x' x 1000 . $number;
    }
    return \@data;
}

1;
