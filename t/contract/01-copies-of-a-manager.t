# Contract 1: a manager of 0.18 is a plain hash, of which a program may make copies: they have the pids of that moment,
# can signal these workers and wait for them, and go without a trace. The manager itself goes on as before.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my %copy_by = (
    'dclone'            => 'Storable::dclone($pm)',
    'freeze and thaw'   => 'Storable::thaw(Storable::freeze($pm))',
    'a copy of hashes'  => 'bless { %$pm, worker_pids => { %{ $pm->{worker_pids} } } }, ref $pm',
    'a shallow copy'    => 'bless {%$pm}, ref $pm',
    'Data::Dumper'      => <<'PERL',
do {
    no strict;
    local $Data::Dumper::Purity = 1;
    my $VAR1;
    eval Data::Dumper->Dump([$pm], ["VAR1"]);
    die $@ if $@;
    $VAR1;
}
PERL
);

my $copies = <<'PERL';
use strict;
use warnings;
use Data::Dumper ();
use Parallel::Prefork;
use Storable ();

my @all;
END { kill KILL => @all if @all }
my $pm = Parallel::Prefork->new(
    max_workers          => 2,
    trap_signals         => {},
    err_respawn_interval => 5,
    greeting             => 'hello',
);
my $made = 0;
$pm->after_fork(sub {
    push @all, $_[1];
    $_[0]->signal_received('all') if ++$made == 2;
});
if (!$pm->start) {
    @all = ();
    sleep 60;
    exit 0;
}
delete $pm->{after_fork};
my ($kept, $lost) = map { COPY } 1 .. 2;
undef $lost;
print ref($kept), ' ', $kept->err_respawn_interval, " $kept->{greeting}\n";
print "@{[ sort keys %{ $kept->{worker_pids} } ]}" eq "@{[ sort @all ]}" ? 'the pids, ' : 'other pids, ';
print join(' ', values %{ $kept->{worker_pids} }), ', ', $kept->num_workers, "\n";

$kept->signal_all_children('KILL');
my @ended;
$pm->on_child_reap(sub {
    push @ended, exists $pm->{worker_pids}{ $_[1] } ? 'not gone' : 'gone';
    return;
});
print 'left ', $pm->wait_all_children(20), "\n";
print "reaped: @ended\n";
print 'workers: ', scalar(keys %{ $pm->{worker_pids} }), ' ', $pm->num_workers, "\n";

@all = ();
undef $kept;
$pm->on_child_reap(sub {
    print "status $_[2]\n";
    $_[0]->signal_received('enough');
});
$pm->start(sub { exit 3 });
PERL

for my $name (sort keys %copy_by) {
    my $p = run(filled($copies, COPY => $copy_by{$name}), deadline => 30);
    is $p->line, 'Parallel::Prefork 5 hello', "$name: the copy has the class and the members" or diag $p->err;
    is $p->line, 'the pids, 1 1, 2', "$name: the copy has the pids of the workers";
    is $p->line, 'left 0', "$name: what the copy signals is gone from the manager";
    is $p->line, 'reaped: gone gone', "$name: on_child_reap hears of them in the manager";
    is $p->line, 'workers: 0 0', "$name: the manager has no workers left";
    is $p->line, 'status 768', "$name: the manager goes on when the copies have gone";
}

# What is waited for by two of them ends for the one that asks.
my $two_wait = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

our $ready = 0;
$SIG{USR1} = sub { $ready++ };
my $pm = Parallel::Prefork->new(
    max_workers   => 3,
    trap_signals  => {},
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
);
my $made = 0;
$pm->after_fork(sub { $_[0]->signal_received('all') if ++$made == 3 });
if (!$pm->start) {
    $SIG{TERM} = sub { exit 3 };
    kill USR1 => getppid;
    sleep 1 while 1;
}
select undef, undef, undef, 0.02 until $ready;
$pm->after_fork(undef);
my ($one) = sort { $a <=> $b } keys %{ $pm->{worker_pids} };
my $copy = bless { %$pm, worker_pids => { %{ $pm->{worker_pids} } } }, ref $pm;
print $copy->num_workers, ' ', $pm->num_workers, "\n";
my $who = $ARGV[0] eq 'copy' ? $copy : $pm;
kill KILL => $one;
$who->start;
print exists $who->{worker_pids}{$one} ? 'there' : 'gone', ' ', $who->num_workers, "\n";
$who->on_child_reap(undef);
$who->signal_all_children('KILL');
print 'left ', $who->wait_all_children(20), "\n";
PERL

for my $who ('copy', 'manager') {
    my $p = run($two_wait, args => [$who], deadline => 30);
    is $p->line, '3 3', "both have three workers, and the $who is to wait" or diag $p->err;
    is $p->line, 'status 9', "the $who hears of a worker that has ended, when it asks";
    is $p->line, 'gone 2', "the $who has one worker less then";
    is $p->line, 'left 0', "the $who can end the others";
}

my $pids = run(<<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
use Storable ();

my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => {}, on_child_reap => sub { });
my @all;
$pm->after_fork(sub {
    push @all, $_[1];
    $_[0]->signal_received('all');
});
if (!$pm->start) {
    sleep 60;
    exit 0;
}
my $pids = Storable::dclone($pm->{worker_pids});
delete $pm->{worker_pids}{ $all[0] };
print join(' ', %$pids) eq "$all[0] 1" ? 'copied' : 'not copied', ' ', scalar(keys %$pids), "\n";
delete $pids->{ $all[0] };
$pids->{4} = 'four';
print join(' ', %$pids), "\n";
kill KILL => @all;
PERL
is $pids->line, 'copied 1', 'a copy of {worker_pids} has the pid also when the manager has it no more'
    or diag $pids->err;
is $pids->line, '4 four', 'a copy of {worker_pids} is a hash like any other';

done_testing;
