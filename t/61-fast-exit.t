#!/usr/bin/perl

# Workers with fast_exit: what of perl's exit they do, and what they leave out.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use Tricks;

plan skip_all => 'a build in which fast_exit does nothing' if !has_trick('fast_exit');

# What is destroyed tells so; what is printed is flushed at the exit.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my ($fast, $how) = @ARGV;
{
    package Thing;

    sub new {
        my ($class, $name) = @_;
        return bless { name => $name }, $class;
    }

    sub DESTROY {
        my $self = shift;
        return main::note("destroyed $self->{name}");
    }
}

our $tells;

sub note {
    syswrite STDOUT, "$_[0]\n" if $tells;
    return;
}

our $global = Thing->new('global');
my $file = Thing->new('file');
my @array = (Thing->new('array'));
my %hash = (thing => Thing->new('hash'));
for my $round (1 .. 2) {
    my $block = Thing->new("block $round");
    $tells = 0;
}

my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => $fast,
    on_child_reap => sub {
        syswrite STDOUT, "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
);
END { note('END') if $pm->{in_child} }

sub work {
    $tells = 1;
    my $sub = Thing->new('sub');
    my $child = fork;
    defined $child or die "fork: $!";
    if (!$child) {
        $tells = 0 if $how ne 'forks';
        $pm = undef;
        exit 0;
    }
    waitpid $child, 0;
    for my $round (1 .. 2) {
        my $block = Thing->new("worker's block $round");
    }
    undef $array[0] if $how eq 'undef';
    print 'not flushed yet';
    die "the end\n" if $how eq 'die';
    $pm->finish(4) if $how eq 'finish';
    exit 3 if $how ne 'end';
    return;
}

if ($how eq 'code') {
    $pm->start(\&work);
}
elsif (!$pm->start) {
    work();
    goto FINISHED;
}
$tells = 1;
$pm->wait_all_children;
$tells = 0;
FINISHED:
PERL

sub lines {
    my ($fast, $how) = @_;
    my $p = start_program($program, args => [$fast, $how], deadline => 30);
    is $p->wait, 0, "fast_exit => $fast, $how: the manager ends as it should";
    is $p->err, $how eq 'die' ? "the end\n" : '', "fast_exit => $fast, $how: nothing else is said";
    my $out = $p->out;
    like $out, qr/not flushed yet/, "fast_exit => $fast, $how: handles are flushed";
    $out =~ s/not flushed yet/\n/;
    return grep { length } split /\n/, $out;
}

my %status = (exit => 3 << 8, die => 255 << 8, finish => 4 << 8, end => 0, code => 3 << 8, undef => 3 << 8);
my @ever = ("destroyed worker's block 1", "destroyed worker's block 2");

for my $how (qw(exit die finish end code)) {
    my @lines = lines(1, $how);
    is_deeply [sort grep { !/status/ } @lines], [sort @ever, 'destroyed sub', 'END'],
        "fast_exit, $how: END runs, what a sub or a block holds is destroyed, and nothing else";
    is_deeply [grep { /status/ } @lines], ["status $status{$how}"], "fast_exit, $how: the status is that of the exit";
}

# Taken out by hand it is destroyed, with fast_exit or without.
ok scalar(grep { $_ eq 'destroyed array' } lines(1, 'undef')),
    'fast_exit: an object that the program lets go of is destroyed';

my @all = map { "destroyed $_" } qw(global file array hash sub);
is_deeply [sort grep { !/status/ } lines(0, 'exit')], [sort @ever, @all, 'END'],
    'without fast_exit everything is destroyed';

# A process that the worker forks is no worker: there all of it is destroyed, the sub's twice then.
my %count;
$count{$_}++ for lines(1, 'forks');
is $count{'destroyed file'}, 1, 'fast_exit: a child of a worker destroys what the file holds, the worker does not';
is $count{'destroyed sub'},  2, 'fast_exit: a worker and its child each destroy what the sub holds';

# What a block of the file holds goes when the worker leaves the block, in the order of things.
my $block = run(<<'PERL', args => [1], deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
our $in_worker;
{
    package Thing;
    sub new { return bless [], $_[0] }
    sub DESTROY {
        syswrite STDOUT, "destroyed\n" if $main::in_worker;
        return;
    }
}
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
for my $round (1 .. 2) {
    my ($thing, @things) = map { Thing->new } 1 .. 2;
    if ($round == 1) {
        if ($pm->start) {
            $pm->wait_all_children;
            exit 0;
        }
        $in_worker = 1;
    }
    syswrite STDOUT, "round $round\n";
}
syswrite STDOUT, "left\n";
exit 0;
PERL
my $round = "destroyed\n" x 2;
is $block->out, "round 1\n${round}round 2\n${round}left\n",
    'fast_exit: what a block of the file holds is destroyed when the worker leaves it';

SKIP: {
    eval { require Config; $Config::Config{useithreads} } or skip 'this perl has no threads', 1;
    my $threads = run(<<'PERL', deadline => 30);
use threads;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => 1,
    on_child_reap => sub {
        print "status $_[2]\n";
        $_[0]->signal_received('enough');
    },
);
$pm->start(sub {
    my $thread = threads->create(sub { return 42 });
    print 'joined ', $thread->join, "\n";
    exit 3;
});
PERL
    is $threads->out, "joined 42\nstatus 768\n", 'fast_exit: the end of a thread is not the end of the worker';
}

# What has something to do when it is closed is closed, and that is done before the manager hears of the end.
my %handle = (
    'a pipe to a process' => <<'PERL',
    open my $handle, '|-', "sleep 0.3; cat > '$file'; sleep 0.3; echo end >> '$file'" or die;
PERL
    'two pipes, the second in a package variable' => <<'PERL',
    open my $other, '|-', 'cat > /dev/null; sleep 0.2' or die;
    print {$other} 'x';
    open our $kept, '|-', "cat > '$file'; sleep 0.3; echo end >> '$file'" or die;
    my $handle = $kept;
PERL
    'a bareword handle' => <<'PERL',
    open PIPE, "| cat > '$file'; sleep 0.3; echo end >> '$file'" or die;
    my $handle = \*PIPE;
PERL
    'the hundredth handle' => <<'PERL',
    our @handles;
    for (1 .. 150) {
        open my $null, '<', '/dev/null' or die;
        push @handles, $null;
    }
    open my $handle, '|-', "cat > '$file'; sleep 0.3; echo end >> '$file'" or die;
    our $kept = $handle;
PERL
    'a layer in Perl' => <<'PERL',
    {
        package Via;

        sub PUSHED { return bless [], $_[0] }

        sub WRITE {
            my ($self, $text) = @_;
            push @$self, $text;
            return length $text;
        }

        sub FLUSH {
            my ($self, $below) = @_;
            print {$below} splice @$self;
            return 0;
        }

        sub POPPED {
            open my $end, '>>', $main::file or die;
            print {$end} "end\n";
            return;
        }
    }
    open our $handle, '>:via(Via)', $file or die;
PERL
    'a plain file' => <<'PERL',
    open our $handle, '>', $file or die;
    END { print {$handle} "end\n" if $pm->{in_child} }
PERL
);
my $writes = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
our ($file) = @ARGV;
our $pm = Parallel::Prefork->new(
    max_workers   => 1,
    fast_exit     => 1,
    on_child_reap => sub {
        print "status $_[2]\n";
        open my $fh, '<', $file or die;
        print <$fh>;
        $_[0]->signal_received('enough');
    },
);
$pm->start(sub {
    OPEN
    print {$handle} "begin\n";
    LEAVE;
});
PERL
for my $name (sort keys %handle) {
    for my $how ('exit 3', 'return') {
        my $dir = File::Temp->newdir;
        my $p = run(filled($writes, OPEN => $handle{$name}, LEAVE => $how), args => ["$dir/file"], deadline => 30);
        is $p->err, '', "fast_exit by $how, $name: nothing is said of errors";
        my $status = $how eq 'return' ? 0 : 768;
        is $p->out, "status $status\nbegin\nend\n",
            "fast_exit by $how, $name: what was written is there when the manager hears of the end";
    }
}

done_testing;
