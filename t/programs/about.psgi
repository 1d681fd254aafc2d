# Answers with what a test wants to know about the worker and its manager.

use strict;
use warnings;

sub {
    my $env = shift;
    my %about = (
        worker  => $$,
        manager => getppid,
        module  => $INC{'Parallel/Prefork.pm'},
        end     => 1,
    );
    return [200, ['Content-Type' => 'text/plain'], [map { "$_=$about{$_}\n" } sort keys %about]];
};
