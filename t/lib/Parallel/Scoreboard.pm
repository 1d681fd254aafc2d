package Parallel::Scoreboard;

# A stand-in for the CPAN module of this name, with what the test-suite of Parallel::Prefork
# 0.18 uses of it: each process can publish a status, and any process can read those of the
# processes that are alive.
#
# A status is a file, named after its process, on which that process holds a lock. The lock
# ends with the process, however it ends: a file that a reader can lock belongs to nobody.

use strict;
use warnings;

use Carp qw(croak);
use Fcntl qw(LOCK_EX LOCK_NB LOCK_SH);

sub new {
    my ($class, %args) = @_;
    my $dir = $args{base_dir};
    defined $dir or croak 'mandatory parameter base_dir is missing';
    -d $dir or mkdir $dir or croak "cannot create $dir: $!";
    return bless { base_dir => $dir }, $class;
}

# A new file takes the old one's place at each update, written and locked already, so that
# nobody sees one that is neither.
sub update {
    my ($self, $status) = @_;
    my $file = "$self->{base_dir}/status_$$";
    my $new  = "$self->{base_dir}/new_$$";
    open my $fh, '>', $new or croak "cannot write $new: $!";
    flock $fh, LOCK_EX or croak "cannot lock $new: $!";
    syswrite $fh, $status;
    rename $new, $file or croak "cannot rename $new: $!";
    @$self{qw(pid file fh)} = ($$, $file, $fh);
    return;
}

sub read_all {
    my $self = shift;
    my %status;
    for my $file (_status_files($self->{base_dir})) {
        my ($pid) = $file =~ /_(\d+)\z/;
        while (open my $fh, '<', $file) {
            my $dead = flock $fh, LOCK_SH | LOCK_NB;
            # Replaced since it was opened: its lock says nothing about the process.
            next if !_is_still($fh, $file);
            if ($dead) {
                unlink $file;
            } else {
                local $/;
                $status{$pid} = <$fh>;
            }
            last;
        }
    }
    return \%status;
}

sub _status_files {
    my ($dir) = @_;
    opendir my $dh, $dir or croak "cannot read $dir: $!";
    return map { "$dir/$_" } grep { /\Astatus_\d+\z/ } readdir $dh;
}

sub _is_still {
    my ($fh, $file) = @_;
    my ($open, $named) = ([stat $fh], [stat $file]);
    return @$named && $open->[0] == $named->[0] && $open->[1] == $named->[1];
}

# A child has the object too, and perhaps outlives it: the file is its parent's alone.
sub DESTROY {
    my $self = shift;
    unlink $self->{file} if $self->{pid} && $self->{pid} == $$;
    return;
}

1;
