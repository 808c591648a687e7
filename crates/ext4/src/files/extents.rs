//! Maps as trees of extents: read whole, and written again when they changed.
//!
//! Spec: ext4 disk layout, "Extent Tree".

use super::map::{FileMap, Nodes, RUNS_MAX};
use crate::blocks::{Blocks, Seal};
use crate::device::Device;
use crate::geometry::Geometry;
use crate::layout::extent::{
    EXTENT_BLOCKS_MAX, Extent, ExtentIndex, ExtentNode, UNWRITTEN_BLOCKS_MAX, capacity,
    is_extent_block_intact,
};
use crate::layout::{Inode, InodeNumber};
use crate::{Error, Place};

/// Entries of the root, which lies in the inode.
const ROOT_CAPACITY: usize = 4;

/// Reads the map of an inode with extents.
pub(crate) fn load<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    number: InodeNumber,
    inode: &Inode,
) -> Result<FileMap, Error> {
    let mut loader = Loader {
        geometry,
        blocks,
        number,
        seed: inode.seed(geometry.metadata_seed, number),
        runs: Vec::new(),
        nodes: Vec::new(),
    };
    let root = ExtentNode::parse(&inode.map).map_err(Error::layout(Place::Inode(number)))?;
    loader.read_node(root, 0, 1 << 32)?;
    let nodes = std::mem::take(&mut loader.nodes);
    let mut map = FileMap::new(Vec::new(), Nodes::Extents(nodes));
    let total: u64 = loader.runs.iter().map(|run| u64::from(run.count)).sum();
    if total > geometry.superblock.blocks_count {
        return Err(loader.corrupt("more blocks than there are"));
    }
    for run in loader.runs {
        map.insert(run);
    }
    map.is_changed = false;
    Ok(map)
}

struct Loader<'a, D> {
    geometry: &'a Geometry,
    blocks: &'a Blocks<D>,
    number: InodeNumber,
    seed: u32,
    runs: Vec<Extent>,
    nodes: Vec<u64>,
}

impl<D: Device> Loader<'_, D> {
    fn corrupt(&self, reason: &'static str) -> Error {
        Error::corrupt(Place::Inode(self.number), reason)
    }

    /// Takes a node's entries, all of which lie in `start..stop` of the file. That they are sorted and no node but the root is empty means that
    /// no node is read twice.
    fn read_node(&mut self, node: ExtentNode, start: u64, stop: u64) -> Result<(), Error> {
        match node {
            ExtentNode::Leaf(extents) => self.take_extents(&extents, start, stop),
            ExtentNode::Inner { depth, entries } => {
                let mut from = start;
                for (index, entry) in entries.iter().enumerate() {
                    let next = entries
                        .get(index + 1)
                        .map_or(stop, |next| u64::from(next.logical));
                    let begin = u64::from(entry.logical);
                    if begin < from || next <= begin || next > stop {
                        return Err(self.corrupt("extent nodes out of order"));
                    }
                    from = next;
                    let child = self.read_child(entry.node, depth)?;
                    self.read_node(child, begin, next)?;
                }
                Ok(())
            }
        }
    }

    fn read_child(&mut self, block: u64, depth: u16) -> Result<ExtentNode, Error> {
        if !self.geometry.is_block(block) {
            return Err(self.corrupt("an extent node outside"));
        }
        let is_summed = self.geometry.has_checksums;
        let bytes = self.blocks.get(block, |bytes| {
            match !is_summed || is_extent_block_intact(self.seed, bytes) {
                true => Ok(()),
                false => Err(Error::corrupt(
                    Place::Block(block),
                    "wrong checksum of an extent node",
                )),
            }
        })?;
        let node = ExtentNode::parse(&bytes).map_err(Error::layout(Place::Block(block)))?;
        let (found, count) = match &node {
            ExtentNode::Leaf(extents) => (0, extents.len()),
            ExtentNode::Inner { depth, entries } => (*depth, entries.len()),
        };
        if found + 1 != depth || count == 0 {
            return Err(self.corrupt("an extent node of the wrong depth, or empty"));
        }
        self.nodes.push(block);
        Ok(node)
    }

    fn take_extents(&mut self, extents: &[Extent], start: u64, stop: u64) -> Result<(), Error> {
        if self.runs.len() + extents.len() > RUNS_MAX {
            return Err(Error::Unsupported {
                features: format!("{RUNS_MAX} extents in a file"),
            });
        }
        let mut from = start;
        for extent in extents {
            let end = super::map::end(extent);
            let last = extent.physical + u64::from(extent.count).saturating_sub(1);
            let is_sound = extent.count > 0
                && u64::from(extent.logical) >= from
                && end <= stop
                && self.geometry.is_block(extent.physical)
                && self.geometry.is_block(last);
            if !is_sound {
                return Err(self.corrupt("an extent out of order or outside"));
            }
            from = end;
            self.runs.push(*extent);
        }
        Ok(())
    }
}

/// Returns how many blocks the tree of a map needs beside the inode.
pub(crate) fn nodes_needed(geometry: &Geometry, map: &FileMap) -> usize {
    let capacity = capacity(geometry.block_size);
    let mut count = map
        .runs()
        .iter()
        .map(|run| pieces_count(run) as usize)
        .sum::<usize>();
    let mut total = 0;
    while count > ROOT_CAPACITY {
        count = count.div_ceil(capacity);
        total += count;
    }
    total
}

/// Makes a map without extents.
pub(crate) fn empty_root(map: &mut [u8]) {
    ExtentNode::Leaf(Vec::new()).write(map);
}

fn length_max(run: &Extent) -> u32 {
    if run.is_unwritten {
        UNWRITTEN_BLOCKS_MAX
    } else {
        EXTENT_BLOCKS_MAX
    }
}

fn pieces_count(run: &Extent) -> u32 {
    run.count.div_ceil(length_max(run))
}

/// Splits a run into extents of a length that can be stored.
fn pieces(run: &Extent) -> impl Iterator<Item = Extent> {
    let mut rest = *run;
    std::iter::from_fn(move || {
        let count = rest.count.min(length_max(&rest));
        let piece = Extent { count, ..rest };
        rest.logical = rest.logical.wrapping_add(count);
        rest.physical += u64::from(count);
        rest.count -= count;
        (count > 0).then_some(piece)
    })
}

/// Writes the map of an inode into the inode and into `map.nodes`, of which there are as many as [`nodes_needed`] says.
pub(crate) fn store<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    number: InodeNumber,
    inode: &mut Inode,
    map: &mut FileMap,
) -> Result<(), Error> {
    let capacity = capacity(geometry.block_size);
    let seal = Seal::Extents(inode.seed(geometry.metadata_seed, number));
    let Nodes::Extents(places) = &map.nodes else {
        return Ok(());
    };
    let mut places = places.iter();
    let extents: Vec<Extent> = map.runs().iter().flat_map(pieces).collect();
    let mut root = ExtentNode::Leaf(extents);
    let mut depth = 0;
    loop {
        let groups: Vec<ExtentNode> = match &root {
            ExtentNode::Leaf(extents) if extents.len() > ROOT_CAPACITY => extents
                .chunks(capacity)
                .map(|it| ExtentNode::Leaf(it.to_vec()))
                .collect(),
            ExtentNode::Inner { depth, entries } if entries.len() > ROOT_CAPACITY => entries
                .chunks(capacity)
                .map(|it| ExtentNode::Inner {
                    depth: *depth,
                    entries: it.to_vec(),
                })
                .collect(),
            _ => break,
        };
        depth += 1;
        let mut entries = Vec::new();
        for node in groups {
            let place = *places
                .next()
                .expect("the caller made as many as are needed");
            entries.push(ExtentIndex {
                logical: first_logical(&node),
                node: place,
            });
            write_node(geometry, blocks, place, seal, &node)?;
        }
        root = ExtentNode::Inner { depth, entries };
    }
    root.write(&mut inode.map);
    map.is_changed = false;
    Ok(())
}

fn first_logical(node: &ExtentNode) -> u32 {
    match node {
        ExtentNode::Leaf(extents) => extents[0].logical,
        ExtentNode::Inner { entries, .. } => entries[0].logical,
    }
}

/// Writes a node unless it is there already, but for its checksum.
fn write_node<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    place: u64,
    seal: Seal,
    node: &ExtentNode,
) -> Result<(), Error> {
    let mut bytes = vec![0; geometry.block_size];
    node.write(&mut bytes);
    let before = blocks.get(place, |_| Ok(()))?;
    let used = bytes.len() - 12;
    if before[..used] != bytes[..used] {
        blocks.put(place, seal, bytes);
    }
    Ok(())
}
