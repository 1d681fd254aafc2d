# Contract 20: set_status and the scoreboard's methods, in workers, in the manager and in helpers that are no workers.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

# A pool of two: the first worker busy, the second idle. When the second is ready, after_fork
# forks a helper, which is no worker, and waits for it.
my $helper = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

pipe my $ready, my $tell_ready;
pipe my $hold,  my $release;
my $max_workers = shift;
my $forked = 0;
our $as_helper;
my $pm = Parallel::Prefork::SpareWorkers->new(
    max_workers       => $max_workers,
    min_spare_workers => 1,
    after_fork        => sub {
        my $self = shift;
        readline $ready;
        return if ++$forked < 2;
        my $pid = fork;
        if (!$pid) {
            $as_helper->();
            exit 0;
        }
        waitpid $pid, 0;
        $self->signal_received('done');
    },
);
sub text {
    my $error = shift;
    $error =~ s/ at .*//s;
    return "$error\n";
}
sub as_worker {
    my $work = shift;
    if ($pm->start) {
        close $release;
        $pm->wait_all_children;
        return;
    }
    close $release;
    $work->();
    syswrite $tell_ready, "\n";
    readline $hold;
    $pm->finish;
    return;
}
PERL

my $reads = run($helper . <<'PERL', args => [4], deadline => 15);
$as_helper = sub {
    print join('', sort $pm->scoreboard->get_statuses), "\n";
    print 'active ', $pm->num_active_workers, "\n";
};
as_worker(sub { $pm->set_status('A') if !$forked });
PERL
is $reads->line, '..A_', 'a forked helper that is no worker gets all statuses: one per slot';
is $reads->line, 'active 1', 'a forked helper that is no worker gets the number of active workers';

my $texts = run($helper . <<'PERL', args => [2], deadline => 15);
eval { $pm->set_status('A') };
print text($@);
$as_helper = sub {
    eval { $pm->set_status('A') };
    print text($@);
    eval { $pm->scoreboard->child_start };
    print text($@);
};
as_worker(sub {
    if (!$forked) {
        $pm->set_status('A');
        eval { $pm->scoreboard->child_start };
        print text($@);
    }
});
PERL
is $texts->line, 'child_start not called?', 'set_status in the manager dies';
is $texts->line, 'child_start cannot be called twite', 'child_start in a worker dies';
is $texts->line, 'child_start not called?', 'set_status in a helper that is no worker dies';
is $texts->line, 'no empty slot in scoreboard', 'one child more than slots dies in child_start';

my $magic = run(<<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;
{
    package Tied;
    sub TIESCALAR { return bless [] }
    sub FETCH     { return 'C' }
}
pipe my $read, my $write or die;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 1,
    min_spare_workers => 1,
    on_child_reap     => sub { $_[0]->signal_received('enough') },
});

sub tell_status {
    my @statuses = grep { $_ ne '.' } $pm->scoreboard->get_statuses;
    syswrite $write, "@statuses\n";
    return;
}

if (!$pm->start) {
    "Busy" =~ /(.)/ and $pm->set_status($1);
    tell_status();
    my $line = 'x_';
    $pm->set_status(substr $line, 1, 1);
    tell_status();
    tie my $tied, 'Tied';
    $pm->scoreboard->set_status($tied);
    tell_status();
    exit 0;
}
close $write;
print <$read>;
PERL
is $magic->line, 'B', 'the status may be $1' or diag $magic->err;
is $magic->line, '_', 'the status may be a substr';
is $magic->line, 'C', 'the status may be a tied variable';

done_testing;
