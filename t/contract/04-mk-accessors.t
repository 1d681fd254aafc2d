# Contract 4: a subclass calls __PACKAGE__->mk_accessors(names) and gets accessors of its own.
use strict;
use warnings;
use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = run(<<'PERL', deadline => 15);
use strict;
use warnings;
{
    package Pool;
    use parent 'Parallel::Prefork';
    __PACKAGE__->mk_accessors(qw/colour shape/);
}
{
    package Pool::Special;
    our @ISA = ('Pool');
    __PACKAGE__->mk_accessors('taste');
}

sub can_all {
    my $class = shift;
    return join ' ', grep { $class->can($_) } qw(colour shape taste max_workers);
}
print "Pool = ", can_all('Pool'), "\n";
print "Pool::Special = ", can_all('Pool::Special'), "\n";
print "Parallel::Prefork = ", can_all('Parallel::Prefork'), "\n";
print "packages = ", join(' ',
    defined &Pool::colour         ? 'Pool::colour'         : (),
    defined &Pool::Special::taste ? 'Pool::Special::taste' : (),
    defined &main::colour         ? 'main::colour'         : (),
), "\n";

my $pm = Pool->new(max_workers => 2, colour => 'red');
print "get = ", $pm->colour, ' ', (defined $pm->shape ? 'defined' : 'undef'), "\n";
print "set = ", scalar($pm->colour('blue')), ' ', $pm->colour, " $pm->{colour}\n";
my $returned = $pm->shape(qw(round square));
print "several = @{ $pm->shape } / @$returned\n";
$pm->colour(undef);
print "undef = ", (defined $pm->colour ? 'defined' : 'undef'), "\n";

$pm = Pool::Special->new(
    trap_signals  => {},
    max_workers   => 1,
    colour        => 'green',
    taste         => 'sour',
    on_child_reap => sub { $_[0]->signal_received('done') },
);
$pm->start(sub { print "worker = ", $pm->colour, ' ', $pm->taste, "\n" });
PERL
my %saw = $program->out =~ /^(.+?) = (.*)$/mg;

is $program->status, 0, 'a subclass that calls mk_accessors compiles and runs' or diag $program->err;
is $saw{Pool}, 'colour shape max_workers', 'a subclass has the accessors that it asked for, beside the inherited ones';
is $saw{'Pool::Special'}, 'colour shape taste max_workers', 'a subclass of a subclass can ask for more';
is $saw{'Parallel::Prefork'}, 'max_workers', 'the base class gets none of the accessors of a subclass';
is $saw{packages}, 'Pool::colour Pool::Special::taste', 'accessors are subs in the package that called mk_accessors';
is $saw{get},     'red undef',      'accessors read the member of their name';
is $saw{set},     'blue blue blue', 'accessors set the member and return the value';
is $saw{several}, 'round square / round square', 'accessors store several values as an array reference';
is $saw{undef},   'undef',          'accessors store undef';
is $saw{worker},  'green sour',     'accessors work in workers';

done_testing;
