#!/usr/bin/perl
# Workers that do jobs from a folder. It needs only perl's core modules and Parallel::Prefork.
#
#     examples/jobs.pl FOLDER WORKERS=4 SECONDS=60
#
# A job is a file in FOLDER/new; move it there when it is complete. A worker that takes it moves it to FOLDER/work. Here the
# job is to make a checksum of the file, which then is in FOLDER/done. What takes longer than SECONDS, or fails, is in
# FOLDER/failed. HUP starts a new generation of workers; TERM and INT stop the program when the jobs at hand are done.

use strict;
use warnings;

use Digest::SHA;
use Parallel::Prefork;

my ($folder, @options) = @ARGV;
defined $folder && -d $folder or die "usage: $0 FOLDER [WORKERS=number] [SECONDS=number]\n";
my %option = (WORKERS => 4, SECONDS => 60);
for (@options) {
    /\A(WORKERS|SECONDS)=([1-9][0-9]{0,3})\z/ or die "'$_': give WORKERS=number or SECONDS=number\n";
    $option{$1} = $2;
}
for (map { "$folder/$_" } qw(new work done failed)) {
    -d or mkdir or die "cannot make $_: $!\n";
}

$| = 1;
my $pm = Parallel::Prefork->new(
    max_workers          => $option{WORKERS},
    trap_signals         => { TERM => 'TERM', INT => 'TERM', HUP => 'TERM' },
    err_respawn_interval => 0.1,
    worker_timeout       => $option{SECONDS},    # for a job...
    graceful_timeout     => $option{SECONDS},    # ... and for the one at hand when the worker is told to stop
    log_exits            => sub { print "$_[1]\n" },
    on_child_reap        => \&give_up,
);
do {
    $pm->start(\&work);
} while $pm->signal_received eq 'HUP';
$pm->wait_all_children;

sub work {
    local $SIG{HUP} = 'IGNORE';    # a terminal that goes sends it to all; the manager answers it
    until ($pm->stopping) {
        my $job = next_job();
        if (!defined $job) {
            # Looks again in a second, but leaves at once.
            $pm->wait_readable([], 1);
            next;
        }
        $pm->busy;
        my $is_done = eval { do_job("$folder/work/$job.$$"); 1 };
        print "$job: $@" if !$is_done;
        put_away($job, $$, $is_done ? 'done' : 'failed');
        $pm->idle;
    }
    return;
}

# Of several workers that see a job one moves it.
sub next_job {
    opendir my $new, "$folder/new" or die "cannot read $folder/new: $!\n";
    for my $job (sort grep { !/\A\./ } readdir $new) {
        return $job if rename "$folder/new/$job", "$folder/work/$job.$$";
    }
    return undef;
}

sub do_job {
    my $path = shift;
    my $sum  = Digest::SHA->new(256)->addfile($path)->hexdigest;
    open my $out, '>', "$path.sha256" or die "cannot write $path.sha256: $!\n";
    print {$out} "$sum\n";
    close $out or die "cannot write $path.sha256: $!\n";
    return;
}

sub put_away {
    my ($job, $worker, $where) = @_;
    rename "$folder/work/$job.$worker.sha256", "$folder/$where/$job.sha256";
    rename "$folder/work/$job.$worker", "$folder/$where/$job";
    return;
}

# What a worker had at hand that has ended in the middle of it.
sub give_up {
    my ($pm, $worker) = @_;
    opendir my $work, "$folder/work" or return;
    put_away($_, $worker, 'failed') for map { /\A(.*)\.$worker\z/s ? $1 : () } readdir $work;
    return;
}
