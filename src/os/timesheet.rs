//! The timesheet: memory in which each worker says that it is ready, and by when it will be done with what it does. The
//! manager looks at it, and ends whoever is late.
//!
//! It is there only if something was set that needs it. It has a header and, for each index of a worker, a **line** of 64
//! bytes: no two workers write to one line of the processor's cache. Address space is reserved for all indexes, memory is used
//! only by the lines that there are.
//!
//! | part | who writes it | when |
//! |---|---|---|
//! | header: `looks_at` | the manager | before it reads the lines, and after |
//! | header: `rings` | a worker that is due before that, or is ready | the manager takes it away when it looks |
//! | line: `span` `generation` `started_at` `flags`, zeros to all else | the manager | before the fork |
//! | line: `pid` | the manager | after the fork |
//! | line: `flags` `requests` `changed_at`, then `due` | the worker | at each piece of work |
//!
//! Nobody locks. A worker first writes when it is due, and then reads `looks_at`; the manager first writes `looks_at`, and then
//! reads who is due. So the manager sees the worker's number, or the worker sees the manager's, and rings (`ring`): it says why
//! in `rings`, and writes a byte to the pipe that ends the manager's wait.
//!
//! A worker that is ready says so once: with the first of what it says, whatever that is. If the manager awaits that
//! (`IS_AWAITED`), the worker takes that flag away, and rings. The manager reads the flags after it has taken
//! `rings`, so it sees `IS_READY`, or is woken by the byte.
//!
//! Where the system can, the memory is a file without a name (memfd_create(2)), sealed so that nobody can shorten it or
//! map it for writing again. Elsewhere it is anonymous.
//!
//! A worker may be in the hands of somebody else, and the whole sheet is its to write to. The manager takes no size, no
//! index and no pid from it, and any number there is one that it can work with. SECURITY.md says what follows.

use std::cell::UnsafeCell;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use std::time::Duration;

use super::clock;
use super::descriptor::Inherited;
use super::mapping::Mapping;
use super::process::Process;
use super::wake::wake;
use crate::machine::{Pid, Time, Times};

/// Workers with an index from this on have no line, and may be busy for as long as they like.
pub const MAX_LINES: u32 = 1 << 20;

/// In `flags`: the worker is ready.
pub const IS_READY: u32 = 1;
/// And it is at work.
pub const IS_BUSY: u32 = 2;
/// The worker is not ready, and the manager wants to be woken when it is.
pub const IS_AWAITED: u32 = 4;

/// What is there once. It lies in one page with the first lines: a worker takes a page fault for each page that it comes to.
#[repr(C, align(64))]
struct Header {
    /// When the manager looks next, if nobody rings.
    looks_at: AtomicU64,
    rings: AtomicU32,
    _later: [AtomicU32; 253],
}

/// What is there for each worker. Times are nanoseconds on the clock of `clock::now`.
#[repr(C, align(64))]
struct Line {
    /// 0: it does not say by when it will be done.
    due: AtomicU64,
    /// How many pieces of work it has begun.
    requests: AtomicU64,
    /// When it was busy or idle last that was not so before, or began the next piece of work.
    changed_at: AtomicU64,
    flags: AtomicU32,
    pid: AtomicI32,
    generation: AtomicU64,
    started_at: AtomicU64,
    /// How long a piece of work takes that the worker says no other time for; 0: nobody asks.
    span: AtomicU64,
}

#[repr(C)]
struct Sheet {
    header: Header,
    lines: [Line; MAX_LINES as usize],
}

const _: () = assert!(size_of::<Line>() == 64 && size_of::<Header>() == 1024);

/// In `rings`: a worker is due before the manager looks.
const DUE: u32 = 1;
/// A worker that is awaited is ready.
const READY: u32 = 2;

/// Why workers have rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// One is due before the manager looks.
    pub is_due: bool,
    /// One that is awaited is ready.
    pub is_ready: bool,
}

/// The timesheet, as the manager has it.
#[derive(Debug)]
pub struct Timesheet(Arc<Shared>);

/// What the copy of a worker is made of, too.
#[derive(Debug)]
struct Shared {
    mapping: Mapping,
    /// The file that it is, if the system could make one.
    file: Option<Inherited>,
    wake_end: Option<Inherited>,
}

impl Timesheet {
    /// A sheet on which nobody has said anything.
    ///
    /// # Errors
    /// There is no address space for it (mmap(2)).
    pub fn new() -> io::Result<Timesheet> {
        let len = size_of::<Sheet>();
        let (mapping, file) = match sealed::new(len) {
            Some((mapping, file)) => (mapping, Some(file)),
            None => (Mapping::new(len)?, None),
        };
        Ok(Timesheet(Arc::new(Shared {
            mapping,
            file,
            wake_end: None,
        })))
    }

    fn header(&self) -> &Header {
        &self.0.sheet().header
    }

    fn line(&self, index: u32) -> Option<&Line> {
        self.0.sheet().lines.get(index as usize)
    }

    /// Says where workers that are forked from now on write to wake the manager.
    pub fn set_wake_fd(&mut self, wake_fd: Option<i32>) {
        // Only a worker has made an `OwnLine` of it.
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.wake_end = wake_fd.and_then(Inherited::new);
        }
    }

    /// A worker is to be forked, which may be busy for this long (none: for as long as it likes), and wakes the manager
    /// when it is ready if that is awaited. Otherwise its line is empty.
    pub fn prepare(&self, index: u32, generation: u64, span: Option<Duration>, is_awaited: bool) {
        let Some(line) = self.line(index) else {
            return;
        };
        for word in [&line.due, &line.requests, &line.changed_at] {
            word.store(0, SeqCst);
        }
        let flags = if is_awaited { IS_AWAITED } else { 0 };
        line.flags.store(flags, SeqCst);
        line.pid.store(0, SeqCst);
        line.generation.store(generation, SeqCst);
        line.started_at.store(clock::now().0, SeqCst);
        line.span.store(span.map_or(0, nanoseconds), SeqCst);
    }

    /// The worker with this index has this pid.
    pub fn is_forked(&self, index: u32, pid: Pid) {
        if let Some(line) = self.line(index) {
            line.pid.store(pid, SeqCst);
        }
    }

    /// The line of the worker that this process is, and stays until it ends.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn take_line(&self, index: u32) -> Option<OwnLine> {
        let line = self.line(index)?;
        let owner = match Process::own_word() {
            Some(word) => {
                word.store(mark_of(line), Relaxed);
                Owner::Marked
            }
            None => Owner::Process(Process::this()),
        };
        Some(self.line_of(index, owner))
    }

    fn line_of(&self, index: u32, owner: Owner) -> OwnLine {
        OwnLine {
            shared: Arc::clone(&self.0),
            index,
            owner,
        }
    }

    /// The manager looks at this time, or before. Read the lines after this call: whoever is due before, and is not seen there,
    /// rings.
    pub fn will_look(&self, at: Time) {
        self.header().looks_at.store(at.0, SeqCst);
    }

    /// Why workers have rung since this was asked last.
    pub fn take_rings(&self) -> Rings {
        let rings = &self.header().rings;
        let why = match rings.load(SeqCst) {
            0 => 0,
            _ => rings.swap(0, SeqCst),
        };
        Rings {
            is_due: why & DUE != 0,
            is_ready: why & READY != 0,
        }
    }

    /// What the worker with this index has said. One that has no line cannot say that it is ready, and is taken for
    /// that.
    pub fn times(&self, index: u32) -> Times {
        let Some(line) = self.line(index) else {
            return Times {
                is_ready: true,
                ..Times::default()
            };
        };
        let due = line.due.load(SeqCst);
        let flags = line.flags.load(SeqCst);
        Times {
            due: (due != 0).then_some(Time(due)),
            requests: line.requests.load(SeqCst),
            is_busy: flags & IS_BUSY != 0,
            since: Time(line.changed_at.load(SeqCst)),
            is_ready: flags & IS_READY != 0,
        }
    }
}

impl Shared {
    fn sheet(&self) -> &Sheet {
        // SAFETY: the mapping has room for it, aligned to a page, lives as long as self, was zeroed by the kernel, and is only
        // ever used through atomics.
        unsafe { self.mapping.start().cast::<Sheet>().as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            file.close();
        }
    }
}

fn nanoseconds(span: Duration) -> u64 {
    // 0 would be no time at all.
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// How long what begins now may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// As long as the manager has set for this worker.
    AsSet,
    /// This long.
    Of(Duration),
    /// As long as it likes.
    NoEnd,
}

/// Whose line it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// The process that has the mark of the line in its own word. Nothing else has to be known of it, and to write it is the
    /// one page fault that this costs a worker.
    Marked,
    /// Where a process has no such word.
    Process(Process),
}

/// No other number in that word says that this line is the process's: it is where the line is.
fn mark_of(line: &Line) -> u64 {
    std::ptr::from_ref(line).addr() as u64
}

/// The line of the worker that this process is. All calls are async-signal-safe. In a process that the worker has forked by
/// itself they do nothing.
#[derive(Debug)]
pub struct OwnLine {
    shared: Arc<Shared>,
    index: u32,
    owner: Owner,
}

/// Where a process keeps its line, if it is a worker. It is put there once. (Of a `OnceLock` each worker would have a page fault
/// or two, for code that is nowhere near.)
#[derive(Debug, Default)]
pub struct OwnLineCell {
    state: AtomicU8,
    line: UnsafeCell<Option<OwnLine>>,
}

// SAFETY: the line is written to by the one who has made the state IS_BEING_SET, and only read once it IS_SET.
unsafe impl Sync for OwnLineCell {}

const IS_EMPTY: u8 = 0;
const IS_BEING_SET: u8 = 1;
const IS_SET: u8 = 2;

impl OwnLineCell {
    /// The line. Async-signal-safe.
    pub fn get(&self) -> Option<&OwnLine> {
        if self.state.load(Acquire) != IS_SET {
            return None;
        }
        // SAFETY: nobody writes to it any more.
        unsafe { (*self.line.get()).as_ref() }
    }

    /// Puts it there. A second one is dropped.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn set(&self, line: OwnLine) {
        let taken = self
            .state
            .compare_exchange(IS_EMPTY, IS_BEING_SET, Acquire, Acquire);
        if taken.is_ok() {
            // SAFETY: nobody reads it before it is set, and nobody else writes to it.
            unsafe { *self.line.get() = Some(line) };
            self.state.store(IS_SET, Release);
        }
    }
}

/// Where the numbers of a line are, for a host that says what it has to say without a call.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// When the worker is due.
    pub due: NonNull<u64>,
    /// How many pieces of work it has begun.
    pub requests: NonNull<u64>,
    /// When that was, or when it was idle.
    pub changed_at: NonNull<u64>,
    /// `IS_READY`, `IS_BUSY`, `IS_AWAITED`.
    pub flags: NonNull<u32>,
    /// How long a piece of work may take; 0: for ever.
    pub span: NonNull<u64>,
    /// When the manager looks: whoever is due before has to ring.
    pub looks_at: NonNull<u64>,
    /// What has to be here as long as this is the worker...
    pub life: Option<&'static AtomicU64>,
    /// ... which is this.
    pub its_life: u64,
}

impl OwnLine {
    fn line(&self) -> &Line {
        // It was there when this was made.
        &self.shared.sheet().lines[self.index as usize]
    }

    fn is_ours(&self) -> bool {
        match self.owner {
            Owner::Marked => {
                let word = Process::own_word();
                word.is_some_and(|word| word.load(Relaxed) == mark_of(self.line()))
            }
            Owner::Process(process) => process.is_this(),
        }
    }

    /// The worker begins a piece of work.
    pub fn busy(&self, span: Span) {
        if self.is_ours() {
            let line = self.line();
            let now = clock::now();
            self.end_start(line);
            line.flags.store(IS_READY | IS_BUSY, Relaxed);
            line.requests.fetch_add(1, Relaxed);
            line.changed_at.store(now.0, Relaxed);
            self.is_due(span, now);
        }
    }

    /// What the worker does takes that long from now on.
    pub fn tick(&self, span: Span) {
        if self.is_ours() {
            self.is_due(span, clock::now());
        }
    }

    /// The worker waits for work.
    pub fn idle(&self) {
        if self.is_ours() {
            let line = self.line();
            self.end_start(line);
            line.flags.store(IS_READY, Relaxed);
            line.changed_at.store(clock::now().0, Relaxed);
            line.due.store(0, SeqCst);
        }
    }

    /// The worker is ready for work.
    pub fn ready(&self) {
        if self.is_ours() {
            let line = self.line();
            self.end_start(line);
            line.flags.fetch_or(IS_READY, SeqCst);
        }
    }

    fn end_start(&self, line: &Line) {
        if line.flags.load(Relaxed) & IS_AWAITED != 0 {
            self.wake_as_ready(line);
        }
    }

    /// Once, also where a signal handler says the same in between.
    #[cold]
    fn wake_as_ready(&self, line: &Line) {
        let said = line
            .flags
            .compare_exchange(IS_AWAITED, IS_READY, SeqCst, SeqCst);
        if said.is_ok() {
            self.ring_as(READY);
        }
    }

    /// Whether the worker has said that it is at work.
    pub fn is_busy(&self) -> bool {
        self.line().flags.load(Relaxed) & IS_BUSY != 0
    }

    fn is_due(&self, span: Span, now: Time) {
        let line = self.line();
        let span = match span {
            Span::AsSet => line.span.load(Relaxed),
            Span::Of(span) => nanoseconds(span),
            Span::NoEnd => 0,
        };
        if span == 0 {
            line.due.store(0, SeqCst);
            return;
        }
        let due = now.0.saturating_add(span);
        line.due.store(due, SeqCst);
        if due < self.shared.sheet().header.looks_at.load(SeqCst) {
            self.ring();
        }
    }

    /// The worker is due before the manager looks. If the program has closed the descriptor, it looks when it would have
    /// looked anyway.
    pub fn ring(&self) {
        self.ring_as(DUE);
    }

    #[cold]
    fn ring_as(&self, why: u32) {
        let header = &self.shared.sheet().header;
        header.rings.fetch_or(why, SeqCst);
        if let Some(fd) = self.shared.wake_end.and_then(Inherited::get) {
            wake(fd);
        }
    }

    /// Where all this is done.
    pub fn places(&self) -> Places {
        let line = self.line();
        let (life, its_life) = match self.owner {
            Owner::Marked => (Process::own_word(), mark_of(line)),
            Owner::Process(process) => (Process::life_of_this(), process.life()),
        };
        Places {
            due: NonNull::from(&line.due).cast(),
            requests: NonNull::from(&line.requests).cast(),
            changed_at: NonNull::from(&line.changed_at).cast(),
            flags: NonNull::from(&line.flags).cast(),
            span: NonNull::from(&line.span).cast(),
            looks_at: NonNull::from(&self.shared.sheet().header.looks_at).cast(),
            life,
            its_life,
        }
    }
}

/// A file without a name, which keeps its size, and is mapped for writing by us alone.
#[cfg(target_os = "linux")]
mod sealed {
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

    use crate::os::descriptor::{Inherited, above_stdio};
    use crate::os::mapping::Mapping;

    /// None if the system cannot: memfd_create(2) is refused, or it does not know the seals (before Linux 5.1).
    pub fn new(len: usize) -> Option<(Mapping, Inherited)> {
        if !is_allowed(len) {
            return None;
        }
        let file = above_stdio(make()?).ok()?;
        let size = i64::try_from(len).ok()?;
        // SAFETY: it takes two numbers.
        if unsafe { libc::ftruncate(file.as_raw_fd(), size) } != 0 {
            return None;
        }
        let mapping = Mapping::of_file(file.as_raw_fd(), len).ok()?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_FUTURE_WRITE;
        // SAFETY: as above.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return None;
        }
        let inherited = Inherited::new(file.as_raw_fd())?;
        let _ = file.into_raw_fd();
        Some((mapping, inherited))
    }

    fn make() -> Option<OwnedFd> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // Before Linux 6.3 nobody knows this flag; later ones complain of its absence.
        [flags | libc::MFD_NOEXEC_SEAL, flags]
            .into_iter()
            .find_map(|flags| {
                // SAFETY: the name is a constant that ends with NUL.
                let fd = unsafe { libc::memfd_create(c"prefork".as_ptr(), flags) };
                // SAFETY: memfd_create(2) has just opened it, and nobody else knows of it.
                (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
            })
    }

    /// Whether a file may be that long (RLIMIT_FSIZE): SIGXFSZ would end the process.
    fn is_allowed(len: usize) -> bool {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to a live rlimit.
        let result = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
        result == 0 && usize::try_from(limit.rlim_cur).is_ok_and(|most| most >= len)
    }
}

#[cfg(not(target_os = "linux"))]
mod sealed {
    use crate::os::descriptor::Inherited;
    use crate::os::mapping::Mapping;

    pub fn new(_len: usize) -> Option<(Mapping, Inherited)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::wake::WakePipe;

    const MINUTE: Duration = Duration::from_secs(60);
    const NONE: Rings = Rings {
        is_due: false,
        is_ready: false,
    };

    /// All tests are one process, which has one word.
    fn own_line(sheet: &Timesheet, index: u32) -> Option<OwnLine> {
        sheet.line(index)?;
        Some(sheet.line_of(index, Owner::Process(Process::this())))
    }

    fn sheet() -> Timesheet {
        let sheet = Timesheet::new().unwrap();
        sheet.prepare(3, 7, Some(MINUTE), false);
        sheet
    }

    #[test]
    fn a_worker_says_what_it_does() {
        let sheet = sheet();
        let line = own_line(&sheet, 3).unwrap();
        assert_eq!(sheet.times(3), Times::default());
        let before = clock::now();
        line.busy(Span::AsSet);
        let times = sheet.times(3);
        assert!(times.is_busy && times.is_ready && times.requests == 1);
        assert!(times.since >= before && times.due >= Some(before.after(MINUTE)));
        line.tick(Span::Of(Duration::from_secs(600)));
        assert!(sheet.times(3).due >= Some(before.after(10 * MINUTE)));
        assert_eq!(sheet.times(3).requests, 1);
        line.tick(Span::NoEnd);
        assert!(sheet.times(3).due.is_none() && sheet.times(3).is_busy);
        line.busy(Span::Of(MINUTE));
        line.idle();
        let times = sheet.times(3);
        assert!(times.due.is_none() && !times.is_busy && times.is_ready);
        assert_eq!(times.requests, 2);
        assert_eq!(sheet.times(2), Times::default());
    }

    #[test]
    fn ready_is_no_work() {
        let sheet = sheet();
        own_line(&sheet, 3).unwrap().ready();
        let times = sheet.times(3);
        assert!(times.is_ready && !times.is_busy && times.due.is_none());
    }

    #[test]
    fn whoever_gets_ready_rings_once_if_that_is_awaited() {
        type Say = fn(&OwnLine);
        let ways: [Say; 3] = [OwnLine::ready, OwnLine::idle, |line| line.busy(Span::AsSet)];
        for is_awaited in [true, false] {
            for say in ways {
                let sheet = sheet();
                sheet.prepare(3, 7, None, is_awaited);
                let line = own_line(&sheet, 3).unwrap();
                line.tick(Span::AsSet);
                assert!(!sheet.times(3).is_ready && sheet.take_rings() == NONE);
                say(&line);
                assert!(sheet.times(3).is_ready);
                let rings = sheet.take_rings();
                assert!(rings.is_ready == is_awaited && !rings.is_due);
                for again in ways {
                    again(&line);
                    assert!(sheet.times(3).is_ready && sheet.take_rings() == NONE);
                }
            }
        }
    }

    #[test]
    fn ready_does_not_end_what_a_worker_does() {
        let sheet = sheet();
        let line = own_line(&sheet, 3).unwrap();
        line.busy(Span::AsSet);
        line.ready();
        assert!(sheet.times(3).is_busy && sheet.times(3).due.is_some());
    }

    #[test]
    fn the_next_worker_finds_an_empty_line() {
        let sheet = sheet();
        own_line(&sheet, 3).unwrap().busy(Span::AsSet);
        sheet.prepare(3, 8, None, false);
        assert_eq!(sheet.times(3), Times::default());
        let line = own_line(&sheet, 3).unwrap();
        line.busy(Span::AsSet);
        assert!(sheet.times(3).due.is_none(), "it may take its time");
        line.busy(Span::Of(Duration::ZERO));
        assert!(sheet.times(3).due.is_some(), "no time is a time");
    }

    #[test]
    fn whoever_is_due_before_the_look_rings() {
        let mut pipe = WakePipe::new().unwrap();
        let mut sheet = sheet();
        sheet.set_wake_fd(Some(pipe.open_for_workers().unwrap()));
        let line = own_line(&sheet, 3).unwrap();
        sheet.will_look(clock::now().after(MINUTE / 2));
        line.busy(Span::AsSet);
        assert_eq!(sheet.take_rings(), NONE);
        line.busy(Span::Of(Duration::from_millis(1)));
        let rings = sheet.take_rings();
        assert!(rings.is_due && !rings.is_ready);
        assert_eq!(sheet.take_rings(), NONE);
        let mut byte = [0];
        // SAFETY: it is open until the end of this test.
        let read = unsafe { std::os::fd::BorrowedFd::borrow_raw(pipe.read_fd()) };
        assert_eq!(nix::unistd::read(read, &mut byte), Ok(1));
        assert!(nix::unistd::read(read, &mut byte).is_err(), "it rings once");
    }

    #[test]
    fn an_index_beyond_the_end_has_no_line() {
        let sheet = sheet();
        for index in [MAX_LINES, u32::MAX] {
            sheet.prepare(index, 1, Some(MINUTE), true);
            sheet.is_forked(index, 1);
            assert!(own_line(&sheet, index).is_none());
            let times = sheet.times(index);
            assert!(times.is_ready && !times.is_busy && times.due.is_none());
        }
        assert!(own_line(&sheet, MAX_LINES - 1).is_some());
    }

    /// As long as time is, and longer.
    #[test]
    fn no_time_is_too_long() {
        let sheet = sheet();
        let line = own_line(&sheet, 3).unwrap();
        line.busy(Span::Of(Duration::MAX));
        assert_eq!(sheet.times(3).due, Some(Time(u64::MAX)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_can_shorten_the_file_or_write_to_it() {
        let sheet = sheet();
        let Some(file) = sheet.0.file else {
            return;
        };
        let fd = file.number();
        // SAFETY: these take numbers; what is mapped is not written to, and stays mapped until the process ends.
        unsafe {
            assert_eq!(libc::ftruncate(fd, 0), -1);
            assert_eq!(libc::ftruncate(fd, 1 << 30), -1);
            assert_eq!(libc::pwrite(fd, c"x".as_ptr().cast(), 1, 0), -1);
            let write = libc::PROT_READ | libc::PROT_WRITE;
            let map = |protection| {
                libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    protection,
                    libc::MAP_SHARED,
                    fd,
                    0,
                )
            };
            assert_eq!(map(write), libc::MAP_FAILED);
            assert_ne!(map(libc::PROT_READ), libc::MAP_FAILED);
        }
    }
}
