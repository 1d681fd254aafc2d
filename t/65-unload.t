# An interpreter inside a program, such as one of mod_perl, may take modules' objects out of memory before it has
# destroyed everything, or before another one loads them again.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $run = run(<<'PERL');
use Parallel::Prefork;
my $kept = Parallel::Prefork->new({ max_workers => 2, trap_signals => { USR1 => undef } });
my $pm = Parallel::Prefork->new({ max_workers => 2, trap_signals => { TERM => 'TERM' } });
my ($at) = grep { $DynaLoader::dl_modules[$_] eq 'Parallel::Prefork' } 0 .. $#DynaLoader::dl_modules;
defined $at or die 'it is not loaded';
print 'unloaded: ', DynaLoader::dl_unload_file($DynaLoader::dl_librefs[$at]), "\n";
splice @DynaLoader::dl_librefs, $at, 1;
undef $kept;
$pm->after_fork(sub { kill TERM => $$ });
$pm->start(sub { sleep 60 });
$pm->wait_all_children;
print 'stopped by ', $pm->signal_received, "\n";
require XSLoader;
{
    package Parallel::Prefork;
    no warnings 'redefine';
    XSLoader::load('Parallel::Prefork', $Parallel::Prefork::VERSION);
}
print 'loaded again: ', Parallel::Prefork->new({})->max_workers, "\n";
PERL
is $run->status, 0, 'a program whose perl unloads the module lives on';
is $run->out, "unloaded: 1\nstopped by TERM\nloaded again: 10\n",
    'the managers of a program whose perl unloads the module work';
is $run->err, '', 'a program whose perl unloads the module has nothing to say';

done_testing;
