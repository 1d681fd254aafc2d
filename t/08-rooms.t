# The rooms of perl/: each file includes only what stands below it, and what perl does not document is used where
# perl/internals/README.md says so.

use strict;
use warnings;

use Config;
use Test::More;


my @files = grep { $_ ne 'perl/Prefork.c' }
    sort glob 'perl/*.c perl/*.h perl/*.xs perl/internals/*.c perl/internals/*.h';

# Without comments and strings.
sub code_of {
    my $file = shift;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    my $code = <$fh>;
    $code =~ s{/\*.*?\*/}{}gs;
    return $code;
}

my %code = map { $_ => code_of($_) } @files;

# A room is a file in C and its header.
sub room_of {
    my $file = shift;
    return $file =~ s{^perl/}{}r =~ s{\.(?:c|h|xs|inc)$}{}r;
}

my %below;
for my $file (@files) {
    my $room = room_of($file);
    my $here = $room =~ m{^(internals/)} ? $1 : '';
    while ($code{$file} =~ /^#include "([^"]+)"/gm) {
        my $included = $1;
        next if $included =~ /^(?:EXTERN|perl|XSUB|prefork.*)\.h$/;
        my $other = room_of($included =~ m{^\.\./(.+)} ? $1 : "$here$included");
        $below{$room}{$other} = 1 if $other ne $room;
    }
}
is_deeply [grep { !-e "perl/$_.h" } map { keys %$_ } values %below], [], 'what is included is there';

# Takes the rooms away that stand on nothing that is left, until none does.
my %left = map { $_ => { %{ $below{$_} || {} } } } map { room_of($_) } @files;
while (my @ground = grep { !%{ $left{$_} } } keys %left) {
    delete @left{@ground};
    delete @{$_}{@ground} for values %left;
}
is_deeply [sort keys %left], [], 'no rooms include each other in a circle';

# What perl's documentation has no function for, and where it is used all the same.
my %UNDOCUMENTED = (
    PL_sig_pending  => [qw(fork.c signals.c wait.c)],
    PL_psig_pend    => [qw(signals.c)],
    PL_psig_ptr     => [qw(internals/defaults.c signals.c traps.c wait.c)],
    PL_csighandlerp => [qw(signals.c)],
    PL_sighandlerp  => [qw(signals.c)],
    PL_in_eval      => [qw(fork.c)],
    CvROOT          => [qw(subs.c)],
    OpREFCNT_inc    => [qw(subs.c)],
);
my @INTERNALS = qw(
    PL_threadhook PL_sv_arenaroot PL_exitlistlen PL_perl_destruct_level PL_main_cv PL_main_root PL_perlio PL_fdpid
    PL_initav PL_sub_generation CvSTART CvPADLIST HvMROMETA HvARRAY COP_SEQ_RANGE_HIGH
    SvREFCNT HvAUX HvTOTALKEYS HeNEXT
);
for my $name (sort keys %UNDOCUMENTED) {
    is_deeply [map { s{^perl/}{}r } grep { $code{$_} =~ /\b$name\b/ } @files], $UNDOCUMENTED{$name},
        "$name is used where no function does the work";
}
for my $name (@INTERNALS) {
    is_deeply [grep { !m{^perl/internals/} && $code{$_} =~ /\b$name\b/ } @files], [],
        "$name is used in internals/ only";
}

# Perl's macros may ask for their argument more than once, and which do changes with the version of perl.
my $PARENTHESES = qr/(\((?:[^()]++|(?-1))*+\))/;
for my $file (@files) {
    my @calls;
    while ($code{$file} =~ /\b(?:Sv|Hv|He|Av|Gv|Cv)\w*$PARENTHESES/g) {
        my $argument = $1;
        push @calls, $argument if $argument =~ /\b(?!sizeof\b)[a-z]\w*\s*\(/;
    }
    is_deeply \@calls, [], "$file: no call in the argument of a macro of perl's";
}

# Which builds have them, by what the C preprocessor makes of it.
sub tricks_with {
    my @options = @_;
    my $said = qx{$Config{cc} -E -dM @options -x c perl/internals/switches.h 2>&1};
    my ($is_on) = $said =~ /^#define TRICKS ([01])$/m;
    return $is_on;
}
my ($newest) = $code{'perl/internals/switches.h'} =~ /#define NEWEST_TESTED (\d+)/;
is tricks_with("-DPERL_VERSION=$newest"), 1, "the newest perl that was tested, 5.$newest, has the tricks";
is tricks_with('-DPERL_VERSION=' . ($newest + 1)), 0, 'a newer perl has the plain paths';
is tricks_with("-DPERL_VERSION=$newest", '-DPREFORK_PLAIN'), 0, 'PLAIN=1 has the plain paths';

# Each trick has a row in the table, and each name in this test one there or in the text.
open my $fh, '<', 'perl/internals/README.md' or die "perl/internals/README.md: $!\n";
my $readme = do { local $/; <$fh> };
for my $trick (sort map { /#define (TRICK_\w+) TRICKS/g } values %code) {
    like $readme, qr/^\| `$trick` \|/m, "$trick has a row";
}
like $readme, qr/`$_`/, "the text speaks of $_"
    for sort(keys %UNDOCUMENTED), qw(PL_threadhook COP_SEQ_RANGE_HIGH);

done_testing;
