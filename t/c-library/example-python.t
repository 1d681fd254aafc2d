# examples/workers.py: a host in Python, by way of ctypes and os.fork.

use strict;
use warnings;

use File::Temp ();
use Test::More;

use lib 't/lib';
use CProgram;
use ExampleTest;
use ProcessTest;

need('python3', has_python());
my $library = library();
my %quiet   = (PYTHONDONTWRITEBYTECODE => 1);

# Both sides of the C ABI: each member's place and size in the structure.
my @members = qw(type reason pid status generation index signal timeout fd workers rusage may_block_sigchld
    cause sent_signal flags age requests busy_for reserved);
my $c = File::Temp->new(SUFFIX => '.c');
print {$c} <<'C', map({ "    SHOW($_)\n" } @members), <<'C';
#include <stdio.h>
#include <prefork.h>

#define SHOW(member) printf(#member " %zu %zu\n", offsetof(pf_event, member), sizeof ((pf_event *)0)->member);

int main(void)
{
C
    printf("%zu\n", sizeof(pf_event));
    return 0;
}
C
close $c;
my $in_c = run(undef, command => [compile($c->filename, qw(-std=gnu99 -Wall -Wextra -Werror))]);
my $in_python = run(undef, env => { %quiet, PYTHONPATH => 'examples' },
    command => ['python3', '-c', <<'PYTHON']);
import ctypes
from workers import Event
for name, _ in Event._fields_:
    print(name, getattr(Event, name).offset, getattr(Event, name).size)
print(ctypes.sizeof(Event))
PYTHON
is $in_python->err, '', 'the example can be imported';
is $in_python->out, $in_c->out, 'pf_event is the same in Python as in C';

my $manager = start_program(undef, env => { %quiet, PYTHONUNBUFFERED => '' },
    command => ['python3', 'examples/workers.py', $library]);
manages($manager);
stops($manager);
is scalar(() = $manager->out =~ /exited with 0$/mg), 6, 'all others finished their work';

my $waiting = start_program(undef, command => ['python3', 'examples/workers.py'],
    env => { %quiet, PREFORK_LIBRARY => $library, PYTHONUNBUFFERED => 1 });
my $pids = manages($waiting);
$waiting->signal(STOP => $pids->{1});
stops($waiting, 'INT');
like $waiting->out, qr/^worker 1: pid $pids->{1} was killed by signal 9$/m,
    'a worker that does not finish is killed';

my $lost = run(undef, env => \%quiet, command => [qw(python3 examples/workers.py ./none.so)]);
is $lost->status >> 8, 1, 'a library that is not there is an error';
like $lost->err, qr{\Acannot load the library: \./none\.so: }, 'a library that is not there is named';

done_testing;
