# Contract 17: finish ends a worker with the exit code that it is given, as perl's exit does,
# and refuses to end the manager, in words that programs match.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $message = "\$parallel_prefork->finish() shouln't be called within the manager process\n";

my $in_manager = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;

my $pm = Parallel::Prefork->new(max_workers => 1);
$pm->after_fork(sub {
    eval { $pm->finish };
    print $@;
    $pm->signal_received('forked');
});
$pm->start(sub { });
eval { $pm->finish(3) };
print $@;
$pm->wait_all_children;
$pm->finish;
PERL
is $in_manager->line . "\n", $message, 'finish dies in the manager while start runs';
is $in_manager->line . "\n", $message, 'finish dies in the manager after start, code or not';
is $in_manager->err,         $message, 'the message ends in a newline: no line number follows';
isnt $in_manager->status, 0, 'the manager dies of it where nothing catches it';

# Workers with one call of finish each, in turn; prints their raw statuses.
my $statuses = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my @codes = ([], [undef], [0], [''], ['0'], [7], ['42'], [255]);
my @statuses;
my $pm = Parallel::Prefork->new(
    max_workers          => 1,
    err_respawn_interval => 0,
    on_child_reap        => sub {
        my ($self, undef, $status) = @_;
        push @statuses, $status;
        shift @codes;
        $self->signal_received('done') if !@codes;
    },
);
PERL
my $expected = join ' ', 0, 0, 0, 0, 0, map { $_ << 8 } 7, 42, 255;

my $zero_argument = run($statuses . <<'PERL', deadline => 15);
while (@codes) {
    $pm->start and last;
    $pm->finish(@{ $codes[0] });
}
print "@statuses\n";
PERL
is $zero_argument->out, "$expected\n", 'the exit code is what finish is given, or 0';

my $with_sub = run($statuses . <<'PERL', deadline => 15);
$pm->start(sub { $pm->finish(@{ $codes[0] }) });
print "@statuses\n";
PERL
is $with_sub->out, "$expected\n", 'the exit code is what finish is given, or 0, inside the sub given to start';

my $ends = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;

package Guard { sub DESTROY { print "destroyed\n" if $_[0]{pid} == $$ } }

my $manager = $$;
END { print "END with $?\n" if $$ != $manager }

pipe my $ready, my $tell_ready;
my $pm = Parallel::Prefork->new(
    max_workers => 1,
    after_fork  => sub {
        readline $ready;
        $_[0]->signal_received('forked');
    },
);
if (!$pm->start) {
    my $guard = bless { pid => $$ }, 'Guard';
    syswrite $tell_ready, "\n";
    $pm->finish(9);
    print "came back\n";
}
$pm->wait_all_children;
PERL
like $ends->out, qr/^END with 9$/m, 'finish runs END blocks';
like $ends->out, qr/^destroyed$/m,  'finish runs destructors';
unlike $ends->out, qr/came back/,   'finish does not return';

done_testing;
