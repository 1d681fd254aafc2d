package Parallel::Prefork;

# What is here every program loads, and carries along in each of its workers. So no other module is
# loaded but strict: t/04-light.t holds it to warnings, and use VERSION gives strictures.
# What is done once is done in BEGIN, whose memory the rest then takes.
# What few programs need is compiled when they do: Options for what a check in C does not
# simply pass, Events for what happens in start that is not the loop in C's alone, Loop for classes that override a
# part of that loop, WorkerPids for who looks into {worker_pids}.

use v5.12;

our $VERSION;
BEGIN { $VERSION = '1.00' }

# The shared object: with XSLoader's help, or without if nobody needs XSLoader (see Alone.pm). `do` takes a full path only. Strict,
# which XSLoader loads, is here in either case: strict->import, called by a program that has not loaded it, would do nothing.
BEGIN {
    require strict;
    my $alone = substr(__FILE__, 0, -length '.pm') . '/Alone.pm';
    my $is_wanted = !$INC{'XSLoader.pm'} && !defined &bootstrap;
    if (!$is_wanted || substr($alone, 0, 1) ne '/' || !-f $alone || !do $alone) {
        require XSLoader;
        # By its full name it would look as if the program called it: see perl/modules.c.
        XSLoader->can('load')->(__PACKAGE__, $VERSION);
    }
}

# Programs ask whether we are one of these, and call mk_accessors and the like, on that class too; the module itself is not needed.
# It may be loaded later all the same: then its own methods hide those that its package inherits here.
our @ISA = ('Class::Accessor::Lite');
BEGIN {
    package    # not for the index of CPAN
        Class::Accessor::Lite;
    our @ISA;
    push @ISA, 'Parallel::Prefork::Accessors' if !__PACKAGE__->can('mk_accessors');
}

# An override of fork is Perl code, which may leave by last or exit between the blocking of
# signals and the report of the pid. Perl has decided about it when it compiled us.
our $fork_is_overridden;
BEGIN { $fork_is_overridden = defined &CORE::GLOBAL::fork }

# start and the trap handlers call signal_received as the program does: it is a method that
# subclasses override. These tell their calls from the program's.
our $looking  = 0;    # start looks; the program has not read anything
our $arriving = '';   # this signal arrives, and has not come to our method yet; the program has not stored anything

# A loop of ours has called _wait.
our $is_ours = 0;

# The pid that after_fork is being called for: it is in worker_pids only after that.
our $newborn = 0;

# By what a value has to be.
my %OPTIONS = (
    number  => [
        qw(max_workers spawn_interval err_respawn_interval graceful_timeout worker_timeout worker_timeout_grace
            ready_timeout)
    ],
    code    => [qw(on_child_reap before_fork after_fork on_worker_timeout)],
    signals => ['trap_signals'],
    log     => ['log_exits'],
    signal  => ['pdeathsig'],
);

Parallel::Prefork::Core::make_accessors('Parallel::Prefork', $_, @{ $OPTIONS{$_} }) for keys %OPTIONS;
Parallel::Prefork::Core::make_accessors('Parallel::Prefork', 'any', qw(manager_pid fast_exit huge_pages));

# Perl knows the names of functions that the program calls, and one is not there: see perl/modules.c, which looks whether perl
# knows the name of the one here.
sub _load_module { return @_ ? _options()->load_module(@_) : Parallel::Prefork::Core::nowhere() }

sub new {
    my $class = shift;
    Parallel::Prefork::Core::load_what_is_called();
    my $options = @_ == 1 ? $_[0] : {@_};
    ref($options) eq 'HASH' or _options()->check_list($options);
    my $self = bless {
        max_workers          => 10,
        spawn_interval       => 0,
        err_respawn_interval => 1,
        signal_received      => '',
        manager_pid          => undef,
        generation           => 0,
        in_child             => 0,
        trap_signals         => { TERM => 'TERM' },
        worker_pids          => {},
        defined $ENV{PREFORK_OPTIONS} ? _options()->from_environment($class, $options) : (),
        %$options,
        _no_adjust_until     => 0,
        _goal                => undef,
    }, $class;
    Parallel::Prefork::Core::check_options($self, $_, @{ $OPTIONS{$_} }) for sort keys %OPTIONS;
    defined $self->{trap_signals} or _croak('trap_signals must be a hash reference, not undef');
    _tie_worker_pids($self);
    $self->_prepare;

    Parallel::Prefork::Core::trap($self, keys %{ $self->trap_signals });
    return $self;
}

# What a subclass of ours adds to new, before a handler is installed: it may refuse an option.
sub _prepare { return }

sub start {
    my ($self, $code) = @_;
    _begin_generation($self, $code);
    # A worker does not leave this: who looks at its callers finds start, and the program's @_ stays as it is.
    return _go_on($self, $code) if $code;
    # Handlers run from here on too, and may give the program's own variables other values.
    @_ = ($self);
    goto &_go_on if $fork_is_overridden || !Parallel::Prefork::Core::runs_alone(@_);
    # A worker copies the page of each variable that it leaves, and of what perl has for the call of a sub. So these
    # are left before there is one. What is called by goto is not told the context.
    goto &Parallel::Prefork::Core::run_alone_for_list if wantarray;
    goto &Parallel::Prefork::Core::run_alone;
}

# The rest of start, with what the loop in C has told. It has told nothing yet if there is code for the workers; then it begins
# here where it can, so that they have nothing of Events.
sub _go_on {
    my ($self, $code, @told) = @_;
    if (!@told && !$fork_is_overridden && Parallel::Prefork::Core::runs_alone($self)) {
        local $self->{_goal} = -1;
        @told = Parallel::Prefork::Core::run($self, $code) or return _work($self, $code);
    }
    _load('Events');
    @_ = ($self, $code, @told);
    goto &Parallel::Prefork::Events::go_on;
}

sub _begin_generation {
    my ($self, $code) = @_;
    $self->manager_pid($$);
    $self->signal_received('');
    $self->{generation}++;
    die 'cannot start another process while you are in child process'
        if $self->{in_child};
    !$code || ref($code) eq 'CODE' or _check_value('code', 'the argument of start', $code);
    Parallel::Prefork::Core::load_what_is_called();
    _tie_worker_pids($self);
    # Not in each worker, and not between a hook and what it is about: a handler may die meanwhile.
    _load('Events') if $self->{on_child_reap} || $self->{after_fork} || $self->{log_exits};
    _load('Loop') if $self->{on_worker_timeout};
    Parallel::Prefork::Core::begin($self);
    Parallel::Prefork::Core::show_next_signal($self);
    return;
}

sub _work {
    my ($self, $code) = @_;
    return if !$code;
    Parallel::Prefork::Core::run_worker($code);
    $self->finish;
    exit 0;
}

# A worker that is late hears of it. What the program has for ABRT by itself stays.
sub _handle_lateness {
    my ($self, $is_wanted) = @_;
    _load('Loop');
    Parallel::Prefork::Loop::handle_lateness($self, $is_wanted);
    return;
}

sub finish {
    my ($self, $code) = @_;
    # Programs match this text, the missing letter included. A worker in a pid namespace of its own may have the number that the
    # manager has outside.
    die "\$parallel_prefork->finish() shouln't be called within the manager process\n"
        if !$self->{in_child} && defined $self->manager_pid && $self->manager_pid == $$;
    exit($code || 0);
}

sub signal_all_children {
    my ($self, $signal) = @_;
    # The newborn gets it too, and whoever waits for all waits for it: a handler that stops
    # everything while after_fork runs leaves nobody behind.
    $newborn = 0;
    _tie_worker_pids($self) if !$self->{in_child};
    Parallel::Prefork::Core::signal_all_children($self, $signal);
    return;
}

sub num_workers {
    my $self = shift;
    _tie_worker_pids($self);
    my $count = Parallel::Prefork::Core::num_workers($self);
    $count-- if $newborn && defined Parallel::Prefork::Core::worker_generation($self, $newborn);
    return $count;
}

sub wait_all_children {
    _load('Events');
    goto &Parallel::Prefork::Events::wait_all_children;
}

sub signal_received {
    my $self = shift;
    if (!@_) {
        return $looking ? $self->{signal_received} : Parallel::Prefork::Core::signal_read($self);
    }
    my $value = @_ == 1 ? $_[0] : [@_];
    if ($arriving ne '' && defined $value && $value eq $arriving) {
        $arriving = '';
        Parallel::Prefork::Core::show_signal($self, $value);
    }
    else {
        Parallel::Prefork::Core::signal_stored($self, $value);
        Parallel::Prefork::Core::show_next_signal($self) if !$value;
    }
    return $value;
}

sub _trapped {
    my ($self, $signal) = @_;
    # Before any code of a subclass, in which another signal may arrive: they end runs in the order of their arrival.
    Parallel::Prefork::Core::signal_trapped($self, $signal);
    local $arriving = $signal;
    $self->signal_received($signal);
    # A subclass has kept it to itself.
    Parallel::Prefork::Core::signal_dropped($self, $signal) if $arriving ne '';
    return;
}

# More than 0: a worker is wanted; less than 0: there are so many too many.
sub _decide_action {
    my $self = shift;
    my $max_workers = $self->max_workers;
    # Several values were stored as an array, whose address is no number of workers.
    return 0 if !$max_workers || ref($max_workers) eq 'ARRAY';
    return Parallel::Prefork::Core::decide($self->num_workers, $max_workers);
}

sub _on_child_reap {
    my ($self, $pid, $status) = @_;
    my $on_child_reap = $self->on_child_reap or return;
    local $@;
    # The program's handler of warnings may die, too.
    eval {
        eval { $on_child_reap->($self, $pid, $status); 1 } or warn "on_child_reap died: $@";
        1;
    } or return;
    return;
}

# [signal to send, seconds between workers], or undef, for a signal that was received.
sub _action_for {
    my ($self, $signal) = @_;
    my $actions = $self->{trap_signals} || {};
    my $action = exists $actions->{$signal} ? $actions->{$signal}
        : $actions->{ Parallel::Prefork::Core::alias($signal, keys %$actions) };
    return undef if !$action;
    return ref($action) ? $action : [$action, 0];
}

# Programs call it, to wait for a worker in a loop of their own.
sub _wait {
    _load('Events');
    goto &Parallel::Prefork::Events::wait_for_exit;
}

# Seconds after which start looks around although nothing has happened; undef for never.
sub _max_wait { return undef }

my %is_compiled;

# What the program has in $@ is none of our business. No handler runs in the middle of this: perl would fold what it throws into a
# constant, or make another error of it. What dies there all the same, as an override of require may, the next call
# compiles again.
sub _load {
    my $part = shift;
    if (!$is_compiled{$part}) {
        my $file   = substr(__FILE__, 0, -length '.pm') . "/$part.pm";
        my $source = qq{#line 1 "$file"\n} . Parallel::Prefork::Core::source_of_part($part);
        my $held   = Parallel::Prefork::Core::hold_signals();
        my $error;
        {
            local ($@, $^W);
            eval $source and $is_compiled{$part} = 1 or $error = $@;    ## no critic (StringyEval)
        }
        Parallel::Prefork::Core::release_signals($held);
        die $error if defined $error;
    }
    return "Parallel::Prefork::$part";
}

sub _options { return _load('Options') }

# Dies if an option is wrong.
sub _check_value {
    my ($kind, $name, $value) = @_;
    _options()->check($kind, $name, $value);
    return;
}

sub _croak {
    _options()->refuse(@_);
    return;
}

# {worker_pids} shows the table of the core. Another hash, from new or from a program that put
# one there, becomes that table first.
sub _tie_worker_pids {
    my $self = shift;
    Parallel::Prefork::Core::tie_worker_pids($self) and return;
    _load('WorkerPids');
    Parallel::Prefork::WorkerPids::tie_to($self);
    return;
}

sub Parallel::Prefork::WorkerPids::AUTOLOAD {
    my $name = $Parallel::Prefork::WorkerPids::AUTOLOAD;
    _load('WorkerPids');
    my $method = defined &$name ? \&$name : die "there is no $name\n";
    goto &$method;
}

# Storable looks for these without AUTOLOAD.
sub Parallel::Prefork::WorkerPids::STORABLE_freeze;
sub Parallel::Prefork::WorkerPids::STORABLE_thaw;

# Perl calls these of every tie that has an AUTOLOAD.
sub Parallel::Prefork::WorkerPids::DESTROY { return }
sub Parallel::Prefork::WorkerPids::UNTIE   { return }

# What programs name of modules that 0.18 loads is looked up when all of the program is compiled, and again by new and start. From
# UNITCHECK on perl would say that it is too late for that.
{
    local $^W;
    Parallel::Prefork::Core::load_when_compiled();
}

# Where one of the methods that the loops in C do the work of is overridden, each turn is Perl code.
Parallel::Prefork::Core::note_methods();

1;

__END__

=head1 NAME

Parallel::Prefork - a prefork manager: forks workers, keeps their number, shuts down gracefully

=head1 SYNOPSIS

With a sub for the workers:

    use Parallel::Prefork;

    my $pm = Parallel::Prefork->new({
        max_workers  => 4,
        trap_signals => {
            TERM => 'TERM',         # stop
            HUP  => ['TERM', 1],    # reload: stop one old worker a second
        },
    });

    do {
        read_config();              # at first, and again after each HUP
        $pm->start(sub {
            serve();                # the worker exits when this returns
        });
    } until $pm->signal_received eq 'TERM';

    $pm->wait_all_children;

Or without a sub. Then C<start> returns in each worker too, but with nothing:

    use Parallel::Prefork;

    my $pm = Parallel::Prefork->new(max_workers => 4);

    until ($pm->signal_received eq 'TERM') {
        next if $pm->start;         # the manager
        serve();                    # a worker
        $pm->finish;
    }

    $pm->wait_all_children;

=head1 DESCRIPTION

A B<manager> process forks B<workers>, and forks another one whenever one ends. When a trapped signal arrives, the
manager sends the workers a signal of your choice, and C<start> returns. The program then waits for the workers and
leaves. Or it calls C<start> again, with a new B<generation> of workers, while the old ones finish their work.

This module has the interface of Parallel::Prefork 0.18, by Kazuho Oku, and programs written for that version run
unchanged. L</DIFFERENCES FROM 0.18> says what they may notice. The module uses a library written in Rust,
F<libprefork.so>. Other languages can use the library too: see L</EMBEDDING>.

L<Parallel::Prefork::SpareWorkers> keeps a number of I<idle> workers, for a load that changes.

The text below uses these words:

=over 4

=item manager

The process that has called C<start>.

=item worker

A process that C<start> has forked.

=item generation

The workers that one call of C<start> has forked. Each call has a number, from 1.

=item to trap a signal

To let the signal end C<start>, and to say what the manager then sends to the workers.

=item to reap a child

To take the status of a child that has ended, as C<waitpid> does.

=item hook

C<before_fork>, C<after_fork> or C<on_child_reap>: code of the program that the manager calls. (C<on_worker_timeout>
is one that a worker calls.)

=item handler

The program's own signal handler. Perl may defer it, or run it at once (L<POSIX/sigaction>).

=back

=head1 CONSTRUCTOR

=head2 new(\%options), new(%options)

Makes a manager and sets its signal handlers (see L</SIGNALS>). It forks nothing.

C<new> dies if an option is wrong, names the option and its value, and has changed nothing. It also dies if its only
argument is no hash reference. The object keeps keys that are not listed here: programs and subclasses may store what
they like in it.

Each option is an accessor too. C<< $pm->max_workers >> gets it. C<< $pm->max_workers(8) >> checks it like C<new>,
sets it and returns it. A running C<start> uses the new value at once. Two or more values are stored as an array
reference, unchecked. Use accessors in the manager, its hooks and its handlers: a worker only changes its own copy.

Numbers have to be finite and 0 or more. C<undef> as a number is 0.

=over 4

=item max_workers => NUMBER

How many workers to keep. Default: 10. With 0 the manager forks none, and C<start> sleeps until a signal. A fraction
counts as the next whole number. A lower value stops nobody: the manager does not replace workers that end until there
are fewer.

=item spawn_interval => SECONDS

The pause between two forks. Default: 0. The manager makes the same pause after it has told a worker to stop because
there are too many.

=item err_respawn_interval => SECONDS

The pause after a failure: a worker of the current generation has ended with a status other than 0, or a fork has
failed. Default: 1. During the pause the manager forks no worker at all. It replaces a worker that exits with 0
without this pause.

After a failed fork the pause is at least 0.05 seconds. The manager warns once a second at most: C<fork failed:> and
the reason, and how many forks have failed since the last warning.

=item graceful_timeout => SECONDS

How long a worker may take to end once it was told so. Then the manager sends it KILL, once. Default: no limit, which
is also 0. C<start> and C<wait_all_children> send KILL, so it comes late if the manager does something else meanwhile.

The time begins with the first TERM, INT or QUIT that the manager sends the worker, by C<trap_signals> or by
L</signal_all_children(SIGNAL)>, or with the signal that tells it to stop because there are too many workers. Later
signals prolong nothing. Other signals, such as HUP or USR1, begin nothing. If that first signal was for the worker's
process group (C<'-TERM'>), KILL is too.

The system may refuse KILL, see L</In a container>. Then the manager warns, once for each worker, or gives that line to
the CODE of C<log_exits>. It does not send KILL again. So it is with C<worker_timeout> and C<ready_timeout>, too.

A change counts for workers that are told from then on. A worker that the program takes out of C<{worker_pids}> and puts
back has to be told again.

=item log_exits => BOOLEAN or CODE

Says something about each worker that has ended in a way that is out of the ordinary: with a status other than 0, by a
signal that the manager has not sent, or because its C<graceful_timeout>, C<worker_timeout> or C<ready_timeout> was
over. Default: false. With a true value the manager warns; CODE is called with the manager and the line, which has no
newline. If it dies, perl warns.

    worker 3 (pid 4711, generation 2) was killed by SIGKILL after 12.3 s: graceful_timeout of 2 s, it was sent SIGTERM
    worker 2 (pid 4714, generation 2) was killed by SIGKILL after 12.3 s, 41 requests: worker_timeout of 10 s, busy for 10.0 s
    worker 0 (pid 4712, generation 2) was killed by SIGSEGV after 0.2 s (core dumped)
    worker 1 (pid 4713, generation 2) exited with status 2 after 1.0 s

With this option the manager also finds out if the system has killed a worker because memory was short, where the system
counts that for the control group of the manager (C<oom_kill> in F<memory.events>, see cgroups(7)). The words of the
lines may change; a program looks at L</last_exit>. Set it before C<start>.

=item pdeathsig => SIGNAL

What the system sends a worker when its manager ends, in whatever way, KILL included: the name or the number of a signal.
Default: none; without it, workers go on when their manager is killed. It counts for workers that are forked from the next
C<start> on, and also for one whose manager ends before that worker has asked for it. (This is C<PR_SET_PDEATHSIG> of
prctl(2), on Linux. Elsewhere C<start> dies.)

The system forgets it when the worker changes its user or its group. The first call of L</stopping>, C<wait_readable> or
C<stop_fd> asks for it again, so make that call afterwards. If the manager has gone meanwhile, that call sends the signal.
In a thread other than the first one C<start> dies, because the system would send the signal at the end of the thread.

=item worker_timeout => SECONDS

How long a worker may be busy with one piece of work. Then the manager sends it KILL, once, and forks another one, as
after any failure. Default: no limit, which is also 0. A change counts for the workers of the next C<start>; 0 ends it
for all.

A worker is busy from L</busy([SECONDS])> to L</idle>, from the return of C<wait_readable> with a handle to its next call, or by
C<set_status> of L<Parallel::Prefork::SpareWorkers>. One that never says so is never late. Nor is one that is idle:

    my $pm = Parallel::Prefork->new(worker_timeout => 30);

    $pm->start(sub {
        while (my ($ready) = $pm->wait_readable($listener)) {
            my $client = $ready->accept or next;
            answer($client);
        }
    });

The manager kills a stopped worker as any other, but none that a debugger has hold of. A worker whose time to end runs
(C<graceful_timeout>) has that time. If the manager was itself stopped for more than a second while it waited, workers
that were due meanwhile get as much time again, C<worker_timeout> at most.

C<start> and C<wait_all_children> send KILL, so it comes late if the manager does something else meanwhile. They wake
up for that once in C<worker_timeout>, however many workers there are, and when a worker is due.

=item on_worker_timeout => CODE

What a worker does that is late: the manager sends it ABRT first, and a handler in the worker calls CODE with the
manager object. Then the worker exits with 1. Default: none.

    on_worker_timeout => sub { Carp::cluck("worker $$ hangs") },

Perl calls handlers between two of its operations. So a worker that hangs in C code, such as a regular expression or a
database driver, does not call CODE, and gets KILL. If CODE dies, its message is a warning, and the worker exits all
the same.

A handler that the program sets for ABRT, in the worker or before C<start>, stays, and CODE is not called.

=item worker_timeout_grace => SECONDS

How long after ABRT KILL comes. Default, and the meaning of 0: 2. It means nothing without C<on_worker_timeout>, and
C<start> dies if there is no C<worker_timeout>.

=item ready_timeout => SECONDS

How long after its fork a worker may take to get ready for work. Then the manager sends it KILL, once, and forks another
one, as after any failure. Default: no limit, which is also 0. A change counts for the workers of the next C<start>; 0
ends it for all.

A worker is ready when it calls L</ready>, or first calls L</busy([SECONDS])>, L</idle>, C<wait_readable> or
C<set_status> of L<Parallel::Prefork::SpareWorkers>. So a worker that hangs while it loads or connects does not stay:

    my $pm = Parallel::Prefork->new(ready_timeout => 10);

    $pm->start(sub {
        my $database = connect_to_database();
        $pm->ready;
        serve($database);
    });

Set it only if the workers say so. Others are killed, however well they work.

The manager kills a stopped worker as any other, but none that a debugger has hold of. A worker whose time to end runs
(C<graceful_timeout>) has that time. If the manager was itself stopped for more than a second while it waited, workers
that had to be ready meanwhile get as much time again, C<ready_timeout> at most. C<start> and C<wait_all_children> send
KILL, so it comes late if the manager does something else meanwhile.

=item trap_signals => \%action_of

Which signals end C<start>, and what the manager then sends to the workers. Default: C<< { TERM => 'TERM' } >>. See
L</TRAPPED SIGNALS>. Only C<new> traps the keys. The accessor changes what the manager sends, and which signals get
their default action in new workers, but traps no other signal.

=item fast_exit => BOOLEAN

Workers leave without destroying what they have. Set it before the worker is forked.

At exit perl frees the C<my> variables of the program's file one by one. A worker shares its memory with the manager,
and the kernel copies each page that the worker writes to. So the exit of a worker is slow if the program has much
data.

=over 4

=item What is done

A worker may call C<exit> or L</finish([STATUS])>, or die, or come to the end of the program. In all these cases it
destroys the variables of the subroutines that it leaves, and runs its C<END> blocks. It flushes its file handles and
those of C's stdio. It also closes the handles for which that is work:

=over 4

=item *

a pipe to or from a process, for which it waits;

=item *

a handle with a layer such as C<:gzip>, which writes its end;

=item *

a socket with C<SO_LINGER>, which waits for the other side;

=item *

a handle whose data it could not write before: it tries once more.

=back

=item What is left out

Destructors (C<DESTROY>) of objects and of tied variables that are global, or C<my> variables of the file. So a
directory that a worker has made by C<< File::Temp->newdir >>, and keeps in a global variable, stays. The worker also
leaves out functions that C libraries have registered with atexit(3), and perl's warnings of handles that it could not
close.

=item When not to use it

Do not use it if such a destructor has work to do when a worker ends: to commit, to unlock, to remove a file. Or
destroy that object in the worker's code or in an C<END> block.

=back

Without this option a worker skips perl's final destruction only if nobody can notice: no object has a destructor, no
handle needs a close, and no other code waits to be called.

=item huge_pages => BOOLEAN

Whether C<start> moves the memory of the manager to huge pages, before the first fork of each generation. Default: no.
After a change by the accessor, the next C<start> uses the new value.

A fork copies the page tables of the manager: an entry for each 4 KB of its memory. With huge pages there is an entry
for each 2 MB. So a large manager forks several times faster, and its workers end faster. F<docs/performance.md> in
the distribution has figures.

=over 4

=item When it helps

The manager loads tens of MB of data or more, before C<start> or in the first C<before_fork>. Workers read most of the
data, or do not touch it. Workers end and are replaced often.

=item When it does not

Small managers gain nothing, and lose nothing. A pool whose workers stay gains nothing either: moving the memory takes
as long as many forks save. Workers that write to much of their data gain less: such a write still copies 4 KB. Perl
also writes when it uses a string as a number or a number as a string, and when a worker exits.

=item What it costs

Time before the first worker runs, for each MB that is not in huge pages yet. A signal that arrives meanwhile (HUP,
INT, QUIT, TERM, USR1 or USR2) ends the move, and the next C<start> goes on with it.

Memory: the manager grows by a seventh at most, because the kernel fills a few holes. The move of 2 MB needs 2 MB more
for a moment. Workers of an earlier generation that share the moved memory keep the old copy until they end.

=back

This needs Linux 6.1 (madvise(2) with C<MADV_COLLAPSE>). The system's setting for transparent huge pages does not
matter. On other systems, and if memory is short, nothing happens. With C<PREFORK_DEBUG=1> in the environment the
manager says once on STDERR why it could not.

=item before_fork => CODE

=item after_fork => CODE

=item on_child_reap => CODE

Hooks that the manager calls. Default: none. See L</HOOKS>. The value is code, or an object that can be called;
C<undef> removes the hook.

=back

=head2 PREFORK_OPTIONS

Servers such as Starlet and Gazelle call C<new> with options of their own, and have no way to give others. For them this
variable of the environment has options, with blanks between them:

    PREFORK_OPTIONS='graceful_timeout=30 log_exits=1' start_server --port 80 -- plackup -s Starlet app.psgi

It may have C<max_workers>, C<spawn_interval>, C<err_respawn_interval>, C<graceful_timeout>, C<worker_timeout>,
C<ready_timeout>, C<pdeathsig>; C<fast_exit>, C<huge_pages> and C<log_exits>, as 0 or 1; for
L<Parallel::Prefork::SpareWorkers> also C<min_spare_workers>, C<max_spare_workers> and C<heartbeat>. They count for
every manager of the process, and of programs that it starts, as far as the program does not give that option to
C<new>. The manager warns of what is wrong, and leaves it out. Under taint checks (L<perlsec>) the variable is not
looked at.

=head1 METHODS

Hooks and handlers may call every method, even if they interrupt that same method. C<die> and C<exit> in a handler
leave C<start> and C<wait_all_children> as they leave any code.

=head2 start([CODE])

Begins a new generation, and keeps the workers running until a trapped signal arrives, or until the program sets
L</signal_received([VALUE])> to something true. A trapped signal that arrived earlier, and that the program has not
read, ends C<start> at once. Workers of earlier generations count too: as they leave, new ones take their places.

In the manager C<start> sends the workers what C<trap_signals> says, and returns 1. It does not wait for them.

With CODE, each worker calls it without arguments and in void context. Then the worker calls the method
L</finish([STATUS])>. It never comes back from C<start>. If CODE dies, the worker prints the message to STDERR and
ends with perl's exit status for that, even if there is an C<eval> around C<start>.

Without CODE, C<start> returns in each worker with an empty list (C<undef> in scalar context). The program does the
work there and calls C<finish>.

Before any code of the program runs in a worker:

=over 4

=item *

C<{in_child}> is 1;

=item *

the trapped signals and CHLD have their default actions, and other handlers are the manager's;

=item *

the signal mask is the one that the manager had before the fork;

=item *

the worker exits with 0 if C<signal_received> is true already, because a C<before_fork> hook has set it.

=back

The manager forks as perl's own C<fork> does, or by a C<*CORE::GLOBAL::fork> that was there when this module was
loaded.

I<Where:> the manager, its hooks and its handlers. A process that the program has forked by itself may call it too,
and becomes the manager of an empty pool. I<Errors:> dies in a worker (C<cannot start another process while you are in
child process>); a worker that wants workers makes a manager of its own. Dies if CODE is no code. If C<before_fork>,
C<after_fork> or a handler dies, the error leaves C<start>. The workers go on, and the next C<start> or
C<wait_all_children> takes care of them again.

=head2 finish([STATUS])

Ends a worker by C<exit> with STATUS, or 0. C<END> blocks and destructors run (but see C<fast_exit>).

I<Where:> a worker, and its handlers. I<Errors:> dies in the manager, with the text of 0.18, in which a letter is
missing: C<$parallel_prefork-E<gt>finish() shouln't be called within the manager process>.

=head2 signal_all_children(SIGNAL)

Sends a signal to all workers of all generations at once, in the order in which their pids sort as strings. SIGNAL is
a name (C<'TERM'>, C<'SIGTERM'>) or a number. With a minus sign the signal goes to the process group of each worker
that leads one. 0, C<''> and C<undef> send nothing. Returns nothing.

The manager signals only children that it has not reaped. So it never hits another process to which the system has
given the same pid.

I<Where:> the manager, its hooks and its handlers. In a worker, and in a process that the program has forked by
itself, it does nothing. I<Errors:> dies if there is no such signal (C<Unrecognized signal name>).

=head2 wait_all_children([TIMEOUT])

Waits until no worker is left, for TIMEOUT seconds at most, and returns the number of workers that are left. Fractions
count. 0 or C<undef> waits for ever. A negative TIMEOUT returns at once.

    $pm->signal_all_children('TERM');
    while ($pm->wait_all_children(5)) {
        $pm->signal_all_children('KILL');
    }

It sends no signal of its own, but it goes on with one that goes to one worker after the other (see L</TRAPPED
SIGNALS>). Trapped signals do not end it. They wait until the program reads them, or for the next C<start>.

While it waits, it also reaps children of the program that are no workers, and reports them to nobody. The program may
call C<start> afterwards.

I<Where:> the manager, its hooks and its handlers. In a worker, and in a process that the program has forked by
itself, it returns 0 at once. I<Errors:> none; a TIMEOUT that is no number counts as a negative one.

=head2 num_workers

Returns the number of workers, of all generations. It includes the worker that C<start> is just reporting to
C<on_child_reap>.

I<Where:> anywhere. In a worker, and in a process that the program has forked, it is the number at the fork.

=head2 worker_index

In a worker, returns its index: the lowest number from 0 that no other worker had at the fork. So it was below
C<max_workers> then, and it never changes in the life of a worker. Use it to give each worker its own port or log
file. In the manager it returns C<undef>.

I<Where:> anywhere.

=head2 last_exit

Returns what is known of the child that was reaped last, as a reference to a new hash; C<undef> if there was none. Call
it in C<on_child_reap>, for the child that the hook is about.

=over 4

=item pid, status

As the hook gets them.

=item generation, index

Those of the worker; 0 for a child that is no worker.

=item reason

What the pool makes of it: C<ended>, C<failed> (it makes a pause), C<stopped> (it was one too many), C<stolen> (other
code has reaped it), C<foreign> (it was no worker).

=item cause

What made it end: C<asked> (a signal that the program has sent by the manager), C<surplus> (it was one too many),
C<timeout> (it was busy for more than C<worker_timeout>), C<not_ready> (it was not ready within C<ready_timeout>),
C<external> (a signal that the manager has not sent: from another process, from the system, or for a fault of its
own). C<''> if it has ended by itself.

=item sent_signal

The name of the signal that the manager has sent it: the first one that told it to end, or else the last one; C<''> if
there was none.

=item grace_over, out_of_memory

1 if the manager has killed it as its C<graceful_timeout> was over; 1 if the system has killed it because memory was
short, which is known with C<log_exits> only. Otherwise 0.

=item requests, busy_for

How many pieces of work it had begun, and for how many seconds it had been busy; 0 without C<worker_timeout> and
C<ready_timeout>.

=item age

How many seconds after its fork it has ended.

=back

Later versions may add members. I<Where:> the manager, its hooks and its handlers.

=head2 wait_readable(HANDLES), wait_readable(\@HANDLES, [SECONDS])

The wait of a worker that finishes what it has begun. It returns the handle that is readable, or the empty list when
it is time to leave:

    while (my ($ready) = $pm->wait_readable($listener)) {
        my $client = $ready->accept or next;
        serve($client);
    }

It is time to leave when the worker has got TERM, INT, QUIT or the signal by which the manager stops workers that are
too many, or when the manager is gone, even by C<kill -9>. A worker that waits leaves at once. One that serves leaves
at the next call, and no request is dropped.

With an array, SECONDS (a fraction is allowed) limit the wait. The empty list then also says that the time is over,
and L</stopping> tells the two apart. So a worker polls a queue:

    until ($pm->stopping) {
        look_into_the_queue();
        $pm->wait_readable([], 1);
    }

In scalar context it returns C<undef> instead of the empty list.

=over 4

=item Handles

A handle is a file handle, a glob, an object of IO::Handle's kind or the number of an open file. It is returned as it
was given. It counts as readable also at its end and after an error, as for C<select>, and if perl has read data from
it that the program has not. Of several that are readable each has its turn.

An IO::Socket::SSL may have data that it has read and not given out: read on while C<< $client->pending >> is true,
before you wait.

=item Listeners

One connection wakes all workers, and one of them gets it. So make the listener non-blocking (C<< Blocking => 0 >>).
C<accept> then fails in the others, with C<EAGAIN>; after C<EAGAIN>, C<EINTR> and C<ECONNABORTED> wait again. After
C<EMFILE> (too many open files) the connection stays there, and the next wait returns at once: close something first,
or sleep.

=item Signals

The first call of C<wait_readable>, C<stopping> or C<stop_fd> in a worker takes the signals above. Before that they
have their default action, or the worker's handler. No signal is blocked.

So such a signal may arrive while the worker serves: what it reads and writes goes on, but C<select>, C<sleep> and
others end early, with C<EINTR> (signal(7)). Call them again.

A handler in C<%SIG> of the worker runs as usual, and the wait ends. So does one that is set later: each call looks for
that. When C<local $SIG{TERM}> ends, TERM has its default action until the next call. What is set to C<'IGNORE'> stays
ignored. Other signals do not end the wait, and their handlers run meanwhile; C<die> in a handler leaves it. A child
that the worker forks has the handlers, or the default actions, that the worker had before.

=item The end of the manager

Before Linux 5.3 the worker looks for it once a second, and so it does where pidfd_open(2) is forbidden. If the manager
is outside of the worker's PID namespace, the worker cannot tell.

=back

I<Where:> a worker, of subclasses too. I<Errors:> dies in the manager, with a value that is no open handle (it names the
value), and with a wrong time-out; also in a child of the worker, if the worker has called this, C<stopping> or
C<stop_fd> before. Otherwise such a child is told that the manager is gone.

=head2 stopping

Returns why the worker is to leave: C<'signal'> or C<'manager gone'>; C<''> if it is not to. Later versions may have
other reasons. Ask it in the middle of long work.

I<Where:> a worker. I<Errors:> as C<wait_readable>.

=head2 stop_fd

Returns the number of a file that becomes readable when the worker is to leave, and stays so. It is for event loops (see
L</Event loops in the workers>). Do not read from it, and do not close it.

I<Where:> a worker. I<Errors:> as C<wait_readable>.

=head2 current

A class method: C<< Parallel::Prefork->current >> returns the object of which this process is a worker. So code deep in
a server finds it. In a process that is no worker, and in another thread, it returns C<undef>. In a process that a worker
has forked it returns that worker's object, for what it may be worth there.

I<Where:> anywhere.

=head2 ready

Tells that the worker is ready for work: it has loaded and opened what it needs. Later calls change nothing. Returns
nothing. Without C<ready_timeout> it does nothing.

I<Where:> a worker, and its handlers; in a process that a worker has forked by itself it does nothing. I<Errors:> dies in
the manager.

=head2 busy([SECONDS])

Tells that the worker begins a piece of work, which also says that it is ready. It has C<worker_timeout> seconds for
that, or SECONDS if that is given and not 0. A second call without L</idle> in between begins the next one. Returns
nothing.

I<Where:> a worker, and its handlers; in a process that a worker has forked by itself it does nothing. Without
C<worker_timeout> it does nothing either, and takes a fraction of a microsecond. I<Errors:> dies in the manager. Dies
if SECONDS is no number, infinite or less than 0.

=head2 tick([SECONDS])

Tells that the worker goes on with its work, and that its time begins anew: C<worker_timeout>, or SECONDS. With 0 it
may take as long as it likes, until the next call. I<Where> and I<Errors> are those of C<busy>.

=head2 idle

Tells that the worker is done, and waits for work, for as long as it likes. I<Where> and I<Errors> are those of C<busy>.

=head2 signal_received([VALUE])

Returns the name of the signal that has ended C<start>. Once the program has read that, it returns the latest signal
that has arrived since. Without one it returns C<''>. What the program has read, the next C<start> does not act on.

With VALUE it sets that and returns it:

=over 4

=item *

A true VALUE ends C<start>. Use it to stop from a hook, or from a handler of your own. If VALUE is a key of
C<trap_signals>, the workers are sent what that key says. The next C<start> clears the value.

=item *

A false VALUE shows the next signal that waits, if there is one.

=back

I<Where:> the manager, its hooks and its handlers. A trapped signal calls it as a method with the name of the signal,
so a subclass can override it.

=head2 manager_pid([PID])

Returns the pid of the process that has called C<start> last, in its workers too; C<undef> before the first C<start>.
With PID it sets that, for programs with a C<start> of their own.

I<Where:> anywhere.

=head2 mk_accessors(NAMES)

A class method for subclasses. For each name it makes an accessor, in the package that calls it. The accessor gets or
sets the member of that name.

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');
    __PACKAGE__->mk_accessors(qw(listener timeout));

C<mk_ro_accessors>, C<mk_wo_accessors>, C<mk_new>, C<mk_new_and_accessors> and C<import> do what they do in
Class::Accessor::Lite. Programs can also call all of these on that class, without loading it. If it is loaded, its own
methods are called.

=head1 HOOKS

Hooks run in the manager, in void context. While one runs, the manager forks and reaps nothing, and signals stay
trapped. A hook may call every method.

=over 4

=item before_fork($pm)

Before each fork, also if the one before has failed. If the hook dies, the manager does not fork, and the error leaves
C<start>.

=item after_fork($pm, $pid)

After each fork that worked. The worker runs already, and may have ended. C<{worker_pids}> and C<num_workers> include
it only after the hook; C<signal_all_children> and C<wait_all_children> reach it already. If the hook dies, the error
leaves C<start>, and the worker stays in the pool.

=item on_child_reap($pm, $pid, $status)

After the manager has reaped a child. C<$status> is what C<$?> would be: C<<< $status >> 8 >>> is the exit status, and
C<$status & 127> the signal. It is -1 if other code has reaped the child, which counts as a failure.

C<start> calls the hook for every child: also for those that the program has forked by itself and, in a process with
pid 1, for those that it has inherited. A worker is still in C<{worker_pids}> then, so C<< exists
$pm->{worker_pids}{$pid} >> tells workers from others. C<wait_all_children> calls the hook for workers only, after
they have left C<{worker_pids}>.

If the hook dies, perl warns (C<on_child_reap died:>), the manager goes on, and C<$@> is kept. C<exit> works.

=back

=head1 TRAPPED SIGNALS

    trap_signals => {
        TERM => 'TERM',         # TERM stops all workers at once
        HUP  => ['TERM', 2],    # HUP stops one worker every 2 seconds
        USR1 => '',             # USR1 only ends start
    }

The keys of C<trap_signals> are names as in C<%SIG>: C<TERM>, not C<SIGTERM> or 15. For a name that does not exist
perl warns (C<No such signal: SIGFOO>). An empty hash traps nothing. The values say what the manager sends to the
workers:

=over 4

=item C<undef>, C<''> or 0

Nothing. C<start> only returns.

=item a signal

That signal, to all workers at once: C<'TERM'>, C<'SIGTERM'> and 15 are the same.

=item a signal with a minus sign

C<'-TERM'> or -15: the signal goes to the process group of each worker that leads one (see L<perlfunc/setpgrp>), so
that the worker's own children get it too. A worker that leads none gets nothing.

=item [SIGNAL, SECONDS]

The signal goes to one worker at once, and to the others one by one, so many seconds apart. The manager sends these
during later calls of C<start> and C<wait_all_children>. Between those calls it sends nothing, and it does not make up
for that in a burst. Workers that were forked meanwhile get nothing. The next signal with SECONDS replaces this one.

Without SECONDS, or with 0, all workers get the signal at once.

=back

C<new> and the accessor refuse a signal that does not exist, and SECONDS that are no number from 0 on.

Any name of a signal with several names works (IO and POLL, CHLD and CLD, ABRT and IOT).

=head1 SIGNALS

F<SIGNALS.md> in the distribution says all about signals. In short:

=over 4

=item *

C<new> sets C<$SIG{$name}> for each key of C<trap_signals>, and C<$SIG{CHLD}>, in the process that calls it. Whoever
sets one of them later wins: C<start> sets none. C<local $SIG{TERM}> gives the trap back at its end. A handler of your
own may call C<< $pm->signal_received('TERM') >> to end C<start>.

=item *

The handlers stay in C<%SIG> when the program drops its last reference to the object, and they keep the object alive.

=item *

In a worker these signals are C<'DEFAULT'>. Handlers that the program has set for other signals stay. From the first
C<wait_readable> on, TERM, INT and QUIT end the worker's wait, and not the worker.

=item *

The manager acts on trapped signals in the order of their arrival, once on each. The first ends C<start>, and each of
the others ends a later C<start>, at once. Equal signals that wait count as one.

=item *

C<signal_received> shows one signal: first the one that has ended C<start>, and, once the program has read that, the
latest that has arrived. The others wait. When the program has read what is shown, C<wait_all_children> shows the next
one.

=item *

The next C<start> acts on a signal that arrives while no C<start> runs. But if the program reads it before, the signal
is the program's, and C<start> clears it.

=item *

SIGCHLD ends the manager's sleep, whatever C<$SIG{CHLD}> is, and even if the program blocks it. With C<'IGNORE'> the
system may reap workers by itself, and their statuses are lost.

=item *

The manager blocks all signals before a fork. It lets them in when it knows the worker; the worker lets them in when
it has its default actions.

=back

=head1 WHAT WORKERS INHERIT

A worker begins as a copy of the manager, as after any C<fork>. L</start([CODE])> says what is different in it. These
things are the same in all workers:

=over 4

=item Random numbers

If the manager has called C<rand> or C<srand>, or C<shuffle> of L<List::Util>, all workers draw the same numbers. Call
C<srand> in each worker. Modules with generators of their own have a function for that, or notice the fork, as OpenSSL
does. The order of C<keys> may be the same in all workers too, so do not use it to choose one of several servers.

=item Files and sockets

A file that was open before the fork has one position for all processes: what one worker reads, the others miss. A
connection is shared too, and what two processes send gets mixed. Connect in the worker.

=item Timers

C<alarm> goes on in the manager, and is off in the worker. For event loops see L</Event loops in the workers>.

=back

=head1 TAINT CHECKS

Programs may run under C<perl -T>. If a C<scoreboard_file>, or a signal to send, comes from outside, then C<new>,
C<start> or C<signal_all_children> dies with perl's own message: C<Insecure dependency in sysopen> or C<Insecure
dependency in kill>.

=head1 MEMBERS

The object is a blessed hash. Programs may read these members, and store into them. Nothing checks what they store, so
use an accessor where there is one.

=over 4

=item {worker_pids}

A hash of pid and generation. It always shows the manager's own table.

=over 4

=item *

B<Deleting> a pid takes the worker out of the pool. The worker lives on, but the manager does not count or signal it
any more. If it ends during C<start>, C<on_child_reap> hears of it, as of any child.

=item *

B<Storing> a pid takes a child that the program has forked by itself into the pool. Any value is kept; a number is its
generation. A key that cannot be a pid is refused.

=item *

If the program puts another hash in its place, for good or by C<local>, that hash becomes the table at the next call
of a method: the workers in it are the workers. The old hash keeps what it showed, and is the table again when the
program puts it back.

=back

=item {generation}

The number of calls of C<start>; 0 before the first. In a worker, the generation in which it was forked.

=item {in_child}

1 in a worker, 0 in the manager.

=item {manager_pid}, {signal_received}, and the options

What the accessors of those names return.

=item {__dbg_callback}

For tests. If it is set, C<start> calls it without arguments on each turn of its loop, and never sleeps.

=back

=head1 SUBCLASSING

The manager calls these as methods, so a subclass can override each of them. C<SUPER::> does what the text says here.

=over 4

=item the accessors

C<max_workers>, C<spawn_interval>, C<err_respawn_interval>, C<trap_signals>, C<signal_received>, C<manager_pid>,
C<on_child_reap>, C<before_fork>, C<after_fork> and C<on_worker_timeout>. Without an argument they return the value
that counts. In a worker C<signal_received> is called once before anything else, when C<{in_child}> is set and the
signals are reset.

=item num_workers, signal_all_children, finish, wait_all_children

As above.

=item _decide_action()

Returns what the pool wants now: a number above 0 to fork a worker, 0 for nothing, -N to stop N workers. C<start>
calls it on each turn on which it may fork, and before it sleeps.

=item _action_for($signal)

Returns C<[$signal_to_send, $seconds]>, or C<undef> to send nothing. When C<start> ends, the manager calls it with
what C<signal_received> returns. It calls it with C<'TERM'> when there are too many workers and some are to stop.

=item _update_spawn_delay($seconds)

Forbids forks for so many seconds from now on, in place of an earlier pause; 0 ends the pause. Its return value is not
used. The manager calls it after each fork, each failed fork, each stop, and each failure of a worker.

For subclasses with a loop of their own, C<{_no_adjust_until}> is the wall-clock time at which the pause ends, 0
without one, and C<undef> after C<wait_all_children>.

=item _wait($blocking)

Reaps a child, and sends the signals that are due. It returns a list: the pid and the status of the child, its user
and its system CPU time in seconds, and the fourteen numbers of getrusage(2) from C<ru_maxrss> on. If no child has
ended, the list is empty.

If C<$blocking> is true, it first sleeps until a child ends, a signal arrives, or the pool wants attention. Then too
the list may be empty.

A worker that C<_wait> has returned to the program stays in C<{worker_pids}>, and is counted, until the program
deletes it there, or until C<start> or C<wait_all_children> goes on.

=item _max_wait()

Returns how many seconds C<_wait> may sleep at most. Here it is C<undef>: no limit. Override it to look at something
every now and then.

=item _on_child_reap($pid, $status)

Calls the hook. Its return value is not used. If an override dies, the error leaves C<start>.

=back

=head1 EMBEDDING

=head2 Event loops in the workers

Make the loop and its watchers in the worker: after C<start> has returned there, or inside CODE. A watcher of a signal
replaces the default action that the worker has.

Some loops exist before the fork, because the manager runs them or because a module made them when it was loaded. Then
each worker has a copy, with all watchers. In the worker, first drop these watchers, and then make the loop anew:

=over 4

=item EV, AnyEvent

Call nothing: EV notices the fork by itself.

=item IO::Async

C<< $loop->post_fork >>

=item Mojo::IOLoop

C<< Mojo::IOLoop->reset >>, which drops its watchers too.

=back

To leave when it is told to, or when the manager is gone, the worker watches L</stop_fd> in its loop:

    my $done  = AnyEvent->condvar;
    my $watch = AnyEvent->io(fh => $pm->stop_fd, poll => 'r', cb => sub { $done->send if $pm->stopping });
    $done->recv;

Always ask C<stopping>: before Linux 5.3, or where pidfd_open(2) is forbidden, the file is readable once a second, too.
A loop that wants a handle, such as IO::Async and Mojo::IOLoop, is given a copy:

    open my $stop, '<&', $pm->stop_fd or die "cannot copy: $!";

A watcher of TERM in that loop takes the signal away from C<stop_fd>.

Watchers of children need SIGCHLD. In the worker SIGCHLD has its default action, but a loop that existed before the
fork believes that its own handler is still there. So EV never calls a watcher of children (C<EV::child>, and C<<
AnyEvent->child >> with EV), unless the worker passes the signal on:

    use POSIX qw(SIGCHLD);
    $SIG{CHLD} = sub { EV::feed_signal(SIGCHLD) };
    our $check = EV::check(sub { });              # perl calls the handler in a turn of the loop,
    our $tick  = EV::timer(0.25, 0.25, sub { });  # and this makes a turn if it comes just before a sleep
    $_->keepalive(0) for $check, $tick;

AnyEvent's own loop does not touch a signal that has something in C<%SIG>. So say C<delete $SIG{CHLD}> in the worker
before C<< AnyEvent->child >>, and C<delete $SIG{TERM}> before C<< AnyEvent->signal >>. If the manager has a watcher
of children by that loop, the loop never calls a worker's. IO::Async needs only C<post_fork>.

=head2 A manager beside an event loop in Perl

C<start> is a loop of its own, and it reaps all children of its process. A program with an event loop gives the
manager a process of its own, and directs it by signals:

    my $manager = fork;
    defined $manager or die "cannot fork: $!";
    if (!$manager) {
        my $pm = Parallel::Prefork->new(trap_signals => { TERM => 'TERM', HUP => 'TERM' });
        until ($pm->signal_received eq 'TERM') {
            $pm->start(\&serve);
        }
        $pm->wait_all_children;
        exit 0;
    }
    # Here goes the event loop: HUP to $manager reloads, TERM stops it, and waitpid sees its end.

Fork before you make the loop, and call C<new> in the new process, because C<new> sets the handlers.

If the loop and the manager must share one process, a subclass takes a turn of the loop where the manager would sleep:

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');

    sub _wait {
        my ($self, $blocking) = @_;
        my @ended = $self->SUPER::_wait(0);
        return @ended if @ended;
        one_turn_of_the_loop($blocking ? 0.25 : 0);    # seconds at most
        return $self->SUPER::_wait(0);
    }

A subclass of L<Parallel::Prefork::SpareWorkers> does the same. The loop turns inside C<start> and
C<wait_all_children>, and also while C<start> fills the pool. Most signals end the loop's own sleep; the manager sees
all of them after 0.25 seconds. A callback may call every method. To end C<start> it calls
L</signal_received([VALUE])>. It may call C<start> too, but with AnyEvent only if AnyEvent uses EV. This is one turn:

=over 4

=item EV::run, for EV, and for AnyEvent with EV

    my $end = EV::timer($seconds, 0, sub { });
    EV::run($seconds ? EV::RUN_ONCE() : EV::RUN_NOWAIT());

=item A condition variable, for AnyEvent with any loop

    my $turn = AnyEvent->condvar;
    my $end  = AnyEvent->timer(after => $seconds, cb => $turn);
    $turn->recv;

=item loop_once, for IO::Async

    $loop->loop_once($seconds);

=item one_tick, for Mojo::IOLoop

    my $reactor = Mojo::IOLoop->singleton->reactor;
    my $end     = $reactor->timer($seconds => sub { });
    $reactor->one_tick;
    $reactor->remove($end);

=back

Such a loop must have no watchers of children, and must not run commands that it waits for: here the manager reaps
them. (C<< Mojo::IOLoop->subprocess >> works, except for its C<exit_code>.)

EV reaps all children from the moment when it is loaded, also by AnyEvent or Mojo::IOLoop, and even without a watcher.
Their statuses are lost, and the manager gives -1. C<new> takes SIGCHLD back from EV. So load EV before C<new>. If the
program loads it later, take SIGCHLD back:

    my $manager_handler = $SIG{CHLD};    # perl takes no notice of $SIG{CHLD} = $SIG{CHLD}
    $SIG{CHLD} = $manager_handler;

If the loop has watchers of children, let it reap the workers as well:

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');
    our @ended_in_loop;

    sub _wait {
        my ($self, $blocking) = @_;
        one_turn_of_the_loop($blocking && !@ended_in_loop ? 0.25 : 0);
        return @{ shift @ended_in_loop || [] };
    }

The loop then needs one watcher of all children. Make it after C<new>, because it has to replace C<new>'s handler of
SIGCHLD:

=over 4

=item EV::child, for EV, and for AnyEvent with EV

    our $all = EV::child(0, 0, sub {
        push @My::Prefork::ended_in_loop, [$_[0]->rpid, $_[0]->rstatus];
    });

If EV was loaded before C<new>, C<new> has taken SIGCHLD from it. Pass the signal on, as in a worker (see L</Event
loops in the workers>).

=item AnyEvent's child, for its own loop

    delete $SIG{CHLD};    # or AnyEvent does not touch it
    our $all = AnyEvent->child(pid => 0, cb => sub { push @My::Prefork::ended_in_loop, [@_] });

=item watch_process, for IO::Async

    $loop->watch_process(0 => sub { push @My::Prefork::ended_in_loop, [@_] });

=back

This also serves for EV with C<EVFLAG_SIGNALFD>, which blocks SIGCHLD and reads it from a descriptor. SIGCHLD is then
blocked in the workers too. In this way C<trap_signals> cannot have C<[SIGNAL, SECONDS]>, and C<graceful_timeout> kills
nobody: the C<_wait> that this subclass replaces sends these signals.

=head2 C, and every language that can call C

F<include/prefork.h> in the distribution declares the functions of F<libprefork.so>. C<make install> puts that library
beside the XS object of this module; C<cargo build --release> makes it without perl. C programs call C<pf_start>,
C<pf_wait_all_children> and the rest: see F<examples/workers.c>.

A host with an event loop, or with a C<fork> of its own, uses the pull interface below these. C<pf_next> never blocks,
never forks and never calls the host. It says what to do next. The host does that, and asks again:

    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    for (;;) {
        pf_event event;
        if (pf_next(pf, &event) != PF_OK)
            return -1;                      /* pf_error_message(pf) says why */
        switch (event.type) {
        case PF_EVENT_FORK: {
            pid_t pid = fork();
            if (pid < 0)
                pf_fork_failed(pf, NULL);
            else
                pf_forked(pf, pid);
            if (pid == 0)
                work(pf);                   /* the worker; it ends by exit */
            break;
        }
        case PF_EVENT_WAIT:                 /* until event.fd is readable, or the time is over */
            wait_in_loop(event.fd, event.timeout);
            break;
        case PF_EVENT_STOPPED:              /* by a trapped signal */
            pf_drain(pf, -1);
            break;
        case PF_EVENT_DRAINED:              /* all workers have ended */
            return 0;
        default:                            /* REAPED, and events of later versions */
            break;
        }
    }

=head1 RECIPES

Workers that hang, crash or do not leave are taken care of by options. Which, depends on who writes the program.

=head2 Starlet and Gazelle

They call C<new> with options of their own, so the rest comes from the environment (L</PREFORK_OPTIONS>):

    PREFORK_OPTIONS='graceful_timeout=30 pdeathsig=TERM log_exits=1' \
        start_server --port 80 -- plackup -s Starlet --max-workers 20 app.psgi

=over 4

=item *

A worker that has not left 30 seconds after TERM is killed. So the old server ends after a restart by C<start_server>,
whatever its workers do.

=item *

The workers get TERM if their manager is killed, and finish the request at hand.

=item *

Each exit that is out of the ordinary makes a line in the log.

=back

These servers do not say when a worker begins a request. The application can, by three calls around its own: then
C<worker_timeout=30> kills a worker that takes longer for a request, and the manager forks another one.

    use Parallel::Prefork;

    my $app = ...;

    sub {
        my $env    = shift;
        my $worker = Parallel::Prefork->current or return $app->($env);
        $worker->busy;
        my $response = eval { $app->($env) };
        my $error    = $@;
        $worker->idle;
        die $error if !$response;
        return $response;
    };

Of an answer that is streamed this counts the time until it begins. F<examples/limited.psgi> is a whole program.

=head2 Jobs from a queue

A worker that polls a queue asks between two jobs whether it is to leave. Where there is no job it waits, but leaves at
once:

    my $pm = Parallel::Prefork->new(
        max_workers      => 4,
        trap_signals     => { TERM => 'TERM', HUP => 'TERM' },
        worker_timeout   => 300,    # for a job...
        graceful_timeout => 300,    # ... and for the one at hand when the worker is told to leave
        log_exits        => 1,
    );

    sub work {
        until ($pm->stopping) {
            if (my $job = next_job()) {
                $pm->busy;
                do_job($job);
                $pm->idle;
            }
            else {
                $pm->wait_readable([], 1);
            }
        }
    }

A long job calls L</tick([SECONDS])> now and then. If the manager is killed, the workers leave after the job at hand. The job
of a worker that was killed has to be put back, or away: C<on_child_reap> is the place. F<examples/jobs.pl> does all of
that with a folder as the queue.

=head2 In a container

Workers often change their user, by C<POSIX::setuid>. The manager, which stays root, then needs the capability KILL to end
them. Without it, it cannot send them TERM either. Where all capabilities are dropped, add that one:

    docker run --cap-drop ALL --cap-add SETUID --cap-add SETGID --cap-add KILL ...

Otherwise a worker that is to be killed goes on, C<wait_all_children> waits for it, and the manager warns, once:

    worker 3 (pid 4711, generation 2) is to be killed, and may not be: Operation not permitted. ...

Or start the manager as the user of its workers: it needs no capability then, unless a worker becomes root, by a program
with the set-user-ID bit.

=head2 A server in C

See L<prefork-care(3)>, and F<examples/http.c>.

=head1 DIFFERENCES FROM 0.18

=head2 What is better

Signals:

=over 4

=item *

A signal that comes just before the manager goes to sleep ends C<start>. In 0.18 it could stay unnoticed until a
worker ended.

=item *

A signal that comes before C<start>, or between two calls of it, ends the next C<start>. In 0.18 it was lost: a server
that was told to stop while it read its configuration ran on.

=item *

No signal takes the place of another. After TERM and HUP in a row, a server stops. In 0.18 it could reload and run on.

=item *

A handler that was installed with C<SA_RESTART> can end C<start>.

=item *

A signal with several names finds its action by any of them. In 0.18 it did so only by the name that perl gives it.

=item *

A signal that goes to one worker after the other hits living workers only. In 0.18 it could hit other processes that
had got the pid of an old worker. Without workers it was an error.

=item *

A new worker never runs the manager's handlers of trapped signals. In 0.18 such a handler could signal all other
workers. C<signal_all_children> and C<wait_all_children> do nothing in a worker.

=back

Workers:

=over 4

=item *

A worker that is stopped by ptrace(2), with the manager's process as its tracer, still counts. 0.18 thought that it
had ended.

=item *

If the code that was given to C<start> dies, the worker ends, even if C<start> is called inside an C<eval>. In 0.18 it
went on behind that C<eval>, as a second manager.

=item *

If C<after_fork> dies, or a handler leaves C<start> just after a fork, the manager still knows the new worker. In 0.18
that worker was an orphan.

=item *

The manager notices workers that other code has reaped (C<< $SIG{CHLD} = 'IGNORE' >>, or a C<waitpid> of the program),
reports them with status -1, and replaces them. In 0.18 C<start> and C<wait_all_children> never returned, and kept a
CPU busy.

=item *

If forks fail, the manager tries again after 0.05 seconds at least, warns once a second at most, and reaps workers
meanwhile, whatever C<err_respawn_interval> is.

=item *

With C<max_workers> 0 the manager sleeps. In 0.18 it kept a CPU busy.

=item *

Children that are no workers cause no warnings about uninitialized values in C<start>.

=back

Hooks and times:

=over 4

=item *

C<wait_all_children> gives C<on_child_reap> the status of the worker. 0.18 gave it an old C<$?>.

=item *

If C<on_child_reap> dies, perl warns. In 0.18 the error was lost, and C<$@> was changed.

=item *

C<wait_all_children> keeps fractions of a second. 0.18 rounded them up.

=item *

Intervals do not depend on the wall clock. If somebody set the clock back, 0.18 stopped forking until the clock had
caught up.

=back

L<Parallel::Prefork::SpareWorkers>:

=over 4

=item *

C<start> runs the code that it is given. 0.18 ignored it.

=item *

The manager stops only idle workers, tells each of them once, and stops as many at a time as are too many. 0.18 hit
busy ones, and the same one again and again.

=item *

The manager can stop workers without TERM in C<trap_signals>. In 0.18 that was an error.

=item *

C<max_workers> can be raised while the manager runs. In 0.18 new workers found no slot on the scoreboard, and died.

=item *

A worker in a pid namespace of its own gives its slot on the scoreboard back. In 0.18 the slot stayed taken, and soon
no worker found one.

=item *

A scoreboard of the program's own is used even if its class overloads it to be false.

=item *

There is no lock on the scoreboard. In 0.18 a signal killed the manager if it waited for that lock.

=back

=head2 What programs may have to know

=over 4

=item *

Wrong options die in C<new> and in the accessors, with a message. 0.18 took them, and they did harm later.

=item *

C<{worker_pids}> is a tied hash, and C<{delayed_task}> is gone.

=item *

This module does not load the modules that 0.18 loads: Class::Accessor::Lite and Proc::Wait3, and for SpareWorkers
also List::MoreUtils, Scope::Guard and Signal::Mask. Of perl's own modules these are, for example, Time::HiRes and
List::Util, and for SpareWorkers POSIX, Fcntl and File::Temp. A program that uses one of them should load it by
itself.

Some programs call a function of such a module by its full name: C<Time::HiRes::sleep(0.1)>, C<POSIX::_exit(0)>. For
these the module is loaded all the same, if it is installed: before the program runs, or by C<new> and C<start>; also
where Time::HiRes or List::Util is called without parentheses (C<Time::HiRes::time - $start>). This does not work for methods
(C<< Scope::Guard->new >>), for names in strings, and for code that is compiled in a worker.

The methods of Class::Accessor::Lite are there all the same (see L</mk_accessors(NAMES)>), and C<<
Parallel::Prefork->isa('Class::Accessor::Lite') >> is still true.

=item *

A copy of a manager by Storable or Data::Dumper has the workers of that moment, as in 0.18. A copy by Clone has none.

=item *

If a signal handler sets a hook while C<start> runs, that hook cannot leave C<start> by C<last>, but it can by C<die>.
A hook that was set before can do both.

=back

=head2 What is kept on purpose

Programs count on these, so they are as in 0.18:

=over 4

=item *

C<err_respawn_interval> holds back all forks, not only the one that replaces the failed worker.

=item *

The manager replaces a worker that exits with 0 at once.

=item *

A lower C<max_workers> stops no worker.

=item *

The signal handlers stay in C<%SIG> when the program drops the object.

=back

=head1 LIMITS

A manager belongs to the thread that has made it. Make other threads after C<new>: they then have copies of its
handlers. A perl thread without a handler for a signal ends the process if it gets that signal while the manager's
handler for it runs. This is perl's doing.

The core sends the signals to workers: an override of C<kill> (C<CORE::GLOBAL::kill>) is not called.

L<PAR> takes only a module's own shared object along. F<libprefork.so.1> has to be where the system's linker finds it:
installed (C<make install-c>), or in a directory that LD_LIBRARY_PATH names.

C<perl Makefile.PL PLAIN=1> builds the module without what relies on perl's insides. Workers then cost more, though less
than with version 0.18, and C<fast_exit> does nothing. So it is built for a perl that is newer than 5.42.

Windows is not supported.

=head1 DEPENDENCIES

At run time: perl 5.32 or later with its core modules, and no other module. To build: cargo 1.85 or later, and a C
compiler.

=head1 SEE ALSO

L<Parallel::Prefork::SpareWorkers>, L<Parallel::Prefork::SpareWorkers::Scoreboard>

In the distribution: F<README.md>, F<SIGNALS.md>, F<ARCHITECTURE.md>, F<include/prefork.h>, F<examples/>.

=head1 AUTHORS

The developers of libprefork.

Kazuho Oku is the author of the original Parallel::Prefork, whose interface this is.

=head1 LICENSE

This is free software. It may be redistributed and modified under the same terms as Perl 5: the Artistic License, or
the GNU General Public License, version 1 or later. F<LICENSE> in the distribution has both texts.

=cut
