//! Collections for what changes with each fork. After a fork each page that is written to is copied first. So what most
//! often has one element, or a few, has no memory of its own here: it lies where its owner lies.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A queue that most often holds one element at most, or none.
#[derive(Debug)]
pub struct ShortQueue<T> {
    first: Option<T>,
    others: VecDeque<T>,
}

impl<T> Default for ShortQueue<T> {
    fn default() -> Self {
        ShortQueue {
            first: None,
            others: VecDeque::new(),
        }
    }
}

impl<T> ShortQueue<T> {
    /// Adds an element behind all others.
    pub fn push_back(&mut self, element: T) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(element);
        } else {
            self.others.push_back(element);
        }
    }

    /// Takes the one that was added first.
    pub fn pop_front(&mut self) -> Option<T> {
        self.first.take().or_else(|| self.others.pop_front())
    }

    /// Drops those of which this is not true.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        if self.first.as_ref().is_some_and(|first| !is_kept(first)) {
            self.first = None;
        }
        if !self.others.is_empty() {
            self.others.retain(is_kept);
        }
    }

    /// Drops them all.
    pub fn clear(&mut self) {
        self.first = None;
        self.others.clear();
    }
}

/// Numbers that are free, of which the lowest is used first.
#[derive(Debug, Default)]
pub struct FreeNumbers {
    one: Option<u32>,
    others: BinaryHeap<Reverse<u32>>,
}

impl FreeNumbers {
    /// The lowest.
    pub fn lowest(&self) -> Option<u32> {
        let other = self.others.peek().map(|&Reverse(number)| number);
        self.one.into_iter().chain(other).min()
    }

    /// A number is free that was not.
    pub fn add(&mut self, number: u32) {
        if self.one.is_none() {
            self.one = Some(number);
        } else {
            self.others.push(Reverse(number));
        }
    }

    /// Takes the lowest.
    pub fn take_lowest(&mut self) -> Option<u32> {
        let lowest = self.lowest();
        if lowest == self.one {
            self.one.take()
        } else {
            self.others.pop().map(|Reverse(number)| number)
        }
    }

    /// None is free.
    pub fn clear(&mut self) {
        self.one = None;
        self.others.clear();
    }
}

/// As many elements as there is room for in it, in an order that is its user's.
#[derive(Debug)]
pub struct Few<T, const ROOM: usize> {
    /// What is beyond `len` means nothing.
    elements: [T; ROOM],
    len: usize,
}

impl<T: Copy + Default, const ROOM: usize> Default for Few<T, ROOM> {
    fn default() -> Self {
        Few {
            elements: [T::default(); ROOM],
            len: 0,
        }
    }
}

impl<T: Copy, const ROOM: usize> Few<T, ROOM> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        &self.elements[..self.len]
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.len == ROOM
    }

    /// The place of the first element of which it is not true, where it is true of all before. The end is
    /// found at once: what is new most often comes there.
    pub fn partition_point(&self, mut is_before: impl FnMut(T) -> bool) -> usize {
        let elements = self.as_slice();
        match elements.last() {
            Some(&last) if !is_before(last) => elements.partition_point(|&e| is_before(e)),
            _ => self.len,
        }
    }

    /// Puts an element in before the one at this place, or at the end. One that there is no room for is
    /// not put in.
    pub fn insert(&mut self, at: usize, element: T) {
        if self.is_full() || at > self.len {
            return;
        }
        self.elements.copy_within(at..self.len, at + 1);
        self.elements[at] = element;
        self.len += 1;
    }

    /// Takes out the element at this place, if there is one.
    pub fn remove(&mut self, at: usize) {
        if at < self.len {
            self.elements.copy_within(at + 1..self.len, at);
            self.len -= 1;
        }
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_what_was_added_first() {
        let mut queue = ShortQueue::default();
        let mut taken = Vec::new();
        for round in 0..4 {
            for element in 0..=round {
                queue.push_back((round, element));
            }
            taken.extend(queue.pop_front());
        }
        taken.extend(std::iter::from_fn(|| queue.pop_front()));
        let added: Vec<_> = (0..4).flat_map(|r| (0..=r).map(move |e| (r, e))).collect();
        assert_eq!(taken, added);

        queue.push_back((9, 9));
        queue.push_back((9, 9));
        queue.clear();
        assert_eq!(queue.pop_front(), None);
    }

    #[test]
    fn the_lowest_number_is_taken_first() {
        let mut free = FreeNumbers::default();
        for number in [7, 3, 5] {
            free.add(number);
        }
        assert_eq!((free.lowest(), free.take_lowest()), (Some(3), Some(3)));
        free.add(1);
        free.add(9);
        let rest: Vec<u32> = std::iter::from_fn(|| free.take_lowest()).collect();
        assert_eq!(rest, [1, 5, 7, 9]);
        assert_eq!((free.lowest(), free.take_lowest()), (None, None));

        free.add(2);
        free.add(4);
        free.clear();
        assert_eq!(free.take_lowest(), None);
    }

    #[test]
    fn a_few_are_a_vector_that_can_be_full() {
        const ROOM: usize = 8;
        let mut random = fastrand::Rng::with_seed(1);
        let mut few: Few<u32, ROOM> = Few::default();
        let mut plain = Vec::new();
        let (mut emptied, mut filled) = (0, 0);
        for step in 0..20_000 {
            // Places that are not there too.
            let at = random.usize(0..ROOM + 2);
            if random.bool() {
                few.insert(at, step);
                if at <= plain.len() && plain.len() < ROOM {
                    plain.insert(at, step);
                }
            } else {
                few.remove(at);
                if at < plain.len() {
                    plain.remove(at);
                }
            }
            if random.u8(0..100) == 0 {
                few.clear();
                plain.clear();
            }
            assert_eq!(few.as_slice(), plain);
            assert_eq!(few.is_full(), plain.len() == ROOM);
            let at = random.usize(0..=plain.len());
            assert_eq!(few.partition_point(|e| plain[..at].contains(&e)), at);
            emptied += usize::from(plain.is_empty());
            filled += usize::from(few.is_full());
        }
        assert!(emptied > 100 && filled > 100);
    }
}
