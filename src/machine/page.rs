//! The page that is written to around each fork: what lies in it, and how much room each part has.
//!
//! After a fork, manager and worker copy each page that they write to (ARCHITECTURE.md, Copy-on-write). So all that changes
//! at each fork lies in one page, as far as it fits. Collections of the standard library would put it into as many pages
//! as there are collections.
//!
//! | part | where it is | what it would be otherwise |
//! |---|---|---|
//! | the page itself, with whose child is whose | `os/children.rs`: `Home`, `Children` | a tree, whose nodes are anywhere |
//! | in it, the room for the first handle of the process | `os/room.rs`: `Room` | the handle has memory of its own |
//! | in the handle, the order of workers by pid | `workers.rs`: `Workers` | a tree, whose nodes are anywhere |
//! | in the handle, the first workers | `workers.rs`: `Slots` | a vector: one page more for small pools |
//! | in the handle, queues that most often have one element, or none | `compact.rs` | two vectors and a heap |
//! | in the handle, what its host keeps there | `capi/handle.rs`: `pf_t` | memory of the host's, in another page |
//!
//! `docs/performance.md` says what each part saves, by leaving it out (The page that is written to).

/// How large the page is. Where the system has larger ones, it is a part of one.
pub const PAGE: usize = 4096;

/// How much of it is for the handle: all that `os/children.rs` leaves.
pub const ROOM: usize = 3392;

/// How much of the handle is the host's (`PF_HOST_ROOM`).
pub const HOST_ROOM: usize = 768;

/// So many workers have their order in the handle, and so many children their parents in the page. It is more than most pools
/// have, and as many as fit; beyond that there are trees, with pages of their own.
pub const FEW: usize = 112;

/// So many workers are in the handle: as many as most pools of one processor have.
pub const FIRST: usize = 16;
