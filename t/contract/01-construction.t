# Contract 1: a manager is made from a hash reference, a list or nothing, and is a plain hash.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

my %made = facts('new', <<'PERL');
use Parallel::Prefork;
use Scalar::Util qw(blessed reftype);
my %options  = (max_workers => 3, colour => 'red');
my $from_ref = Parallel::Prefork->new(\%options);
print "ref = $from_ref->{max_workers} $from_ref->{colour}\n";
print "options = @{[ map { qq($_:$options{$_}) } sort keys %options ]}\n";

my $from_list = Parallel::Prefork->new(max_workers => 4, fork_delay => 5);
print "list = $from_list->{max_workers} $from_list->{fork_delay}\n";

my $pm = Parallel::Prefork->new;
print "none = ", join(' ', map { $pm->$_ } qw(max_workers spawn_interval err_respawn_interval)), "\n";

print "undef = ", (eval { Parallel::Prefork->new(undef); 1 } ? 'lives' : 'dies'), "\n";
print "string = ", (eval { Parallel::Prefork->new('x'); 1 } ? 'lives' : 'dies'), "\n";

print "type = ", blessed($pm), ' ', reftype($pm), ' ', (tied %$pm ? 'tied' : 'not tied'), "\n";
$pm->{my_own} = 'kept';
my %copy = %$pm;
print "own = $copy{my_own} $copy{max_workers}\n";
print "deleted = ", delete $pm->{my_own}, ' ', (exists $pm->{my_own} ? 'there' : 'gone'), "\n";

{
    package Pool;
    our @ISA = ('Parallel::Prefork');
}
print "subclass = ", blessed(Pool->new), "\n";

print "before start = ", join(' ', scalar keys %{ $pm->{worker_pids} }, $pm->{generation},
    $pm->{in_child} ? 1 : 0, defined $pm->{manager_pid} ? 1 : 0, "'$pm->{signal_received}'"), "\n";
PERL

is $made{ref},     '3 red',                    'new takes a hash reference and keeps unknown keys';
is $made{options}, 'colour:red max_workers:3', 'new leaves the hash of the caller as it was';
is $made{list},    '4 5',                      'new takes a list and keeps unknown keys';
is $made{none},    '10 0 1',                   'new without arguments gives the defaults';
is $made{undef},   'dies',                     'new(undef) dies';
is $made{string},  'dies',                     'new of a string dies';
is $made{type},    'Parallel::Prefork HASH not tied', 'the object is a blessed plain hash';
is $made{own},     'kept 10',                  'a program can store its own keys in it, and copy it';
is $made{deleted}, 'kept gone',                'a program can delete its own keys from it';
is $made{subclass}, 'Pool',                    'a subclass makes objects of its own class';
is $made{'before start'}, "0 0 0 0 ''",
    'before start: no workers, generation 0, not in a child, no manager pid, no signal';

done_testing;
