# Contract 20: SpareWorkers exports two constants as Exporter does, which subclasses inherit.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $p = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers ();
sub imports {
    my ($class, @names) = @_;
    our $into;
    $into++;
    eval "package Into$into; \$class->import(\@names); 1" or print 'died, ';
    no strict 'refs';
    print "@names: ", join(' ', grep { defined &{"Into${into}::$_"} } qw(STATUS_IDLE STATUS_NEXIST thing other)), "\n";
    return;
}
my $class = 'Parallel::Prefork::SpareWorkers';
imports($class);
imports($class, 'STATUS_IDLE');
imports($class, '&STATUS_IDLE');
imports($class, ':status');
imports($class, ':all', '!STATUS_IDLE');
imports($class, '/STATUS_N/');
{ package Sub;
  our @ISA       = ('Parallel::Prefork::SpareWorkers');
  our @EXPORT    = ('thing');
  our @EXPORT_OK = ('other');
  our %EXPORT_TAGS = (both => ['thing', 'other']);
  sub thing { return 1 }
  sub other { return 2 } }
imports('Sub');
imports('Sub', 'other');
imports('Sub', ':both');
{ package Quiet;
  our @ISA = ('Parallel::Prefork::SpareWorkers'); }
imports('Quiet');
PERL
is $p->out, <<'TEXT', 'the constants, and what a subclass exports' or diag $p->err;
: 
STATUS_IDLE: STATUS_IDLE
&STATUS_IDLE: STATUS_IDLE
:status: STATUS_IDLE STATUS_NEXIST
:all !STATUS_IDLE: STATUS_NEXIST
/STATUS_N/: STATUS_NEXIST
: thing
other: other
:both: thing other
: 
TEXT

done_testing;
