# What the modules cost a program that loads them, as they are installed.

use strict;
use warnings;

use Bench::Run qw(member);
use Bench::Statistics qw(median);

+{
    title   => 'loading the modules',
    measure => sub {
        my $run = shift;
        my @modules = (['Parallel::Prefork', 2, 700], ['Parallel::Prefork::SpareWorkers', 3]);
        my @who = ('ours', 'original');
        for my $of (@modules) {
            my ($module, $ms, $kb) = @$of;
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
            $run->row(name => "use $module: private memory", unit => 'kB over bare Perl', digits => 0,
                who => \@who, goal => $kb, $run->over_bare($private), raw_unit => 'kB', note => $note->(kB => $private));
            $run->row(name => "use $module: of that, pages that it has changed", unit => 'kB over bare Perl', digits => 0,
                who => \@who, $run->over_bare($changed), raw_unit => 'kB', note => $note->(kB => $changed));
        }
        return;
    },
};
