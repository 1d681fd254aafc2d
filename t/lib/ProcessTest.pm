package ProcessTest;

# Runs Perl programs that fork, signal and wait, so that nothing they do can hang or
# outlive the test: each program is the leader of a process group of its own, and a keeper
# process kills that group when the program's deadline passes, when the test lets go of
# it, or when the test itself dies, by whatever signal. All seconds here are LoadClock's: on a busy
# machine they are longer.

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use File::Spec ();
use File::Temp ();
use LoadClock ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep);

our @EXPORT = qw(run start_program filled eventually);

our $DEADLINE = $ENV{PF_TEST_DEADLINE} || 60;

# The test's ends of the pipes of every program it holds, by the keeper's pid.
my %ends_of;

# run(SOURCE, deadline => SECONDS, args => [...], env => {...}, switches => [...])
#
# Runs a Perl program to its end; returns the object that start_program gives, finished.
sub run {
    my $program = start_program(@_);
    $program->wait;
    return $program;
}

# filled(SOURCE, NAME => CODE, ...): a program in which this code stands in the place of the one word NAME.
sub filled {
    my ($source, %code_of) = @_;
    for my $name (sort keys %code_of) {
        my $count = $source =~ s/\b$name\b/$code_of{$name}/g;
        croak "the program has $name " . ($count || 0) . ' times' if $count != 1;
    }
    return $source;
}

# start_program(SOURCE, same options)
#
# Starts a Perl program with the same @INC as the test. Its STDOUT is read with
# `line`; its STDERR is there to read with `err` at any time. With `command => [...]`
# instead of SOURCE (pass undef), any other command. With `under => [...]`, run by that one, as
# env(1) runs a command.
sub start_program {
    my ($source, %opt) = @_;
    my $dir = File::Temp->newdir('prefork-test-XXXXXX', TMPDIR => 1);
    my @command = $opt{command} ? @{ $opt{command} } : do {
        my $file = "$dir/program.pl";
        open my $fh, '>', $file or croak "cannot write $file: $!";
        print {$fh} "\$| = 1;\n#line 1 \"program.pl\"\n$source";
        close $fh or croak "cannot write $file: $!";
        my @inc = map { '-I' . File::Spec->rel2abs($_) } grep { !ref } @INC;
        ($^X, @inc, @{ $opt{switches} || [] }, $file, @{ $opt{args} || [] });
    };
    unshift @command, @{ $opt{under} || [] };
    my $self = bless {
        dir      => $dir,
        err_file => "$dir/err",
        out      => '',
        unread   => '',
        owner    => $$,
        deadline => $opt{deadline} || $DEADLINE,
    }, __PACKAGE__;

    pipe my $out_read, my $out_write     or croak "pipe: $!";
    pipe my $release_read, my $release   or croak "pipe: $!";
    pipe my $report, my $report_write    or croak "pipe: $!";
    my $keeper = fork;
    defined $keeper or croak "fork: $!";
    if (!$keeper) {
        # A keeper must outlive whatever a terminal or a test harness sends to the test.
        $SIG{$_} = 'IGNORE' for qw(INT HUP TERM PIPE);
        # Nor may it go with the test's group, which another keeper may kill.
        setpgrp 0, 0;
        # A copy of another program's release would keep that one from ever being let go.
        close $_ for $out_read, $release, $report, map { @$_ } values %ends_of;
        _keep($self, \@command, \%opt, $out_write, $release_read, $report_write);
        POSIX::_exit(0);
    }
    close $_ for $out_write, $release_read, $report_write;
    @$self{qw(keeper out_read release report)} = ($keeper, $out_read, $release, $report);
    $ends_of{$keeper} = [$out_read, $release, $report];
    my $first = <$report>;
    defined $first && $first =~ /^pid (\d+)$/ or croak "the program did not start";
    $self->{pid} = $1;
    return $self;
}

sub _keep {
    my ($self, $command, $opt, $out_write, $release_read, $report_write) = @_;
    my $program = fork;
    if (!defined $program) { POSIX::_exit(1) }
    if (!$program) {
        # Also where the tests run in the background of a script, or by nohup: a shell lets such programs ignore some of these.
        $SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT PIPE TERM USR1 USR2 CHLD);
        setpgrp 0, 0;
        %ENV = (%ENV, %{ $opt->{env} || {} });
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $out_write;
        open STDERR, '>', $self->{err_file};
        close $_ for $out_write, $release_read, $report_write;
        exec { $command->[0] } @$command or POSIX::_exit(127);
    }
    # Both sides set the group, so that it is there whichever of them runs first.
    setpgrp $program, $program;
    close $out_write;
    syswrite $report_write, "pid $program\n";
    my ($status, $clock, $is_over) = (undef, LoadClock->new($program));
    while (1) {
        if (!defined $status && waitpid($program, WNOHANG) == $program) {
            $status = $?;
            syswrite $report_write, "status $status\n";
        }
        if (!$is_over && $clock->seconds >= $self->{deadline}) {
            kill 'KILL', -$program;
            if (!defined $status) {
                waitpid $program, 0;
                syswrite $report_write, "timeout $?\n";
            }
            $status = $?;
            $is_over = 1;
        }
        my $ready = '';
        vec($ready, fileno $release_read, 1) = 1;
        my $nap = defined $status ? 1 : 0.01;
        if (select($ready, undef, undef, $nap) > 0) {
            last if !sysread $release_read, my $byte, 1;
        }
    }
    kill 'KILL', -$program;
    waitpid $program, 0 if !defined $status;
    return;
}

sub pid { return $_[0]{pid} }

# The next line of STDOUT without its newline; undef at the end of the output, or when the
# deadline has killed the program.
sub line {
    my $self = shift;
    while ($self->{unread} !~ /\n/) {
        last if !sysread $self->{out_read}, my $more, 65536;
        $self->{out}    .= $more;
        $self->{unread} .= $more;
    }
    return undef if $self->{unread} eq '';
    $self->{unread} =~ s/\A([^\n]*)\n?//;
    return $1;
}

# Whether there is something to read now, so that `line` returns before long.
sub is_readable {
    my $self = shift;
    return 1 if $self->{unread} =~ /\n/;
    my $ready = '';
    vec($ready, fileno $self->{out_read}, 1) = 1;
    return select($ready, undef, undef, 0) > 0;
}

# Reads lines until one matches, and returns it; undef when none did.
sub line_like {
    my ($self, $pattern) = @_;
    while (defined(my $line = $self->line)) {
        return $line if $line =~ $pattern;
    }
    return undef;
}

sub signal {
    my ($self, $signal, $pid) = @_;
    return kill $signal, $pid || $self->{pid};
}

# Waits for the program's end and reads the rest of what it printed; returns its raw status.
sub wait {
    my $self = shift;
    while (!defined $self->{status}) {
        my $line = readline $self->{report};
        defined $line or croak "the keeper of process $self->{pid} is gone";
        if ($line =~ /^(status|timeout) (\d+)$/) {
            $self->{timed_out} = $1 eq 'timeout';
            $self->{status} = $2;
        }
    }
    # What its children still hold open is not waited for: they may be what a test looks at.
    my $ready = '';
    vec($ready, fileno $self->{out_read}, 1) = 1;
    while (select(my $r = $ready, undef, undef, 0) > 0) {
        last if !sysread $self->{out_read}, my $more, 65536;
        $self->{out}    .= $more;
        $self->{unread} .= $more;
    }
    return $self->{status};
}

# The raw wait status; undef while it runs.
sub status    { return $_[0]{status} }
sub timed_out { return $_[0]{timed_out} }

# All of STDOUT read so far (after wait: all of it).
sub out { return $_[0]{out} }

# What the program has written to STDERR by now.
sub err {
    my $self = shift;
    open my $fh, '<', $self->{err_file} or return '';
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}

# The pids of the program's group that are alive now, zombies left out.
sub members {
    my $self = shift;
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh>;
        defined $line && $line =~ /\A(\d+) \(.*\) (\S) \d+ (\d+) /s or next;
        push @pids, $1 if $3 == $self->{pid} && $2 ne 'Z';
    }
    return @pids;
}

# The program's own children, zombies included, as pid => state letter.
sub children {
    my ($self, $parent) = @_;
    $parent ||= $self->{pid};
    my %state;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh>;
        defined $line && $line =~ /\A(\d+) \(.*\) (\S) (\d+) /s or next;
        $state{$1} = $2 if $3 == $parent;
    }
    return \%state;
}

# True while the program sleeps in a system call.
sub asleep {
    my $self = shift;
    open my $fh, '<', "/proc/$self->{pid}/stat" or return 0;
    my $line = <$fh>;
    return defined $line && $line =~ /\A\d+ \(.*\) S /s;
}

# The next line of STDOUT if there is one within so many seconds, otherwise undef.
sub line_within {
    my ($self, $seconds) = @_;
    my $clock = LoadClock->new;
    while ($self->{unread} !~ /\n/) {
        my ($left, $ready) = ($seconds - $clock->seconds, '');
        vec($ready, fileno $self->{out_read}, 1) = 1;
        if (select($ready, undef, undef, $left <= 0 ? 0 : $left < 0.1 ? $left : 0.1) <= 0) {
            next if $left > 0;
            return undef;
        }
        sysread $self->{out_read}, my $more, 65536 or last;
        $self->{out}    .= $more;
        $self->{unread} .= $more;
    }
    return $self->line;
}

# Whether the process (the program's own) sleeps for so many seconds without being woken once: it
# is not that a busy machine lets it wait.
sub sleeps_on {
    my ($self, $seconds, $pid) = @_;
    my $wakings = $self->wakings($pid);
    return 0 if !defined $wakings;
    sleep $seconds;
    my $after = $self->wakings($pid);
    return defined $after && $after == $wakings;
}

# Whether the program is there. Its keeper reaps it, so that a number alone may be somebody else's.
sub is_running {
    my $self = shift;
    open my $fh, '<', "/proc/$self->{pid}/stat" or return 0;
    my $line = <$fh>;
    return defined $line && $line =~ /\A\d+ \(.*\) ([^Z]) (\d+) /s && $2 == $self->{keeper};
}

# How often a process (the program's own) that sleeps now has gone to sleep; undef if it does not sleep.
sub wakings {
    my ($self, $pid) = @_;
    $pid ||= $self->{pid};
    open my $fh, '<', "/proc/$pid/status" or return undef;
    my $status = do { local $/; <$fh> };
    return undef if !defined $status || $status !~ /^State:\s+S/m;
    return $status =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : undef;
}

# CPU seconds (user and system) that the program itself has used by now.
sub cpu {
    my $self = shift;
    # In nanoseconds, where the kernel counts them; the other file has hundredths.
    if (open my $fh, '<', "/proc/$self->{pid}/schedstat") {
        my $line = <$fh>;
        return $1 / 1e9 if defined $line && $line =~ /^([1-9]\d*) /;
    }
    open my $fh, '<', "/proc/$self->{pid}/stat" or return undef;
    my $line = <$fh>;
    $line =~ s/\A\d+ \(.*\) //s;
    my @field = split ' ', $line;
    return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Whether it uses the processor as one does that spins, beside which it is measured: however busy
# the machine is, both get their share. One that only has something to load, or to compile, is done with
# that in the second of two measurements at the latest. Undef if it has ended.
sub spins {
    my $self = shift;
    for my $last (0, 1) {
        my $before  = $self->cpu;
        my $spinner = start_program('1 while 1', deadline => 60);
        eventually(sub { $spinner->cpu >= 0.3 }, 50);
        my ($after, $share) = ($self->cpu, $spinner->cpu / 3);
        return undef if !defined $before || !defined $after;
        my $has_spun = $after - $before > $share;
        return $has_spun if !$has_spun || $last;
    }
}

sub DESTROY {
    my $self = shift;
    return if $$ != $self->{owner};
    local ($?, $!, $@);
    my $keeper = $self->{keeper} or return;
    delete $ends_of{$keeper};
    close $self->{release};
    waitpid $keeper, 0;
    return;
}

# Calls the code until it returns something true, for the seconds given (10) at most;
# returns that, or what it returned last. For what other processes do in their own time.
sub eventually(&;$) {
    my ($code, $seconds) = @_;
    my $clock = LoadClock->new;
    while (1) {
        my $got = $code->();
        return $got if $got || $clock->seconds > ($seconds || 10);
        sleep 0.01;
    }
}

1;
