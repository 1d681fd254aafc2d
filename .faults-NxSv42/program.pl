use strict;
use warnings;
use POSIX ();

$| = 1;
my ($class, $workers, $file) = @ARGV;
eval "require $class; 1" or die $@;
my (%alive, $descriptors, $before);

# Without /proc, by trying them.
sub descriptors {
    my $open = 0;
    for my $number (0 .. 255) {
        my $copy = POSIX::dup($number);
        $open += defined $copy && POSIX::close($copy);
    }
    return $open;
}

my $pm = $class->new({
    max_workers       => $workers,
    min_spare_workers => $workers,
    max_spare_workers => $workers,
    $file ? (scoreboard_file => $file) : (),
    trap_signals      => { TERM => 'TERM', USR1 => undef },
    on_child_reap     => sub { delete $alive{ $_[1] } or print "stranger\n" },
    after_fork        => sub {
        my ($pm, $pid) = @_;
        $alive{$pid} = 1;
        $before ||= descriptors();
        $pm->signal_received('full') if keys %alive == $workers;
    },
});
my $count = 0;
until ($pm->signal_received eq 'TERM') {
    if (!$pm->start) {
        $SIG{TERM} = 'DEFAULT';
        $pm->set_status('B') if $pm->can('set_status');
        select undef, undef, undef, 0.05 while 1;
    }
    if ($pm->signal_received eq 'full') {
        $descriptors = descriptors() - $before;
        print 'workers ', $pm->num_workers + 1, ", more descriptors: $descriptors\n";
        # Each is known by its status, and a reload replaces them.
        kill USR1 => $$;
        next;
    }
    if ($pm->signal_received eq 'USR1') {
        $pm->signal_all_children('TERM');
        my $left = $pm->wait_all_children(30);
        print "left $left, not reaped ", scalar(keys %alive), "\n";
        kill TERM => $$;
    }
}
print "done\n";
