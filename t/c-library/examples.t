# Each example is compiled by the line in its first comment, where the library is installed, and
# works: as somebody does who has copied it.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CLibrary;
use ExampleTest;
use ProcessTest;

my $prefix = installed_library();
my %env = (
    PKG_CONFIG_PATH         => "$prefix/lib/pkgconfig",
    LD_LIBRARY_PATH         => "$prefix/lib",
    PYTHONDONTWRITEBYTECODE => 1,
);
my $is_ci   = ($ENV{CI} || '') eq 'true';
my %missing = (
    $is_ci || has_header('ev.h') ? () : (ev => 'libev-dev is missing'),
    $is_ci || has_python()       ? () : (py => 'python3 is missing'),
);
my $dir = File::Temp->newdir('prefork-examples-XXXXXX', TMPDIR => 1);

for my $source (sort glob 'examples/*.{c,py}') {
    my ($name, $language) = $source =~ m{([^/]+)\.(\w+)\z};
    if (my ($why) = grep { defined } @missing{ $name, $language }) {
        SKIP: { skip $why, 1 }
        next;
    }
    open my $fh, '<', $source or die "$source: $!";
    my $text = do { local $/; <$fh> };
    my @command = "$dir/$name";
    if ($language eq 'py') {
        @command = ('python3', $source);
    }
    else {
        my ($line) = $text =~ m{\A/\*.*?^ \*     (cc .*?)$}ms;
        ok defined $line && $line =~ /\Acc -o $name $name\.c /, "$source says how it is compiled"
            or next;
        shell_ok("cp $source $dir && cd $dir && $line", $line, %env);
    }
    my $program = start_program(undef, command => \@command, env => \%env);
    like $program->line, qr/\Amanager\b/, "$source runs";
    $program->signal('TERM');
    is $program->wait, 0, "$source runs until TERM";
    is_deeply [$program->members], [], "$source leaves nobody";
    is $program->err, '', "$source says nothing of errors";
}

done_testing;
