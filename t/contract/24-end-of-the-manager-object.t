# A worker that lets go of the manager object lets go of what is in it: whatever can be told of that is there, and at
# that moment.

use strict;
use warnings;

use Config;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Scalar::Util qw(weaken);

$| = 1;
our $pm;
our $in_worker = 0;

sub Witness::DESTROY {
    print "destroyed", (defined $main::weak ? ' while the manager was there' : ''), "\n" if $main::in_worker;
    return;
}
our ($weak, $watch, $thing, $list);

sub kilobytes {
    open my $status, '<', '/proc/self/status' or die "status: $!";
    my ($kilobytes) = map { /^VmData:\s+(\d+)/ } <$status>;
    return $kilobytes;
}

$pm = Parallel::Prefork->new({
    max_workers   => 1,
    trap_signals  => { TERM => 'TERM', HUP => ['TERM', 1] },
    on_child_reap => sub { $_[0]->signal_received('enough') },
});
IN_MANAGER
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
$in_worker = 1;
IN_WORKER
exit 0;
PERL

sub worker_says {
    my ($in_manager, $in_worker) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $p = run(filled($program, IN_MANAGER => $in_manager, IN_WORKER => $in_worker), deadline => 30);
    # 0.18 says so of children that end.
    (my $said = $p->err) =~ s/^Use of uninitialized value in numeric.*\n//mg;
    is $said, '', 'nothing is said of errors';
    return $p->out;
}

my @cases = (
    ['an object', '$pm->{mine} = bless [], "Witness";', 'undef $pm;', 'destroyed'],
    ['an object deep in a structure', '$pm->{mine} = { a => [{ b => [[[[bless [], "Witness"]]]] }] };',
        'undef $pm;', 'destroyed'],
    ['an object that a sub has captured', 'my $own = bless [], "Witness"; $pm->{mine} = sub { $own };',
        'undef $pm;', 'destroyed'],
    ['an object of a class that inherits its destructor', '@Heir::ISA = "Witness"; $pm->{mine} = bless {}, "Heir";',
        'undef $pm;', 'destroyed'],
    ['an object with a class that has one by then', '$pm->{mine} = bless {}, "Late";',
        'no warnings "once"; *Late::DESTROY = \&Witness::DESTROY; undef $pm;', 'destroyed'],
    ['the object behind a tied hash', <<'PERL', 'undef $pm;', 'destroyed'],
{ package Tie; require Tie::Hash; our @ISA = ('Tie::StdHash', 'Witness'); }
tie my %tied, 'Tie';
$pm->{mine} = \%tied;
PERL
    ['the object behind a tied scalar', <<'PERL', 'undef $pm;', 'destroyed'],
sub Tie::TIESCALAR { bless [], 'Witness' }
tie $pm->{mine}, 'Tie';
PERL
    ['objects in the values of trap_signals', '', '$pm->{trap_signals}{TERM} = bless [], "Witness"; undef $pm;',
        'destroyed'],
    ['an object in what somebody else holds, too', '$list = [bless [], "Witness"]; $pm->{mine} = $list;',
        'undef $pm; print "still there\n"; undef $list;', "still there\ndestroyed"],
    ['an object in a hash that is being walked through', '$pm->{"key$_"} = bless [], "Witness" for 1 .. 2;',
        'my ($key) = each %$pm; delete $pm->{$key}; undef $pm; print "done\n";', qr/\A(?:destroyed\n){2}done\z/],
    ['an object that looks at the manager', 'weaken($weak = $pm); $pm->{mine} = bless [], "Witness";',
        'undef $pm;', 'destroyed'],
    ['an object among thousands of elements', '$pm->{"n$_"} = $_ for 1 .. 3000; $pm->{mine} = bless [], "Witness";',
        'undef $pm;', 'destroyed'],
    (map {
        my ($what, $value) = @$_;
        ["a weak reference to $what",
            "\$pm->{mine} = $value; weaken(\$watch = ref \$pm->{mine} ? \$pm->{mine} : \\\$pm->{mine});",
            'undef $pm; print defined $watch ? "there" : "gone", "\n";', 'gone'];
    } ['a string', '"plain"'], ['an array', '[1]'], ['a hash', '{ a => 1 }'],
        ['a sub', 'do { my $x = 1; sub { $x } }']),
    ['a weak reference to trap_signals', 'weaken($watch = $pm->{trap_signals});',
        'undef $pm; print defined $watch ? "there" : "gone", "\n";', 'gone'],
    ['a weak reference to worker_pids', '', <<'PERL', 'gone'],
weaken($watch = $pm->{worker_pids});
undef $pm;
print defined $watch ? 'there' : 'gone', "\n";
PERL
    ['a weak reference in the object', '$thing = [1]; weaken($pm->{mine} = $thing);',
        'undef $pm; undef $thing; print "done\n";', 'done'],
    ['a reference to a value', '', 'my $mine = \($pm->{mine} = "value"); undef $pm; print "$$mine\n";', 'value'],
    ['a reference to trap_signals', '', <<'PERL', 'HUP, TERM'],
my $signals = $pm->{trap_signals};
undef $pm;
print join(', ', sort keys %$signals), "\n";
PERL
    (map {
        my ($what, $fill) = @$_;
        ["the memory of $what", "our \$size = 48_000_000; our \$mine = \$pm;", <<"PERL", 'less'];
sub fill { $fill }
fill();
my \$before = kilobytes();
undef \$mine;
undef \$pm;
\$mine = {};
fill();
print kilobytes() < \$before + 20_000 ? 'less' : 'as much', "\\n";
PERL
    } ['a large string', '$mine->{string} = "x" x $size'],
        ['a string that was cut off in front',
            '$mine->{string} = "x" x $size; substr $mine->{string}, 0, $size - 100, ""'],
        ['a string that was long', '$mine->{string} = "x" x $size; substr($mine->{string}, 100) = ""'],
        ['a long key', '$mine->{$size . "x" x $size++} = 1'],
        ['a long key of a hash', '$mine->{hash}{$size . "x" x $size++} = 1'],
        ['a long key as a value', 'my %long = ($size . "x" x $size++ => 1); ($mine->{key}) = keys %long'],
        ['an array of many', 'push @{ $mine->{list} }, "x" x 900 for 1 .. 50_000'],
        ['an array of which most was shifted off',
            'my $list = $mine->{list} = [1 .. 3_000_000]; shift @$list for 1 .. 2_999_990'],
        ['a hash of many', '$mine->{hash}{$_} = "x" x 900 for 1 .. 50_000'],
        ['many elements', '$mine->{$_} = "x" x 900 for 1 .. 50_000'],
        ['arrays of arrays', '$mine->{lists} = [map { [map { [map { "x" x 900 } 1 .. 40] } 1 .. 40] } 1 .. 40]']),
    ['an object with more elements than in the manager',
        '$pm->{mine} = bless [], "Witness";', <<'PERL', "destroyed\n100"],
$pm->{$_} = $_ for 1 .. 200;
undef $pm;
my @more = map { { $_ => 1, a => 2 } } 1 .. 100;
print scalar(@more), "\n";
PERL
    ['a structure that is very deep', '', <<'PERL', 'done'],
my $deep = 1;
$deep = [$deep] for 1 .. 300_000;
$pm->{mine} = $deep;
undef $deep;
undef $pm;
print "done\n";
PERL
    ['an object in a package that is gone',
        'eval q{$Package::inside = bless [], "Witness"; $pm->{mine} = bless [], "Package"};',
        'delete $main::{"Package::"}; undef $pm; print "after\n";', "destroyed\nafter"],
    ['all of it, where perl frees everything in the end', '',
        'undef $pm; $ENV{PERL_DESTRUCT_LEVEL} = 2; print "done\n";', 'done'],
    $Config{useithreads} ? ['all of it, where the worker begins to use threads', '', <<'PERL', 'in a thread'] : (),
undef $pm;
require threads;
threads->create(sub { print "in a thread\n" })->join;
PERL
    ['a handle', '', <<'PERL', 'end of file'],
pipe my $reader, $pm->{mine} or die "pipe: $!";
undef $pm;
print defined readline $reader ? '?' : 'end of file', "\n";
PERL
    ['a destructor that all classes have', '', <<'PERL', 'Parallel::Prefork'],
no warnings qw(once redefine);
my @seen;
*UNIVERSAL::DESTROY = sub { push @seen, ref $_[0]; return };
undef $pm;
*UNIVERSAL::DESTROY = sub { };
print join(', ', grep { !/WorkerPids/ } @seen), "\n";
PERL
);

for my $case (@cases) {
    my ($name, $in_manager, $in_worker, $expected) = @$case;
    my $said = worker_says($in_manager, $in_worker);
    chomp $said;
    ref($expected) ? like $said, $expected, $name : is $said, $expected, $name;
}

done_testing;
