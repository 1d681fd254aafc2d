//! What the library has to say of itself, to those who ask for it by PREFORK_DEBUG in the environment.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// A line that is said once in the life of a process, on stderr.
pub struct Line(AtomicBool);

impl Line {
    /// One that has not been said yet.
    pub const fn unsaid() -> Line {
        Line(AtomicBool::new(false))
    }

    /// Says it, if somebody wants to know and it was not said before.
    pub fn say(&self, what: std::fmt::Arguments) {
        // The variable is read when there is something to say, so nobody else pays for it.
        let is_wanted = || {
            std::env::var_os("PREFORK_DEBUG")
                .is_some_and(|value| value != *"0" && !value.is_empty())
        };
        // The swap decides who says it; nothing else comes with it.
        if !self.0.load(Ordering::Relaxed) && is_wanted() && !self.0.swap(true, Ordering::Relaxed) {
            // In one piece, as others may write there too. Where it cannot be said it is not.
            let _ = std::io::stderr().write_all(format!("prefork: {what}\n").as_bytes());
        }
    }
}
