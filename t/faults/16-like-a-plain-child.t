# A worker's blocked, ignored and caught signals and its open descriptors are those of a child
# that the program forks with perl's fork, but for what the contract names: the trapped
# signals and CHLD have their default actions; a worker that has a scoreboard has an end of
# the manager's pipe, and the scoreboard's file.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $settings = scale(full => 300, quick => 12);
my $original = on_the_original();

my $program = <<'PERL';
use strict;
use warnings;
use Config;
use File::Temp ();
use POSIX ();

my ($settings, $class) = @ARGV;
eval "require $class; 1" or die $@;
my %number;
@number{ split ' ', $Config{sig_name} } = split ' ', $Config{sig_num};
my @names = qw(HUP INT USR1 USR2 PIPE ALRM WINCH TSTP TTIN URG IO VTALRM);
my $dir = File::Temp->newdir;

# What the kernel says of this process: the masks, and each descriptor with its flags.
sub facts {
    my %fact;
    open my $status, '<', '/proc/self/status' or die "status: $!";
    while (<$status>) { $fact{$1} = hex $2 if /\A(Sig(?:Blk|Ign|Cgt)):\s+(\S+)/ }
    close $status;
    # A descriptor of our own, to look with, is open in each.
    for my $fd (0 .. 63) {
        my $is = readlink "/proc/self/fd/$fd" or next;
        open my $info, '<', "/proc/self/fdinfo/$fd" or next;
        my ($flags) = map { /\Aflags:\s+(\d+)/ ? $1 : () } <$info>;
        $fact{"fd $fd"} = "$is $flags" if $is !~ m{/fdinfo/};
    }
    return \%fact;
}

sub told {
    my $facts = shift;
    return join "\n", map { "$_=$facts->{$_}" } sort keys %$facts;
}

sub bits {
    my $bits = 0;
    $bits |= 1 << $_ - 1 for @_;
    return $bits;
}

my @wrong;
for my $round (1 .. $settings) {
    # The program's own ways: handlers, ignored signals, blocked ones, descriptors of all kinds.
    local %SIG = %SIG;
    for my $name (@names) {
        $SIG{$name} = (sub { }, 'IGNORE', 'DEFAULT')[rand 3];
    }
    my $blocked = POSIX::SigSet->new(map { rand() < 0.3 ? $number{$_} : () } qw(USR1 USR2 HUP WINCH CHLD TERM));
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $blocked);
    pipe my $from, my $to or die "pipe: $!";
    open my $file, '+<', $0 or die "open: $!";
    fcntl $file, 4, 2048;

    my $tell = sub {
        my $facts = shift;
        # Longer than a pipe takes at once it never is.
        syswrite $to, told($facts);
        POSIX::_exit(0);
    };
    my $listen = sub {
        sysread $from, my $text, 65536;
        return { map { split /=/, $_, 2 } split /\n/, $text };
    };

    defined(my $pid = fork) or die "fork: $!";
    $tell->(facts()) if !$pid;
    waitpid $pid, 0;
    my $plain = $listen->();

    my @traps = ('TERM', map { rand() < 0.3 ? $_ : () } qw(HUP USR1 INT));
    my $pm = $class->new({
        max_workers       => 1,
        min_spare_workers => 1,
        trap_signals      => { map { $_ => undef } @traps },
        $class =~ /Spare/ && $round % 2 ? (scoreboard_file => "$dir/$round") : (),
        on_child_reap     => sub { $_[0]->signal_received('TERM') },
    });
    $pm->start or do { $tell->(facts()) };
    $pm->wait_all_children;
    my $worker = $listen->();

    my $reset = bits(map { $number{$_} } @traps, 'CHLD');
    $plain->{$_} = 0 + ($plain->{$_} & ~$reset) for qw(SigIgn SigCgt);
    my @more;
    for my $fact (sort keys %$worker) {
        push @more, "$fact=$worker->{$fact}" if !defined $plain->{$fact};
        push @wrong, "round $round: $fact is $worker->{$fact}, not $plain->{$fact}"
            if defined $plain->{$fact} && $plain->{$fact} ne $worker->{$fact};
    }
    push @wrong, map { "round $round: $_ is missing" } grep { !defined $worker->{$_} } sort keys %$plain;
    my $expected = 0;
    if ($class =~ /Spare/) {
        $expected = 1 + $round % 2;
        # Of the flags: how it is open, non-blocking (a file is none of that), close-on-exec.
        s/ (\d+)\z/sprintf ' %o', oct("0$1") & 02004003/e for @more;
        my ($end) = grep { /pipe:\[\d+\] 2004001\z/ } @more;
        push @wrong, "round $round: no end of a pipe, to write to, close-on-exec: @more" if !$end;
        push @wrong, "round $round: no scoreboard: @more" if $round % 2 && !grep { m{\Q$dir/$round\E 2000002\z} } @more;
    }
    push @wrong, "round $round: more: @more" if @more != $expected;
    # Handlers are left by a manager that goes; the next one is to start as this one did.
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new);
}
print 'wrong: ', scalar(@wrong), "\n", map { "$_\n" } @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)];
PERL

# The scoreboard of the original is always a file, which each worker opens anew.
for my $class ('Parallel::Prefork', $original ? () : 'Parallel::Prefork::SpareWorkers') {
    my $p = start_program($program, args => [$settings, $class], deadline => scale(full => 200, quick => 60));
    my $status = $p->wait;
    is $status, 0, "$class: the program gets to its end" or diag substr $p->err, 0, 1000;
    my ($wrong) = $p->out =~ /^wrong: (\d+)/m;
    is $wrong, 0, "$class: $settings settings, and workers are like plain children" or diag substr $p->out, 0, 1500;
    figure("$class: signals and descriptors of a worker, $settings settings",
        defined $wrong ? "$wrong differences" : 'no end');
}

# The same of a host in C, whose library installs the handlers.
SKIP: {
    skip 'the original has no C hosts', 1 if $original;
    my $host = compile('t/faults/16-like-a-plain-child.c');
    my $p = start_program(undef, command => [$host], deadline => 30);
    is $p->wait, 0, 'a C host gets to its end' or diag $p->err;
    is $p->out, "the same\n", 'a C host: a worker is like a plain child';
}

done_testing;
