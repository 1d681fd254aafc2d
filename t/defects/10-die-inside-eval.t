# Defect 10: a worker never leaves start(sub), even where the manager calls it inside an
# eval or a loop: a die ends the worker with the message and the exit code of an uncaught
# die. In the original the worker goes on in the manager's code behind the eval.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $classes = <<'PERL';
package Plain { sub new { return bless {}, shift } }
package Speaking {
    use overload '""' => sub { return "it says: $_[0]{why}\n" };
    sub new {
        my ($class, $why) = @_;
        return bless { why => $why }, $class;
    }
}
package main;
PERL

# What perl does with an uncaught die is the measure.
sub uncaught {
    my ($die) = @_;
    return run(qq($classes END { print "END \$?\\n" }\n#line 1 "worker"\n$die\n), deadline => 15);
}

# CODE holds a placeholder for what the worker does.
sub in_worker {
    my ($code, $work) = @_;
    $code =~ s/WORK/\n#line 1 "worker"\n$work\n/;
    return run(<<"PERL", deadline => 15);
use Parallel::Prefork;
$classes
my \$manager = \$\$;
END { print "END \$?\\n" if \$\$ != \$manager }
my \$pm = Parallel::Prefork->new({
    max_workers   => 1,
    # A worker that gets into the loop of start would fork workers of its own, without end.
    before_fork   => sub {
        return if \$\$ == \$manager;
        print "behind: a worker\\n";
        exit;
    },
    on_child_reap => sub {
        print "status \$_[2]\\n";
        kill TERM => \$\$;
    },
});
$code
BEHIND: print 'behind: ', \$\$ == \$manager ? 'the manager' : 'a worker', "\\n";
PERL
}

sub message {
    my ($p) = @_;
    return $p->err =~ s/0x[0-9a-f]+/0x.../gr;
}

# $! and $?, of which perl makes the exit code, and the death.
my $hooked = <<'PERL';
$SIG{__DIE__} = sub { print STDERR "hook: $_[0]" };
die "oops\n";
PERL
my @deaths = (
    ['with $! set'                => 5, 0,      q(die "oops\n")],
    ['with $? set'                => 0, 3 << 8, q(die "oops\n")],
    ['with a signal in $?'        => 0, 9,      q(die "oops\n")],
    ['with neither set'           => 0, 0,      q(die "oops\n")],
    ['without a newline'          => 0, 0,      q(die "oops")],
    ['without a message'          => 0, 0,      q(die)],
    ['with an object'             => 0, 0,      q(die Plain->new)],
    ['with an object that speaks' => 0, 0,      q(die Speaking->new('oops'))],
    ['with a die hook'            => 7, 0,      $hooked],
);
for my $death (@deaths) {
    my ($name, $errno, $status, $code) = @$death;
    my $die  = "(\$!, \$?) = ($errno, $status);\n$code";
    my $bare = uncaught($die);
    my $p    = in_worker('eval { $pm->start(sub { WORK }) };', $die);
    isnt $bare->status, 0, "an uncaught die $name ends perl with an error";
    is $p->out, $bare->out . 'status ' . $bare->status . "\nbehind: the manager\n",
        "a die $name in a worker gives the same exit code, and only the manager gets behind the eval";
    is message($p), message($bare), "a die $name in a worker gives the same message";
}

my @jumps = (
    ['next'            => 'no warnings; next'],
    ['next to a label' => 'no warnings; next ROUND'],
    ['last'            => 'no warnings; last'],
    ['goto'            => 'goto BEHIND'],
);
for my $jump (@jumps) {
    my ($name, $code) = @$jump;
    my $p = in_worker('ROUND: for my $round (1) { $pm->start(sub { WORK }) }', $code);
    like $p->out, qr/^status \d+$/m, "a worker ends that wants out of its sub by $name";
    is_deeply [$p->out =~ /^behind: (.*)$/mg], ['the manager'],
        "$name brings only the manager behind the loop";
}

done_testing;
