# A manager whose object is a tied hash: what the tie holds is what counts.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my %tied = (
    'a subclass blesses a tied hash' => <<'PERL',
{
    package My;
    use Tie::Hash;
    our @ISA = 'Parallel::Prefork';

    sub new {
        my $class   = shift;
        my %members = %{ $class->SUPER::new(@_) };
        tie my %tied, 'Tie::StdHash';
        my $self = bless \%tied, $class;
        %$self = %members;
        $SIG{TERM} = sub { $self->signal_received('TERM') };
        return $self;
    }
}
my $pm = My->new(max_workers => 2, trap_signals => { TERM => 'KILL' });
PERL
    'a program ties the object' => <<'PERL',
use Tie::Hash;
my $pm      = Parallel::Prefork->new({ max_workers => 2, trap_signals => { TERM => 'KILL' } });
my %members = %$pm;
tie %$pm, 'Tie::StdHash';
%$pm = %members;
PERL
);

my $run = <<'PERL';
my $manager = $$;
$pm->start(sub {
    print "in the worker: $pm->{in_child}\n" if $manager == getppid;
    kill TERM => $manager;
    sleep 60;
});
print 'got ', $pm->signal_received, "\n";
print 'left ', $pm->wait_all_children, "\n";
PERL

for my $name (sort keys %tied) {
    my $p = run("use strict;\nuse warnings;\nuse Parallel::Prefork;\n$tied{$name}$run", deadline => 20);
    like $p->out, qr/\A(?:in the worker: 1\n)+got TERM\nleft 0\n\z/, "$name: it manages";
    is $p->status, 0, "$name: the program ends";
}

done_testing;
