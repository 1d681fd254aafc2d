#!/usr/bin/perl

# What every program loads does without warnings.pm, which would take longer to load than all of it.
# Here it is held to it; and to loading nothing else. strict comes with XSLoader.

use strict;
use warnings;

use File::Spec;
use Test::More;

my @MODULES = map { "Parallel/Prefork$_.pm" } '', '/SpareWorkers', '/SpareWorkers/Scoreboard';

for my $module (@MODULES) {
    my ($path) = grep { -f } map { File::Spec->catfile($_, $module) } @INC;
    my $said = qx{"$^X" -w @{[map { qq{"-I$_"} } @INC]} -c "$path" 2>&1};
    is $said, "$path syntax OK\n", "$module is fine by -w";
}

sub loaded {
    my @modules = @_;
    my $program = join '; ', (map { "require $_" } @modules), 'print join "\n", sort keys %INC';
    open my $perl, '-|', $^X, (map { "-I$_" } @INC), '-e', $program or die "$^X: $!\n";
    chomp(my @files = <$perl>);
    close $perl or die "$^X: status $?\n";
    return @files;
}

is_deeply [loaded('Parallel::Prefork')], ['Parallel/Prefork.pm', 'XSLoader.pm', 'strict.pm'], 'Parallel::Prefork loads no more than it needs';
is_deeply [loaded('Parallel::Prefork::SpareWorkers')], [sort @MODULES, 'XSLoader.pm', 'strict.pm'], '... and SpareWorkers neither';

# The common case stays light at run time, in the workers above all.
my $program = <<'PERL';
use Parallel::Prefork;
sub compiled { return join ' ', grep { defined &{"Parallel::Prefork::$_"} } qw(Loop::turn Options::check WorkerPids::tie_to) }
my $pm = Parallel::Prefork->new(
    max_workers   => 2,
    trap_signals  => { TERM => 'TERM', HUP => ['TERM', 0.01] },
    before_fork   => undef,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub { print 'worker: ', compiled(), join(' ', sort keys %INC), "\n"; exit 0 });
$pm->wait_all_children;
print 'manager: ', compiled(), join(' ', sort keys %INC), "\n";
$pm->before_fork(sub { $_[0]->signal_received('enough') });
$pm->start(sub { exit 0 });
$pm->wait_all_children;
print 'later: ', compiled(), "\n";
PERL
open my $perl, '-|', $^X, (map { "-I$_" } @INC), '-e', $program or die "$^X: $!\n";
my %said = map { chomp; (split /: /)[0, 1] } <$perl>;
close $perl or die "$^X: status $?\n";
my $light = 'Parallel/Prefork.pm XSLoader.pm strict.pm';
is $said{worker},  $light, 'a worker of a pool without special wishes has nothing more in it';
is $said{manager}, $light, '... and its manager neither, to its end';
is $said{later}, 'Loop::turn', 'a hook before the fork takes the loop in Perl, and nothing else';

done_testing;
