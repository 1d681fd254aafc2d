//! Collections for what changes with each fork. After a fork each page that is written to is copied once
//! more, so that what most often is one element should not have memory of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

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

/// An empty map that has its first node already: it then lies beside what else is made at the time, and
/// not wherever there is room when the first element comes.
pub fn map_with_node<K: Ord + Copy + Default, V: Default>() -> BTreeMap<K, V> {
    let mut map = BTreeMap::from([(K::default(), V::default())]);
    map.remove(&K::default());
    map
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
    fn a_map_with_a_node_is_empty() {
        let map: BTreeMap<i32, u64> = map_with_node();
        assert!(map.is_empty());
    }
}
