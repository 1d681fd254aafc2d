package RealServers;

# Real programs on the Parallel::Prefork that the test loads: Starlet, under plackup alone or
# under start_server, and wrk, which asks it. script/servers fetches them; installed
# ones do as well.

use strict;
use warnings;

use Carp qw(croak);
use Cwd ();
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Glob qw(bsd_glob);
use File::Spec ();
use IO::Socket::INET ();
use ProcessTest;
use Test::More;

our @EXPORT = qw(need_programs start_on_free_port start_wrk failed_requests ask request answer_to
    stop is_listened_to left_behind has_our_core);

my $tree = Cwd::abs_path(dirname(__FILE__) . '/../..');
my $root = "$tree/.cache/servers/usr";

# The programs, and the class that makes plackup find Starlet.
my %file_of = (
    (map { $_ => undef } qw(plackup start_server wrk)),
    starlet => 'Plack/Handler/Starlet.pm',
);

# Seconds after which an answer counts as lost, and a server as one that does not start.
my $PATIENCE = 45;

# need_programs(NAME...)
#
# Skips the test where a program is missing; in CI that is a failure.
sub need_programs {
    my @missing = grep { !defined _find($_) } @_ or return;
    my $text = "missing: @missing (script/servers fetches what this test runs)";
    plan skip_all => $text if ($ENV{CI} || '') ne 'true';
    fail $text;
    done_testing;
    exit 1;
}

sub _find {
    my ($name) = @_;
    my @files = $file_of{$name}
        ? map { "$_/$file_of{$name}" } grep { !ref } _modules(), @INC
        : map { "$_/$name" } "$root/bin", File::Spec->path;
    return (grep { -f } @files)[0];
}

# start_on_free_port([COMMAND...], options of start_program)
#
# Starts a server and returns it and its port, once that is listened to. In the command, PORT
# stands for the port, and the name of one of the programs for that program.
sub start_on_free_port {
    my ($command, %opt) = @_;
    my ($server, $port);
    # Until the server binds it, somebody else may get the port that was free.
    for (1 .. 5) {
        $port = _free_port();
        $server = start_program(undef, %opt,
            command => [map { _word($_, $port) } @$command],
            env     => {
                PERL5LIB => join(':', (map { File::Spec->rel2abs($_) } grep { !ref } @INC), _modules()),
                RUN_BY_TEST => "$$:$port",
                %{ $opt{env} || {} },
            },
        );
        $server->{port} = $port;
        eventually { is_listened_to($port) || !$server->members } $PATIENCE;
        return ($server, $port) if $server->members;
        last if $server->err !~ /Address already in use/;
    }
    croak "@$command has ended: " . $server->err;
}

sub _word {
    my ($word, $port) = @_;
    return ($^X, _find($word)) if $word eq 'plackup' || $word eq 'start_server';
    $word =~ s/\bPORT\b/$port/;
    return $word;
}

sub _free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
        or croak "cannot listen on 127.0.0.1: $@";
    return $socket->sockport;
}

# Where the modules of the programs are.
sub _modules {
    my $version = join '.', $^V =~ /\Av(\d+\.\d+)/;
    return grep { -d } bsd_glob("$root/lib/*/perl5/$version"), "$root/share/perl5";
}

# start_wrk(PORT, connections => N, seconds => N)
sub start_wrk {
    my ($port, %opt) = @_;
    # No request takes longer than the whole run: its own limit of 2 s would only tell
    # that the machine is busy.
    return start_program(undef,
        command => [_find('wrk'), '-t2', "-c$opt{connections}", "-d$opt{seconds}s",
            "--timeout=$PATIENCE", "http://127.0.0.1:$port/"],
        # Where it was fetched, its libraries are too.
        env => { LD_LIBRARY_PATH => join ':', bsd_glob("$root/lib/*-linux-gnu*"), $ENV{LD_LIBRARY_PATH} || () },
    );
}

# failed_requests(WRK)
#
# Waits for wrk to end. Returns the number of requests that were answered, and what wrk says of
# those that were not, or not well: it has a line for each kind only if there are any.
sub failed_requests {
    my ($wrk) = @_;
    my $status = $wrk->wait;
    my $said = $wrk->out . $wrk->err;
    my ($answered) = $said =~ /^\s*(\d+) requests in /m;
    my @failed = $said =~ /^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$/mg;
    push @failed, "wrk ends with status $status: $said" if $status != 0 || !defined $answered;
    return ($answered || 0, @failed);
}

# ask(PORT)
#
# Asks once, on a connection of its own: request and answer_to.
sub ask {
    my ($port) = @_;
    return answer_to(request($port));
}

# request(PORT, TEXT)
#
# Sends a request, or the TEXT that may be the first part of one, and returns the connection.
sub request {
    my ($port, $text) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or return _lost("cannot connect to port $port: $@");
    $socket->autoflush;
    print {$socket} defined $text ? $text : "GET / HTTP/1.0\r\n\r\n";
    return $socket;
}

# answer_to(CONNECTION)
#
# Returns the answer's lines of the form name=value as a hash. The last one has to be end=1;
# if the answer is not a whole one with the status 200, returns nothing and says why.
sub answer_to {
    my ($socket) = @_ or return;
    my $answer = '';
    while (1) {
        eventually { is_readable($socket) } $PATIENCE or return _lost("no answer after $PATIENCE s");
        my $got = sysread $socket, $answer, 65536, length $answer;
        defined $got or return _lost("the connection breaks: $!");
        last if !$got;
    }
    $answer =~ s{\AHTTP/1\.[01] 100 .*?\r\n\r\n}{}s;
    $answer =~ m{\AHTTP/1\.[01] 200 .*?\r\n\r\n(.*^end=1$)}ms or return _lost("a bad answer: '$answer'");
    my $body = $1;
    return { $body =~ /^(\w+)=(.*)$/mg };
}

sub is_readable {
    my $socket = shift;
    vec(my $ready = '', fileno $socket, 1) = 1;
    return select($ready, undef, undef, 0) > 0;
}

sub _lost {
    diag "a request to the server failed: $_[0]";
    return;
}

# stop(SERVER)
#
# Sends TERM and returns the raw status that the server ends with. If it does not end, says what
# it does instead, and kills it.
sub stop {
    my ($server) = @_;
    $server->signal('TERM');
    if (!eventually { !grep { $_ == $server->pid } $server->members } $PATIENCE) {
        diag "TERM does not end the server:\n", map { "$_\n" } left_behind($server), $server->err;
        kill 'KILL', -$server->pid;
    }
    return $server->wait;
}

sub is_listened_to {
    my ($port) = @_;
    my $address = sprintf ':%04X', $port;
    for my $file (glob '/proc/net/tcp /proc/net/tcp6') {
        open my $fh, '<', $file or next;
        # The local address, the remote one, and the state, of which 0A is LISTEN.
        return 1 if grep { /\A\s*\d+: [0-9A-F]+\Q$address\E \S+ 0A / } <$fh>;
    }
    return 0;
}

# Whether a process has loaded the core that is beside the XS object this test loads.
sub has_our_core {
    my ($pid) = @_;
    require Parallel::Prefork;
    my ($core) = grep { m{/libprefork\.so} } _mapped($$);
    return defined $core && 0 + grep { $_ eq $core } _mapped($pid);
}

sub _mapped {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/maps" or return;
    return map { m{(/\S.*)$} ? $1 : () } <$fh>;
}

# What there is of a server that start_on_free_port has started, whatever group it is in, as a
# list of "pid (child of pid, state): command".
sub left_behind {
    my ($server) = @_;
    my @left;
    for my $dir (glob '/proc/[0-9]*') {
        open my $fh, '<', "$dir/environ" or next;
        local $/;
        my $environment = <$fh>;
        next if !defined $environment || $environment !~ /(?:\A|\0)RUN_BY_TEST=$$:$server->{port}\0/;
        open my $stat, '<', "$dir/stat" or next;
        my ($pid, $state, $parent) = (<$stat> || '') =~ /\A(\d+) \(.*\) (\S) (\d+)/s or next;
        open my $command, '<', "$dir/cmdline" or next;
        push @left, "$pid (child of $parent, $state): " . join ' ', split /\0/, <$command> || '';
    }
    return @left;
}

1;
