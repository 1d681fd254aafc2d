package FaultPool;

# A manager of t/faults/pool.pl or pool.c, and what is known of its workers by what it says.

use strict;
use warnings;

use CProgram;
use FaultTest;
use LoadClock;
use ProcessTest ();

# The kinds of hosts that there are on the module under test.
sub hosts { return on_the_original() ? 'Perl' : qw(Perl C) }

# FaultPool->start(HOST, WORKERS, file => FILE, deadline => SECONDS)
sub start {
    my ($class, $host, $workers, %opt) = @_;
    my @args = ($workers, $opt{file} ? $opt{file} : ());
    my @inc  = map { "-I$_" } grep { !ref } @INC;
    my @command
        = $host eq 'Perl'
        ? ($^X, @inc, 't/faults/pool.pl', @args)
        : (compile('t/faults/pool.c', qw(-std=gnu99 -Wall -Wextra -Werror)), @args);
    my $program
        = ProcessTest::start_program(undef, command => \@command, deadline => $opt{deadline});
    return bless {
        program    => $program,
        workers    => $workers,
        forks      => 0,
        reaps      => 0,
        live       => {},    # the generation of each worker that was not reaped
        reaped     => {},    # how often each was
        status     => {},    # how many had which
        acted      => {},    # how often each signal was acted on
        run        => 1,     # the generation of the run that is under way
        reloaded   => 1,     # and that of the first run after the last HUP
        last_value => {},    # and which value was read at the last time
        strange    => [],
    }, $class;
}

sub program { return $_[0]{program} }
sub pid     { return $_[0]{program}->pid }

# Takes in what the manager has said, and waits so many seconds for more; 0 if there was nothing.
sub hear {
    my ($self, $seconds) = @_;
    my $lines = 0;
    while (defined(my $line = $self->{program}->line_within($lines ? 0 : $seconds))) {
        $lines++;
        if ($line =~ /^forked (\d+) (\d+)$/) {
            $self->{forks}++;
            $self->{live}{$1} = $2;
            $self->{on_fork}->($1) if $self->{on_fork};
        }
        elsif ($line =~ /^reaped (\d+) (-?\d+)$/) {
            my ($pid, $status) = ($1, $2);
            $self->{reaps}++;
            $self->{reaped}{$pid}++;
            $self->{status}{$status}++;
            defined delete $self->{live}{$pid} or push @{ $self->{strange} }, $line;
        }
        elsif ($line =~ /^acted (\w+) (\d+)$/) {
            $self->{acted}{$1}++;
            $self->{run}++;
            $self->{reloaded} = $self->{run} if $1 eq 'HUP';
            $self->{last_value}{$1} = $2;
        }
        elsif ($line =~ /^left (\d+)$/) {
            $self->{left} = $1;
        }
        else {
            push @{ $self->{strange} }, $line;
        }
    }
    return $lines;
}

# Hears until the condition holds; false if that takes too long.
sub until_true {
    my ($self, $seconds, $condition) = @_;
    my $clock = LoadClock->new;
    until ($condition->()) {
        return 0 if $clock->seconds > $seconds;
        $self->hear(0.05);
    }
    return 1;
}

# Hears until all workers are there, none of them from before the last HUP, and the manager sleeps;
# false if that takes too long.
sub settle {
    my ($self, $seconds) = @_;
    my $clock = LoadClock->new;
    while ($clock->seconds <= $seconds) {
        1 while $self->hear(0);
        my @live = values %{ $self->{live} };
        my $is_full = @live == $self->{workers} && !grep { $_ < $self->{reloaded} } @live;
        # Whatever was sent before has woken it, if it sleeps without being woken.
        return 1 if $is_full && $self->{program}->sleeps_on(0.05) && !$self->hear(0);
        $self->hear(0.05) if !$is_full;
    }
    return 0;
}

# Its workers by pid, with their generations; those it has reaped left out.
sub live { return $_[0]{live} }

sub is_alive { return $_[0]{program}->is_running }

# Zombies and live workers, as the system has them.
sub children {
    my $self   = shift;
    my $states = $self->{program}->children;
    my @zombies = grep { $states->{$_} eq 'Z' } keys %$states;
    return (scalar @zombies, keys(%$states) - @zombies);
}

sub descriptors {
    my $self = shift;
    return scalar(my @open = glob '/proc/' . $self->pid . '/fd/*');
}

# Memory of its own, in kilobytes.
sub memory {
    my $self = shift;
    open my $fh, '<', '/proc/' . $self->pid . '/status' or return 0;
    my $status = do { local $/; <$fh> };
    return $status =~ /^RssAnon:\s+(\d+)/m ? $1 : 0;
}

1;
