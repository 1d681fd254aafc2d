package CLibrary;

# The C library as c/Makefile installs it, and the commands of somebody who uses it.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use SourceTree;
use Test::More;
use TextFiles;

our @EXPORT = qw(installed_library shell_ok functions_in_the_headers functions_on_the_list);

# Runs a line of shell, which has to succeed; returns what it printed.
sub shell_ok {
    my ($command, $name, %env) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $run = in_dir('.', $command, env => \%env);
    is $run->status, 0, $name or diag "$command\n", $run->out;
    return $run->out;
}

# A folder that the library was installed into, as PREFIX; it goes when the test does.
sub installed_library {
    my $prefix = File::Temp->newdir('prefork-installed-XXXXXX', TMPDIR => 1);
    my $run = in_dir('.', "make -C c install PREFIX=$prefix");
    $run->status == 0 or die "make -C c install fails:\n", $run->out;
    return $prefix;
}

sub functions_in_the_headers {
    my $headers = join '', map { slurp("include/$_") } qw(prefork.h prefork-host.h);
    $headers =~ s{//.*}{}g;
    return [sort $headers =~ /^\w[^;{}()]*\b(pf_\w+)\(/mg];
}

sub functions_on_the_list { return [slurp('c/symbols') =~ /^(\w+)$/mg] }

1;
