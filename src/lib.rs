//! A prefork manager: it forks N workers, keeps their number, traps signals and passes
//! them on, reaps, and shuts down gracefully.
//!
//! The layers, each of which knows only those to its left:
//!
//! ```text
//! machine  <-  os  <-  manager  <-  capi
//! ```
//!
//! [`machine`] decides and touches nothing, [`os`] does and decides nothing, [`manager`] carries out with
//! the one what the other says, and [`capi`] is the C ABI, through which every host but one in Rust, Perl
//! included, drives it. `ARCHITECTURE.md`
//! has the whole picture.

pub mod capi;
pub mod machine;
pub mod manager;
pub mod os;
