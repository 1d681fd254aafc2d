//! Collections for what changes with each fork. After a fork each page that is written to is copied once
//! more, so that what most often is one element should not have memory of its own.

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

/// Elements in an order that is its user's. The first `FEW` lie in it, so that to put one in and take it out
/// writes to no other page; more of them lie in a ring, where that moves half of them at most.
#[derive(Debug)]
pub struct Row<T, const FEW: usize> {
    /// What is beyond `len` means nothing.
    few: [T; FEW],
    len: usize,
    /// All of them once they are more than a few, until there is none.
    many: VecDeque<T>,
}

impl<T: Copy + Default, const FEW: usize> Default for Row<T, FEW> {
    fn default() -> Self {
        Row {
            few: [T::default(); FEW],
            len: 0,
            many: VecDeque::new(),
        }
    }
}

impl<T: Copy, const FEW: usize> Row<T, FEW> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len + self.many.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.few[..self.len].iter().chain(&self.many).copied()
    }

    /// The element at this place.
    pub fn get(&self, at: usize) -> Option<T> {
        if self.many.is_empty() {
            self.few[..self.len].get(at).copied()
        } else {
            self.many.get(at).copied()
        }
    }

    /// The place of the first element of which it is not true, where it is true of all before. The end is
    /// found at once: what is new most often comes there.
    pub fn partition_point(&self, mut is_before: impl FnMut(T) -> bool) -> usize {
        let len = self.len();
        if len
            .checked_sub(1)
            .and_then(|last| self.get(last))
            .is_none_or(&mut is_before)
        {
            return len;
        }
        if self.many.is_empty() {
            self.few[..self.len].partition_point(|&element| is_before(element))
        } else {
            self.many.partition_point(|&element| is_before(element))
        }
    }

    /// Puts an element in before the one at this place, or at the end.
    pub fn insert(&mut self, at: usize, element: T) {
        if self.many.is_empty() && self.len < FEW {
            self.few[..=self.len].copy_within(at..self.len, at + 1);
            self.few[at] = element;
            self.len += 1;
        } else {
            self.insert_into_many(at, element);
        }
    }

    #[inline(never)] // It takes room on the stack, which is copied like other memory, see ARCHITECTURE.md.
    fn insert_into_many(&mut self, at: usize, element: T) {
        self.many.extend(&self.few[..self.len]);
        self.len = 0;
        self.many.insert(at, element);
    }

    /// Takes out the element at this place, where there is one.
    pub fn remove(&mut self, at: usize) {
        if self.many.is_empty() {
            self.few[..self.len].copy_within(at + 1.., at);
            self.len -= 1;
        } else {
            self.remove_of_many(at);
        }
    }

    #[inline(never)] // As insert_into_many.
    fn remove_of_many(&mut self, at: usize) {
        self.many.remove(at);
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.len = 0;
        self.many.clear();
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

    /// Against the vector of the standard library, at sizes around the one at which it changes over.
    #[test]
    fn a_row_is_a_vector() {
        const FEW: usize = 8;
        let mut random = fastrand::Rng::with_seed(1);
        let mut row: Row<u32, FEW> = Row::default();
        let mut plain = Vec::new();
        let (mut grows, mut emptied, mut largest) = (true, 0, 0);
        for step in 0..20_000 {
            if plain.is_empty() {
                grows = true;
                emptied += 1;
            } else if plain.len() > 2 * FEW || random.u8(0..16) == 0 {
                grows = false;
            }
            if grows {
                let at = random.usize(0..=plain.len());
                row.insert(at, step);
                plain.insert(at, step);
            } else {
                let at = random.usize(0..plain.len());
                row.remove(at);
                plain.remove(at);
            }
            if random.u8(0..100) == 0 {
                row.clear();
                plain.clear();
            }
            assert!(row.iter().eq(plain.iter().copied()));
            assert_eq!((row.len(), row.is_empty()), (plain.len(), plain.is_empty()));
            let at = random.usize(0..=plain.len());
            assert_eq!(row.get(at), plain.get(at).copied());
            let before = &plain[..at];
            assert_eq!(row.partition_point(|e| before.contains(&e)), at);
            largest = largest.max(row.len());
        }
        assert!(emptied > 100 && largest > FEW);
    }
}
