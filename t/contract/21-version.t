# Contract 21: $Parallel::Prefork::VERSION is a plain number, not below 0.18: programs
# compare it, and demand it in their `use` lines.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = run(<<'PERL', deadline => 15);
use strict;
use warnings FATAL => 'all';
use Parallel::Prefork 0.18;

print "numeric\n" if $Parallel::Prefork::VERSION >= 0.18;
print "as a string\n" if "$Parallel::Prefork::VERSION" >= 0.18;
print "method\n" if Parallel::Prefork->VERSION(0.17) >= 0.18;
PERL
is $program->line, 'numeric',     'the version is at least 0.18 in a numeric comparison';
is $program->line, 'as a string', 'and so is the string that it prints as';
is $program->line, 'method',      'VERSION(0.17) is content and returns it';
is $program->err,  '',            'no comparison warns';

my $demands = run(<<'PERL', deadline => 15);
eval { Parallel::Prefork->VERSION(9999); 1 } and print "content\n";
require Parallel::Prefork;
eval { Parallel::Prefork->VERSION(9999); 1 } or print $@;
PERL
like $demands->out, qr/\AParallel::Prefork version 9999 required/,
    'a version that is not there yet is refused';

done_testing;
