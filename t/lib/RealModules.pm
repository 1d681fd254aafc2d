package RealModules;

# Real modules of others in the process of the program under test. script/modules fetches them; installed ones do as
# well.

use strict;
use warnings;

use Cwd ();
use Exporter qw(import);
use File::Basename qw(dirname);
use Test::More;

our @EXPORT = qw(need_modules);

my $tree = Cwd::abs_path(dirname(__FILE__) . '/../..');

# need_modules(NAME...)
#
# Lets the test, and the programs that ProcessTest runs for it, load these modules; skips the test where one is
# missing, which in CI is a failure. A module may not load in the test's own process as it does in a program, so each is
# tried in one of its own.
sub need_modules {
    my @names = @_;
    if (my @missing = grep { !_loads($_) } @names) {
        chomp(my @options = `cd "$tree" && script/modules 2>&1`);
        my @folders = map { /^-I(.*)/ ? $1 : () } @options;
        # Behind all others: what is tested is not to come from there.
        push @INC, @folders;
        @missing = grep { !_loads($_) } @missing or return;
        my $text = "missing: @missing (" . (@folders ? 'script/modules fetches them' : $options[-1] // '') . ')';
        plan skip_all => $text if ($ENV{CI} || '') ne 'true';
        fail $text;
        done_testing;
        exit 1;
    }
    return;
}

sub _loads {
    my $module = shift;
    my $pid = open my $output, '-|';
    defined $pid or die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $^X, (map { "-I$_" } grep { !ref } @INC), '-e', "require $module; exit 0" or exit 127;
    }
    my @said = <$output>;
    return close $output;
}

1;
