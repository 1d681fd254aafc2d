# An application whose requests have a limit of time, under Starlet, Gazelle or whatever else forks its workers by
# Parallel::Prefork:
#
#     PREFORK_OPTIONS='worker_timeout=30 graceful_timeout=30 log_exits=1' \
#         start_server --port 8080 -- plackup -s Starlet examples/limited.psgi
#
# A worker that takes longer is killed, and the manager forks another one. Of an answer that is streamed only the time until
# it begins counts.

use strict;
use warnings;

use Parallel::Prefork;

my $app = sub {
    my $env = shift;
    if ($env->{PATH_INFO} =~ m{\A/slow/([0-9]{1,4})\z}) {
        my $until = time + $1;
        sleep 1 while time < $until;    # a signal ends a sleep early
    }
    return [200, ['Content-Type' => 'text/plain'], ["worker $$\n"]];
};

sub {
    my $env    = shift;
    my $worker = Parallel::Prefork->current or return $app->($env);
    $worker->busy;
    my $response = eval { $app->($env) };
    my $error    = $@;
    $worker->idle;
    die $error if !$response;
    return $response;
};
