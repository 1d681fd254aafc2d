# Answers with what a test wants to know about the worker and its manager.

use strict;
use warnings;

sub {
    my @about = (
        "worker=$$",
        'manager=' . getppid,
        "module=$INC{'Parallel/Prefork.pm'}",
        # An answer without its end is not a whole one.
        'end=1',
    );
    my $body = join '', map { "$_\n" } @about;
    return [
        200,
        ['Content-Type' => 'text/plain', 'Content-Length' => length $body],
        [$_[0]{REQUEST_METHOD} eq 'HEAD' ? () : $body],
    ];
};
