# The man pages of the C library: they cover whatever the header declares, each thing once, they
# render without a warning, and the code in them compiles.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(mkpath);
use File::Temp ();
use Pod::Checker ();
use Pod::Simple::SimpleTree ();
use Test::More;

use lib 't/lib';
use CProgram;
use ProcessTest;
use TextFiles;

# What script/man reads.
my @SOURCES = (
    qw(script/man include/prefork.h include/prefork-host.h Cargo.toml Changes), glob('man/*.pod'), glob('examples/*.c'),
);

# What the short pieces of code leave to the reader.
my $READERS_OWN = <<'C';
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <prefork.h>
int host(pf_t *pf, pf_scoreboard_t *scoreboard, void (*serve)(void));
int host(pf_t *pf, pf_scoreboard_t *scoreboard, void (*serve)(void))
{
    (void)pf, (void)scoreboard, (void)serve;
C

my @STRICT = qw(-Wall -Wextra -Werror -pedantic);

# A copy of the sources, to be broken.
sub copy_of_the_tree {
    my $tree = File::Temp->newdir;
    for my $file (@SOURCES) {
        mkpath(dirname("$tree/$file"));
        copy($file, "$tree/$file") or die "cannot copy $file: $!";
    }
    return $tree;
}

# Runs script/man of a tree; the program, finished.
sub make_pages {
    my ($tree, $outdir, %opt) = @_;
    my @command = ($^X, "$tree/script/man", @{ $opt{options} || [] }, $outdir);
    my $run = start_program(undef, command => \@command, env => $opt{env} || {}, deadline => 60);
    $run->wait;
    return $run;
}

# What a command has printed, both ways, and its raw status.
sub output_of {
    my (@command) = @_;
    my %env = (
        LC_ALL => 'C.UTF-8', MANWIDTH => 100, MAN_KEEP_FORMATTING => '', MANROFFOPT => '', MANOPT => '',
    );
    my $run = start_program(undef, command => \@command, env => \%env, deadline => 60);
    # A pipe holds 64 kB, and a page may be longer.
    1 while defined $run->line;
    $run->wait;
    return ($run->out, $run->err, $run->status);
}

sub verbatim_blocks {
    my $pod = shift;
    my @blocks;
    my $walk;
    $walk = sub {
        my ($kind, undef, @children) = @{ $_[0] };
        if ($kind eq 'Verbatim') {
            push @blocks, join '', @children;
        }
        else {
            ref and $walk->($_) for @children;
        }
        return;
    };
    $walk->(Pod::Simple::SimpleTree->new->parse_string_document($pod)->root);
    s/^    //gm for @blocks;
    return @blocks;
}

sub is_program { return $_[0] =~ /^int main\(/m }

# Functions that stand alone: a file, without main.
sub is_functions { return $_[0] =~ /^static /m && !is_program($_[0]) }

my $made = File::Temp->newdir;
my $run  = make_pages('.', $made, options => ['--html', '--pod']);
is $run->status, 0, 'script/man makes the pages' or diag $run->err;
is $run->out . $run->err, '', 'script/man has nothing to say';

my %pod  = map { basename($_, '.pod') => slurp($_) } glob "$made/pod/*.pod";
my %roff = map { basename($_, '.3') => slurp($_) } glob "$made/man3/*.3";
cmp_ok scalar(keys %pod), '>=', 8, 'an overview, and a page for each group';

# By other means than script/man's own.
(my $code = slurp('include/prefork.h') . slurp('include/prefork-host.h')) =~ s{//[^\n]*}{}g;
my %declared = map { $_ => 1 } $code =~ /\b(pf_\w+|PF_\w+)\b/g;
my @declared = sort keys %declared;
my $library  = Cwd::abs_path('blib/arch/auto/Parallel/Prefork/libprefork.so.1');
my ($symbols) = output_of('nm', '-D', '--defined-only', $library);
my %exported = map { $_ => 1 } $symbols =~ /\b(pf_\w+)\b/g;
cmp_ok scalar(keys %exported), '>', 50, 'the library exports functions';
is_deeply [grep { !$declared{$_} } sort keys %exported], [],
    'the header declares all functions that the library exports';

subtest 'each declared name is described once' => sub {
    for my $name (@declared) {
        # A function has a heading with its parameters, a value of an enum is an item.
        my $place = qr/^=(?:head2|item) (?:B<)?$name\b(?!\(3\))/m;
        my @on    = map { ($_) x (() = $pod{$_} =~ /$place/g) } sort keys %pod;
        is scalar(@on), 1, $name or diag "on: @on";
    }
};

subtest 'each function and type has a page under its name' => sub {
    for my $name (grep { /\Apf_/ } @declared) {
        my ($target) = ($roff{$name} // '') =~ m{\A\.so man3/([\w-]+)\.3\n\z} or do {
            fail("$name is not a link");
            next;
        };
        like $pod{$target}, qr/^=head1 NAME\n\n$target, [^\n]*\b$name\b[^\n]* - /m, "$name is in the NAME of $target";
        like $pod{$target}, qr/^=head1 SYNOPSIS\n\n[^=]*\b$name\(/m, '... and in its SYNOPSIS' if $exported{$name};
    }
    is_deeply [grep { !$pod{$_} && !$declared{$_} } sort keys %roff], [], 'no other name has a page';
};

my ($version) = slurp('Cargo.toml') =~ /^version = "(.*)"/m;
my %shown;
for my $name (sort keys %pod) {
    my $checker = Pod::Checker->new(-warnings => 2);
    open my $in,      '<', \$pod{$name} or die $!;
    open my $remarks, '>', \my $said or die $!;
    $checker->parse_from_file($in, $remarks);
    close $remarks;
    is $checker->num_errors + $checker->num_warnings, 0, "$name: nothing for podchecker to say" or diag $said;

    my $file = "$made/man3/$name.3";
    my (undef, $warnings, $status) = output_of(qw(man --warnings -E UTF-8 -l -Tutf8 -Z), $file);
    is "$status $warnings", '0 ', "$name: nothing for groff to warn of";
    my ($entries) = output_of('lexgrog', $file);
    like $entries, qr/: "\Q$name\E - \w/, "$name: whatis(1) can read its NAME";
    ($shown{$name}) = output_of('man', '-l', $file);
    like $shown{$name}, qr/^libprefork \Q$version\E .*\Q$name\E\(3\)$/m, "$name: the page tells the release";
    unlike $shown{$name}, qr/\x{e2}\x{80}\x{90}$/m, "$name: no word is broken, which may be a name";
}

my ($page) = output_of('man', '-M', "$made", '3', 'pf_start');
like $page, qr/^NAME\n\s+prefork-start, /m, 'man pf_start shows the page that has it';

subtest 'code in the pages' => sub {
    my $scratch   = File::Temp->newdir;
    my %is_source = map { (slurp($_) =~ s/\s+\z//r) => 1 } glob 'examples/*.c';
    my ($programs, $pieces) = (0, 0);
    for my $name (sort keys %pod) {
        # How far man(1) indents text is for groff's version to say.
        my ($margin) = $shown{$name} =~ /^NAME\n( +)/m;
        for my $block (verbatim_blocks($pod{$name})) {
            my ($first) = $block =~ /\A(.{0,40})/;
            (my $indented = $block) =~ s/^(?=.)/$margin    /gm;
            ok index($shown{$name}, $indented) >= 0, "$name: '$first' can be copied from what man(1) shows";
            # man(1) puts 11 columns before it, or less.
            is_deeply [$is_source{$block} ? () : grep { length > 69 } split /\n/, $block], [],
                "$name: '$first' fits into 80 columns";
            if (is_program($block)) {
                $programs++;
                for my $std (qw(-std=gnu99 -std=gnu17)) {
                    spew("$scratch/program.c", $block);
                    ok eval { compile("$scratch/program.c", $std, @STRICT) }, "$name: '$first' compiles with $std"
                        or diag $@;
                }
            }
            elsif (is_functions($block)) {
                $pieces++;
                spew("$scratch/functions.c", "$block\nint main(void) { return 0; }\n");
                ok eval { compile("$scratch/functions.c", '-std=gnu99', @STRICT, '-Wno-unused-function') },
                    "$name: '$first' compiles, as functions"
                    or diag $@;
            }
            elsif ($block =~ /;$/m && $block !~ /\A#include/) {
                $pieces++;
                spew("$scratch/piece.c", "$READERS_OWN$block\nreturn 0;\n}\nint main(void) { return 0; }\n");
                ok eval { compile("$scratch/piece.c", '-std=gnu99', @STRICT) }, "$name: '$first' compiles, as a piece"
                    or diag $@;
            }
        }
    }
    cmp_ok $programs, '>=', 4, 'there are whole programs';
    cmp_ok $pieces, '>=', 3, 'there are pieces of programs';
};

sub programs_of {
    my $name = shift;
    return grep { is_program($_) } verbatim_blocks($pod{$name});
}

for my $included (['prefork-pull', 'examples/pull.c'], ['prefork-start', 'examples/workers.c']) {
    my ($name, $file) = @$included;
    is_deeply [programs_of($name)], [slurp($file) =~ s/\s+\z//r], "$name shows $file as it is";
}

# Starts the program of a page.
sub start_program_of {
    my $name = shift;
    my $dir  = File::Temp->newdir;
    spew("$dir/program.c", programs_of($name));
    return start_program(undef, command => [compile("$dir/program.c", @STRICT)], deadline => 60);
}

subtest 'the program of prefork(3) works' => sub {
    my $manager       = start_program_of('prefork');
    my $three_workers = sub {
        my %pid_of;
        for (1 .. 3) {
            my ($index, $pid) = ($manager->line // '') =~ /\Aworker (\d) is process (\d+)\z/ or next;
            $pid_of{$index} = $pid;
        }
        return \%pid_of;
    };
    my $first = $three_workers->();
    is join(' ', sort keys %$first), '0 1 2', 'the program of the page has three workers';
    $manager->signal('HUP');
    my $second = $three_workers->();
    is join(' ', sort keys %$second), '0 1 2', 'the program of the page has three workers after HUP';
    my %old = map { $_ => 1 } values %$first;
    is_deeply [grep { $old{$_} } values %$second], [], 'the program of the page has other workers after HUP';
    $manager->signal('TERM');
    is $manager->wait, 0, 'the program of the page ends on TERM';
    is_deeply [$manager->members], [], 'the program of the page leaves nobody';
};

subtest 'the program of prefork-hooks(3) works' => sub {
    my $manager = start_program_of('prefork-hooks');
    is $manager->wait, 0, 'the program of prefork-hooks ends by itself';
    my $out = $manager->out;
    is join(' ', sort $out =~ /^job (\d) is done: \d+$/mg), '0 1 2 3 4',
        'the program of prefork-hooks has done five jobs, each once';
    is join(' ', sort $out =~ /^process (\d+): \d+\.\d\d s$/mg),
        join(' ', sort $out =~ /^job \d is process (\d+)$/mg),
            'the program of prefork-hooks has seen the ends of its jobs';
    unlike $out, qr/killed/, 'no worker of the program of prefork-hooks was killed';
    is_deeply [$manager->members], [], 'the program of prefork-hooks leaves nobody';
};

subtest 'links of the HTML pages' => sub {
    my %html = map { basename($_) => slurp($_) } glob "$made/html/*.html";
    is_deeply [sort keys %html], [sort map { "$_.html" } keys %pod], 'every page is there';
    my $links = 0;
    for my $name (sort keys %html) {
        for my $url ($html{$name} =~ /href="([^"]*)"/g) {
            my ($file, $id) = $url =~ /\A([^#]*)(?:#(.*))?\z/;
            $file = $name if $file eq '';
            $links++;
            next if $html{$file} && (!defined $id || $html{$file} =~ /\bid="\Q$id\E"/);
            fail("$name: $url leads nowhere");
        }
    }
    cmp_ok $links, '>', 200, 'all of them lead somewhere';
};

subtest 'the same pages, whenever and wherever' => sub {
    my $elsewhere = copy_of_the_tree();
    my $again     = File::Temp->newdir;
    my %env = (
        SOURCE_DATE_EPOCH => 1, POD_MAN_DATE => '1999-12-31', TZ => 'Asia/Tokyo', LC_ALL => 'C',
        PERL_HASH_SEED    => 7,
    );
    is make_pages($elsewhere, $again, options => ['--html', '--pod'], env => \%env)->status, 0, 'made again';
    my @files = map { s{\A\Q$made\E/}{}r } glob "$made/*/*";
    is_deeply [grep { slurp("$made/$_") ne slurp("$again/$_") } @files], [], 'nothing differs';
};

subtest 'release and date' => sub {
    my $tree   = copy_of_the_tree();
    my $outdir = File::Temp->newdir;
    spew("$tree/Cargo.toml", slurp('Cargo.toml') =~ s/^version = .*/version = "7.8.9"/mr);
    for my $heading (['7.08 / 7.8.9', ''],
        ['7.08 / 7.8.9  2031-12-24', '2031-12-24'], ['7.8.9 (2031-12-24)', '2031-12-24']) {
        my ($line, $date) = @$heading;
        spew("$tree/Changes", "7.08 / 7.8.8  2030-01-01\n$line\n    Older things.\n6.00 / 6.0.0  2029-01-01\n");
        is make_pages($tree, $outdir)->status, 0, "Changes says '$line'";
        like slurp("$outdir/man3/prefork.3"), qr/^\.TH "?prefork"? "?3"? "?\Q$date\E"? "libprefork 7\.8\.9"/m,
            'the page tells of the release as Changes does';
    }
};

# A check that cannot fail is none. Changes a file of the tree; script/man has to complain.
sub refused {
    my ($file, $change, $complaint) = @_;
    my $tree    = copy_of_the_tree();
    my $outdir  = File::Temp->newdir;
    my $changed = $change->(slurp($file));
    isnt $changed, slurp($file), "$file has changed";
    spew("$tree/$file", $changed);
    my $broken = make_pages($tree, $outdir);
    isnt $broken->status, 0, "script/man fails where $file is wrong";
    like $broken->err, $complaint, "script/man says what is wrong in $file";
    is_deeply [glob "$outdir/*"], [], "script/man makes nothing where $file is wrong";
    return;
}

for my $name (grep { !/\APF_(?:OK|IN|ERR|EVENT|REASON|CAUSE|LEAD|STOP)/ } @declared) {
    my ($file) = grep { slurp($_) =~ /^=for prefork .*\b$name\b/m } glob 'man/*.pod';
    my $without = sub { $_[0] =~ s/^(=for prefork .*?) ?\b$name\b/$1/mr };
    subtest "$name would be missed" => sub {
        refused($file, $without, qr{^script/man: $name of include/prefork[\w-]*\.h is on no page}m);
    };
}

my @BROKEN = (
    ['described twice', 'man/prefork-start.pod', sub { "$_[0]\n=for prefork pf_trap_signal\n" },
        qr{pf_trap_signal is described twice: in man/prefork-\w+\.pod and man/prefork-\w+\.pod}],
    ['a new function', 'include/prefork.h',
        sub { $_[0] =~ s{^(// The version of the library)}{void pf_new_one(void);\n\n$1}mr },
        qr{pf_new_one of include/prefork\.h is on no page}],
    ['a function that is gone', 'include/prefork-host.h', sub { $_[0] =~ s/^double pf_spawn_delay.*\n//mr },
        qr{man/prefork-host\.pod: no header has pf_spawn_delay}],
    ['a name that there is not', 'man/prefork.pod', sub { $_[0] =~ s/C<pf_new>/C<pf_create>/r },
        qr{man/prefork\.pod: there is no pf_create}],
    ['a code that there is not', 'man/prefork.pod', sub { $_[0] =~ s/B<PF_ERR_NULL>/B<PF_ERR_NIL>/r },
        qr{man/prefork\.pod: there is no PF_ERR_NIL}],
    ['a name in a comment that there is not', 'include/prefork.h', sub { $_[0] =~ s/by pf_new,/by pf_make,/r },
        qr{pf_t: the comment names pf_make, which there is not}],
    ['a page that there is not', 'man/prefork.pod', sub { $_[0] =~ s/L<prefork-pull\(3\)>/L<prefork-push(3)>/r },
        qr{man/prefork\.pod: there is no page prefork-push\(3\)}],
    ['a page that the overview leaves out', 'man/prefork.pod', sub { $_[0] =~ s/ prefork-errors / /r },
        qr{does not name prefork-errors}],
    ['an unknown directive', 'man/prefork.pod', sub { "$_[0]\n=for prefork nonsense\n" },
        qr{man/prefork\.pod: no such directive: =for prefork nonsense}],
    ['a file that is not there', 'man/prefork.pod', sub { "$_[0]\n=for prefork include examples/none.c\n" },
        qr{cannot read examples/none\.c}],
    ['no caller', 'include/prefork.h',
        sub { $_[0] =~ s{^// Called by: manager\.\n(//(?:(?!\n\n).)*?pf_result pf_start\()}{//\n$1}msr },
        qr{pf_start: the comment has no paragraph "Called by: "}],
    ['an unknown caller', 'include/prefork.h', sub { $_[0] =~ s{^(// Called by: manager), hook}{$1, everybody}mr },
        qr{: "Called by:" is a list of manager, worker, .*, not 'everybody'}],
    ['no errors', 'include/prefork.h',
        sub { $_[0] =~ s{^// # Errors\n((?:// (?!# Errors)[^\n]*\n|//\n)*pf_result pf_start\()}{$1}mr },
        qr{pf_start returns pf_result, and its comment has no section "# Errors"}],
    ['an unknown section', 'include/prefork.h', sub { $_[0] =~ s{^// # Errors\n}{// # Panics\n}mr },
        qr{no page shows the section "# Panics"}],
    ['a parameter without a word', 'include/prefork.h', sub { $_[0] =~ s/`interval`/it/gr },
        qr{pf_set_spawn_interval: the comment does not say what `interval` is}],
    ['a time without a unit', 'include/prefork.h', sub { $_[0] =~ s/\bseconds\b/ticks/gr },
        qr{pf_set_spawn_interval: the comment does not say that `interval` is in seconds}],
    ['an enum value without a comment', 'include/prefork.h', sub { $_[0] =~ s{^  // [^\n]*\n(  PF_OK = 0)}{$1}mr },
        qr{pf_result: PF_OK has no comment}],
    ['a member without a comment', 'include/prefork.h', sub { $_[0] =~ s{^  // [^\n]*\n(  int32_t pid;)}{$1}mr },
        qr{pf_event: pid has no comment}],
    ['a macro without a comment', 'include/prefork.h', sub { $_[0] =~ s{^// [^\n]*\n(#define PF_VERSION )}{$1}mr },
        qr{PF_VERSION has no comment}],
    ['what cannot be read', 'include/prefork.h',
        sub { $_[0] =~ s/^(size_t pf_num_workers)/union pf_u { int i; };\n$1/mr },
        qr{include/prefork\.h line \d+: not understood: union pf_u}],
    ['a declaration without an end', 'include/prefork.h', sub { "$_[0]\nvoid pf_endless(\n" },
        qr{include/prefork\.h line \d+: a declaration without an end}],
    ['an item without a list', 'man/prefork-workers.pod', sub { "$_[0]\n=item index\n" },
        qr{script/man: man/prefork-workers\.pod: POD document had syntax errors}],
    ['a page without a name', 'man/prefork-pull.pod', sub { $_[0] =~ s/^prefork-pull - /pull - /mr },
        qr{man/prefork-pull\.pod does not begin with =head1 NAME}],
);
for my $broken (@BROKEN) {
    my ($name, @change) = @$broken;
    subtest "refused: $name" => sub { refused(@change) };
}

subtest 'wrong arguments' => sub {
    for my $arguments ([], ['a', 'b'], ['--nonsense', 'a']) {
        my (undef, $said, $status) = output_of($^X, 'script/man', @$arguments);
        isnt $status, 0, "script/man @$arguments fails";
        like $said, qr/^usage: script\/man/m, "script/man @$arguments says how it is called";
    }
};

done_testing;
