# Contract 20: SpareWorkers exports two constants as Exporter does, which subclasses inherit.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers ();

{
    package Exports;
    our @ISA         = ('Parallel::Prefork::SpareWorkers');
    our @EXPORT      = ('thing');
    our @EXPORT_OK   = ('other');
    our %EXPORT_TAGS = (both => ['thing', 'other']);
    sub thing { return 1 }
    sub other { return 2 }
}
{
    package Quiet;
    our @ISA = ('Parallel::Prefork::SpareWorkers');
}

my ($class, @names) = @ARGV;
eval "package Into; \$class->import(\@names); 1" or print 'died, ';
no strict 'refs';
my @imported = grep { defined &{"Into::$_"} } qw(STATUS_IDLE STATUS_NEXIST thing other);
print join(' ', map { "$_=" . &{"Into::$_"} } @imported), "\n";
PERL

my $spare = 'Parallel::Prefork::SpareWorkers';
for my $case (
    [$spare, [], '', 'nothing is exported that was not asked for'],
    [$spare, ['STATUS_IDLE'],           'STATUS_IDLE=_', 'a constant can be had by its name'],
    [$spare, ['&STATUS_IDLE'],          'STATUS_IDLE=_', 'a constant can be had by its name with &'],
    [$spare, [':status'],               'STATUS_IDLE=_ STATUS_NEXIST=.', ':status exports both constants'],
    [$spare, [':all'],                  'STATUS_IDLE=_ STATUS_NEXIST=.', ':all exports both constants'],
    [$spare, [':all', '!STATUS_IDLE'],  'STATUS_NEXIST=.', 'a constant can be left out of a tag'],
    [$spare, ['/STATUS_N/'],            'STATUS_NEXIST=.', 'a constant can be had by a pattern'],
    ['Exports', [],        'thing=1', 'a subclass exports what is in its @EXPORT'],
    ['Exports', ['other'], 'other=2', 'a subclass exports what is in its @EXPORT_OK, when it is asked to'],
    ['Exports', [':both'], 'thing=1 other=2', 'a subclass exports its tags'],
    ['Quiet',   [],        '', 'a subclass that says nothing of exports exports nothing'],
) {
    my ($class, $names, $expected, $promise) = @$case;
    my $p = run($program, args => [$class, @$names], deadline => 15);
    is $p->out, "$expected\n", $promise or diag $p->err;
}

# In a use line: the constants are there when the rest is compiled.
my $used = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);
print STATUS_NEXIST, ' ', STATUS_IDLE, "\n";
PERL
is $used->out, ". _\n", 'a use line imports the constants before the rest is compiled';

done_testing;
