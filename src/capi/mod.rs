//! The C ABI. Each function checks its pointer, converts, calls, and converts back.
//!
//! Conventions, the same for all of them:
//!
//! - `pf_t` is opaque. A handle belongs to one thread at a time; only `pf_signal` and
//!   `pf_wake` may be called from other threads and from signal handlers.
//! - Time-outs and intervals are seconds, as a double. A negative time-out never ends.
//! - Out-parameters are written only when the call succeeds.
//! - A null pointer is an error code, or 0, false or null (`pf_worker_index`, `pf_stop_fd`: -1). A panic is caught and poisons the
//!   handle: `PF_ERR_PANIC` from then on, but the workers can still be signalled and waited for.

#![allow(non_camel_case_types, reason = "the names are C's")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what a caller in C has to see to is the same for all, and stands at the top of the header"
)]

// The headers have them in an order of their own (tests/header.rs).
mod error;
mod event;
mod handle;
mod host;
mod life;
mod message;
mod pull;
mod run;
mod scoreboard;
mod settings;
mod signals;
mod stopping;
mod work;
mod workers;

pub use error::*;
pub use event::*;
pub use handle::*;
pub use host::*;
pub use life::*;
pub use message::*;
pub use pull::*;
pub use run::*;
pub use scoreboard::*;
pub use settings::*;
pub use signals::*;
pub use stopping::*;
pub use work::*;
pub use workers::*;
