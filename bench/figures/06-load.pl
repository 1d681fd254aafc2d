# What the modules cost a program that loads them, as they are installed.

use strict;
use warnings;

use Bench::Run qw(member minus over);
use Bench::Statistics qw(median);

+{
    title   => 'loading the modules',
    measure => sub {
        my $run = shift;
        # The milliseconds are those of a machine on which the original takes 5.6 and 10.6; hence the shares.
        my @modules = (['Parallel::Prefork', 2, 0.36, 700], ['Parallel::Prefork::SpareWorkers', 3, 0.28]);
        my @who = ('ours', 'original');
        for my $of (@modules) {
            my ($module, $ms, $share, $kb) = @$of;
            my $command = sub {
                my ($who, $program) = @_;
                my ($perl, @rest) = @{ $run->perl($who eq 'bare Perl' ? 'ours' : $who, $program) };
                return [$perl, $who eq 'bare Perl' ? () : "-M$module", @rest];
            };
            my $time = $run->in_turn($run->size(201, 3), ['bare Perl', @who], sub {
                my ($ns) = $run->start($run->compiled('launch', @{ $command->($_[0], 'nothing.pl') }))->lines;
                return $ns / 1e6;
            });
            my $memory = $run->in_turn($run->size(9, 1), ['bare Perl', @who], sub {
                my ($line) = $run->start($command->($_[0], 'memory.pl'))->lines;
                my %kb;
                @kb{qw(private changed)} = split ' ', $line;
                return \%kb;
            });
            my ($private, $changed) = map { member($memory, $_) } qw(private changed);
            my $note = sub { sprintf 'bare Perl: %.1f %s', median(@{ $_[1]{'bare Perl'} }), $_[0] };
            $run->row(name => "use $module", unit => 'ms over bare Perl', who => \@who, goal => $ms,
                $run->over_bare($time), raw_unit => 'ms', note => $note->(ms => $time));
            if ($time->{original}) {
                my ($ours, $original) = map { minus($time->{$_}, $time->{'bare Perl'}) } @who;
                $run->row(name => "use $module, against the original", unit => 'of its time over bare Perl', better => 'less',
                    who => ['ours'], goal => $share, samples => { ours => over($ours, $original) });
            }
            $run->row(name => "use $module: private memory", unit => 'kB over bare Perl', digits => 0,
                who => \@who, goal => $kb, $run->over_bare($private), raw_unit => 'kB', note => $note->(kB => $private));
            $run->row(name => "use $module: of that, pages that it has changed", unit => 'kB over bare Perl', digits => 0,
                who => \@who, $run->over_bare($changed), raw_unit => 'kB', note => $note->(kB => $changed));
        }
        return;
    },
};
