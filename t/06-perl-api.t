#!/usr/bin/perl

# What the C code takes of perl's API is there in the oldest perl that we promise, and is used as that perl needs it:
# many macros evaluated their arguments more than once before perl 5.36, so an argument with a side effect had it more
# than once.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use TextFiles;

-d 'perl' or plan skip_all => 'the sources are not here';

my @sources = sort glob 'perl/*.xs perl/*.c perl/*.h perl/internals/*.c perl/internals/*.h';
@sources = grep { $_ ne 'perl/Prefork.c' } @sources;

my ($oldest) = slurp('Makefile.PL') =~ /\$MIN_PERL\s*=\s*'([\d.]+)'/;
ok $oldest, 'Makefile.PL names the oldest perl' or BAIL_OUT('no oldest perl');

# Comments and texts are no code.
sub code_of {
    my $text = slurp(shift);
    $text =~ s{/\*.*?\*/}{ $& =~ tr/\n//cdr }gse;
    $text =~ s{^\#(?!\s*define).*}{}gm;
    $text =~ s{"(?:[^"\\]|\\.)*"}{""}g;
    $text =~ s{'(?:[^'\\]|\\.)+'}{0}g;
    return $text;
}

# Macros of ours, whose arguments are statements, evaluated once.
my %ours = map { $_ => 1 } qw(CALL XS_INTERNAL PUSHMARK PUSHSTACKi LOAD SWAP);
my $arguments;
$arguments = qr/\((?:[^()]|(??{ $arguments }))*\)/;

my $calls = 0;
for my $file (@sources) {
    my $code = code_of($file);
    my @twice;
    while ($code =~ /\b([A-Z][A-Za-z_]*)(?=($arguments))/g) {
        my ($name, $given) = ($1, $2);
        $calls++;
        next if $ours{$name} || $name =~ /\A[A-Z]+_[a-z]/ && $name !~ /\ASv/;
        push @twice, "$name$given" if $given =~ /\bPOP[a-z]+\b|\+\+|--|[^=!<>]=(?!=)|\bst(?:rto|art)\w*\s*\(/;
    }
    is "@twice", '', "$file: no argument of a macro has a side effect";
}
cmp_ok $calls, '>', 300, 'calls of macros were found';

SKIP: {
    eval { require Devel::PPPort; 1 } or skip 'Devel::PPPort is missing', 3;
    my $dir = File::Temp->newdir;
    Devel::PPPort::WriteFile("$dir/ppport.h");
    my @said = `$^X $dir/ppport.h --nochanges --compat-version=$oldest @sources 2>&1`;
    is join('', grep { /WARNING|^Uses (?!pTHX)/ } @said), '', "all of it is in perl $oldest";
    is scalar(grep { /^Analysis completed/ } @said), scalar(@sources), 'ppport.h has looked at all files';
    # That tool knows of what came later.
    open my $newer, '>', "$dir/newer.c" or die $!;
    print {$newer} <<'C';
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

void f(pTHX_ SV *sv)
{
    (void)sv_numeq(sv, sv);
    (void)newSVbool(1);
}
C
    close $newer or die $!;
    my $knows = `$^X $dir/ppport.h --nochanges --compat-version=$oldest $dir/newer.c 2>&1`;
    like $knows, qr/WARNING: Uses sv_numeq/, 'ppport.h tells of a function that came later' if $] >= 5.036;
}

done_testing;
