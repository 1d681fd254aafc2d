package Facts;

# Programs that print what they see, a line for each fact: "NAME = VALUE".

use strict;
use warnings;

use Exporter qw(import);
use ProcessTest;
use Test::More;

our @EXPORT = qw(facts);

# facts(TITLE, SOURCE, options of ProcessTest's run)
#
# Runs a program, which has to end with status 0, or with `status`; returns its facts as a hash. What it has written
# to STDERR goes into the variable that `err` refers to.
sub facts {
    my ($title, $source, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $status  = delete $options{status} || 0;
    my $err     = delete $options{err};
    my $program = run("use strict;\nuse warnings;\n$source", deadline => 15, %options);
    is $program->status, $status, "$title: the program ends as it should"
        or diag $program->timed_out ? "it was ended at its deadline\n" : '', $program->err;
    $$err = $program->err if $err;
    return $program->out =~ /^(.+?) = (.*)$/mg;
}

1;
