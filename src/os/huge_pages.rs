//! Huge pages.
//!
//! A fork copies the page tables of the process, an entry for each 4 KB. So the larger the manager is, the slower is each
//! fork, and the end of each worker. Memory in huge pages has an entry for each 2 MB. madvise(2) with MADV_COLLAPSE moves the
//! contents of small pages into huge ones, whatever the system's policy for them is.
//!
//! The machine asks for this (`Step::UseHugePages`) before the first FORK of a generation: then all that the program loads
//! is loaded. It is work and not a wait, so invariant A of ARCHITECTURE.md holds, but that FORK comes late.
//!
//! - `/proc/self/smaps` tells which mappings are worth it. A mapping that is huge already costs next to nothing there. So a
//!   small process pays for one read of the file, and a later generation moves only what is new.
//! - smaps does not tell where the holes of a mapping are, which the kernel would fill. mincore(2) does, with a byte for each
//!   page (`/proc/self/pagemap` has eight).
//! - The kernel is asked with an empty range whether it knows the call: EINVAL for a real range may be about that range.
//! - The work is done in pieces. A signal that would end or reload the manager ends it between two.
//! - The call only moves contents. What smaps said may be stale, as another thread may map and unmap meanwhile; nothing
//!   breaks by that.

/// Moves what this process has in whole huge pages of memory of its own into huge pages: private,
/// anonymous, writable mappings, the heap included. Ranges that are huge already, and such that are
/// mostly holes, are left alone. It takes 0.4 ms and more for each MB that is moved, so it
/// asks `is_interrupted` again and again, and ends when that is so.
///
/// Nothing that a program can see changes but the time that things take, whatever fails: a
/// page that cannot be moved stays where it is.
pub fn collapse(is_interrupted: impl Fn() -> bool) {
    #[cfg(target_os = "linux")]
    linux::collapse(is_interrupted);
    #[cfg(not(target_os = "linux"))]
    let _ = is_interrupted;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::ops::{ControlFlow, Range};
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::errno::Errno;

    use crate::os::debug;

    /// Linux 6.1; the libc crate does not name it.
    const MADV_COLLAPSE: libc::c_int = 25;

    /// Memory that is collapsed between two looks at `is_interrupted`: some ten milliseconds' worth. Each
    /// call has a price of its own (it empties the lists of pages of all CPUs), so less would be dear.
    const PIECE: usize = 16 << 20;

    /// A huge page is made where at least this part of its small ones is there, as one more in seven is
    /// all that it may cost. The kernel itself would fill any hole.
    const DENSE: (usize, usize) = (7, 8);

    /// Mappings with one of these in their VmFlags (proc(5)) are left alone: no huge pages wanted (nh);
    /// not inherited by a fork, or as zeros (dc, wf); locked, by somebody who will not have pages moved
    /// (lo); stacks (gd, ss); pages that somebody else fills in (um, uw, ui); not ordinary memory
    /// (io, pf, mm, ht).
    const LEFT_ALONE: [&str; 13] = [
        "nh", "dc", "wf", "lo", "gd", "ss", "um", "uw", "ui", "io", "pf", "mm", "ht",
    ];

    /// A fact that never changes and that comes alone: who does not see it yet asks the kernel again.
    static KERNEL_LACKS_IT: AtomicBool = AtomicBool::new(false);

    pub fn collapse(is_interrupted: impl Fn() -> bool) {
        static LACKING: debug::Line = debug::Line::unsaid();
        static UNREADABLE: debug::Line = debug::Line::unsaid();
        if KERNEL_LACKS_IT.load(Ordering::Relaxed) {
            return;
        }
        let Some(huge) = huge_page_size().filter(|_| kernel_can()) else {
            KERNEL_LACKS_IT.store(true, Ordering::Relaxed);
            LACKING.say(format_args!(
                "no huge pages: this kernel has none, or no MADV_COLLAPSE (Linux 6.1)"
            ));
            return;
        };
        // Not /proc/self/maps: only here stands which mappings are worth a second look. After
        // the first time most of them are huge, and are not.
        match File::open("/proc/self/smaps").and_then(|file| candidates(BufReader::new(file), huge))
        {
            Ok(mappings) => {
                // A closure, so that the first range for which there is no memory is the last one.
                let _ = mappings
                    .iter()
                    .try_for_each(|mapping| collapse_mapping(mapping, huge, &is_interrupted));
            }
            Err(error) => UNREADABLE.say(format_args!("no huge pages: /proc/self/smaps: {error}")),
        }
    }

    /// Bytes in a huge page; None if the kernel has none.
    fn huge_page_size() -> Option<usize> {
        let size = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
        let size = size.ok()?.trim().parse().ok()?;
        (size > page_size() && size % page_size() == 0).then_some(size)
    }

    fn page_size() -> usize {
        // SAFETY: sysconf(3) touches no memory of ours.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
    }

    /// Whether the kernel knows MADV_COLLAPSE. A range can be refused for reasons of its own, with the
    /// same EINVAL; an empty one cannot.
    fn kernel_can() -> bool {
        advise_collapse(&(0..0)).is_ok()
    }

    fn advise_collapse(range: &Range<usize>) -> Result<(), Errno> {
        let start = range.start as *mut libc::c_void;
        // SAFETY: it changes where memory is, and not what is in it, whosever it is by now.
        Errno::result(unsafe { libc::madvise(start, range.len(), MADV_COLLAPSE) }).map(drop)
    }

    /// A mapping in which there may be something to collapse.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Mapping {
        /// The whole huge pages in it.
        pub(super) range: Range<usize>,
        /// Bytes of it that are in memory.
        pub(super) resident: usize,
    }

    fn collapse_mapping(
        mapping: &Mapping,
        huge: usize,
        is_interrupted: &impl Fn() -> bool,
    ) -> ControlFlow<()> {
        let small = page_size();
        let mut present = vec![0_u8; PIECE.max(huge) / small];
        // What was read and never written is the kernel's one page of zeros: it is there for
        // mincore(2), costs nothing, and becomes memory when it is collapsed. So no more is collapsed
        // than the mapping can have.
        let mut may_collapse = mapping.resident / DENSE.0 * DENSE.1;
        let mut start = mapping.range.start;
        while start < mapping.range.end {
            let end = mapping.range.end.min(start + present.len() * small);
            let present = &mut present[..(end - start) / small];
            // SAFETY: there is a byte for each page. Somebody may have unmapped it, which is an error.
            let looked = unsafe {
                libc::mincore(
                    start as *mut libc::c_void,
                    end - start,
                    present.as_mut_ptr(),
                )
            };
            if looked != 0 {
                break;
            }
            for run in dense_runs(present, huge / small) {
                if is_interrupted() {
                    return ControlFlow::Break(());
                }
                let begin = start + run.start * huge;
                let length = (run.len() * huge).min(may_collapse / huge * huge);
                if length == 0 {
                    return ControlFlow::Continue(());
                }
                may_collapse -= length;
                collapse_range(&(begin..begin + length))?;
            }
            start = end;
        }
        ControlFlow::Continue(())
    }

    fn collapse_range(range: &Range<usize>) -> ControlFlow<()> {
        static FAILED: debug::Line = debug::Line::unsaid();
        let Err(errno) = advise_collapse(range) else {
            return ControlFlow::Continue(());
        };
        FAILED.say(format_args!(
            "not all is in huge pages: madvise(MADV_COLLAPSE): {}",
            errno.desc()
        ));
        // No memory, or none that the cgroup may have: to go on would only press others out of it.
        // Everything else is about pages of this range: somebody has pinned them, say.
        if matches!(errno, Errno::ENOMEM | Errno::EBUSY) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Which mappings of /proc/PID/smaps may have small pages to collapse.
    pub(super) fn candidates(smaps: impl BufRead, huge: usize) -> std::io::Result<Vec<Mapping>> {
        let mut found: Vec<Mapping> = Vec::new();
        let mut current = None;
        for line in smaps.lines() {
            let line = line?;
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or("");
            if !first.ends_with(':') {
                found.extend(current.take().and_then(|entry: Entry| entry.mapping(huge)));
                current = ordinary_memory(&line).map(|range| Entry {
                    range,
                    resident: 0,
                    is_huge: 0,
                });
                continue;
            }
            let Some(entry) = &mut current else { continue };
            let mut bytes = || {
                words
                    .next()
                    .and_then(|kb| kb.parse::<usize>().ok())
                    .map_or(0, |kb| kb << 10)
            };
            match first {
                "Rss:" => entry.resident = bytes(),
                "AnonHugePages:" => entry.is_huge = bytes(),
                "VmFlags:" if words.any(|flag| LEFT_ALONE.contains(&flag)) => current = None,
                _ => {}
            }
        }
        found.extend(current.take().and_then(|entry| entry.mapping(huge)));
        Ok(found)
    }

    struct Entry {
        range: Range<usize>,
        resident: usize,
        is_huge: usize,
    }

    impl Entry {
        /// Its whole huge pages, if one of them can be dense and is not huge yet.
        fn mapping(self, huge: usize) -> Option<Mapping> {
            let start = self.range.start.checked_next_multiple_of(huge)?;
            let end = self.range.end / huge * huge;
            let is_small = self.resident.saturating_sub(self.is_huge);
            (start < end && is_small >= huge / DENSE.1 * DENSE.0).then_some(Mapping {
                range: start..end,
                resident: self.resident,
            })
        }
    }

    /// The range of a mapping, by the line that begins it: START-END MODE OFFSET DEVICE INODE [NAME]. None
    /// if it is not private, anonymous and writable.
    fn ordinary_memory(line: &str) -> Option<Range<usize>> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let mode = words.next()?;
        let inode = words.nth(2)?;
        let is_nobodys = match words.next() {
            None => true,
            Some(name) => name == "[heap]" || name.starts_with("[anon:"),
        };
        (mode.starts_with("rw") && mode.ends_with('p') && inode == "0" && is_nobodys)
            .then_some(range)
    }

    /// The huge pages that are dense, as runs of their numbers; `present` is mincore's byte for
    /// each small page, of which a huge one has `small_ones`.
    pub(super) fn dense_runs(present: &[u8], small_ones: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (number, pages) in present.chunks_exact(small_ones).enumerate() {
            let there = pages.iter().filter(|&&page| page & 1 != 0).count();
            if there * DENSE.1 < small_ones * DENSE.0 {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == number => run.end += 1,
                _ => runs.push(number..number + 1),
            }
        }
        runs
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{Mapping, candidates, dense_runs};

    const HUGE: usize = 2 << 20;

    fn found(smaps: &str) -> Vec<Mapping> {
        candidates(smaps.as_bytes(), HUGE).expect("text can be read")
    }

    /// An entry of smaps, with the members that are not looked at around those that are.
    fn entry(header: &str, resident_kb: usize, huge_kb: usize, flags: &str) -> String {
        format!(
            "{header}\nSize: 99999 kB\nKernelPageSize: 4 kB\nRss: {resident_kb:>12} kB\nPss: 1 kB\n\
             AnonHugePages: {huge_kb} kB\nTHPeligible: 1\nVmFlags: {flags}\n"
        )
    }

    const HEAP: &str = "00100000-00900000 rw-p 00000000 00:00 0    [heap]";

    #[test]
    fn whole_huge_pages_of_the_heap_and_of_anonymous_memory() {
        let smaps = [
            entry(HEAP, 8000, 0, "rd wr mr mw me ac sd"),
            entry(
                "7f0000000000-7f0000400000 rw-p 00000000 00:00 0",
                4096,
                0,
                "rd wr",
            ),
            entry(
                "7f1000000000-7f1000400000 rw-p 00000000 00:00 0 [anon:name]",
                4000,
                0,
                "rd wr hg",
            ),
        ]
        .concat();
        let mapping = |range, kb: usize| Mapping {
            range,
            resident: kb << 10,
        };
        assert_eq!(
            found(&smaps),
            [
                mapping(0x20_0000..0x80_0000, 8000),
                mapping(0x7f00_0000_0000..0x7f00_0040_0000, 4096),
                mapping(0x7f10_0000_0000..0x7f10_0040_0000, 4000),
            ]
        );
    }

    #[test]
    fn what_is_not_this_processs_own_memory_is_left_alone() {
        for header in [
            "00100000-00900000 rw-s 00000000 00:00 0",
            "00100000-00900000 r--p 00000000 00:00 0",
            "00100000-00900000 ---p 00000000 00:00 0",
            "00100000-00900000 rw-p 00000000 08:01 77 /usr/lib/some.so",
            "00100000-00900000 rw-p 00000000 00:05 8 /dev/zero (deleted)",
            "00100000-00900000 rw-p 00000000 00:00 0 [stack]",
            "00100000-00900000 rw-p 00000000 00:00 0 [anon_shmem:x]",
            "100000 rw-p 00000000 00:00 0",
            "wrong-words rw-p 00000000 00:00 0",
            "",
        ] {
            assert_eq!(found(&entry(header, 8000, 0, "rd wr")), [], "{header}");
        }
        for flag in [
            "nh", "dc", "wf", "lo", "gd", "ss", "um", "uw", "ui", "io", "pf", "mm", "ht",
        ] {
            let flags = format!("rd wr {flag} ac");
            assert_eq!(found(&entry(HEAP, 8000, 0, &flags)), [], "{flag}");
        }
        assert_eq!(
            found("Rss: 8000 kB\n"),
            [],
            "a line that belongs to nothing"
        );
    }

    #[test]
    fn where_there_is_nothing_to_gain_nothing_is_done() {
        let small = "00100000-003fffff rw-p 00000000 00:00 0";
        assert_eq!(
            found(&entry(small, 3000, 0, "rd wr")),
            [],
            "no whole huge page"
        );
        assert_eq!(
            found(&entry(HEAP, 1791, 0, "rd wr")),
            [],
            "none can be dense"
        );
        assert_eq!(found(&entry(HEAP, 1792, 0, "rd wr")).len(), 1);
        assert_eq!(
            found(&entry(HEAP, 8000, 6400, "rd wr")),
            [],
            "all that can be is huge"
        );
        assert_eq!(found(&entry(HEAP, 8000, 4096, "rd wr")).len(), 1);
        let top = "ffffffffffe01000-ffffffffffffffff rw-p 00000000 00:00 0";
        assert_eq!(found(&entry(top, 8000, 0, "rd wr")), [], "at the very top");
    }

    #[test]
    fn holes_stay_holes() {
        let block = |there: usize| -> Vec<u8> {
            // mincore(2) defines the lowest bit only.
            (0..512)
                .map(|page| if page < there { 0x81 } else { 0x80 })
                .collect()
        };
        let runs = |blocks: &[usize]| {
            let present: Vec<u8> = blocks.iter().flat_map(|&there| block(there)).collect();
            dense_runs(&present, 512)
        };
        assert_eq!(runs(&[512, 448, 447, 0, 500]), [0..2, 4..5]);
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[1, 256]), []);
    }
}
