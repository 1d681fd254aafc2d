# Workers with an event loop watch stop_fd, as the POD tells to: TERM ends the loop, each time.

use strict;
use warnings;

use lib 't/lib';
use Facts;
use HostedPool;
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(AnyEvent EV IO::Async::Loop Mojo::IOLoop));

my $copy = shown_in_pod('open my $stop');

my $POOL = <<'PERL';
use Parallel::Prefork;
LOAD;
my ($started, @statuses) = 0;
pipe my $there, my $is_there or die "pipe: $!";
sub say_so { return syswrite $is_there, 'x' }
my $pm = Parallel::Prefork->new(
    max_workers   => 10,
    after_fork    => sub { $_[0]->signal_received('enough') if ++$started == 10 },
    on_child_reap => sub { push @statuses, $_[2] },
);
$pm->start(sub {
    LOOP
    exit($pm->stopping eq 'signal' ? 7 : 8);
});
sysread $there, my $byte, 1 for 1 .. 10;
$pm->signal_all_children('TERM');
$pm->wait_all_children;
print "statuses = @{[ map { $_ >> 8 } @statuses ]}\n";
PERL

my $anyevent = <<'PERL';
    my $done  = AnyEvent->condvar;
    my $watch = AnyEvent->io(fh => $pm->stop_fd, poll => 'r', cb => sub { $done->send if $pm->stopping });
    say_so();
    $done->recv;
PERL

my %loops = (
    'EV'                  => [{}, 'use EV', <<'PERL'],
    my $watch = EV::io($pm->stop_fd, EV::READ(), sub { EV::break() if $pm->stopping });
    say_so();
    EV::run();
PERL
    'AnyEvent with EV'    => [{ PERL_ANYEVENT_MODEL => 'EV' }, 'use AnyEvent; AnyEvent::detect()', $anyevent],
    "AnyEvent's own loop"   => [{ PERL_ANYEVENT_MODEL => 'Perl' }, 'use AnyEvent; AnyEvent::detect()', $anyevent],
    'IO::Async'           => [{}, 'use IO::Async::Loop', <<'PERL'],
    COPY
    my $loop = IO::Async::Loop->new;
    $loop->watch_io(handle => $stop, on_read_ready => sub { $loop->stop if $pm->stopping });
    say_so();
    $loop->run;
PERL
);
for my $reactor (map { "Mojo::Reactor::$_" } qw(Poll EV)) {
    $loops{"Mojo::IOLoop with $reactor"} = [{ MOJO_REACTOR => $reactor }, 'use Mojo::IOLoop', <<'PERL'];
    COPY
    Mojo::IOLoop->singleton->reactor->io($stop => sub { Mojo::IOLoop->stop if $pm->stopping })->watch($stop, 1, 0);
    say_so();
    Mojo::IOLoop->start;
PERL
}
for my $name (sort keys %loops) {
    my ($env, $load, $loop) = @{ $loops{$name} };
    my %fact = facts($name, filled($POOL, LOAD => $load, LOOP => $loop =~ s/^ *COPY$/$copy/mr),
        deadline => 30, env => $env);
    is $fact{statuses}, join(' ', (7) x 10), "$name: the loop of each worker ends by TERM";
}

done_testing;
