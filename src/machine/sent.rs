//! Signals for workers: which of them tell a worker to end, and which ones a worker was sent.

/// A signal number. Negative in an action: the worker's whole process group is meant.
pub type Signal = i32;

/// The numbers that POSIX gives them, in kill(1).
const INT: Signal = 2;
const QUIT: Signal = 3;
/// What ends a worker whose time is over.
pub const KILL: Signal = 9;
pub const TERM: Signal = 15;

/// Whether a worker that is sent this signal is to end. (Programs use the others to reload, and for what they like.)
pub fn tells_to_end(signal: Signal) -> bool {
    matches!(signal.saturating_abs(), INT | QUIT | TERM)
}

/// What a worker has been sent. In three bytes, as there is one in each worker's entry (`page.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The first signal that told it to end; 0: none has.
    told: u8,
    /// The last one, but KILL stays.
    last: u8,
    /// The time that it had to end was over.
    grace_is_over: bool,
}

impl Sent {
    /// It has been sent this signal, which tells it to end, or does not.
    pub fn note(&mut self, signal: Signal, tells_to_end: bool) {
        // Those that exist fit.
        let number = u8::try_from(signal.saturating_abs()).unwrap_or(0);
        if tells_to_end && self.told == 0 {
            self.told = number;
        }
        if Signal::from(self.last) != KILL && number != 0 {
            self.last = number;
        }
    }

    /// It is killed, as its time to end is over.
    pub fn note_end_of_grace(&mut self) {
        self.grace_is_over = true;
    }

    /// Whether a signal has told it to end.
    pub fn has_told(self) -> bool {
        self.told != 0
    }

    /// Whether it was killed, as its time to end was over.
    pub fn grace_is_over(self) -> bool {
        self.grace_is_over
    }

    /// The signal that told it to end, or else the last one; 0: none.
    pub fn signal(self) -> Signal {
        Signal::from(if self.told == 0 { self.last } else { self.told })
    }

    /// Whether it may have been sent this signal.
    pub fn has(self, signal: Signal) -> bool {
        [self.told, self.last].map(Signal::from).contains(&signal)
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
}
