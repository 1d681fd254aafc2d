# A manager of 0.18 is a plain hash, of which a program may make copies: they have the pids of that moment, can signal these workers and wait
# for them, and go without a trace. The manager itself goes on as before.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my %copy_by = (
    'dclone'         => 'Storable::dclone($pm)',
    'freeze, thaw'   => 'Storable::thaw(Storable::freeze($pm))',
    'a new hash'     => 'bless { %$pm, worker_pids => { %{ $pm->{worker_pids} } } }, ref $pm',
    'a shallow copy' => 'bless { %$pm }, ref $pm',
    'Data::Dumper'   => 'do { no strict; local $Data::Dumper::Purity = 1; my $VAR1; eval Data::Dumper->Dump([$pm], ["VAR1"]); die $@ if $@; $VAR1 }',
);
for my $name (sort keys %copy_by) {
    my $p = run(<<"PERL", deadline => 30);
use strict;
use warnings;
use Data::Dumper ();
use Parallel::Prefork;
use Storable ();
my \@all;
END { kill KILL => \@all if \@all }
my \$pm = Parallel::Prefork->new(max_workers => 2, trap_signals => {}, err_respawn_interval => 5, greeting => 'hello');
my \$made = 0;
\$pm->after_fork(sub { push \@all, \$_[1]; \$_[0]->signal_received('all') if ++\$made == 2 });
if (!\$pm->start) { \@all = (); sleep 60; exit 0 }
delete \$pm->{after_fork};
my (\$kept, \$lost) = map { $copy_by{$name} } 1 .. 2;
undef \$lost;
print ref(\$kept), ' ', \$kept->err_respawn_interval, " \$kept->{greeting}\\n";
print "\@{[sort keys %{ \$kept->{worker_pids} }]}" eq "\@{[sort \@all]}" ? 'the pids' : 'other pids',
    ', ', join(' ', values %{ \$kept->{worker_pids} }), ', ', \$kept->num_workers, "\\n";
\$kept->signal_all_children('KILL');
my \@ended;
\$pm->on_child_reap(sub { push \@ended, exists \$pm->{worker_pids}{ \$_[1] } ? 'not gone' : 'gone'; return });
print \$pm->wait_all_children(20), " \@ended ", scalar(keys %{ \$pm->{worker_pids} }), ' ', \$pm->num_workers, "\\n";
\@all = ();
undef \$kept;
\$pm->on_child_reap(sub { print "status \$_[2]\\n"; \$_[0]->signal_received('enough') });
\$pm->start(sub { exit 3 });
PERL
    like $p->out, qr/\AParallel::Prefork 5 hello\nthe pids, 1 1, 2\n0 gone gone 0 0\nstatus 768\n/, $name or diag $p->err;
}

# What is waited for by two of them ends for the one that asks.
for my $who ('copy', 'manager') {
    my $p = run(<<"PERL", deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
my \$pm = Parallel::Prefork->new(max_workers => 3, trap_signals => {}, on_child_reap => sub { print "status \$_[2]\\n"; \$_[0]->signal_received('enough') });
my \$made = 0;
\$pm->after_fork(sub { \$_[0]->signal_received('all') if ++\$made == 3 });
if (!\$pm->start) { \$SIG{TERM} = sub { exit 3 }; kill USR1 => getppid; sleep 60; exit 0 }
BEGIN { \$SIG{USR1} = sub { our \$ready++ } }
our \$ready;
select undef, undef, undef, 0.02 until \$ready;
\$pm->after_fork(undef);
my (\$one) = sort { \$a <=> \$b } keys %{ \$pm->{worker_pids} };
my \$copy = bless { %\$pm, worker_pids => { %{ \$pm->{worker_pids} } } }, ref \$pm;
print \$copy->num_workers, ' ', \$pm->num_workers, "\\n";
my \$who = '$who' eq 'copy' ? \$copy : \$pm;
kill KILL => \$one;
\$who->start;
print exists \$who->{worker_pids}{\$one} ? 'there' : 'gone', ' ', \$who->num_workers, "\\n";
\$who->on_child_reap(undef);
\$who->signal_all_children('KILL');
print \$who->wait_all_children(20), "\\n";
PERL
    is $p->out, "3 3\nstatus 9\ngone 2\n0\n", "a worker that has ended, and a $who that is told" or diag $p->err;
}

my $p = run(<<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
use Storable ();
my $pm = Parallel::Prefork->new(max_workers => 1, trap_signals => {}, on_child_reap => sub { });
my @all;
$pm->after_fork(sub { push @all, $_[1]; $_[0]->signal_received('all') });
if (!$pm->start) { sleep 60; exit 0 }
my $pids = Storable::dclone($pm->{worker_pids});
delete $pm->{worker_pids}{$all[0]};
print join(' ', %$pids) eq "$all[0] 1" ? 'copied' : 'not copied', ' ', scalar(keys %$pids);
delete $pids->{$all[0]};
$pids->{4} = 'four';
print ', then ', join(' ', %$pids), "\n";
kill KILL => @all;
PERL
is $p->out, "copied 1, then 4 four\n", 'a copy of {worker_pids} is a hash of the pids' or diag $p->err;

done_testing;
