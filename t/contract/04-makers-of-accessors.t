# Contract 4: Parallel::Prefork is a Class::Accessor::Lite, whose methods make others in the package that calls, in
# subclasses and, since 0.18 has loaded it, in any package.
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use strict;
use warnings;
use utf8;
{
    package Pool;
    our @ISA = ('Parallel::Prefork');
    __PACKAGE__->mk_ro_accessors(qw(read größe));
    __PACKAGE__->mk_wo_accessors('write');
}
{
    package Spare;
    use Parallel::Prefork::SpareWorkers;
    our @ISA = ('Parallel::Prefork::SpareWorkers');
    __PACKAGE__->mk_ro_accessors('read');
}
{
    package Plain;
    Class::Accessor::Lite->mk_new_and_accessors(qw(x y));
}
{
    package OnlyNew;
    Parallel::Prefork->mk_new;
}
{
    package Imports;
    BEGIN { Parallel::Prefork->import(rw => ['both'], ro => ['read'], wo => ['write'], new => 1) }
}
{
    package Inherits;
    our @ISA = ('Class::Accessor::Lite');
    __PACKAGE__->mk_accessors('thing');
    sub new { return bless {}, shift }
}

sub shown { return join ',', map { ref($_) eq 'ARRAY' ? "[@$_]" : defined $_ ? $_ : 'undef' } @_ }

# Prints what the code returns, in a list, or what it dies of.
sub try {
    my ($name, $code) = @_;
    my $shown = eval { shown($code->()) } // "died: $@" =~ s/ at program\.pl line \d+\.\n//r;
    print "$name = $shown\n";
    return;
}

my $pm = Pool->new(trap_signals => {}, read => 5, größe => 6, write => 7);
try 'read only' => sub { return ($pm->read, $pm->größe) };
try 'read only, stored' => sub { return $pm->read(1) };
try 'write only' => sub {
    return ($pm->write(8), $pm->{write}, $pm->write(1, 2), $pm->write(undef), $pm->{write});
};
try 'write only, read' => sub { return $pm->write };
try 'spare' => sub { return Spare->new(trap_signals => {}, min_spare_workers => 1, read => 3)->read };
try 'plain' => sub {
    my $plain = Plain->new(x => 1, y => 2);
    return (ref($plain), $plain->x(3), $plain->x, $plain->y);
};
try 'new of a list' => sub {
    my $object = OnlyNew->new(a => 1, b => 2);
    return (ref($object), map { "$_$object->{$_}" } sort keys %$object);
};
try 'new of a hash' => sub {
    my $object = OnlyNew->new({ c => 3 });
    return (ref($object), map { "$_$object->{$_}" } sort keys %$object);
};
try 'new of nothing' => sub {
    my $object = OnlyNew->new;
    return (ref($object), map { "$_$object->{$_}" } sort keys %$object);
};
try 'new of a subclass' => sub {
    @Subclass::ISA = ('OnlyNew');
    return ref(Subclass->new);
};
try 'import' => sub {
    my $all = Imports->new(read => 1);
    return ($all->both(2), $all->both, $all->read, $all->write(3), $all->{write});
};
try 'import, stored' => sub { return Imports->new->read(4) };
try 'import, wrong' => sub { return Parallel::Prefork->import(ro => 'x') };
try 'class' => sub {
    my $object = Inherits->new;
    return ($object->thing(1), $object->thing);
};
my @makers = qw(mk_accessors mk_ro_accessors mk_wo_accessors mk_new mk_new_and_accessors import);
for my $class (qw(Parallel::Prefork Class::Accessor::Lite)) {
    try $class => sub { return grep { $class->can($_) } @makers };
}
PERL

my $p = run("use Parallel::Prefork;\n$program", deadline => 15, switches => ['-w']);
my %saw = $p->out =~ /^(.+?) = (.*)$/mg;
is $p->err, '', 'the makers of accessors give no warning';

my $makers = 'mk_accessors,mk_ro_accessors,mk_wo_accessors,mk_new,mk_new_and_accessors,import';
for my $case (
    ['read only'  => '5,6', 'mk_ro_accessors makes methods that read'],
    ['write only' => '8,undef,[1 2],undef,undef', 'mk_wo_accessors makes methods that store'],
    ['spare'             => '3', 'a subclass of SpareWorkers can make accessors'],
    ['plain'             => 'Plain,3,3,2', 'Class::Accessor::Lite makes new and accessors in any package'],
    ['new of a list'     => 'OnlyNew,a1,b2', 'mk_new makes a new that takes a list'],
    ['new of a hash'     => 'OnlyNew,c3', 'mk_new makes a new that takes a hash'],
    ['new of nothing'    => 'OnlyNew', 'mk_new makes a new that needs no arguments'],
    ['new of a subclass' => 'Subclass', 'a new that mk_new has made makes objects of subclasses'],
    ['import'            => '2,2,1,3,3', 'import makes what it is asked for'],
    ['class'             => '1,1', 'a class may inherit from Class::Accessor::Lite'],
    ['Parallel::Prefork' => $makers, 'Parallel::Prefork can make all kinds'],
    ['Class::Accessor::Lite' => $makers, 'Class::Accessor::Lite can make all kinds'],
    [   'read only, stored' => "died: 'main' cannot access the value of 'read' on objects of class 'Pool'",
        'an accessor that reads refuses to store'
    ],
    [   'write only, read' => "died: 'main' cannot alter the value of 'write' on objects of class 'Pool'",
        'an accessor that stores refuses to read'
    ],
    [   'import, stored' => "died: 'main' cannot access the value of 'read' on objects of class 'Imports'",
        'an accessor that import has made to read refuses to store'
    ],
    [   'import, wrong' => "died: value of the 'ro' parameter should be an arrayref",
        'import refuses what is no array'
    ],
) {
    my ($name, $expected, $promise) = @$case;
    is $saw{$name}, $expected, $promise or diag $p->err;
}

# What stands for the module itself, where that is not there.
my $lib = File::Temp->newdir;
make_path("$lib/Class/Accessor");
open my $module, '>', "$lib/Class/Accessor/Lite.pm" or die $!;
print {$module} <<'PERL';
package Class::Accessor::Lite;
use strict;
our $VERSION = '0.08';

sub import { return 'the module' }

sub mk_accessors {
    no strict 'refs';
    my ($class, @names) = @_;
    my $into = caller;
    *{"${into}::$_"} = sub { return 'the module' } for @names;
    return;
}

sub mk_ro_accessors { goto &mk_accessors }

1;
PERL
close $module or die $!;

my $beside_module = <<'PERL';
BEGIN {
    require $_ for FILES;
}
{
    package Pool;
    our @ISA = ('Parallel::Prefork');
    __PACKAGE__->mk_accessors('changes');
    __PACKAGE__->mk_ro_accessors('reads');
}
{
    package Other;
    Class::Accessor::Lite->mk_accessors('changes');
}
my $pm = Pool->new(trap_signals => {}, changes => 1, reads => 2);
print 'is one: ', $pm->isa('Class::Accessor::Lite') ? 'yes' : 'no', "\n";
print 'changes: ', defined $pm->changes ? 'yes' : 'no', "\n";
print 'reads: ', defined $pm->reads ? 'yes' : 'no', "\n";
print 'in another package: ', Other->can('changes') ? 'yes' : 'no', "\n";
PERL
for my $order ("'Class/Accessor/Lite.pm', 'Parallel/Prefork.pm'", "'Parallel/Prefork.pm', 'Class/Accessor/Lite.pm'") {
    $p = run(filled($beside_module, FILES => $order), deadline => 15, switches => ['-w', "-I$lib"]);
    my $when = "with the module loaded in the order $order";
    is $p->line, 'is one: yes', "a manager is a Class::Accessor::Lite $when" or diag $p->err;
    is $p->line, 'changes: yes', "mk_accessors works $when";
    is $p->line, 'reads: yes', "mk_ro_accessors works $when";
    is $p->line, 'in another package: yes', "Class::Accessor::Lite works in any package $when";
    is $p->err, '', "there is no warning $when";
}

done_testing;
