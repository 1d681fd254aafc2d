# Answers like about.psgi, but for one path: there a worker hangs for ever, whatever signal it gets.

use strict;
use warnings;

my $about = do './t/programs/about.psgi' or die $@ || $!;

sub {
    my ($env) = @_;
    if ($env->{PATH_INFO} eq '/hang') {
        sleep 30 while 1;
    }
    return $about->($env);
};
