# examples/jobs.pl: jobs are done once, one that hangs costs its worker and no other job, and TERM ends the program
# after the jobs at hand.

use strict;
use warnings;

use Digest::SHA;
use File::Temp ();
use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;

my $dir = File::Temp->newdir('prefork-test-XXXXXX', TMPDIR => 1);
mkdir "$dir/new" or die "$dir/new: $!";

# A job is there at once, with all that is in it.
sub give {
    my ($name, $content) = @_;
    open my $file, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$file} $content;
    close $file or die "$dir/$name: $!";
    rename "$dir/$name", "$dir/new/$name" or die "$dir/new/$name: $!";
    return;
}

sub names_in {
    my ($folder) = @_;
    opendir my $handle, "$dir/$folder" or return;
    return join ' ', sort grep { !/\A\./ } readdir $handle;
}

# Where a name is, in the end.
sub comes_to {
    my ($folder, $names) = @_;
    return eventually { (names_in($folder) // '') eq $names } 45;
}

give("job$_", $_ x 1000) for 1 .. 8;
my $program = start_program(undef, deadline => 100,
    command => [$^X, (map { "-I$_" } grep { !ref } @INC), 'examples/jobs.pl', $dir, 'WORKERS=3', 'SECONDS=1']);
my @done = map { ("job$_", "job$_.sha256") } 1 .. 8;
ok comes_to('done', join ' ', @done), 'all jobs are done' or diag names_in('done'), $program->err;
open my $sum, '<', "$dir/done/job3.sha256" or die "job3.sha256: $!";
is scalar(<$sum>), Digest::SHA::sha256_hex('3' x 1000) . "\n", '... each with what belongs to it';

# To read it would take for ever: nobody writes to it.
POSIX::mkfifo("$dir/new/hangs", 0600) or die "mkfifo: $!";
ok comes_to('work', '') && comes_to('failed', 'hangs'), 'a job that hangs fails, and is not tried again';
my $line = qr/^worker \d \(.*\) was killed by SIGKILL after .* s, \d+ requests?: worker_timeout of 1 s, busy for /m;
like $program->line // '', $line, '... its worker was killed';
give('last', 'last');
ok comes_to('done', join ' ', @done, qw(last last.sha256)), '... and the other jobs are done after it';

is names_in('work'), '', 'nothing is at hand any more';
$program->signal('HUP');
give('later', 'later');
ok comes_to('done', join ' ', @done, qw(last last.sha256 later later.sha256)), 'jobs are done after HUP, too';
$program->signal('TERM');
is $program->wait, 0, 'TERM ends the program';
is_deeply [$program->members], [], '... nobody is left';
is $program->err, '', '... and nothing was said of errors';

is run(undef, command => [$^X, (map { "-I$_" } grep { !ref } @INC), 'examples/jobs.pl', $dir, 'WORKERS=many'])->err,
    "'WORKERS=many': give WORKERS=number or SECONDS=number\n", 'a wrong option is named';

done_testing;
