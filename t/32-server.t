# examples/server.pl: HEAD is answered as GET is, without the body; and what it says to try can be pasted into any
# shell.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;

use lib 't/lib';
use ProcessTest;

my @inc    = map { "-I$_" } grep { !ref } @INC;
my $server = start_program(undef, command => [$^X, @inc, 'examples/server.pl', 'PORT=0', 'WORKERS=2']);
my ($port) = ($server->line || '') =~ m{ listening on http://127\.0\.0\.1:(\d+)/}
    or die 'it does not start: ', $server->err;

# The head and the body of an answer.
sub answer {
    my ($request) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "cannot connect: $!";
    print {$socket} "$request\r\nHost: a\r\n\r\n";
    local $/;
    my ($head, $body) = split /(?<=\r\n\r\n)/, readline($socket) // '', 2;
    return ($head // '', $body // '');
}

# A head, without what differs from one worker to the other.
sub plain { return $_[0] =~ s/^Content-Length: \d+/Content-Length: some/mr }

for my $case (
    ['/' => '200 OK'], ['/?x' => '200 OK'], ['/slow?1' => '200 OK'], ['/none' => '404 Not Found'],
) {
    my ($path, $status) = @$case;
    my ($head, $body) = answer("GET $path HTTP/1.1");
    like $head, qr{\AHTTP/1\.1 \Q$status\E\r\n}, "GET $path: the status is $status";
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/m;
    is length $body, $length, "GET $path: the body is as long as the head says";
    my ($head_alone, $nothing) = answer("HEAD $path HTTP/1.1");
    is plain($head_alone), plain($head), "HEAD $path: the head is that of GET";
    is $nothing, '', "HEAD $path: there is no body";
}
my ($head) = answer('PUT / HTTP/1.1');
like $head, qr{\AHTTP/1\.1 405 .*^Allow: GET, HEAD\r$}ms, 'another method is not allowed';

# The hints are printed when both workers are there.
my @commands;
while (@commands < 5 && defined(my $line = $server->line)) {
    push @commands, $1 if $line =~ /\A {4}(\w+.*)/;
}
is scalar @commands, 5, 'the server gives five commands to try' or diag $server->out;
my $pid = $server->pid;
my @expected = sort(
    "curl\nhttp://127.0.0.1:$port/\n",
    "curl\nhttp://127.0.0.1:$port/slow?5\n",
    "kill\n-HUP\n$pid\n",
    "kill\n-TERM\n$pid\n",
);
# In their place, functions that show their arguments.
my $show_words = <<'SH';
curl() { printf '%s\n' curl "$@"; }
kill() { printf '%s\n' kill "$@"; }
SH
for my $shell (qw(sh bash zsh dash ksh)) {
    SKIP: {
        my ($path) = grep { -x } map { "$_/$shell" } split /:/, $ENV{PATH};
        skip "$shell is not there", 1 if !$path;
        my $p = run(undef, command => [$path, '-c', join "\n", $show_words, map { "$_; echo ---" } @commands]);
        my %got = map { $_ => 1 } split /---\n/, $p->out;
        is_deeply [grep { !$got{$_} } @expected], [], "$shell takes the commands as they are meant"
            or diag $p->out, $p->err;
    }
}

$server->signal('TERM');
is $server->wait, 0, 'TERM ends the server';
is $server->err, '', 'the server complains of nothing';

done_testing;
