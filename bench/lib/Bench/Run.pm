package Bench::Run;

# What each file in bench/figures gets. It starts programs, runs them in turn, and keeps the measurements as rows.

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();
use Time::HiRes ();

use Bench::Program ();
use Bench::Statistics qw(median);

our @EXPORT_OK = qw(member minus over);

# new(root => DIR, bin => DIR (of the compiled programs), scratch => DIR, quick => BOOL,
#     switches => { ours => [...], original => [...], forkmanager => [...] }): a peer that is missing has none.
sub new {
    my ($class, %self) = @_;
    return bless { %self, rows => [] }, $class;
}

# A size for a real run, or for --quick.
sub size {
    my ($self, $full, $quick) = @_;
    return $self->{quick} ? $quick : $full;
}

# The command that runs bench/programs/PROGRAM with perl. WHO is 'bare Perl', or ours, original or forkmanager,
# maybe with ', OPTION'.
sub perl {
    my ($self, $who, $program, @args) = @_;
    my ($module) = split /,/, $who;
    return [$^X, @{ $self->{switches}{$module} || [] }, "$self->{root}/bench/programs/$program", @args];
}

# The command that runs a compiled program.
sub compiled {
    my ($self, $program, @args) = @_;
    return ["$self->{bin}/$program", @args];
}

# Why WHO cannot be measured here; nothing if it can.
sub missing {
    my ($self, $who) = @_;
    my ($module, $option) = split /, /, $who;
    return if $module =~ /^bare/;
    return 'not fetched: no Debian archive' if !$self->{switches}{$module};
    return if $module ne 'ours' || !$option || grep { $_ eq $option } qw(on_child_reap off);
    $self->{can}{$option} = system(@{ $self->perl('ours', 'can.pl', $option) }) == 0
        if !defined $self->{can}{$option};
    return $self->{can}{$option} ? undef : 'not in this version';
}

sub present {
    my ($self, @who) = @_;
    return grep { !$self->missing($_) } @who;
}

# The options of new that a WHO names: 'ours, fast_exit'.
sub options {
    my ($self, $who) = @_;
    my (undef, $option) = split /, /, $who;
    return $option ? ($option => 1) : ();
}

sub start {
    my ($self, $command, %options) = @_;
    return Bench::Program->start($command, %options);
}

# A file with a byte for each of so many workers to read; the last is '!', and the first '1'.
sub marks {
    my ($self, $count) = @_;
    my $path = "$self->{scratch}/marks";
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $count > 1 ? '1' : '', '.' x ($count - 2), '!';
    close $file or die "$path: $!\n";
    return $path;
}

# Seconds from the program's "begin" to its "end", which the last of so many workers says.
sub seconds {
    my ($self, $command, $workers) = @_;
    my $program = $self->start($command, stdin => $self->marks($workers));
    my $begin   = $program->mark('begin');
    my $end     = $program->mark('end');
    $program->end;
    return $end - $begin;
}

# in_turn(ROUNDS, \@who, CODE): calls CODE with each WHO, ROUNDS times, in turn, each second
# round the other way about, so that a change of the machine's speed hits all alike. CODE returns
# a number, or a reference to several. Returns { WHO => [those of each round] }.
sub in_turn {
    my ($self, $rounds, $who, $measure) = @_;
    my @present = $self->present(@$who);
    my $is_seen = POSIX::isatty(2);
    my %samples;
    for my $round (1 .. $rounds) {
        for my $one ($round % 2 ? @present : reverse @present) {
            print {*STDERR} "\r\e[K  $round/$rounds $one" if $is_seen;
            push @{ $samples{$one} }, scalar $measure->($one);
        }
    }
    print {*STDERR} "\r\e[K" if $is_seen;
    return \%samples;
}

# row(name => TEXT, unit => TEXT, better => 'more' or 'less', who => [...],
#     samples => { WHO => [...] }, goal => NUMBER, goals => { WHO => NUMBER }, digits => N,
#     raw => { ... }, raw_unit => TEXT, note => TEXT)
#
# What is to stand in the table: of each of WHO the median of the samples. `goal` is that of 'ours'.
# `raw` is only written to results.json.
sub row {
    my ($self, %row) = @_;
    $row{figure} = $self->{figure};
    $row{digits} = 2 if !defined $row{digits};
    my $goals = delete $row{goals} || {};
    $goals->{ours} = $row{goal} if defined $row{goal};
    delete $row{goal};
    my $samples = delete $row{samples};
    $row{values} = [
        map { {
            who => $_,
            (defined $goals->{$_} ? (goal => $goals->{$_}) : ()),
            ($samples->{$_} ? (samples => $samples->{$_}) : (missing => $self->missing($_) || 'not measured')),
        } } @{ delete $row{who} } ];
    push @{ $self->{rows} }, \%row;
    return;
}

sub rows { return $_[0]{rows} }

# speed_row(base => WHO, seconds => { WHO => [...] }, ...): a row of speeds against the base's, the ratios
# of the runs of each round.
sub speed_row {
    my ($self, %row) = @_;
    my ($base, $seconds) = (delete $row{base}, delete $row{seconds});
    $self->row(
        unit     => "of the speed of $base",
        better   => 'more',
        samples  => { map { $_ => over($seconds->{$base}, $seconds->{$_}) } keys %$seconds },
        raw      => $seconds,
        raw_unit => 's',
        %row,
    );
    return;
}

# What is over the samples of bare Perl, as arguments of row.
sub over_bare {
    my ($self, $samples) = @_;
    my $bare = $samples->{'bare Perl'};
    return (
        better  => 'less',
        samples => { map { $_ => minus($samples->{$_}, $bare) } keys %$samples },
        raw     => $samples,
    );
}

# For a note: how many a second that is, where one takes so many seconds.
sub per_second {
    my ($self, $seconds, $who, $what) = @_;
    return sprintf '%s: %.0f %s a second', $who, 1 / median(@$seconds), $what || 'forks';
}

sub rest {
    my ($self, $seconds) = @_;
    Time::HiRes::sleep($seconds);
    return;
}

# A number from /proc/PID/status.
sub status {
    my ($self, $pid, $name) = @_;
    return _numbers("/proc/$pid/status")->{$name};
}

# What /proc says of a process's memory, in kB.
sub memory {
    my ($self, $pid) = @_;
    my $map = _numbers("/proc/$pid/smaps_rollup");
    $map->{VmPTE} = $self->status($pid, 'VmPTE');
    return $map;
}

sub _numbers {
    my $path = shift;
    open my $file, '<', $path or die "$path: $!\n";
    my %number;
    while (<$file>) {
        $number{$1} = $2 if /^(\w+):\s+(\d+)/;
    }
    return \%number;
}

# The children of a process, the oldest first.
sub children {
    my ($self, $pid) = @_;
    open my $file, '<', "/proc/$pid/task/$pid/children" or die "/proc/$pid: $!\n";
    my $pids = <$file>;
    return split ' ', $pids;
}

# Of two lists, the quotient of each pair.
sub over {
    my ($dividends, $divisors) = @_;
    return [map { $dividends->[$_] / $divisors->[$_] } 0 .. $#$dividends];
}

# Of two lists, the difference of each pair.
sub minus {
    my ($from, $what) = @_;
    return [map { $from->[$_] - $what->[$_] } 0 .. $#$from];
}

# Of { WHO => [{...}, ...] }, { WHO => [one member of each] }.
sub member {
    my ($samples, $name) = @_;
    return { map { my $who = $_; $who => [map { $_->{$name} } @{ $samples->{$who} }] } keys %$samples };
}

1;
