# Workers that stay: how long they take to start, and all of them to stop.

use strict;
use warnings;

use Bench::Run qw(member over);
use Bench::Statistics qw(median);

+{
    title   => 'many workers that stay',
    measure => sub {
        my $run = shift;
        my ($many, $few) = @{ $run->size([4000, 100], [100, 20]) };
        my @who = ('ours', 'original');
        # What of ours is the cost of the module's being in the process, a bare loop beside it shows.
        my @bare = ('bare Perl', 'bare Perl, loaded');
        my $command = sub {
            my ($who, $pool) = @_;
            return $run->perl($who, 'stay-bare.pl', $pool, @{ $run->compiled('stop') }) if $who eq 'bare C';
            return $run->perl($who, 'stay-manager.pl', $pool) if $who !~ /^bare/;
            return $run->perl($who, 'stay-bare.pl', $pool) if $who eq 'bare Perl';
            my ($perl, @rest) = @{ $run->perl('ours', 'stay-bare.pl', $pool) };
            return [$perl, '-MParallel::Prefork', @rest];
        };
        my $once = sub {
            my ($who, $pool) = @_;
            my $program = $run->start($command->($who, $pool), stdin => $run->marks($pool));
            my $begin   = $program->mark('begin');
            my $end     = $program->mark('end');
            # All of them sleep by then, the manager too.
            $run->rest($run->size(0.5, 0.1));
            my $term = $program->now;
            kill TERM => $program->pid;
            my $stopped = $program->mark('stopped');
            $program->end;
            return { start => ($end - $begin) / $pool, stop => ($stopped - $term) / $pool };
        };
        my $samples = $run->in_turn($run->size(15, 1), [@bare, 'bare C', @who], sub {
            my $who = shift;
            my %few = map { $_ => $once->($who, $few) } 1 .. $run->size(5, 1);
            return { %{ $once->($who, $many) }, few => median(map { $_->{start} } values %few) };
        });
        my ($start, $stop, $start_few) = map { member($samples, $_) } qw(start stop few);
        $run->speed_row(
            name    => "start of $many workers",
            base    => 'bare Perl',
            seconds => $start,
            who     => [@who, $bare[1]],
            goal    => 0.90,
            note    => $run->per_second($start->{'bare Perl'}, 'bare Perl'),
        );
        # How much more a worker costs among many than among few; of that, the bare loop's part is the kernel's.
        my %growth = map { $_ => over($start->{$_}, $start_few->{$_}) } keys %$start;
        $run->row(
            name    => "growth of the cost per worker, $few to $many",
            unit    => 'over the growth of bare Perl',
            better  => 'less',
            samples => { map { $_ => over($growth{$_}, $growth{'bare Perl'}) } keys %growth },
            who     => \@who,
            goal    => 1.2,
            raw     => $start_few,
            raw_unit => 's',
        );
        $run->speed_row(
            name    => "TERM to $many workers, until wait_all_children returns",
            base    => 'bare Perl',
            seconds => $stop,
            who     => [@who, $bare[1], 'bare C'],
            goal    => 1.2,
            note    => $run->per_second($stop->{'bare Perl'}, 'bare Perl', 'ends'),
        );
        return;
    },
};
