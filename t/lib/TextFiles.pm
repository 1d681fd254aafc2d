package TextFiles;

# Whole files, read and written at once.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(slurp spew);

# slurp(FILE): what is in it; dies where it cannot be read.
sub slurp {
    my $file = shift;
    open my $handle, '<', $file or die "cannot read $file: $!\n";
    local $/;
    return scalar readline $handle;
}

# spew(FILE, TEXT): writes a file with this text.
sub spew {
    my ($file, @text) = @_;
    open my $handle, '>', $file or die "cannot write $file: $!\n";
    print {$handle} @text;
    close $handle or die "cannot write $file: $!\n";
    return;
}

1;
