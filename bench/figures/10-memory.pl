# The memory of a worker that has just begun, against one of a bare fork.

use strict;
use warnings;

use Bench::Run qw(member over);
use Bench::Statistics qw(median);

+{
    title   => 'memory of a worker',
    measure => sub {
        my $run = shift;
        my @who = ('ours', 'original');
        my $samples = $run->in_turn($run->size(3, 1), ['bare Perl', @who], sub {
            my $who     = shift;
            my $pool    = $run->size(50, 5);
            my $name    = $who eq 'bare Perl' ? 'stay-bare.pl' : 'stay-manager.pl';
            my $program = $run->start($run->perl($who, $name, $pool), stdin => $run->marks($pool));
            $program->mark('end');
            $run->rest(0.3);
            my @pids = $run->children($program->pid);
            # The first and the last ones are not like the others: the manager has changed since, or not at all.
            @pids = @pids[map { $_ * $#pids / 9 } 0 .. 9];
            my %kb;
            for my $pid (@pids) {
                my $map = $run->memory($pid);
                push @{ $kb{$_} }, $map->{$_} for keys %$map;
            }
            return { map { $_ => median(@{ $kb{$_} }) } keys %kb };
        });
        my @kinds = (
            [Pss           => 'memory: its own and its share of what is shared', 1.05],
            [Private_Dirty => 'pages that it has changed'],
            [VmPTE         => 'page tables (in the kernel)'],
        );
        for my $kind (@kinds) {
            my ($member, $name, $goal) = @$kind;
            my $kb = member($samples, $member);
            $run->row(name => $name, unit => 'times that of bare Perl', better => 'less', who => \@who,
                samples => { map { $_ => over($kb->{$_}, $kb->{'bare Perl'}) } keys %$kb },
                goal => $goal, raw => $kb, raw_unit => 'kB',
                note => sprintf 'bare Perl: %.0f kB', median(@{ $kb->{'bare Perl'} }));
        }
        return;
    },
};
