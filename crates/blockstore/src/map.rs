//! The map: where each block of a disk is, as far as one change file says.
//!
//! A tree of fixed depth. Regions that are the same throughout take no memory, so a discard of a whole disk is a few numbers.

use std::collections::BTreeSet;
use std::mem;

use crate::layout::{BlockNumber, Slot};

/// Blocks of a leaf, 4 MiB of the disk.
pub(crate) const LEAF_BLOCKS: usize = 1024;
/// Leaves of a node, 4 GiB of the disk.
const NODE_LEAVES: usize = 1024;
const NODE_BLOCKS: u64 = (LEAF_BLOCKS * NODE_LEAVES) as u64;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This file says nothing of it.
    Below,
    Zeros,
    Slot(Slot),
}

impl Place {
    /// Returns the number that stands for it in leaves.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Below => 0,
            Self::Zeros => 1,
            Self::Slot(slot) => slot.0,
        }
    }

    pub(crate) fn of_code(code: u32) -> Place {
        match code {
            0 => Self::Below,
            1 => Self::Zeros,
            slot => Self::Slot(Slot(slot)),
        }
    }

    /// Returns where the block `count` blocks further is, if they lie in one run.
    fn further(self, count: u64) -> Place {
        match self {
            Self::Slot(slot) => Self::Slot(Slot(slot.0.saturating_add(count as u32))),
            other => other,
        }
    }
}

type Codes = Box<[u32; LEAF_BLOCKS]>;

#[derive(Clone)]
enum Node {
    Uniform(Place),
    Leaves(Box<[Leaf; NODE_LEAVES]>),
}

#[derive(Clone)]
enum Leaf {
    Uniform(Place),
    Codes(Codes),
}

/// A stretch of the map that is looked at as a whole.
enum Stretch<'a> {
    Uniform(Place, u64),
    Codes(&'a [u32]),
}

/// Blocks to places; all begin as [`Place::Below`].
#[derive(Clone)]
pub(crate) struct Map {
    blocks_count: u64,
    nodes: Vec<Node>,
    /// Leaves with codes of which some have changed since [`take_changed`](Self::take_changed).
    changed: BTreeSet<u32>,
    /// Held in memory.
    bytes: usize,
}

impl Map {
    pub(crate) fn new(blocks_count: u64) -> Map {
        let nodes_count = blocks_count.div_ceil(NODE_BLOCKS) as usize;
        Map {
            blocks_count,
            nodes: vec![Node::Uniform(Place::Below); nodes_count],
            changed: BTreeSet::new(),
            bytes: nodes_count * size_of::<Node>(),
        }
    }

    /// Returns the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn leaves_count(&self) -> u64 {
        self.blocks_count.div_ceil(LEAF_BLOCKS as u64)
    }

    /// Returns the place of `first`, and how many blocks from there lie in one run, `count_max` at most.
    pub(crate) fn run_at(&self, first: BlockNumber, count_max: u64) -> (Place, u64) {
        let place = self.place(first);
        let mut count = 0;
        while count < count_max {
            let left = count_max - count;
            let (matching, length) = match self.stretch(u64::from(first.0) + count) {
                Stretch::Uniform(found, length) if found == place.further(count) => {
                    (length, length)
                }
                Stretch::Uniform(_, length) => (0, length),
                Stretch::Codes(codes) => {
                    let expected = (count..).map(|further| place.further(further).code());
                    let codes = &codes[..codes.len().min(left as usize)];
                    let matching = codes.iter().zip(expected).take_while(|(a, b)| *a == b);
                    (matching.count() as u64, codes.len() as u64)
                }
            };
            count += matching;
            if matching < length || length == 0 {
                break;
            }
        }
        (place, count.min(count_max))
    }

    fn place(&self, block: BlockNumber) -> Place {
        match self.stretch(u64::from(block.0)) {
            Stretch::Uniform(place, _) => place,
            Stretch::Codes(codes) => Place::of_code(codes[0]),
        }
    }

    /// Returns what is known from a block to the end of its leaf or node; an empty stretch behind the end.
    fn stretch(&self, block: u64) -> Stretch<'_> {
        let (node, leaf, index) = position(block);
        match self.nodes.get(node) {
            None => Stretch::Uniform(Place::Below, 0),
            Some(Node::Uniform(place)) => {
                Stretch::Uniform(*place, NODE_BLOCKS - block % NODE_BLOCKS)
            }
            Some(Node::Leaves(leaves)) => match &leaves[leaf] {
                Leaf::Uniform(place) => Stretch::Uniform(*place, (LEAF_BLOCKS - index) as u64),
                Leaf::Codes(codes) => Stretch::Codes(&codes[index..]),
            },
        }
    }

    /// Puts a block, which the disk has, to a place and returns where it was.
    pub(crate) fn set(&mut self, block: BlockNumber, place: Place) -> Place {
        let (node, leaf, index) = position(u64::from(block.0));
        let bytes = &mut self.bytes;
        let codes = self.nodes[node].leaf(leaf, bytes).codes(bytes);
        let old = mem::replace(&mut codes[index], place.code());
        self.changed.insert((node * NODE_LEAVES + leaf) as u32);
        Place::of_code(old)
    }

    /// Makes `count` blocks from `first` zeros; the slots where some of them were are added to `freed`.
    pub(crate) fn set_zeros(&mut self, first: BlockNumber, count: u64, freed: &mut Vec<Slot>) {
        let mut at = u64::from(first.0);
        let mut end = at + count;
        if end >= self.blocks_count {
            // What is behind the end of the disk is nowhere, so the last node may be one stretch.
            end = self.nodes.len() as u64 * NODE_BLOCKS;
        }
        while at < end {
            let (node, leaf, index) = position(at);
            let left = end - at;
            at += if at.is_multiple_of(NODE_BLOCKS) && left >= NODE_BLOCKS {
                self.zero_node(node, freed)
            } else if index == 0 && left >= LEAF_BLOCKS as u64 {
                self.zero_leaf(node, leaf, freed)
            } else {
                let length = left.min((LEAF_BLOCKS - index) as u64);
                self.zero_codes(at, length, freed)
            };
        }
    }

    fn zero_node(&mut self, node: usize, freed: &mut Vec<Slot>) -> u64 {
        let old = mem::replace(&mut self.nodes[node], Node::Uniform(Place::Zeros));
        if let Node::Leaves(leaves) = old {
            self.bytes -= size_of_val(&*leaves);
            for leaf in &*leaves {
                self.bytes -= leaf.bytes();
                leaf.add_slots(freed);
            }
        }
        NODE_BLOCKS
    }

    fn zero_leaf(&mut self, node: usize, leaf: usize, freed: &mut Vec<Slot>) -> u64 {
        let old = self.nodes[node].leaf(leaf, &mut self.bytes);
        let old = mem::replace(old, Leaf::Uniform(Place::Zeros));
        self.bytes -= old.bytes();
        old.add_slots(freed);
        LEAF_BLOCKS as u64
    }

    fn zero_codes(&mut self, at: u64, length: u64, freed: &mut Vec<Slot>) -> u64 {
        for block in at..at + length {
            if let Place::Slot(slot) = self.set(BlockNumber(block as u32), Place::Zeros) {
                freed.push(slot);
            }
        }
        length
    }

    /// Puts a whole leaf in its place, as it was stored.
    pub(crate) fn load_leaf(&mut self, leaf: u32, codes: Codes) {
        let (node, leaf) = (leaf as usize / NODE_LEAVES, leaf as usize % NODE_LEAVES);
        let place = self.nodes[node].leaf(leaf, &mut self.bytes);
        self.bytes += size_of_val(&*codes);
        *place = Leaf::Codes(codes);
    }

    /// Returns the leaves with codes that changed since it was called last.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<u32> {
        mem::take(&mut self.changed)
    }

    /// Returns the codes of a leaf, if they differ from each other.
    pub(crate) fn leaf(&self, leaf: u32) -> Option<&[u32; LEAF_BLOCKS]> {
        match self.nodes.get(leaf as usize / NODE_LEAVES)? {
            Node::Leaves(leaves) => match &leaves[leaf as usize % NODE_LEAVES] {
                Leaf::Codes(codes) => Some(codes),
                Leaf::Uniform(_) => None,
            },
            Node::Uniform(_) => None,
        }
    }

    /// Calls `each` with the first leaf and the number of leaves of every region that is not [`Place::Below`] throughout, in order;
    /// with codes, the number is one.
    pub(crate) fn for_each_region(&self, mut each: impl FnMut(u32, u32, Option<&Codes>)) {
        let end = self.leaves_count() as usize;
        for (number, node) in self.nodes.iter().enumerate() {
            let first = number * NODE_LEAVES;
            match node {
                Node::Uniform(Place::Below) => {}
                Node::Uniform(_) => each(first as u32, (end - first).min(NODE_LEAVES) as u32, None),
                Node::Leaves(leaves) => {
                    for (leaf, number) in leaves.iter().zip(first..end) {
                        match leaf {
                            Leaf::Uniform(Place::Below) => {}
                            Leaf::Uniform(_) => each(number as u32, 1, None),
                            Leaf::Codes(codes) => each(number as u32, 1, Some(codes)),
                        }
                    }
                }
            }
        }
    }

    /// Calls `each` with the first block, the number of blocks and the place of every run that is not [`Place::Below`], in order.
    /// No run has more blocks than a node.
    pub(crate) fn for_each_run(&self, mut each: impl FnMut(BlockNumber, u64, Place)) {
        let mut at = 0;
        while let Some((first, count, place)) = self.next_run(at) {
            if place != Place::Below {
                each(first, count, place);
            }
            at += count;
        }
    }

    /// Returns the run that begins at block `at`, of whatever place; `None` at the end of the disk. It has no more blocks than a node.
    pub(crate) fn next_run(&self, at: u64) -> Option<(BlockNumber, u64, Place)> {
        let left = self.blocks_count.checked_sub(at).filter(|left| *left > 0)?;
        let first = BlockNumber(at as u32);
        let to_node_end = (NODE_BLOCKS - at % NODE_BLOCKS).min(left);
        let (place, count) = self.run_at(first, to_node_end);
        Some((first, count, place))
    }
}

impl Node {
    /// Returns a leaf to change, which takes memory for all of its node's.
    fn leaf(&mut self, leaf: usize, bytes: &mut usize) -> &mut Leaf {
        if let Self::Uniform(place) = *self {
            let leaves = Box::new([const { Leaf::Uniform(Place::Below) }; NODE_LEAVES]);
            *bytes += size_of_val(&*leaves);
            *self = Self::Leaves(leaves);
            if place != Place::Below {
                self.fill(place);
            }
        }
        match self {
            Self::Leaves(leaves) => &mut leaves[leaf],
            Self::Uniform(_) => unreachable!("a node was just given leaves"),
        }
    }

    fn fill(&mut self, place: Place) {
        if let Self::Leaves(leaves) = self {
            leaves.fill(Leaf::Uniform(place));
        }
    }
}

impl Leaf {
    /// Returns the codes to change.
    fn codes(&mut self, bytes: &mut usize) -> &mut [u32; LEAF_BLOCKS] {
        if let Self::Uniform(place) = *self {
            let codes = Box::new([place.code(); LEAF_BLOCKS]);
            *bytes += size_of_val(&*codes);
            *self = Self::Codes(codes);
        }
        match self {
            Self::Codes(codes) => codes,
            Self::Uniform(_) => unreachable!("a leaf was just given codes"),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Codes(codes) => size_of_val(&**codes),
            Self::Uniform(_) => 0,
        }
    }

    fn add_slots(&self, slots: &mut Vec<Slot>) {
        if let Self::Codes(codes) = self {
            let places = codes.iter().map(|code| Place::of_code(*code));
            slots.extend(places.filter_map(|place| match place {
                Place::Slot(slot) => Some(slot),
                _ => None,
            }));
        }
    }
}

/// Returns a block's node, its leaf in that, and its index in the leaf.
fn position(block: u64) -> (usize, usize, usize) {
    let leaf = (block / LEAF_BLOCKS as u64) as usize;
    let index = (block % LEAF_BLOCKS as u64) as usize;
    (leaf / NODE_LEAVES, leaf % NODE_LEAVES, index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(map: &Map) -> Vec<(u32, u64, Place)> {
        let mut runs = Vec::new();
        map.for_each_run(|first, count, place| runs.push((first.0, count, place)));
        runs
    }

    #[test]
    fn runs_go_on_over_leaves_and_end_where_places_do() {
        let mut map = Map::new(5000);
        for block in 1000..1100 {
            map.set(BlockNumber(block), Place::Slot(Slot(block + 7)));
        }
        map.set(BlockNumber(1100), Place::Slot(Slot(9)));
        let slot = |slot| Place::Slot(Slot(slot));
        assert_eq!(runs(&map), [(1000, 100, slot(1007)), (1100, 1, slot(9))]);
        assert_eq!(map.run_at(BlockNumber(1010), 20), (slot(1017), 20));
        assert_eq!(map.run_at(BlockNumber(0), 5000), (Place::Below, 1000));
        assert_eq!(map.run_at(BlockNumber(1101), 100), (Place::Below, 100));
    }

    #[test]
    fn zeroing_a_whole_disk_frees_its_slots_and_its_memory() {
        let mut map = Map::new(NODE_BLOCKS + 500);
        let empty = map.bytes();
        map.set(BlockNumber(3), Place::Slot(Slot(30)));
        map.set(BlockNumber(NODE_BLOCKS as u32 + 1), Place::Slot(Slot(31)));
        let mut freed = Vec::new();
        map.set_zeros(BlockNumber(0), NODE_BLOCKS + 500, &mut freed);
        assert_eq!(freed, [Slot(30), Slot(31)]);
        assert_eq!(map.bytes(), empty);
        assert_eq!(
            runs(&map),
            [
                (0, NODE_BLOCKS, Place::Zeros),
                (NODE_BLOCKS as u32, 500, Place::Zeros)
            ]
        );
    }

    #[test]
    fn a_change_in_a_uniform_region_leaves_the_rest_as_it_was() {
        let mut map = Map::new(NODE_BLOCKS);
        map.set_zeros(BlockNumber(0), NODE_BLOCKS, &mut Vec::new());
        assert_eq!(
            map.set(BlockNumber(2000), Place::Slot(Slot(5))),
            Place::Zeros
        );
        assert_eq!(
            map.run_at(BlockNumber(0), NODE_BLOCKS),
            (Place::Zeros, 2000)
        );
        let mut freed = Vec::new();
        map.set_zeros(BlockNumber(1024), 3000, &mut freed);
        assert_eq!(freed, [Slot(5)]);
        assert_eq!(
            map.run_at(BlockNumber(0), NODE_BLOCKS),
            (Place::Zeros, NODE_BLOCKS)
        );
    }
}
