# The POD: it is well-formed, it covers whatever a program can call or set, and the code in it
# compiles.

use strict;
use warnings;

use B ();
use Config;
use File::Temp ();
use Pod::Checker ();
use Pod::Simple::SimpleTree ();
use Test::More;

use lib 't/lib';
use ProcessTest;
use TextFiles;

# Not for programs to call: perl and XSLoader do.
my %CALLED_BY_PERL = map { $_ => 1 } qw(import bootstrap DESTROY CLONE);

# There a name says what may be overridden, not what it does.
my %NO_REFERENCE = map { $_ => 1 } 'SUBCLASSING', 'A SCOREBOARD OF YOUR OWN';

# What the example programs leave to the reader.
my $READERS_OWN = <<'PERL';
use strict;
use warnings;
our ($pm, $loop, $seconds);
{
    package My::Prefork;
    our @ended_in_loop;
}
use subs qw(read_config serve next_client answer one_turn_of_the_loop);
PERL

my $READERS_OWN_C = <<'C';
#include <signal.h>
#include <unistd.h>
#include "prefork.h"
void work(pf_t *pf);
void wait_in_loop(int fd, double timeout);
int host(pf_t *pf);
int host(pf_t *pf)
{
C

# The names of the subs that a package defines, for programs to call.
sub public_subs {
    my $package = shift;
    my $exports = do { no strict 'refs'; \@{"${package}::EXPORT_OK"} };
    my @names;
    for my $name (do { no strict 'refs'; sort keys %{"${package}::"} }) {
        next if $name =~ /\A_|::\z/ || $CALLED_BY_PERL{$name};
        my $code = $package->can($name) or next;
        next if !defined &{"${package}::$name"};
        # A constant is an implementation's own business, unless it is exported.
        next if $name =~ /\A[A-Z][A-Z_]*\z/ && !grep { $_ eq $name } @$exports;
        my $made_as = B::svref_2object($code)->GV;
        # Accessors are closures, without a name of their own.
        next if $made_as->STASH->NAME ne $package && $made_as->NAME ne '__ANON__'
            && !grep { $_ eq $name } @$exports;
        push @names, $name;
    }
    return @names;
}

# The names of the members and options that the code of a file looks at.
sub public_members {
    my $source = shift;
    $source =~ s/^__END__$.*//ms;
    my %names;
    # Packages that are hidden behind it have objects of their own.
    $source =~ s/^package\s*#.*//ms;
    $names{$1} = 1 while $source =~ /\$self->\{([a-z]\w*)\}/g;
    my ($default) = $source =~ /^my %DEFAULT = \((.*?)^\);/ms;
    my @checked   = $source =~ /^my %CHECK = \((.*?)^\);/ms;
    for my $table (grep { defined } $default, @checked) {
        $names{$1} = 1 while $table =~ /^\s+(\w+)\s+=>/mg;
    }
    my @sorted = sort keys %names;
    return @sorted;
}

# The text of a node of Pod::Simple::SimpleTree.
sub text {
    my $node = shift;
    return $node if !ref $node;
    my (undef, undef, @children) = @$node;
    return join '', map { text($_) } @children;
}

# Calls code with each heading, item and verbatim block, in order: its kind, its text and
# the =head1 that it is under.
sub visit {
    my ($pod, $code) = @_;
    my $section = '';
    my $walk;
    $walk = sub {
        my ($kind, undef, @children) = @{ $_[0] };
        $section = text($_[0]) if $kind eq 'head1';
        if ($kind =~ /\A(?:head[1-4]|item-(?:text|bullet|number)|Verbatim)\z/) {
            $code->($kind, text($_[0]), $section);
        }
        $kind eq 'Verbatim' or $walk->($_) for grep { ref } @children;
        return;
    };
    $walk->(Pod::Simple::SimpleTree->new->parse_string_document($pod)->root);
    return;
}

# Those of the names that have no heading and no item of their own. {name} documents a member,
# and no method.
sub undocumented {
    my ($pod, @names) = @_;
    my %documented;
    visit($pod, sub {
        my ($kind, $text, $section) = @_;
        return if $kind !~ /\A(?:head[2-4]|item-text)\z/ || $NO_REFERENCE{$section};
        $documented{$1} = 1 if $text =~ /\A(\w+|\{\w+\})(?:\z|[\s(,])/;
    });
    # An option is a member, too, and documented as an accessor.
    return grep { !$documented{$_} && !(/\A\{(.*)\}\z/ && $documented{$1}) } @names;
}

sub examples {
    my ($pod, $wanted) = @_;
    my @found;
    visit($pod, sub {
        my ($kind, $text, $section) = @_;
        push @found, $text if $kind eq 'Verbatim' && $wanted->($text, $section);
    });
    return @found;
}

my %inherited;
for my $package (map { "Parallel::Prefork$_" } '', qw(::SpareWorkers ::SpareWorkers::Scoreboard)) {
    (my $file = "$package.pm") =~ s{::}{/}g;
    require $file;
    my $source = slurp($INC{$file});

    my $checker = Pod::Checker->new(-warnings => 2);
    open my $pod_in, '<', \$source or die $!;
    open my $remarks, '>', \my $said or die $!;
    $checker->parse_from_file($pod_in, $remarks);
    close $remarks;
    is $checker->num_errors, 0, "$package: no POD errors" or diag $said;
    is $checker->num_warnings, 0, "$package: no POD warnings" or diag $said;

    my @members = grep { !$inherited{$_}++ } public_members($source);
    my @names   = (public_subs($package), map { "{$_}" } @members);
    cmp_ok scalar(@names), '>', 5, "$package has something to document";
    is_deeply [undocumented($source, @names)], [], "$package: all of it is documented";

    # A check that cannot fail is none.
    my @unnoticed = grep {
        my $name = $_;
        my ($word) = $name =~ /(\w+)/;
        (my $without = $source) =~ s/^=(?:head\d|item) \{?$word\b[^\n]*\n//mg;
        !grep { $_ eq $name } undocumented($without, @names);
    } @names;
    is_deeply \@unnoticed, [], "$package: each function that is not documented would be missed";

    visit($source, sub {
        my ($kind, $text, $section) = @_;
        return if $kind ne 'head2' || $section ne 'METHODS';
        my ($name) = $text =~ /\A(\w+)/;
        ok $package->can($name), "$package has the method $name that is documented";
    });

    my @synopses = examples($source, sub { $_[1] eq 'SYNOPSIS' });
    ok scalar(@synopses), "$package has a synopsis";
    for my $code (@synopses, examples($source, sub { $_[1] eq 'EMBEDDING' && $_[0] !~ /\bpf_/ })) {
        (my $shown = $code) =~ s/\A\s*(.*?);?\n.*/$1/s;
        my $run = run("$READERS_OWN\n{\n$code\n}\n", switches => ['-c'], deadline => 30);
        like $run->err, qr/\A\S+ syntax OK\n\z/, "$package: the example from '$shown' compiles";
    }
    for my $code (examples($source, sub { $_[0] =~ /\bpf_next\(/ })) {
        my $dir = File::Temp->newdir;
        open my $fh, '>', "$dir/host.c" or die "$dir/host.c: $!";
        print {$fh} "$READERS_OWN_C$code\n}\n";
        close $fh or die "$dir/host.c: $!";
        my @cc = (split(' ', $Config{cc}), qw(-std=gnu99 -Wall -Wextra -Werror -pedantic -Iinclude));
        my $run = run(undef, command => [@cc, '-c', '-o', "$dir/host.o", "$dir/host.c"], deadline => 60);
        is $run->status, 0, "$package: the C example compiles" or diag $run->err;
    }
}

done_testing;
