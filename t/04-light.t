#!/usr/bin/perl

# What every program loads does without warnings.pm, which would take longer to load than all of it.
# Here it is held to it; and to loading nothing else, but for strict.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Spec;
use File::Temp;
use Test::More;

# Which may be run in another folder than this.
my @inc = map { File::Spec->rel2abs($_) } @INC;

my @MODULES = map { "Parallel/Prefork$_.pm" } '', '/SpareWorkers', '/SpareWorkers/Scoreboard';

for my $module (@MODULES) {
    my ($path) = grep { -f } map { File::Spec->catfile($_, $module) } @INC;
    my $said = qx{"$^X" -w @{[map { qq{"-I$_"} } @INC]} -c "$path" 2>&1};
    is $said, "$path syntax OK\n", "$module is fine by -w";
}

# What a program has loaded when it begins: some is loaded between the compiling of a program and its run.
sub loaded {
    my ($module, @folders) = @_;
    my $program = qq{use $module; print join "\\n", sort keys %INC};
    open my $perl, '-|', $^X, (map { "-I$_" } @folders, @inc), '-e', $program or die "$^X: $!\n";
    chomp(my @files = <$perl>);
    close $perl or die "$^X: status $?\n";
    return @files;
}

# What loads the shared object: a module of ours, by its path, but in a plain build (see perl/internals/README.md).
my ($arch) = grep { -f "$_/Parallel/Prefork.pm" } @inc;
my $alone = "$arch/Parallel/Prefork/Alone.pm";
my $loads = -f $alone && $] < 5.043 ? $alone : 'XSLoader.pm';

# As with XSLoader, a second load, after the program has forgotten the first one, loads no second object.
my $again = 'for (1 .. 3) { delete $INC{"Parallel/Prefork.pm"}; require Parallel::Prefork } '
    . 'print scalar @DynaLoader::dl_librefs';
is qx{"$^X" @{[map { qq{"-I$_"} } @inc]} -e '$again'}, qx{"$^X" @{[map { qq{"-I$_"} } @inc]} -MXSLoader -e '$again'},
    'a second load loads no second object';

is_deeply [loaded('Parallel::Prefork')], [sort $loads, 'Parallel/Prefork.pm', 'strict.pm'],
    'Parallel::Prefork loads no other module but the one for its shared object';
is_deeply [loaded('Parallel::Prefork::SpareWorkers')], [sort $loads, @MODULES, 'strict.pm'],
    'SpareWorkers loads no module but those of its own';

# Perl says which functions a program calls by their full names. Where it did not, all modules that 0.18 loads would be
# loaded.
my $mute = 'use Parallel::Prefork; BEGIN { delete $Parallel::Prefork::Core::{nowhere} } '
    . 'print join q( ), sort keys %INC';
like qx{"$^X" @{[map { qq{"-I$_"} } @inc]} -e '$mute'}, qr{\bList/Util\.pm\b.* Time/HiRes\.pm\b},
    'where perl does not say what is called, all that 0.18 loads is loaded';

# Where its object is in no usual place, or is broken, or XSLoader is there anyway, XSLoader loads it.
my $elsewhere = File::Temp->newdir;
{
    my $home = Cwd::getcwd();
    chdir dirname($arch) or die "$arch: $!";
    is_deeply [grep { $_ eq 'XSLoader.pm' } loaded('Parallel::Prefork', basename($arch))], ['XSLoader.pm'],
        'a relative folder in @INC is one for XSLoader';
    chdir $home or die "$home: $!";
}
# That names what a program unloads at its end.
for my $before ('', 'require XSLoader;') {
    my $program = "$before require Parallel::Prefork; print qq{\$_\\n} for \@DynaLoader::dl_shared_objects";
    like qx{"$^X" @{[map { qq{"-I$_"} } @inc]} -e '$program'}, qr{^\Q$arch/auto/Parallel/Prefork/Prefork.so\E$}m,
        "'$before': perl knows the object that was loaded";
}
for my $file ('Parallel/Prefork.pm', 'Parallel/Prefork/Alone.pm') {
    -f "$arch/$file" or next;    # a plain build
    make_path(dirname("$elsewhere/$file"));
    copy("$arch/$file", "$elsewhere/$file") or die "$elsewhere/$file: $!";
}
is_deeply [grep { $_ eq 'DynaLoader.pm' } loaded('Parallel::Prefork', $elsewhere)], ['DynaLoader.pm'],
    'an object that is not beside it is found in @INC';
my $object = 'auto/Parallel/Prefork/Prefork.so';
make_path(dirname("$elsewhere/$object"));
open my $broken, '>', "$elsewhere/$object" or die "$object: $!\n";
close $broken or die "$object: $!\n";
my $said = qx{"$^X" "-I$elsewhere" -e "require Parallel::Prefork" 2>&1};
like $said, qr/^Can't load '\Q$elsewhere\E\/\Q$object\E' for module Parallel::Prefork: /,
    'an object that is broken is named';

# Its other parts are in the object: text that nobody has to read, or could take away.
use Parallel::Prefork;
for my $part (qw(Events Loop Options WorkerPids)) {
    my $file = "$arch/Parallel/Prefork/$part.pm";
    open my $installed, '<', $file or die "$file: $!\n";
    is Parallel::Prefork::Core::source_of_part($part), do { local $/; <$installed> },
        "the object has the text of $part.pm as it is installed";
}
eval { Parallel::Prefork::Core::source_of_part('Nothing') };
like $@, qr/^Parallel::Prefork has no part Nothing at /, 'a part that is not there is named';

# The common case stays light at run time, in the workers above all.
my $program = <<'PERL';
use Parallel::Prefork;
$| = 1;    # what a worker says is out before the manager hears of it, and stops it
sub compiled {
    my @compiled_late = qw(Events::go_on Loop::turn Options::check WorkerPids::tie_to);
    return join ' ', grep { defined &{"Parallel::Prefork::$_"} } @compiled_late;
}
my $pm = Parallel::Prefork->new(
    # Another one would send TERM as well, which might stop the second run before it has begun.
    max_workers   => 1,
    trap_signals  => { TERM => 'TERM', HUP => ['TERM', 0.01] },
    before_fork   => undef,
);
my $manager = $$;
$pm->start(sub {
    print 'worker: ', compiled(), join(' ', sort keys %INC), "\n";
    kill TERM => $manager;
    exit 0;
});
$pm->wait_all_children;
print 'manager: ', compiled(), ' ', join(' ', sort keys %INC), "\n";
$pm->before_fork(sub { $_[0]->signal_received('enough') });
$pm->start(sub { exit 0 });
$pm->wait_all_children;
print 'later: ', compiled(), "\n";
PERL
open my $perl, '-|', $^X, (map { "-I$_" } @inc), '-e', $program or die "$^X: $!\n";
my %said = map { /\A(\w+): (.*)/ } <$perl>;
close $perl or die "$^X: status $?\n";
my $light = join ' ', sort $loads, 'Parallel/Prefork.pm', 'strict.pm';
is $said{worker},  $light, 'a worker of a pool without special wishes has nothing more in it';
is $said{manager}, "Events::go_on $light", 'a manager of such a pool has at its end what ends it, and nothing more';
is $said{later}, 'Events::go_on Loop::turn', 'a hook before the fork takes the loop in Perl, and nothing else';

done_testing;
