//! Collections for what changes with each fork. After a fork each page that is written to is copied once
//! more, so that what most often is one element should not have memory of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::Bound;

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

/// A map. A few elements lie in it, so that to add one and take it out writes to no other page.
#[derive(Debug)]
pub struct SmallMap<K, V> {
    /// By rising key; what is beyond `len` means nothing.
    few: [(K, V); FEW],
    len: usize,
    /// All of them once they are more than a few, until there is none.
    many: BTreeMap<K, V>,
}

/// More than most pools of one processor have, and all that fits into a page with the rest of a handle (`os::room`).
const FEW: usize = 16;

impl<K: Copy + Default, V: Copy + Default> Default for SmallMap<K, V> {
    fn default() -> Self {
        SmallMap {
            few: [Default::default(); FEW],
            len: 0,
            many: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy + Default, V: Copy + Default> SmallMap<K, V> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len + self.many.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element with this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        if self.many.is_empty() {
            self.position(key).ok().map(|at| &self.few[at].1)
        } else {
            self.many.get(key)
        }
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.many.is_empty() {
            self.position(key).ok().map(|at| &mut self.few[at].1)
        } else {
            self.many.get_mut(key)
        }
    }

    /// Enters an element, in the place of one with the same key.
    pub fn insert(&mut self, key: K, value: V) {
        if self.many.is_empty() {
            match self.position(&key) {
                Ok(at) => self.few[at].1 = value,
                Err(at) if self.len < FEW => {
                    self.few.copy_within(at..self.len, at + 1);
                    self.few[at] = (key, value);
                    self.len += 1;
                }
                Err(_) => self.grow(key, value),
            }
        } else {
            self.many.insert(key, value);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, key: K, value: V) {
        self.many.extend(self.few.into_iter().chain([(key, value)]));
        self.len = 0;
    }

    /// Takes an element out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if self.many.is_empty() {
            let at = self.position(key).ok()?;
            let value = self.few[at].1;
            self.few.copy_within(at + 1..self.len, at);
            self.len -= 1;
            Some(value)
        } else {
            self.remove_of_many(key)
        }
    }

    #[inline(never)] // It takes room on the stack, which is copied like other memory, see ARCHITECTURE.md.
    fn remove_of_many(&mut self, key: &K) -> Option<V> {
        self.many.remove(key)
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.retain(|_, _| false);
    }

    /// Drops those of which it is not true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &V) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            let (key, value) = &self.few[at];
            if keeps(key, value) {
                self.few[kept] = self.few[at];
                kept += 1;
            }
        }
        self.len = kept;
        self.many.retain(|key, value| keeps(key, value));
    }

    /// All of them, by rising key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let few = self.few[..self.len].iter().map(|(key, value)| (key, value));
        few.chain(&self.many)
    }

    /// The lowest key above `key`.
    pub fn next_key(&self, key: &K) -> Option<K> {
        let few = &self.few[..self.len];
        let above = few.partition_point(|(other, _)| other <= key);
        let many = self.many.range((Bound::Excluded(key), Bound::Unbounded));
        few[above..]
            .iter()
            .map(|(key, _)| *key)
            .chain(many.map(|(key, _)| *key))
            .next()
    }

    fn position(&self, key: &K) -> Result<usize, usize> {
        self.few[..self.len].binary_search_by(|(other, _)| other.cmp(key))
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

    /// Against the map of the standard library, at sizes around the one at which it changes over.
    #[test]
    fn a_small_map_is_a_map() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut small: SmallMap<i32, u64> = SmallMap::default();
        let mut plain = BTreeMap::new();
        let (mut grows, mut smallest, mut largest) = (true, FEW, 0);
        for step in 0..20_000 {
            let key = random.i32(0..80);
            if random.u8(0..4) == 0 {
                grows = plain.len() < 2 || plain.len() < 2 * FEW && grows;
            }
            if plain.len() >= 2 * FEW {
                grows = false;
            }
            if grows == (random.u8(0..4) > 0) {
                small.insert(key, step);
                plain.insert(key, step);
            } else {
                assert_eq!(small.remove(&key), plain.remove(&key));
            }
            match random.u16(0..500) {
                0 => {
                    small.clear();
                    plain.clear();
                }
                1..10 => {
                    small.retain(|key, value| (i64::from(*key) + *value as i64) % 3 != 0);
                    plain.retain(|key, value| (i64::from(*key) + *value as i64) % 3 != 0);
                }
                _ => {}
            }
            if let (Some(one), Some(other)) = (small.get_mut(&key), plain.get_mut(&key)) {
                *one += 1;
                *other += 1;
            }
            assert!(small.iter().eq(&plain));
            assert_eq!(
                (small.len(), small.is_empty(), small.get(&key)),
                (plain.len(), plain.is_empty(), plain.get(&key))
            );
            let above = plain.range(key + 1..).next().map(|(key, _)| *key);
            assert_eq!(small.next_key(&key), above);
            smallest = smallest.min(small.len());
            largest = largest.max(small.len());
        }
        assert!(smallest == 0 && largest > FEW);
    }
}
