# A worker is killed while others live: the time until its successor runs.

use strict;
use warnings;

use Bench::Run qw(member over);
use Bench::Statistics qw(median);

+{
    title   => 'one worker is killed and replaced while others live',
    measure => sub {
        my $run = shift;
        my ($few, $many) = @{ $run->size([10, 2000], [10, 100]) };
        my @who = ('ours', 'original', 'bare Perl');
        my $once = sub {
            my ($who, $pool) = @_;
            my $name    = $who eq 'bare Perl' ? 'replace-bare.pl' : 'replace-manager.pl';
            my $program = $run->start($run->perl($who, $name, $pool));
            my @pids    = map { ($program->line)[0] =~ /\A(\d+)/ } 1 .. $pool;
            my @ms;
            for (1 .. $run->size(40, 3)) {
                $run->rest(0.02);
                my $begin = $program->now;
                # Whichever: where the kernel looks for it, the oldest come first.
                my $which = int rand @pids;
                kill KILL => $pids[$which];
                my ($pid, $time) = split / /, $program->line;
                $pids[$which] = $pid;
                push @ms, 1000 * ($time - $begin);
            }
            return median(@ms);
        };
        my $samples = $run->in_turn($run->size(5, 1), \@who, sub {
            return { few => $once->($_[0], $few), many => $once->($_[0], $many) };
        });
        my ($at_few, $at_many) = map { member($samples, $_) } qw(few many);
        my %row = (unit => 'ms', better => 'less', who => \@who);
        $run->row(%row, name => "$few workers", samples => $at_few);
        $run->row(%row, name => "$many workers", samples => $at_many);
        $run->row(
            %row,
            name    => "$many workers against $few",
            unit    => 'times as long',
            samples => { map { $_ => over($at_many->{$_}, $at_few->{$_}) } keys %$at_few },
            goal    => 1.3,
        );
        return;
    },
};
