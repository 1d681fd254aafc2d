//! Whose child is whose, where several managers live in one process, each on its own thread perhaps.
//!
//! wait4(2) gives any child that has ended to any manager. This file knows who forked whom. What one manager reaps of
//! another's is kept for that one, which is woken.
//!
//! The lock is held while wait4(2) is called, which never blocks here (WNOHANG). So no manager looks for a worker between
//! the kernel's reap and our note of it. A child may be reaped before its own manager has heard its pid; it is kept until
//! all forks under way are answered. A child may also belong to two managers (`pf_adopt_worker`, or a copy of a Perl
//! manager): then both are told of its end.
//!
//! A host may have other code that waits for children of its own. It turns foreign children off (`pf_set_reap_foreign`).
//! Then only workers are waited for, each by its pid.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrivals::Arrivals;
use super::process::Process;
use super::room::Room;
use super::wait::{self, Child, Reaped, Standing};
use super::wake::Waker;
use crate::machine::page::{FEW, PAGE};
use crate::machine::{Few, Pid};

/// A manager, as a parent among others.
#[derive(Debug)]
pub struct Parent {
    number: u64,
    is_forking: bool,
}

/// Which children are looked for. One that somebody else has reaped for this parent comes before.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Any child of this process.
    Any,
    /// These.
    Of(&'a [Pid]),
    /// This one, without a look at the others.
    One(Pid),
}

/// What a look at each child has found.
#[derive(Debug, Default)]
pub struct Audited {
    /// They are no children of this process any more, and nobody has their status.
    pub missing: Vec<Pid>,
    /// They have ended, and a look for any child does not find them.
    pub ended: Vec<Pid>,
    /// Whether there are others whose end no SIGCHLD will tell of.
    pub are_silent: bool,
}

/// The parents of one process. The lock is held while wait4(2) is called, which does not block
/// here: between the kernel's reap and our note of it nobody may look for the child.
#[derive(Debug, Default)]
struct Family {
    parents: BTreeMap<u64, Member>,
    children: Children,
    /// Children that another parent has taken in while they are somebody's: both are told of their end.
    shared: Vec<(Pid, u64)>,
    /// How many of them fork.
    forking: usize,
    /// Reaped while somebody else forked: perhaps that one's, who does not know its pid yet.
    unclaimed: Vec<(u64, Child)>,
}

/// Who forked whom.
#[derive(Debug, Default)]
struct Children {
    /// Children of `parent`, by rising pid: most often all that there are.
    few: Few<Pid, FEW>,
    parent: u64,
    /// All others, and their parents.
    others: BTreeMap<Pid, u64>,
}

impl Children {
    fn insert(&mut self, pid: Pid, parent: u64) {
        self.remove(pid);
        if self.few.as_slice().is_empty() {
            self.parent = parent;
        }
        if self.parent == parent && !self.few.is_full() {
            self.few.insert(self.place(pid), pid);
        } else {
            self.insert_other(pid, parent);
        }
    }

    /// Takes a child out. Returns whose it was.
    fn remove(&mut self, pid: Pid) -> Option<u64> {
        let at = self.place(pid);
        if self.few.as_slice().get(at) == Some(&pid) {
            self.few.remove(at);
            Some(self.parent)
        } else if self.others.is_empty() {
            None
        } else {
            self.remove_other(pid)
        }
    }

    fn insert_other(&mut self, pid: Pid, parent: u64) {
        self.others.insert(pid, parent);
    }

    fn remove_other(&mut self, pid: Pid) -> Option<u64> {
        self.others.remove(&pid)
    }

    fn parent_of(&self, pid: Pid) -> Option<u64> {
        if self.few.as_slice().get(self.place(pid)) == Some(&pid) {
            Some(self.parent)
        } else {
            self.others.get(&pid).copied()
        }
    }

    /// Takes out all that this parent has.
    fn remove_of(&mut self, parent: u64) {
        if self.parent == parent {
            self.few.clear();
        }
        self.others.retain(|_, &mut other| other != parent);
    }

    /// The place among the few of the first with this pid or a higher one.
    fn place(&self, pid: Pid) -> usize {
        self.few.partition_point(|other| other < pid)
    }
}

#[derive(Debug, Default)]
struct Member {
    reaped_by_others: VecDeque<Child>,
    wake: Option<(Arc<Waker>, Arc<Arrivals>)>,
}

impl Family {
    fn deliver(&mut self, to: u64, child: &Child) {
        if let Some(member) = self.parents.get_mut(&to) {
            member.reaped_by_others.push_back(*child);
            if let Some((waker, arrivals)) = &member.wake {
                waker.wake();
                arrivals.end_sleep();
            }
        }
    }

    fn keep(&mut self, reaper: u64, child: &Child) {
        self.unclaimed.push((reaper, *child));
    }

    /// A child is taken in by a parent that has not forked it.
    fn adopt(&mut self, pid: Pid, parent: u64) {
        match self.children.parent_of(pid) {
            Some(owner) if owner != parent && self.parents.contains_key(&owner) => {
                if !self.shared.contains(&(pid, parent)) {
                    self.shared.push((pid, parent));
                }
            }
            _ => self.children.insert(pid, parent),
        }
    }

    /// A child has lost its parent: it belongs to the next one that has it.
    fn pass_on(&mut self, pid: Pid) {
        if let Some(at) = self.shared.iter().position(|&(other, _)| other == pid) {
            let (_, parent) = self.shared.remove(at);
            self.children.insert(pid, parent);
        }
    }

    /// A child has been reaped: tells those who share it, but for the reaper. Returns whether that is one of them.
    fn tell_others(&mut self, reaper: u64, child: &Child) -> bool {
        let (told, left) = std::mem::take(&mut self.shared)
            .into_iter()
            .partition::<Vec<_>, _>(|&(pid, _)| pid == child.pid);
        self.shared = left;
        let mut is_reapers = false;
        for (_, parent) in told {
            if parent == reaper {
                is_reapers = true;
            } else {
                self.deliver(parent, child);
            }
        }
        is_reapers
    }

    /// The outcome of a fork is known: `pid`, or none. What nobody can claim any more is foreign.
    fn forked(&mut self, parent: &mut Parent, pid: Option<Pid>) {
        let number = parent.number;
        if std::mem::take(&mut parent.is_forking) && self.parents.contains_key(&number) {
            self.forking -= 1;
        }
        if let Some(pid) = pid {
            let is_it = |(_, child): &(u64, Child)| child.pid == pid;
            if let Some(position) = self.unclaimed.iter().position(is_it) {
                let (_, child) = self.unclaimed.swap_remove(position);
                self.deliver(number, &child);
            } else {
                self.children.insert(pid, number);
            }
        }
        if self.forking == 0 {
            for (reaper, child) in std::mem::take(&mut self.unclaimed) {
                self.deliver(reaper, &child);
            }
        }
    }
}

impl Parent {
    /// A new one, with no children.
    #[allow(
        clippy::new_without_default,
        reason = "it enters itself into a list that all share"
    )]
    pub fn new() -> Parent {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = home();
        let mut family = lock(home);
        family.parents.insert(number, Member::default());
        if family.parents.len() > 1 {
            home.had_several.store(true, Ordering::SeqCst);
        }
        Parent {
            number,
            is_forking: false,
        }
    }

    /// Who is to be woken, by either, when somebody else has reaped a child of this one.
    pub fn set_wake(&self, waker: &Arc<Waker>, arrivals: &Arc<Arrivals>) {
        if let Some(member) = family().parents.get_mut(&self.number) {
            member.wake = Some((Arc::clone(waker), Arc::clone(arrivals)));
        }
    }

    /// Whether there is no other parent in this process.
    pub fn is_alone(&self) -> bool {
        let home = home();
        !home.had_several.load(Ordering::SeqCst) || lock(home).parents.len() == 1
    }

    /// A fork is about to happen.
    pub fn will_fork(&mut self) {
        let mut family = family();
        if !std::mem::replace(&mut self.is_forking, true) {
            family.forking += 1;
        }
    }

    /// The fork has made a child or, with none, has failed.
    pub fn forked(&mut self, pid: Option<Pid>) {
        family().forked(self, pid);
    }

    /// A child that was forked some other way.
    pub fn adopt(&self, pid: Pid) {
        family().adopt(pid, self.number);
    }

    /// Nothing is to be kept for this parent about the child any more.
    pub fn remove(&self, pid: Pid) {
        let mut family = family();
        if family.children.parent_of(pid) == Some(self.number) {
            family.children.remove(pid);
            if !family.shared.is_empty() {
                family.pass_on(pid);
            }
        } else if !family.shared.is_empty() {
            family.shared.retain(|&other| other != (pid, self.number));
        }
    }

    /// Whether somebody else has reaped a child of this one.
    pub fn has_reaped_child(&self) -> bool {
        let home = home();
        let has = |member: &Member| !member.reaped_by_others.is_empty();
        home.had_several.load(Ordering::SeqCst)
            && lock(home).parents.get(&self.number).is_some_and(has)
    }

    /// Reaps one child that has ended, without waiting: of this parent, or one that is nobody's.
    pub fn reap(&self, which: Which<'_>) -> Reaped {
        let mut family = family();
        if let Some(child) = family
            .parents
            .get_mut(&self.number)
            .and_then(|member| member.reaped_by_others.pop_front())
        {
            return Reaped::Child(child);
        }
        loop {
            let reaped = match which {
                Which::Any => wait::reap_any(),
                Which::Of(pids) => wait::reap_of(pids),
                Which::One(pid) => wait::reap_one(pid),
            };
            let Reaped::Child(child) = &reaped else {
                return reaped;
            };
            let owner = family.children.remove(child.pid);
            let is_shared = !family.shared.is_empty() && family.tell_others(self.number, child);
            match owner {
                Some(owner) if owner != self.number && family.parents.contains_key(&owner) => {
                    family.deliver(owner, child);
                    if is_shared {
                        return reaped;
                    }
                }
                None if family.forking > usize::from(self.is_forking) => {
                    family.keep(self.number, child);
                }
                _ => return reaped,
            }
        }
    }

    /// What has become of the pids without a notice. A child whose status is kept for this parent is left out.
    pub fn audit(&self, pids: impl Iterator<Item = Pid>) -> Audited {
        let family = family();
        let mut audited = Audited::default();
        let Some(member) = family.parents.get(&self.number) else {
            return audited;
        };
        let is_kept = |pid| member.reaped_by_others.iter().any(|child| child.pid == pid);
        for pid in pids.filter(|&pid| !is_kept(pid)) {
            match wait::standing(pid) {
                Standing::Stranger => audited.missing.push(pid),
                Standing::Silent { has_ended: true } => audited.ended.push(pid),
                Standing::Silent { has_ended: false } => audited.are_silent = true,
                Standing::Child => {}
            }
        }
        audited
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // In a child of the process that made it there is nothing to leave.
        if let Some(home) = existing_home() {
            let mut family = lock(home);
            family.forked(self, None);
            family.parents.remove(&self.number);
            family.children.remove_of(self.number);
            family.shared.retain(|&(_, parent)| parent != self.number);
            for (pid, parent) in std::mem::take(&mut family.shared) {
                family.adopt(pid, parent);
            }
        }
    }
}

/// A family and the process that it is of, in a page of its own, and what else fits in there (`machine/page.rs`).
#[repr(align(4096))]
struct Home {
    room: Room,
    process: Process,
    /// Whether there has ever been more than one parent at a time. As long as not, nobody reaps for somebody
    /// else, which is what a manager asks most often. It is set under the lock, before the second parent can reap
    /// anything; whoever is woken for what was reaped for him therefore finds it set.
    had_several: AtomicBool,
    family: Mutex<Family>,
    /// The copy of the parent's, which cannot be freed without its lock; so it is kept.
    _parents: *mut Home,
}

const _: () = assert!(size_of::<Home>() == PAGE);

/// The family of this process. A fork copies the one of the parent, whose lock some thread may
/// hold at that moment and never release in the copy; so a child starts a new one, and the
/// copy is left as it is.
static HOME: AtomicPtr<Home> = AtomicPtr::new(std::ptr::null_mut());

fn existing_home() -> Option<&'static Home> {
    // SAFETY: what is stored there came from Box::into_raw, and is never freed.
    let home = unsafe { HOME.load(Ordering::Acquire).as_ref() }?;
    home.process.is_this().then_some(home)
}

/// The room in the page to which this module writes around each fork.
pub fn room() -> &'static Room {
    &home().room
}

fn family() -> MutexGuard<'static, Family> {
    lock(home())
}

fn home() -> &'static Home {
    existing_home().unwrap_or_else(make_home)
}

#[cold]
fn make_home() -> &'static Home {
    loop {
        let before = HOME.load(Ordering::Acquire);
        if let Some(home) = existing_home() {
            return home;
        }
        let home = Box::into_raw(Box::new(Home {
            room: Room::default(),
            process: Process::this(),
            had_several: AtomicBool::new(false),
            family: Mutex::default(),
            _parents: before,
        }));
        let stored = HOME.compare_exchange(before, home, Ordering::AcqRel, Ordering::Acquire);
        if stored.is_err() {
            // SAFETY: it came from Box::into_raw just now, and nobody else has seen it.
            drop(unsafe { Box::from_raw(home) });
        }
    }
}

fn lock(home: &'static Home) -> MutexGuard<'static, Family> {
    home.family.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a map: parents come and go, and have more children than there is room for.
    #[test]
    fn whose_child_is_whose() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut children = Children::default();
        let mut plain = BTreeMap::new();
        let (mut largest, mut filled) = (0, 0);
        for _ in 0..50_000 {
            let pid = random.i32(1..400);
            let parent = random.u64(0..8).saturating_sub(5);
            match random.u16(0..1000) {
                0..600 => {
                    children.insert(pid, parent);
                    plain.insert(pid, parent);
                }
                600..602 => {
                    children.remove_of(parent);
                    plain.retain(|_, &mut other| other != parent);
                }
                _ => assert_eq!(children.remove(pid), plain.remove(&pid)),
            }
            let one = random.i32(1..400);
            assert_eq!(children.parent_of(one), plain.get(&one).copied());
            let len = children.few.as_slice().len() + children.others.len();
            assert_eq!(len, plain.len());
            largest = largest.max(children.others.len());
            filled += usize::from(children.few.is_full());
        }
        assert!(largest > FEW && filled > 100);
    }
}
