package Parallel::Prefork;

# What is here every program loads, and carries along in each of its workers. So no other module is
# loaded: t/04-light.t holds it to warnings, and use VERSION gives strictures without strict.pm.
# What is done once is done in BEGIN, whose memory the rest then takes.
# What few programs need is compiled when they do: Options for what a check in C does not
# simply pass, Loop for classes that override a part of the loop, WorkerPids for who looks into {worker_pids}.

use v5.12;

our $VERSION;
BEGIN { $VERSION = '1.00' }

# The shared object, by the calls of DynaLoader that perl has built in. XSLoader makes the same ones, but to compile it
# takes longer than to load the object; it gets what is out of the ordinary, to load it or to say what is wrong.
BEGIN {
    my $file = substr(__FILE__, 0, -length 'Parallel/Prefork.pm') . 'auto/Parallel/Prefork/Prefork.so';
    my $boot;
    if (substr($file, 0, 1) eq '/' && -f $file && defined &DynaLoader::boot_DynaLoader && !defined &bootstrap) {
        DynaLoader::boot_DynaLoader('DynaLoader') if !defined &DynaLoader::dl_error;
        my $library = DynaLoader::dl_load_file($file, 0);
        my $symbol  = $library && DynaLoader::dl_find_symbol($library, 'boot_Parallel__Prefork');
        if ($symbol) {
            # What XSLoader notes as well, for programs that unload what was loaded.
            package DynaLoader {
                our (@dl_librefs, @dl_modules, @dl_shared_objects);
                push @dl_librefs,        $library;
                push @dl_modules,        'Parallel::Prefork';
                push @dl_shared_objects, $file;
            }
            $boot = DynaLoader::dl_install_xsub(__PACKAGE__ . '::bootstrap', $symbol, $file);
        }
    }
    if (!$boot) {
        require XSLoader;
        $boot = \&XSLoader::load;
    }
    $boot->(__PACKAGE__, $VERSION);
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
    number  => [qw(max_workers spawn_interval err_respawn_interval)],
    code    => [qw(on_child_reap before_fork after_fork)],
    signals => ['trap_signals'],
);

Parallel::Prefork::Core::make_accessors('Parallel::Prefork', $_, @{ $OPTIONS{$_} }) for keys %OPTIONS;
Parallel::Prefork::Core::make_accessors('Parallel::Prefork', 'any', qw(manager_pid fast_exit huge_pages));

# Perl knows the names of functions that the program calls, and one is not there: see load_what_is_called.
sub _load_module {
    my $file = "$_[0].pm" =~ s{::}{/}gr;
    local ($@, $SIG{__DIE__});
    eval { require $file };
    return;
}

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
    # Handlers run from here on too, and may give the program's own variables other values.
    @_ = ($self, $code || ());
    goto &_loop if $fork_is_overridden || !Parallel::Prefork::Core::runs_alone($self);
    # A worker copies the page of each variable that it leaves, and of what perl has for the call of a sub. So these
    # are left before there is one, where the loop needs no Perl code.
    goto &Parallel::Prefork::Core::start_for_list if wantarray;
    goto &Parallel::Prefork::Core::start;
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
    Parallel::Prefork::Core::begin($self);
    Parallel::Prefork::Core::show_next_signal($self);
    return;
}

# What start does and returns from the loop on; $event is what has come up in it before.
sub _loop {
    my ($self, $code, $event) = @_;
    # While start runs; while wait_all_children runs it is the time at which that ends. See set_goal
    # in wait.c.
    local $self->{_goal} = -1;

    _turn($self, $code, @$event) if $event && @$event;
    until (_signal_to_act_on($self)) {
        # Undef is a worker's, which copies the page of each variable that it sets.
        defined(my $told = $fork_is_overridden ? [] : Parallel::Prefork::Core::run($self, $code))
            or return $code ? _work($self, $code) : ();
        return _work($self, $code) if _turn($self, $code, @$told);
    }

    _act_on_signal($self);
    return 1;
}

# Returns true in a worker.
sub _turn {
    my ($self, $code, $what, $pid, $status) = @_;
    if (!defined $what) {
        _load('Loop');
        return Parallel::Prefork::Loop::turn($self, $code);
    }
    if ($what eq 'forked') {
        _after_fork($self, $pid);
        ($pid, $status) = Parallel::Prefork::Core::next_exit($self, 0) and _reaped($self, $pid, $status);
    }
    elsif ($what eq 'reaped') {
        _reaped($self, $pid, $status);
    }
    return 0;
}

sub _act_on_signal {
    my $self   = shift;
    my $signal = _signal_to_act_on($self);
    Parallel::Prefork::Core::signal_taken($self, $signal);
    my ($send, $interval) = @{ $self->_action_for($signal) || [] };
    if ($send && $interval) {
        Parallel::Prefork::Core::signal_staggered($self, $send, $interval);
    }
    elsif ($send) {
        $self->signal_all_children($send);
    }
    return;
}

sub _after_fork {
    my ($self, $pid) = @_;
    if (my $after_fork = $self->after_fork) {
        local $newborn = $pid;
        $after_fork->($self, $pid);
        if (!Parallel::Prefork::Core::tie_worker_pids($self)) {
            # A hash that was there for the time of the hook has not got the worker.
            $newborn = $pid;
            _tie_worker_pids($self);
        }
    }
    $self->_update_spawn_delay($self->spawn_interval);
    return;
}

sub _reaped {
    my ($self, $pid, $status) = @_;
    $self->_on_child_reap($pid, $status);
    if (!Parallel::Prefork::Core::tie_worker_pids($self)) {
        # While there was another hash the core knew nothing of this worker.
        _tie_worker_pids($self);
        Parallel::Prefork::Core::worker_reaped($self, $pid, $status);
    }
    my $generation = Parallel::Prefork::Core::release_worker($self, $pid);
    if (defined $generation && $generation == $self->{generation} && $status != 0) {
        $self->_update_spawn_delay($self->err_respawn_interval);
    }
    return;
}

sub _work {
    my ($self, $code) = @_;
    return if !$code;
    Parallel::Prefork::Core::run_worker($code);
    $self->finish;
    exit 0;
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
    my ($self, $timeout) = @_;
    Parallel::Prefork::_update_spawn_delay($self, 0);
    $self->{_no_adjust_until} = undef;
    return 0 if $self->{in_child};
    Parallel::Prefork::Core::become_manager($self);
    _tie_worker_pids($self);
    # Not a number ends at once, as a negative one does.
    return $self->num_workers if $timeout && !($timeout > 0);
    my $until = Parallel::Prefork::Core::deadline($timeout);
    local $self->{_goal} = $until;
    Parallel::Prefork::Core::show_next_signal($self);

    while ($self->num_workers) {
        my ($pid, $status) = Parallel::Prefork::Core::drain($self, $until) ? () : _next_exit($self, 1);
        if ($pid && Parallel::Prefork::Core::forget_worker($self, $pid)) {
            $self->_on_child_reap($pid, $status);
        }
        last if Parallel::Prefork::Core::now() >= $until;
    }
    return $self->num_workers;
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

# What signal_received says, without the program's having read it.
sub _signal_to_act_on {
    my $self = shift;
    local $looking = 1;
    my $seen = $self->{signal_received};
    Parallel::Prefork::Core::look($self);
    my $signal = $self->signal_received;
    # A subclass may hide what is there; then it is not to hide what comes after it. What comes in
    # this moment is not hidden yet.
    Parallel::Prefork::Core::signal_dropped($self, $seen)
        if !$signal && $seen && $self->{signal_received};
    return $signal;
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

# _wait for our loops, which take out the worker that they are told of. An override may collect others as well, and look
# for them in {worker_pids}.
sub _next_exit {
    my ($self, $blocking) = @_;
    local $is_ours = $self->can('_wait') == \&_wait;
    return $self->_wait($blocking);
}

# The next child that was reaped: its pid, its raw status, and what getrusage(2) counts; nothing
# if there is none. If $blocking, waits for one, or for anything else that start has
# to look at. A worker that the program has asked for stays in {worker_pids} until the program deletes it, or a
# loop of ours goes on.
sub _wait {
    my ($self, $blocking) = @_;
    my $keep = !$is_ours;
    return Parallel::Prefork::Core::next_exit($self, $keep) if !$blocking;
    my $action = defined $self->{_no_adjust_until} ? $self->_decide_action : 0;
    my $adjust = $action > 0
        || -$action > Parallel::Prefork::Core::num_stopping($self) && !$self->{_nobody_to_stop};
    return Parallel::Prefork::Core::next_exit($self, $keep, 1, $adjust, $self->_max_wait);
}

# Seconds after which start looks around although nothing has happened; undef for never.
sub _max_wait { return undef }

# For what packs programs into one file, and looks for what they load. Perl leaves these out.
if (0) {
    require Parallel::Prefork::Loop;
    require Parallel::Prefork::Options;
    require Parallel::Prefork::WorkerPids;
}

# What is compiled when it is needed is read at once: servers change their directory, their root and their
# user, and are upgraded while they run.
my %source;
BEGIN {
    for my $module (qw(Loop Options WorkerPids)) {
        my $file = __FILE__;
        $file =~ s{\.pm\z}{/$module.pm};
        if (open my $source, '<', $file) {
            local $/;
            $source{$module} = qq{#line 1 "$file"\n} . <$source>;
            # Under taint checks what was read is no code. It is as trusted as this file, which perl has
            # found in the same directory.
            Parallel::Prefork::Core::untaint($source{$module});
        }
        else {
            # Packed into one file with the program, say.
            my $packed = "Parallel/Prefork/$module.pm";
            require $packed;
        }
    }
}

# What the program has in $@ is none of our business. A signal handler may die or exit in the middle of this: the source
# is there until all of it is compiled, and the next call compiles it again.
sub _load {
    my $module = shift;
    if (defined(my $source = $source{$module})) {
        local ($@, $^W);
        eval $source or die $@;    ## no critic (StringyEval)
        delete $source{$module};
    }
    return "Parallel::Prefork::$module";
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

# The methods that run and drain, the loops in C, do the work of. Where one of them is
# overridden, each turn is Perl code.
our %PLAIN = map { $_ => Parallel::Prefork::Core::keep_body(\&$_) } qw(
    signal_received trap_signals num_workers max_workers spawn_interval err_respawn_interval
    before_fork after_fork on_child_reap _on_child_reap _decide_action _update_spawn_delay _wait _max_wait
);

1;

__END__

=head1 NAME

Parallel::Prefork - a prefork manager: forks workers, keeps their number, shuts down
gracefully

=head1 SYNOPSIS

With a sub for the workers:

    use Parallel::Prefork;

    my $pm = Parallel::Prefork->new({
        max_workers  => 4,
        trap_signals => {
            TERM => 'TERM',         # stop
            HUP  => ['TERM', 1],    # reload: an old worker leaves every second
        },
    });

    do {
        read_config();              # at first, and again after each HUP
        $pm->start(sub {
            serve();                # the worker exits when this returns
        });
    } until $pm->signal_received eq 'TERM';

    $pm->wait_all_children;

Or with the workers' code behind C<start>, which returns in each worker too, with nothing:

    use Parallel::Prefork;

    my $pm = Parallel::Prefork->new(max_workers => 4);

    until ($pm->signal_received eq 'TERM') {
        next if $pm->start;         # the manager
        serve();                    # a worker
        $pm->finish;
    }

    $pm->wait_all_children;

=head1 DESCRIPTION

A B<manager> process forks B<workers>, and forks another one whenever one ends. It does so
until a signal arrives that it traps. Then it passes a signal of your choice on to the
workers, and returns to the program: to wait for the workers and leave, or to start again
with a new B<generation> of workers, while those of the old one finish their work.

This is the interface of Parallel::Prefork 0.18, by Kazuho Oku. Programs that were written
for that version run unchanged; L</DIFFERENCES FROM 0.18> tells what they may notice. Inside
it is a library in Rust with a C interface, F<libprefork.so>, which other hosts can use as
well: see L</EMBEDDING>.

L<Parallel::Prefork::SpareWorkers> keeps a number of B<idle> workers instead of a number of
workers.

The text below says I<manager> for the process that has called C<start>, I<worker> for a
process that C<start> has forked, I<hook> for C<before_fork>, C<after_fork> and
C<on_child_reap>, and I<handler> for the program's own signal handlers, be they deferred by
perl or run at once (L<POSIX/sigaction>).

=head1 CONSTRUCTOR

=head2 new(\%options), new(%options)

Makes a manager, and sets its signal handlers (see L</SIGNALS>). No process is forked.

Options that are wrong are refused: C<new> dies, names the option and its value, and has
changed nothing. A single argument that is not a hash reference is refused too. Keys that
are not listed here are kept, unlooked at: programs and subclasses store what they like in
the object.

Each option is an accessor as well: C<< $pm->max_workers >> gets it, and C<<
$pm->max_workers(8) >> sets it, checks it like C<new>, and returns it. A new value takes
effect in a C<start> that is under way. Two or more values are stored as an array reference,
unchecked. Use accessors in the manager, its hooks and its handlers; what a worker sets is
its own copy.

Numbers are refused unless they are finite and 0 or more. C<undef> as a number is 0.

=over 4

=item max_workers => NUMBER

How many workers to keep: 10 if it is not given. With 0 none is forked, and C<start> sleeps
until a signal. With a fraction it is the next whole number. Lowering it stops nobody:
workers that end are not replaced until there are fewer.

=item spawn_interval => SECONDS

How long to wait after a fork before the next: 0 if it is not given. The same pause is made
after a worker was told to stop because there are too many.

=item err_respawn_interval => SECONDS

How long to wait before the next fork after a worker of the current generation has ended
with a status other than 0, or a fork has failed: 1 if it is not given. The pause is for all
workers, not only for the place of the one that failed. A worker that exits with 0 is
replaced without it. After a failed fork it is 0.05 seconds at least, and failures are
warned of once a second at most: C<fork failed:> and the reason, then how many there were
since the last warning.

=item trap_signals => \%action_of

Which signals end C<start>, and what the workers are sent then: C<< { TERM => 'TERM' } >> if
it is not given. See L</TRAPPED SIGNALS>. C<new> traps the keys; the accessor changes what
is done about signals, and which ones workers reset, but traps no others.

=item fast_exit => BOOLEAN

Workers leave without destroying what they have. Set it before the worker is forked. Perl frees the
C<my> variables of the file one by one, and a worker copies every page of the manager's memory
that it writes to for that: with 150 MB of data it takes a good quarter of a second and the
memory once more.

=over 4

=item What is done

A worker whose code calls C<exit> or L</finish([STATUS])>, or dies, or comes to the end of the
program, destroys the variables of the subroutines that it leaves, runs its C<END> blocks, and
flushes its file handles and those of C's stdio. It closes the handles for which that is work:
it waits for a process at the other end of a pipe, a layer such as C<:gzip> writes its end,
a socket with C<SO_LINGER> waits for the other side, and what could not be written is tried once
more.

=item What is left out

Destructors (C<DESTROY>) of objects and of tied variables that are global, or C<my> variables of the file, and
functions that libraries in C have registered with atexit(3). So a directory of C<<
File::Temp->newdir >> stays, for example. Perl does not warn of handles that
could not be closed, either.

=item When not to use it

Where such an object has something to do at the end of a worker, as one that commits, unlocks, or removes a
file. Or let go of that object in the worker's code or in an C<END> block.

=back

Without this option a worker leaves out only what nobody can see: where there is no object that
has a destructor, no handle for which closing is work, and no other code that waits to be called,
perl's destruction of everything that is left.

=item huge_pages => BOOLEAN

Whether C<start> moves the memory of the manager to huge pages before the first fork of each
generation: not if it is not given. Anything true or false will do; the accessor counts from the
next C<start>. A fork copies the page tables of the manager, an entry for each 4 KB. With huge
pages it is one for each 2 MB: forks of a large manager are several times faster, and its
workers end faster.

=over 4

=item When it helps

A manager with some ten MB of data or more, loaded before C<start> or in the first
C<before_fork>, whose workers read most of it, or do not touch it. The more workers end and are
replaced, the more.

=item When it does not

Small managers, which lose nothing by it either. Pools whose workers are forked once and stay: moving
takes as long as 20 to 150 forks save. Workers that write to much of their data gain
less: a write to a huge page copies 4 KB, as it does without them, and takes as many faults and as
much memory. To use a string as a number, or a number as a string, is a write, and so is perl's own tidying
when a worker exits.

=item What it costs

0.4 milliseconds for each MB that is not in huge pages yet, ten times that on a busy machine, before the
first worker runs. A signal that arrives meanwhile (HUP, INT, QUIT, TERM, USR1 or USR2) ends it, and the
next C<start> goes on. The
manager grows by a seventh at the very most, as a few holes are filled. While it moves 2 MB it
needs 2 MB more; where workers of an earlier generation share the memory that is moved they keep the
old copy until they end.

=back

Linux 6.1 and later, by madvise(2) with C<MADV_COLLAPSE>, whatever the system's setting for transparent
huge pages is. Elsewhere, and where there is no memory for it, nothing happens. With C<PREFORK_DEBUG=1> in the
environment the manager says once on STDERR why it could not.

=item before_fork => CODE

=item after_fork => CODE

=item on_child_reap => CODE

Hooks that the manager calls; none if they are not given. See L</HOOKS>. What is neither
code nor an object that can be called is refused; C<undef> takes a hook out.

=back

=head1 METHODS

All methods may be called again from within hooks and handlers, even where they interrupt
the same method. C<die> and C<exit> in a handler leave C<start> and C<wait_all_children> as
they leave any code.

=head2 start([CODE])

Begins a new generation and keeps the workers running until a trapped signal arrives, or
until the program sets L</signal_received([VALUE])> to something true. Workers of earlier
generations count like others, so what is missing is filled up as they leave. A trapped
signal that has arrived before, and that the program has not read, ends C<start> at once.

In the manager it returns 1, after the workers have been sent what C<trap_signals> says. It
does not wait for them.

With CODE, each worker calls it, without arguments and in void context, then
L</finish([STATUS])> as a method. The worker never comes back from C<start>: if CODE dies,
the message goes to STDERR and the worker ends with perl's exit status for that, whatever
C<eval> is around C<start>.

Without CODE, C<start> returns in each worker with an empty list (C<undef> in scalar
context). The program does the work there and calls C<finish>.

In a worker, before anything of its own runs: C<{in_child}> is 1, the trapped signals and
CHLD have their default actions, other handlers are the manager's, and the signal mask is
that of the manager before the fork. If C<signal_received> is true in the worker already,
because a C<before_fork> hook has set it, the worker exits with 0.

Workers are forked as perl's own C<fork> does it, or by a C<*CORE::GLOBAL::fork> that was there when
this module was loaded.

I<Where:> the manager, its hooks and its handlers. A process that the program has forked by
itself may call it too, and becomes the manager of an empty pool. I<Errors:> dies in a
worker (C<cannot start another process while you are in child process>); a worker that wants
workers makes an object of its own. Dies if CODE is no code. What C<before_fork>,
C<after_fork> and handlers throw leaves it; the workers go on, and the next C<start> or
C<wait_all_children> takes them up again.

=head2 finish([STATUS])

Ends a worker by C<exit>: with STATUS, or 0 if that is not given. C<END> blocks and
destructors run.

I<Where:> a worker, and its handlers. I<Errors:> dies in the manager, with the text of 0.18,
in which a letter is missing: C<$parallel_prefork-E<gt>finish() shouln't be called within
the manager process>.

=head2 signal_all_children(SIGNAL)

Sends a signal to all workers of all generations, at once, in the order in which their pids
sort as strings. SIGNAL is a name (C<'TERM'>, C<'SIGTERM'>), a number, or either with a
minus sign: then it goes to the process group of each worker that leads one. 0, C<''> and C<undef> send
nothing. Returns nothing.

Only children that have not been reaped are signalled, so that a pid which the system has
given to another process is never hit.

I<Where:> the manager, its hooks and its handlers. In a worker, and in a process that the
program has forked by itself, it does nothing. I<Errors:> dies if there is no such signal
(C<Unrecognized signal name>).

=head2 wait_all_children([TIMEOUT])

Waits until no worker is left, for TIMEOUT seconds at most, and returns the number of
workers that are left. Fractions count. 0 or C<undef> waits for ever; a negative TIMEOUT
returns at once. It sends nothing by itself, but a signal that is being sent to one worker
after the other goes on to the next. Trapped signals do not end it: they wait for the
program to read them, or for the next C<start>.

    $pm->signal_all_children('TERM');
    while ($pm->wait_all_children(5)) {
        $pm->signal_all_children('KILL');
    }

Children of the program that are no workers are reaped too, unreported. C<start> may be
called afterwards.

I<Where:> the manager, its hooks and its handlers. In a worker, and in a process that the
program has forked by itself, it returns 0 at once. I<Errors:> none; a TIMEOUT that is no
number is taken as a negative one.

=head2 num_workers

Returns the number of workers, of all generations. A worker that is being reported to
C<on_child_reap> by C<start> is still counted.

I<Where:> anywhere. In a worker, and in a process that the program has forked, it is what
was true at the fork.

=head2 worker_index

In a worker, returns its index: the lowest number from 0 that no other worker had when it
was forked. It stays the same as long as the worker lives, and is below C<max_workers>. Use
it to give each worker a port, a log file or a slot of its own. In the manager it returns
C<undef>.

I<Where:> anywhere.

=head2 signal_received([VALUE])

Returns the name of the signal that has ended C<start> or, once the program has read that,
of the latest that has arrived since; C<''> if there is none. Once the program has read it,
the next C<start> will not act on it any more.

With VALUE it sets that, and returns it. Anything true ends C<start>: use it to stop from a
hook, or from a handler of your own. If VALUE is a key of C<trap_signals>, the workers are
sent what that says. The next C<start> clears what was set. With a false VALUE the next
signal that waits is shown, if there is one.

I<Where:> the manager, its hooks and its handlers. Trapped signals call it as a method, with
the signal's name, so subclasses see them.

=head2 manager_pid([PID])

Returns the pid of the process that has called C<start> last, also in its workers; C<undef>
before the first. With PID it sets that, for programs that call C<start> in a replacement of
their own.

I<Where:> anywhere.

=head2 mk_accessors(NAMES)

A class method for subclasses: makes an accessor for each name, which gets or sets the
member of that name, in the package that calls it. C<mk_ro_accessors>, C<mk_wo_accessors>, C<mk_new>,
C<mk_new_and_accessors> and C<import> are what they are in Class::Accessor::Lite, too. They can also be called on
that class, without its being loaded; if it is loaded, its own methods are called.

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');
    __PACKAGE__->mk_accessors(qw(listener timeout));

=head1 HOOKS

Hooks run in the manager, in void context. Nothing is forked or reaped while one runs;
signals are trapped. A hook may call every method.

=over 4

=item before_fork($pm)

Before each fork, also when the one before has failed. If it dies, nothing is forked, and
the error leaves C<start>.

=item after_fork($pm, $pid)

After each fork that worked. The worker runs already, and may have ended. It is in
C<{worker_pids}> and in C<num_workers> only after the hook; C<signal_all_children> and
C<wait_all_children> reach it before that, too. If the hook dies, the error leaves C<start>,
and the worker stays one of the pool.

=item on_child_reap($pm, $pid, $status)

After a child has ended. C<$status> is what C<$?> would be: C<<< $status >> 8 >>> is the
exit status, and C<$status & 127> the signal. It is -1 if somebody else has reaped the
child, which counts as a failure.

C<start> calls it for every child, also for those that the program has forked by itself and,
in a process with pid 1, for those that it has inherited. A worker is still in
C<{worker_pids}> then, so that C<< exists $pm->{worker_pids}{$pid} >> tells workers from
others. C<wait_all_children> calls it for workers only, and after they have left
C<{worker_pids}>.

If it dies, that is a warning (C<on_child_reap died:>), and the manager goes on. C<$@> is
kept. C<exit> works.

=back

=head1 TRAPPED SIGNALS

The keys of C<trap_signals> are names as in C<%SIG>: C<TERM>, not C<SIGTERM> or 15. One that
does not exist gets perl's warning (C<No such signal: SIGFOO>). An empty hash traps nothing.
The values say what the workers are sent:

=over 4

=item C<undef>, C<''> or 0

Nothing. C<start> only returns.

=item a signal

That signal, to all workers at once. It can be written in all these ways: C<'TERM'>,
C<'SIGTERM'>, 15.

=item a signal with a minus sign

C<'-TERM'> or -15: the signal goes to the process group of each worker that leads one (see
L<perlfunc/setpgrp>), so that the worker's own children get it too. A worker that leads none
is sent nothing.

=item [SIGNAL, SECONDS]

The signal goes to one worker at once and to the others one by one, so many seconds apart,
during later calls of C<start> and C<wait_all_children>. Outside of them nothing is sent,
and what is overdue then does not come in a burst. Workers that were forked meanwhile are
left alone. The next signal with SECONDS replaces it. Without SECONDS, or with 0, all are
sent it at once.

=back

A signal that does not exist is refused, and so are SECONDS that are not a number from 0 on.

A signal with several names (IO and POLL, CHLD and CLD, ABRT and IOT) is found by any of
them.

=head1 SIGNALS

F<SIGNALS.md> in the distribution has the whole of it. In short:

=over 4

=item *

C<new> sets C<$SIG{$name}> for each key of C<trap_signals>, and C<$SIG{CHLD}>, in the
process that calls it. Whoever sets one of them later wins: C<start> sets none. C<local
$SIG{TERM}> gives the trap back at its end. A handler of your own may call C<<
$pm->signal_received('TERM') >> to end C<start>.

=item *

The handlers stay in C<%SIG> when the program lets go of the object, and keep it alive.

=item *

In a worker they are C<'DEFAULT'>. Handlers that the program has set for other signals stay.

=item *

Each trapped signal is acted on once, in the order in which they came. The first one ends
C<start>; each one behind it ends a later C<start>, at once. Equal ones that still wait are
one.

=item *

C<signal_received> shows one signal: the one that has ended C<start>, until the program has
read it, and after that the latest that has arrived. The others wait. When the program has
read what is shown, C<wait_all_children> shows the next one.

=item *

What arrives while C<start> is not running, and is not read by the program, is acted on by
the next C<start>. What the program has read is its own affair: C<start> clears it.

=item *

SIGCHLD ends the manager's sleep whatever the program has set C<$SIG{CHLD}> to, or blocked.
With C<'IGNORE'> the system may reap workers by itself, and their statuses are lost.

=item *

All signals are blocked from before a fork until the manager knows of the worker, and the
worker has its default actions.

=back

=head1 WHAT WORKERS INHERIT

A worker begins as a copy of the manager, as after any C<fork>. What is different in it stands
under L</start([CODE])>. The rest is the same in all workers:

=over 4

=item Random numbers

If the manager has called C<rand> or C<srand>, or C<shuffle> of L<List::Util>, all workers draw the
same numbers. Call C<srand> in each worker. Modules with generators of their own have a
function for that, or notice the fork by themselves, as OpenSSL does. The order of C<keys> may be the same in all
workers, too: it is no way to choose one of several servers.

=item Files and sockets

A file that was open before the fork has one position for all: what one worker reads, the others
miss. A connection that was open is shared, too, and what two processes say on it gets mixed.
Connect in the worker.

=item Timers

C<alarm> goes on in the manager, and is off in the worker. For event loops see
L</Event loops in the workers>.

=back

=head1 TAINT CHECKS

Programs may run under C<perl -T>. A C<scoreboard_file>, or a signal that is to be sent, that
comes from outside is refused as perl refuses it: C<new>, C<start> or C<signal_all_children>
dies with C<Insecure dependency in sysopen> or C<Insecure dependency in kill>.

=head1 MEMBERS

The object is a blessed hash. Programs may read these members, and what they store there
counts. It is not checked; where there is an accessor, that is better.

=over 4

=item {worker_pids}

A hash of pid and generation, in the manager's own table: what it shows is true whenever it
is looked at. B<Deleting> a pid takes the worker out of the pool: it lives on, but it is not
counted or signalled any more. When it ends during C<start> it is reported to
C<on_child_reap>, like any child. B<Storing> one takes a child that the program has forked
by itself into the pool; any value is kept, and a number is its generation. A key that
cannot be a pid is refused. Another hash that is put in its place, for good or by C<local>, becomes
the table at the next call of a method: the workers are those that are in it. The hash before keeps
what it showed, and is the table again when it is put back.

=item {generation}

How often C<start> was called, from 1; 0 before that. In a worker, the generation that it
was forked in.

=item {in_child}

1 in a worker; not there in the manager.

=item {manager_pid}, {signal_received}, and the options

What the accessors of those names give.

=item {__dbg_callback}

If there is one, C<start> calls it on each turn of its loop, without arguments, and never
sleeps. For tests.

=back

=head1 SUBCLASSING

These are called as methods, so a subclass can override each of them. C<SUPER::> does what
is said here.

=over 4

=item the accessors

C<max_workers>, C<spawn_interval>, C<err_respawn_interval>, C<trap_signals>,
C<signal_received>, C<manager_pid>, C<on_child_reap>, C<before_fork> and C<after_fork>:
without an argument they return the value that counts. In a worker C<signal_received> is
called once before anything else, with C<{in_child}> set and the signals reset.

=item num_workers, signal_all_children, finish, wait_all_children

As above.

=item _decide_action()

Returns what the pool wants now: a number above 0 to fork a worker, 0 for nothing, -N to
stop N workers. Called on each turn of C<start> on which a fork may happen, and before it
sleeps.

=item _action_for($signal)

Returns C<[$signal_to_send, $seconds]>, or C<undef> to send nothing. Called with what
C<signal_received> returns when C<start> ends, and with C<'TERM'> when workers are to stop
because there are too many.

=item _update_spawn_delay($seconds)

Lets no worker be forked for so many seconds from now on, instead of what was set before; 0 ends
such a pause. Its return value is not used. Called after each fork, each failed fork, each stop,
and each failure of a worker. For subclasses with a loop of their own, C<{_no_adjust_until}>
is the wall-clock time at which the pause ends, 0 without one, and C<undef> after
C<wait_all_children>.

=item _wait($blocking)

Reaps a child, and sends what is due to be sent. Returns the pid and the status of the
child, then its user and its system CPU time in seconds, and the fourteen numbers of
getrusage(2) from C<ru_maxrss> on; or an empty list if no child has ended. If C<$blocking>
is true, it sleeps first, until a child ends, a signal arrives, or the pool wants attention;
then too it can return an empty list. A worker that a program is told of in this way stays in C<{worker_pids}>, and is
counted, until the program deletes it there, or C<start> or C<wait_all_children> goes on.

=item _max_wait()

Returns how many seconds C<_wait> may sleep at most, or C<undef> for no limit, as here.
Programs that have to look at something every now and then override it.

=item _on_child_reap($pid, $status)

Calls the hook. Its return value is not used. What an override throws leaves C<start>.

=back

=head1 EMBEDDING

=head2 Event loops in the workers

Make the loop and its watchers in the worker: after C<start> has returned there, or inside of
CODE. Watchers of signals replace the default actions that the worker has.

Some loops are there before the fork, because the manager runs them or because a module made
them when it was loaded. Then each worker has a copy, with all its watchers. In the worker,
first let go of the watchers, and make the loop anew:

=over 4

=item EV, AnyEvent

Nothing has to be called. EV notices the fork by itself.

=item IO::Async

C<< $loop->post_fork >>

=item Mojo::IOLoop

C<< Mojo::IOLoop->reset >>, which lets go of its watchers as well.

=back

Watchers of children need SIGCHLD. In the worker it has its default action, and a loop that
was there before takes that for its own handler. So a watcher of EV (C<EV::child>, and
C<< AnyEvent->child >> with EV) is never called, unless the worker passes the signal on:

    use POSIX qw(SIGCHLD);
    $SIG{CHLD} = sub { EV::feed_signal(SIGCHLD) };
    our $check = EV::check(sub { });              # perl calls the handler in a turn of the loop,
    our $tick  = EV::timer(0.25, 0.25, sub { });  # and here is one, should it come just before a sleep
    $_->keepalive(0) for $check, $tick;

AnyEvent's own loop leaves a signal alone that has something in C<%SIG>. So say C<delete
$SIG{CHLD}> in the worker before C<< AnyEvent->child >>, and C<delete $SIG{TERM}> before C<<
AnyEvent->signal >>. Where the manager has a watcher of children by that loop, a worker's is not called
at all. IO::Async needs nothing but C<post_fork>.

=head2 A manager beside an event loop in Perl

C<start> is a loop of its own, and it reaps all children of its process. A program with a
loop of its own gives the manager a process of its own, and directs it by signals:

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

Call C<new> in that process, as it sets the handlers, and fork before the loop is made.

If the loop and the manager must be in one process, let a subclass take a turn of the loop
where the manager would sleep:

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');

    sub _wait {
        my ($self, $blocking) = @_;
        my @ended = $self->SUPER::_wait(0);
        return @ended if @ended;
        one_turn_of_the_loop($blocking ? 0.25 : 0);    # seconds at most
        return $self->SUPER::_wait(0);
    }

A subclass of L<Parallel::Prefork::SpareWorkers> does it in the same way. The loop turns
inside of C<start> and C<wait_all_children>, also while the pool is filled. Most signals end the loop's own sleep, and all of them are seen after 0.25 seconds. A
callback may call every method; to end C<start> it calls
L</signal_received([VALUE])>. C<start> itself may be called in a callback, but with
AnyEvent only if that uses EV. This is a turn:

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

The loop must not have watchers of children, nor run commands that it waits for: here the
manager reaps them. (C<< Mojo::IOLoop->subprocess >> works, but for its C<exit_code>.) EV
reaps all children even without a watcher, from the moment when it is loaded, also by
AnyEvent or Mojo::IOLoop, and their statuses are lost (given as -1). C<new> takes SIGCHLD
from it. So load EV before C<new>; if it is loaded later, take SIGCHLD back:

    my $manager_handler = $SIG{CHLD};    # perl takes no notice of $SIG{CHLD} = $SIG{CHLD}
    $SIG{CHLD} = $manager_handler;

Where the loop has watchers of children, let it reap the workers as well:

    package My::Prefork;
    our @ISA = ('Parallel::Prefork');
    our @ended_in_loop;

    sub _wait {
        my ($self, $blocking) = @_;
        one_turn_of_the_loop($blocking && !@ended_in_loop ? 0.25 : 0);
        return @{ shift @ended_in_loop || [] };
    }

For this the loop has one watcher of all children. Make it after C<new>, whose handler of
SIGCHLD it is to replace:

=over 4

=item EV::child, for EV, and for AnyEvent with EV

    our $all = EV::child(0, 0, sub {
        push @My::Prefork::ended_in_loop, [$_[0]->rpid, $_[0]->rstatus];
    });

C<new> has taken SIGCHLD from an EV that was loaded before. Pass it on, as in a worker (see
L</Event loops in the workers>).

=item AnyEvent's child, for its own loop

    delete $SIG{CHLD};    # or it leaves that alone
    our $all = AnyEvent->child(pid => 0, cb => sub { push @My::Prefork::ended_in_loop, [@_] });

=item watch_process, for IO::Async

    $loop->watch_process(0 => sub { push @My::Prefork::ended_in_loop, [@_] });

=back

This also serves for EV with C<EVFLAG_SIGNALFD>, which blocks SIGCHLD and reads it from a
descriptor; the workers have it blocked, too. In this way C<trap_signals> cannot
have C<[SIGNAL, SECONDS]>: the C<_wait> that is replaced sends the signals one by one.

=head2 C, and every language that can call C

F<include/prefork.h> in the distribution is the interface of F<libprefork.so>, which is
installed beside the XS object of this module and which C<cargo build --release> makes
without perl. C programs have C<pf_start>, C<pf_wait_all_children> and the rest: see
F<examples/workers.c>.

Below that is a pull interface for hosts with an event loop or a C<fork> of their own.
C<pf_next> never blocks, never forks and never calls the host. It says what is to be done
next; the host does it, and asks again:

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
        case PF_EVENT_WAIT:                 /* event.fd can be read, or the time is over */
            wait_in_loop(event.fd, event.timeout);
            break;
        case PF_EVENT_STOPPED:              /* by a trapped signal */
            pf_drain(pf, -1);
            break;
        case PF_EVENT_DRAINED:              /* all workers have ended */
            return 0;
        default:                            /* REAPED, and what later versions bring */
            break;
        }
    }

=head1 DIFFERENCES FROM 0.18

=head2 What is better

Signals:

=over 4

=item *

A signal that comes just before the manager goes to sleep is acted on. It could stay
unnoticed until some worker ended.

=item *

A signal that comes before C<start>, or between two calls of it (say, while the
configuration is read anew after a HUP), is acted on by the next C<start>. It was lost, and
a server that was told to stop ran on.

=item *

No signal takes the place of another. After TERM and HUP in a row, a server stops; it could
reload instead and run on.

=item *

A handler that was installed with C<SA_RESTART> can end C<start>.

=item *

Signals with several names find their action. Before, only the name that perl gives them
did.

=item *

A signal that is sent to one worker after the other goes to workers that are alive, and to
nobody else. It went to pids that could belong to other processes by that time; and it was
an error if there were no workers.

=item *

A new worker never runs the manager's handlers of trapped signals; one could signal all the
other workers. C<signal_all_children> and C<wait_all_children> do nothing in a worker.

=back

Workers:

=over 4

=item *

A worker that is stopped by ptrace(2), with the manager's process as its tracer, is there, and is counted. It was taken
for one that has ended.

=item *

If the code that was given to C<start> dies, the worker ends, even if C<start> is called
inside of an C<eval>. It went on behind that C<eval>, as a second manager.

=item *

If C<after_fork> dies, or a handler leaves C<start> just after a fork, the new worker is
still known. It was an orphan.

=item *

Workers that somebody else has reaped (C<< $SIG{CHLD} = 'IGNORE' >>, a C<waitpid> of the
program's own) are noticed, reported with status -1, and replaced. C<start> and
C<wait_all_children> never returned, and kept a CPU busy.

=item *

When forks fail, tries are at least 0.05 seconds apart, warnings come once a second at most,
and workers that end are reaped meanwhile, whatever C<err_respawn_interval> is.

=item *

With C<max_workers> 0 the manager sleeps. It kept a CPU busy.

=item *

Children that are no workers cause no warnings about uninitialized values in C<start>.

=back

Hooks and times:

=over 4

=item *

C<wait_all_children> gives C<on_child_reap> the worker's status, not an old C<$?>.

=item *

What C<on_child_reap> throws is a warning. It was lost, and C<$@> was changed.

=item *

C<wait_all_children> keeps fractions of a second. It rounded them up.

=item *

Intervals do not depend on the wall clock. When that was set back, forking stopped until it
had caught up.

=back

L<Parallel::Prefork::SpareWorkers>:

=over 4

=item *

C<start> runs the code that it is given. It was ignored.

=item *

Only idle workers are stopped, each is told once, and as many at a time as are too many.
Busy ones were hit, and the same one again and again.

=item *

Workers can be stopped without TERM in C<trap_signals>. That was an error.

=item *

C<max_workers> can be raised while the manager runs. New workers found no place in the
scoreboard, and died.

=item *

A worker in a pid namespace of its own gives its place on the scoreboard back. It was taken for ever, and soon
no worker found one.

=item *

A scoreboard of the program's own is used even if its class overloads it to be false.

=item *

There is no lock on the scoreboard. A signal while the manager waited for that killed it.

=back

=head2 What programs may have to know

=over 4

=item *

Wrong options die in C<new> and in the accessors, with a message. They were taken, and did
harm later.

=item *

C<{worker_pids}> is a tied hash, and C<{delayed_task}> is gone.

=item *

The modules that 0.18 loads (Class::Accessor::Lite, Proc::Wait3, for SpareWorkers also
List::MoreUtils, Scope::Guard and Signal::Mask, and of perl's own Time::HiRes, List::Util and, for SpareWorkers, POSIX,
Fcntl and File::Temp, for example) are not loaded. A program that uses one of them should load it by itself. Where the program's
code calls a function of one by its full name, with parentheses, as in C<Time::HiRes::sleep(0.1)> or C<POSIX::_exit(0)>, the module is loaded
all the same if it is there: before the program runs, or by C<new> and C<start>. Not noticed are names without parentheses, methods (C<<
Scope::Guard->new >>), and code that is compiled in a worker. What
Class::Accessor::Lite offers is there all the same, and C<<
Parallel::Prefork->isa('Class::Accessor::Lite') >> is still true.

=item *

A copy of a manager that another module makes (Storable, Data::Dumper) has the workers of that moment, as it had; one that Clone makes has none.

=item *

A hook that a signal handler sets while C<start> runs cannot leave C<start> by C<last>; it can by C<die>. One that was set before can
do both.

=back

=head2 What is kept on purpose

Programs count on these, so they are as they were:

=over 4

=item *

C<err_respawn_interval> holds back all forks, not only the one that replaces the worker that
has failed.

=item *

A worker that exits with 0 is replaced at once.

=item *

Lowering C<max_workers> stops no worker.

=item *

The signal handlers stay in C<%SIG> when the object goes.

=back

=head1 LIMITS

A manager belongs to the thread that has made it. Make other threads after it: a thread that has no handler for a signal, and
gets it while the manager's handler for it runs, ends the process (this is perl's doing). Windows is not supported.

=head1 DEPENDENCIES

At run time none but perl, 5.32 or later, with its core modules. To build: cargo 1.85 or
later, and a C compiler.

=head1 SEE ALSO

L<Parallel::Prefork::SpareWorkers>, L<Parallel::Prefork::SpareWorkers::Scoreboard>

In the distribution: F<README.md>, F<SIGNALS.md>, F<ARCHITECTURE.md>, F<include/prefork.h>,
F<examples/>.

=head1 AUTHORS

The developers of libprefork.

Kazuho Oku is the author of the original Parallel::Prefork, whose interface this is.

=head1 LICENSE

This is free software. It may be redistributed and modified under the same terms as Perl 5:
the Artistic License, or the GNU General Public License, version 1 or later. F<LICENSE> in
the distribution has both texts.

=cut
