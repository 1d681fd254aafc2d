# Contract 4: Parallel::Prefork is a Class::Accessor::Lite, whose methods make others in the package that calls, in subclasses and,
# since 0.18 has loaded it, in any package.
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $PROGRAM = <<'PERL';
use strict; use warnings; use utf8;
{ package Pool;
  our @ISA = ('Parallel::Prefork');
  __PACKAGE__->mk_ro_accessors(qw(read größe));
  __PACKAGE__->mk_wo_accessors('write'); }
{ package Spare;
  use Parallel::Prefork::SpareWorkers;
  our @ISA = ('Parallel::Prefork::SpareWorkers');
  __PACKAGE__->mk_ro_accessors('read'); }
{ package Plain;
  Class::Accessor::Lite->mk_new_and_accessors(qw(x y)); }
{ package OnlyNew;
  Parallel::Prefork->mk_new; }
{ package Imports;
  BEGIN { Parallel::Prefork->import(rw => ['both'], ro => ['read'], wo => ['write'], new => 1) } }
{ package Inherits;
  our @ISA = ('Class::Accessor::Lite');
  __PACKAGE__->mk_accessors('thing');
  sub new { return bless {}, shift } }

sub show { return join ',', map { ref($_) eq 'ARRAY' ? "[@$_]" : defined $_ ? $_ : 'undef' } @_ }
sub try { my ($name, $code) = @_; print "$name = ", eval { show($code->()) } // "died: $@" =~ s/ at program\.pl line \d+\.\n//r, "\n"; return }

my $pm = Pool->new(trap_signals => {}, read => 5, größe => 6, write => 7);
try 'read' => sub { $pm->read, $pm->größe };
try 'read, stored' => sub { $pm->read(1) };
try 'write' => sub { $pm->write(8), $pm->{write}, $pm->write(1, 2), $pm->write(undef), $pm->{write} };
try 'write, read' => sub { $pm->write };
try 'spare' => sub { Spare->new(trap_signals => {}, min_spare_workers => 1, read => 3)->read };
try 'plain' => sub { my $plain = Plain->new(x => 1, y => 2); ref($plain), $plain->x(3), $plain->x, $plain->y };
try 'new' => sub { map { my $new = $_; ref($new), map { "$_$new->{$_}" } sort keys %$new } OnlyNew->new(a => 1, b => 2), OnlyNew->new({ c => 3 }), OnlyNew->new };
try 'new of a subclass' => sub { @Sub::ISA = ('OnlyNew'); ref(Sub->new) };
try 'import' => sub { my $all = Imports->new(read => 1); $all->both(2), $all->both, $all->read, $all->write(3), $all->{write} };
try 'import, stored' => sub { Imports->new->read(4) };
try 'import, wrong' => sub { Parallel::Prefork->import(ro => 'x') };
try 'class' => sub { my $object = Inherits->new; $object->thing(1), $object->thing };
for my $class (qw(Parallel::Prefork Class::Accessor::Lite)) {
    try $class => sub { grep { $class->can($_) } qw(mk_accessors mk_ro_accessors mk_wo_accessors mk_new mk_new_and_accessors import) };
}
PERL
my $EXPECTED = <<'TEXT';
read = 5,6
read, stored = died: 'main' cannot access the value of 'read' on objects of class 'Pool'
write = 8,undef,[1 2],undef,undef
write, read = died: 'main' cannot alter the value of 'write' on objects of class 'Pool'
spare = 3
plain = Plain,3,3,2
new = OnlyNew,a1,b2,OnlyNew,c3,OnlyNew
new of a subclass = Sub
import = 2,2,1,3,3
import, stored = died: 'main' cannot access the value of 'read' on objects of class 'Imports'
import, wrong = died: value of the 'ro' parameter should be an arrayref
class = 1,1
Parallel::Prefork = mk_accessors,mk_ro_accessors,mk_wo_accessors,mk_new,mk_new_and_accessors,import
Class::Accessor::Lite = mk_accessors,mk_ro_accessors,mk_wo_accessors,mk_new,mk_new_and_accessors,import
TEXT

my $p = run("use Parallel::Prefork;\n$PROGRAM", deadline => 15, switches => ['-w']);
is $p->out, $EXPECTED, 'by itself' or diag $p->err;
is $p->err, '', '... without warnings';

# What stands for the module itself, where that is not there.
my $lib = File::Temp->newdir;
make_path("$lib/Class/Accessor");
open my $module, '>', "$lib/Class/Accessor/Lite.pm" or die $!;
print {$module} <<'PERL';
package Class::Accessor::Lite;
use strict;
our $VERSION = '0.08';
sub import { return 'the module' }
sub mk_accessors { no strict 'refs'; my ($class, @names) = @_; my $into = caller; *{"${into}::$_"} = sub { return 'the module' } for @names; return }
sub mk_ro_accessors { goto &mk_accessors }
1;
PERL
close $module or die $!;
for my $order ('require Class::Accessor::Lite; require Parallel::Prefork;', 'require Parallel::Prefork; require Class::Accessor::Lite;') {
    $p = run(<<"PERL", deadline => 15, switches => ['-w', "-I$lib"]);
BEGIN { $order }
{ package Pool; our \@ISA = ('Parallel::Prefork'); __PACKAGE__->mk_accessors('a'); __PACKAGE__->mk_ro_accessors('r'); }
{ package Other; Class::Accessor::Lite->mk_accessors('a'); }
my \$pm = Pool->new(trap_signals => {}, a => 1, r => 2);
print \$pm->isa('Class::Accessor::Lite') ? 'is' : 'is not', ' ', defined \$pm->a ? 'a' : '', ' ', defined \$pm->r ? 'r' : '', ' ', (Other->can('a') ? 'other' : ''), "\\n";
PERL
    is $p->out, "is a r other\n", $order or diag $p->err;
    is $p->err, '', '... without warnings';
}

done_testing;
