# A program that closes descriptors which are not its own, as those do that become daemons: SpareWorkers goes on, and
# neither spins nor writes to the files that have got the numbers.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);
use POSIX ();

my ($when, $path) = @ARGV;
my (@kept, $forks);

# The files of the program get the numbers that it has closed.
sub close_all {
    POSIX::close($_) for 3 .. 60;
    for (1 .. 40) {
        my $fd = POSIX::open($path, POSIX::O_RDWR);
        push @kept, $fd if defined $fd;
    }
}

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 4,
    min_spare_workers => 1,
    max_spare_workers => 4,
    trap_signals      => { TERM => 'TERM', USR1 => undef },
    after_fork        => sub {
        print "forked\n";
        close_all() if $when eq 'after_fork' && !$forks++;
    },
});
close_all() if $when eq 'before start';
until ($pm->signal_received eq 'TERM') {
    $pm->start(sub {
        my $is_told = 0;
        local $SIG{USR2} = sub { $is_told = 1 };
        print "worker $$\n";
        select undef, undef, undef, 0.02 until $is_told;
        $pm->set_status('A');
        sleep 60 while 1;
    });
    close_all() if $pm->signal_received eq 'USR1';
}
$pm->wait_all_children;
my $wrong = grep { POSIX::lseek($_, 0, POSIX::SEEK_CUR) != 0 } @kept;
my @open  = grep { defined POSIX::dup2($_, $_) } @kept;
printf "kept %d of %d, wrong %d\n", scalar @open, scalar @kept, $wrong;
PERL

my $dir = File::Temp->newdir('prefork-test-XXXXXX', TMPDIR => 1);
my %running;
for my $when ('before start', 'after_fork', 'between two starts') {
    (my $name = $when) =~ tr/ /-/;
    my $path = "$dir/$name";
    open my $fh, '>', $path or die "cannot write $path: $!\n";
    print {$fh} "the program's\n";
    close $fh or die "cannot write $path: $!\n";
    $running{$when} = [start_program($program, args => [$when, $path], deadline => 50), $path];
}

for my $when (sort keys %running) {
    my ($p, $path) = @{ $running{$when} };
    my $first = $p->line_like(qr/^worker/);
    if ($when eq 'between two starts') {
        ok eventually(sub { $p->asleep }), "$when: the manager sleeps before it closes anything";
        $p->signal('USR1');
    }
    ok eventually(sub { $p->asleep }), "$when: the manager sleeps";
    my $spins = $p->spins;
    ok defined $spins && !$spins, "$when: the manager does not spin";
    # The worker may have the end of a pipe that is gone.
    my ($pid) = ($first || '') =~ /(\d+)/;
    kill USR2 => $pid;
    ok $p->line_like(qr/^worker/), "$when: a worker turns busy, and another one is forked";
    ok kill(0 => $pid), "$when: the worker that turned busy is alive";
    $p->signal('TERM');
    $p->wait;
    like $p->out, qr/^kept (\d+) of \1, wrong 0$/m,
        "$when: the program's files are open, and nobody has read from them";
    is -s $path, 14, "$when: nobody has written to the program's files";
    is $p->err, '', "$when: nothing is said of errors";
    is $p->status, 0, "$when: TERM ends it";
}

done_testing;
