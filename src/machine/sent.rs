//! Signals for workers: which of them tell a worker to end, and which ones a worker was sent.

/// A signal number. Negative in an action: the worker's whole process group is meant.
pub type Signal = i32;

/// The numbers that POSIX gives them, in kill(1).
const INT: Signal = 2;
const QUIT: Signal = 3;
/// What tells a worker that it is late.
pub const ABRT: Signal = 6;
/// What ends a worker whose time is over.
pub const KILL: Signal = 9;
pub const TERM: Signal = 15;

/// Whether a worker that is sent this signal is to end. (Programs use the others to reload, and for what they like.)
pub fn tells_to_end(signal: Signal) -> bool {
    matches!(signal.saturating_abs(), INT | QUIT | TERM)
}

/// What a worker has been sent, and why it was. In three bytes, as there is one in each worker's entry (`page.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The first signal that told it to end; 0: none has.
    told: u8,
    /// The last one, but KILL stays.
    last: u8,
    /// What was over for it.
    over: u8,
}

/// The time to end.
const GRACE: u8 = 1;
/// The time for a piece of work.
const WORK: u8 = 2;
/// The time to get ready.
const START: u8 = 4;
/// The time for a piece of work, and it was sent ABRT for that.
const WORK_ABORTED: u8 = 8;

/// It was sent KILL.
const KILLED: u8 = GRACE | WORK | START;

impl Sent {
    /// It has been sent this signal, which tells it to end, or does not.
    pub fn note(&mut self, signal: Signal, tells_to_end: bool) {
        let number = u8::try_from(signal.saturating_abs()).unwrap_or(0);
        if tells_to_end && self.told == 0 {
            self.told = number;
        }
        if number != 0 && self.last_signal() != KILL {
            self.last = number;
        }
    }

    /// It is killed, as its time to end is over.
    pub fn note_end_of_grace(&mut self) {
        self.over |= GRACE;
    }

    /// It is killed, as it is not done with its work in time.
    pub fn note_late(&mut self) {
        self.over |= WORK;
    }

    /// It is sent ABRT, as it is not done with its work in time.
    pub fn note_aborted(&mut self) {
        self.over |= WORK_ABORTED;
    }

    /// It is killed, as it was not ready in time.
    pub fn note_not_ready(&mut self) {
        self.over |= START;
    }

    /// It may not be killed. Returns whether it was to be, as a time was over: false the second time.
    pub fn take_back_kill(&mut self) -> bool {
        let was_noted = self.over & KILLED != 0;
        self.over &= !KILLED;
        was_noted
    }

    /// It may not be sent ABRT.
    pub fn take_back_abort(&mut self) {
        self.over &= !WORK_ABORTED;
    }

    /// Whether a signal has told it to end.
    pub fn has_told(self) -> bool {
        self.first_told() != 0
    }

    /// Whether it was killed, as its time to end was over.
    pub fn grace_is_over(self) -> bool {
        self.over & GRACE != 0
    }

    /// Whether it was sent a signal as it was late with its work.
    pub fn was_late(self) -> bool {
        self.over & (WORK | WORK_ABORTED) != 0
    }

    /// Whether it was killed, as it was not ready in time.
    pub fn was_not_ready(self) -> bool {
        self.over & START != 0
    }

    fn first_told(self) -> Signal {
        Signal::from(self.told)
    }

    fn last_signal(self) -> Signal {
        Signal::from(self.last)
    }

    /// The signal that told it to end, or else the last one; 0: none.
    pub fn signal(self) -> Signal {
        if self.has_told() {
            self.first_told()
        } else {
            self.last_signal()
        }
    }

    /// Whether it may have been sent this signal.
    pub fn has(self, signal: Signal) -> bool {
        [self.first_told(), self.last_signal()].contains(&signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_signals_tell_to_end() {
        assert!([INT, QUIT, TERM, -TERM].into_iter().all(tells_to_end));
        assert!(![1, KILL, 10, 12, 28, 0].into_iter().any(tells_to_end));
    }

    #[test]
    fn what_was_over_hides_no_signal_and_no_signal_hides_that() {
        let mut sent = Sent::default();
        sent.note_late();
        assert!(sent.was_late() && !sent.grace_is_over() && sent.signal() == 0);
        sent.note(ABRT, false);
        sent.note(-TERM, true);
        sent.note_end_of_grace();
        sent.note(KILL, false);
        assert!(sent.was_late() && sent.grace_is_over() && !sent.was_not_ready());
        assert_eq!(sent.signal(), TERM);
        assert!(sent.has(TERM) && sent.has(KILL) && !sent.has(ABRT));
        let mut sent = Sent::default();
        sent.note_not_ready();
        assert!(sent.was_not_ready() && !sent.was_late() && !sent.grace_is_over());
    }

    #[test]
    fn the_first_that_tells_stays_and_so_does_kill() {
        let mut sent = Sent::default();
        sent.note(INT, true);
        sent.note(TERM, true);
        assert_eq!(sent.signal(), INT);
        let mut sent = Sent::default();
        sent.note(KILL, false);
        sent.note(QUIT, false);
        assert_eq!(sent.signal(), KILL);
        // Some systems have a signal 128; no byte is to be taken for another signal.
        sent.note(300, true);
        assert!(!sent.has_told());
    }

    #[test]
    fn what_is_noted_twice_is_still_noted() {
        let mut sent = Sent::default();
        for _ in 0..2 {
            sent.note_end_of_grace();
            sent.note_late();
            sent.note_aborted();
            sent.note_not_ready();
        }
        assert!(sent.grace_is_over() && sent.was_late() && sent.was_not_ready());
    }

    #[test]
    fn what_may_not_be_sent_was_not_sent() {
        let notes: [fn(&mut Sent); 3] = [
            Sent::note_end_of_grace,
            Sent::note_late,
            Sent::note_not_ready,
        ];
        for note in notes {
            let mut sent = Sent::default();
            assert!(!sent.take_back_kill());
            note(&mut sent);
            assert!(sent.take_back_kill());
            assert_eq!(sent, Sent::default());
            assert!(!sent.take_back_kill());
        }
        let mut sent = Sent::default();
        sent.note_aborted();
        assert!(!sent.take_back_kill() && sent.was_late());
        sent.note_late();
        assert!(sent.take_back_kill());
        // It has heard of that.
        assert!(sent.was_late());
        sent.take_back_abort();
        assert!(!sent.was_late());
    }

    #[test]
    fn no_signal_hides_none_that_was_sent() {
        let mut sent = Sent::default();
        sent.note(10, false);
        sent.note(0, false);
        assert_eq!(sent.signal(), 10);
        sent.note(12, false);
        assert!(sent.has(12) && !sent.has(10));
    }
}
