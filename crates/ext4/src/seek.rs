//! Where a file has data, and where holes. Linux: `lseek(2)`, `SEEK_DATA` and `SEEK_HOLE`.

use std::ops::Range;

use crate::Error;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::{FileType, InodeNumber};
use crate::nodes::NodeState;

/// Bytes of a file that lie in sequence on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRun {
    /// Where they begin in the file, in bytes.
    pub offset: u64,
    /// Where they begin on the device, in bytes.
    pub place: u64,
    /// Bytes, of whole blocks: the last may go beyond the end of the file.
    pub length: u64,
}

impl<D: Device> FileSystem<D> {
    /// Returns where the content of a file lies on the device, in order; elsewhere it has zeros. What waits in memory is not on the device yet.
    ///
    /// # Errors
    /// As [`FileSystem::next_data`].
    pub fn content_runs(&self, number: InodeNumber) -> Result<Vec<ContentRun>, Error> {
        let node = self.node(number)?;
        let state = self.read_mapped_state(&node)?;
        check_regular(&state, number)?;
        let size = self.geometry.block_size as u64;
        let written = state.map().runs().iter().filter(|run| !run.is_unwritten);
        let runs = written.map(|run| ContentRun {
            offset: u64::from(run.logical) * size,
            place: run.physical * size,
            length: u64::from(run.count) * size,
        });
        Ok(runs.collect())
    }

    /// Returns the first bytes from `offset` on that are no hole, as far as they go on; `None` if there are none before the end.
    ///
    /// What was preallocated and never written is a hole.
    ///
    /// # Errors
    /// [`Error::IsDirectory`], [`Error::InvalidArgument`] for what has no content, and those of broken images.
    pub fn next_data(&self, number: InodeNumber, offset: u64) -> Result<Option<Range<u64>>, Error> {
        let node = self.node(number)?;
        let state = self.read_mapped_state(&node)?;
        check_regular(&state, number)?;
        let size = self.geometry.block_size as u64;
        let Ok(from) = u32::try_from(offset / size) else {
            return Ok(None);
        };
        let Some(first) = first_data(&state, from) else {
            return Ok(None);
        };
        let begin = offset.max(u64::from(first) * size);
        let end = state.inode.size.min(data_end(&state, first) * size);
        Ok((begin < end).then_some(begin..end))
    }
}

fn check_regular(state: &NodeState, number: InodeNumber) -> Result<(), Error> {
    match state.file_type(number)? {
        FileType::Regular => Ok(()),
        FileType::Directory => Err(Error::IsDirectory),
        _ => Err(Error::InvalidArgument),
    }
}

/// Returns the first block from `logical` on that is no hole.
fn first_data(state: &NodeState, logical: u32) -> Option<u32> {
    let page = state.pages.range(logical..).next().map(|(page, _)| *page);
    let runs = state.map().runs_from(logical);
    let run = runs.iter().find(|run| !run.is_unwritten);
    let run = run.map(|run| run.logical.max(logical));
    [page, run].into_iter().flatten().min()
}

/// Returns the block behind the data that `logical` begins.
fn data_end(state: &NodeState, logical: u32) -> u64 {
    let mut end = u64::from(logical);
    while let Ok(logical) = u32::try_from(end) {
        match state.map().find(logical) {
            Some(run) if !run.is_unwritten => end += u64::from(run.count),
            _ if state.pages.contains_key(&logical) => end += 1,
            _ => break,
        }
    }
    end
}
