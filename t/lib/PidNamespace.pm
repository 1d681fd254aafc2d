package PidNamespace;

# A PID namespace of a program's own, where its first process is PID 1.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(new_pid_namespace first_process);

# The command under which a program becomes PID 1 of a namespace of its own, with its own /proc;
# nothing where the kernel, or the container around us, forbids it.
sub new_pid_namespace {
    my @unshare = qw(unshare --pid --fork --mount-proc);
    for my $options ([], [qw(--user --map-root-user)]) {
        my @command = (@unshare, @$options);
        return @command if system("@command true >/dev/null 2>&1") == 0;
    }
    return;
}

# The pid, as we see it, of the PID 1 of a program that was started under that command.
sub first_process {
    my $program = shift;
    my ($pid) = keys %{ $program->children };
    return $pid;
}

1;
