# perl parts.pl NAME.pm... >parts.inc: the sources of these modules as an initializer in C, for parts.c.

use strict;
use warnings;

use File::Basename qw(basename);

for my $file (@ARGV) {
    my $name = basename($file, '.pm');
    open my $source, '<:raw', $file or die "$file: $!\n";
    print qq|{ "$name", TEXT(\n|;
    while (my $line = <$source>) {
        $line =~ s/(["\\?])/\\$1/g;
        $line =~ s/([^ -~\n])/sprintf '\\%03o', ord $1/ge;
        $line =~ s/\n/\\n/;
        print qq|    "$line"\n|;
    }
    print ") },\n";
    close $source or die "$file: $!\n";
}
close STDOUT or die "$!\n";
