//! A prefork manager: it forks N workers, keeps their number, traps signals and passes
//! them on, reaps, and shuts down gracefully.
//!
//! The layers, each of which knows only those to its left:
//!
//! ```text
//! machine  <-  os  <-  capi
//! ```
//!
//! [`machine`] decides and touches nothing, [`os`] does and decides nothing, [`capi`] is
//! the C ABI through which every host, Perl included, drives the two. `ARCHITECTURE.md`
//! has the whole picture.

pub mod capi;
pub mod machine;
pub mod os;
