//! The content of a regular file: pages that were written, over the lower file, over zeros.

use std::collections::BTreeMap;
use std::sync::Arc;

use minke_abi::{Errno, Result};

use super::Shared;
use crate::file::{Allocation, File};
use crate::vfs::tree::ByteRange;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;
/// Largest file. Linux: `MAX_LFS_FILESIZE`.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;

type Page = [u8; PAGE_BYTES];

/// A file's content. Pages are charged to the file system while they exist.
#[derive(Default)]
pub(super) struct Pages {
    size: u64,
    /// By page number; what is missing comes from the base, or is zeros.
    pages: BTreeMap<u64, Box<Page>>,
    /// How many of the pages lie over the base, so that `stat` need not count them.
    pages_over_base: u64,
    base: Option<Base>,
}

/// The part of a lower file that is still below.
struct Base {
    file: Arc<dyn File>,
    /// Bytes from the start that may be seen; shrinks when the file is cut.
    length: u64,
}

impl Pages {
    /// The content of a lower file.
    pub(super) fn from_lower(file: Arc<dyn File>, length: u64) -> Pages {
        Pages {
            size: length,
            pages: BTreeMap::new(),
            pages_over_base: 0,
            base: Some(Base { file, length }),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Allocated blocks of 512 bytes.
    pub(super) fn blocks(&self) -> u64 {
        let elsewhere = self.pages.len() as u64 - self.pages_over_base;
        (self.base_pages() + elsewhere) * (PAGE_BYTES as u64 / 512)
    }

    fn base_pages(&self) -> u64 {
        self.base_length().div_ceil(PAGE_BYTES as u64)
    }

    fn base_length(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.length)
    }

    /// Returns all bytes of the lower file, if nothing of it was changed.
    pub(super) fn fixed_content(&self) -> Option<ByteRange> {
        let content = self.base.as_ref()?.file.fixed_content()?;
        let is_whole = self.pages.is_empty()
            && self.size == content.bytes().len() as u64
            && self.size == self.base_length();
        is_whole.then_some(content)
    }

    /// Copies bytes out; fewer than asked for only at the end.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let left = self.size.saturating_sub(offset);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..count];
        if self.pages.is_empty() {
            self.read_below(buffer, offset)?;
            return Ok(count);
        }
        let mut done = 0;
        while done < count {
            let (number, start) = split(offset + done as u64);
            let length = (PAGE_BYTES - start).min(count - done);
            let part = &mut buffer[done..done + length];
            match self.pages.get(&number) {
                Some(page) => part.copy_from_slice(&page[start..start + length]),
                None => self.read_below(part, offset + done as u64)?,
            }
            done += length;
        }
        Ok(count)
    }

    /// Copies out what lies below the pages.
    fn read_below(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut filled = 0;
        if let Some(base) = &self.base {
            let visible = base.length.saturating_sub(offset);
            let visible = buffer
                .len()
                .min(usize::try_from(visible).unwrap_or(usize::MAX));
            while filled < visible {
                let part = &mut buffer[filled..visible];
                let count = base.file.read_at(part, offset + filled as u64)?;
                if count == 0 {
                    break;
                }
                filled += count;
            }
        }
        buffer[filled..].fill(0);
        Ok(())
    }

    /// Copies bytes in, growing the file; fewer than given when room runs out on the way.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, shared: &Shared) -> Result<usize> {
        let room = FILE_BYTES_MAX.saturating_sub(offset);
        if room == 0 && !bytes.is_empty() {
            return Err(Errno::EFBIG);
        }
        let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < count {
            let (number, start) = split(offset + done as u64);
            let length = (PAGE_BYTES - start).min(count - done);
            let part = &bytes[done..done + length];
            if let Err(error) = self.write_page(number, start, part, shared) {
                if done == 0 {
                    return Err(error);
                }
                break;
            }
            done += length;
        }
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        }
        Ok(done)
    }

    fn write_page(
        &mut self,
        number: u64,
        start: usize,
        part: &[u8],
        shared: &Shared,
    ) -> Result<()> {
        if let Some(page) = self.pages.get_mut(&number) {
            page[start..start + part.len()].copy_from_slice(part);
            return Ok(());
        }
        shared.charge_content(PAGE_BYTES as u64)?;
        let page = if part.len() == PAGE_BYTES {
            boxed(part.into())
        } else {
            let mut page = boxed(vec![0; PAGE_BYTES].into());
            self.read_below(&mut page[..], number * PAGE_BYTES as u64)
                .inspect_err(|_| shared.release_content(PAGE_BYTES as u64))?;
            page[start..start + part.len()].copy_from_slice(part);
            page
        };
        self.pages.insert(number, page);
        self.pages_over_base += u64::from(number < self.base_pages());
        Ok(())
    }

    /// Cuts the file, or grows it by zeros.
    pub(super) fn resize(&mut self, size: u64, shared: &Shared) -> Result<()> {
        if size > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        if size < self.size {
            self.cut(size, shared);
        }
        self.size = size;
        Ok(())
    }

    fn cut(&mut self, size: u64, shared: &Shared) {
        let (number, start) = split(size);
        let first_gone = number + u64::from(start > 0);
        let gone = self.pages.split_off(&first_gone);
        shared.release_content((gone.len() * PAGE_BYTES) as u64);
        if start > 0
            && let Some(page) = self.pages.get_mut(&number)
        {
            page[start..].fill(0);
        }
        if let Some(base) = &mut self.base {
            base.length = base.length.min(size);
        }
        self.base = self.base.take().filter(|base| base.length > 0);
        self.pages_over_base = self.pages.range(..self.base_pages()).count() as u64;
    }

    /// Makes every page of a range exist, all or none. Linux: `shmem_fallocate()`.
    pub(super) fn allocate(
        &mut self,
        offset: u64,
        length: u64,
        allocation: Allocation,
        shared: &Shared,
    ) -> Result<()> {
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= FILE_BYTES_MAX)
            .ok_or(Errno::EFBIG)?;
        let below = self.base_pages();
        let first = (offset / PAGE_BYTES as u64).max(below);
        let last = end.div_ceil(PAGE_BYTES as u64).max(first);
        let present = self.pages.range(first..last).count() as u64;
        // The charge bounds the loop below by the memory that there is.
        shared.charge_content((last - first - present).saturating_mul(PAGE_BYTES as u64))?;
        for number in first..last {
            self.pages
                .entry(number)
                .or_insert_with(|| boxed(vec![0; PAGE_BYTES].into()));
        }
        if allocation == Allocation::Extend {
            self.size = self.size.max(end);
        }
        Ok(())
    }

    /// Makes a range read as zeros and gives back what it can. A hole that lies over the lower file is pages of zeros, up
    /// to the end of the lower file, which is cut if the hole goes on behind it. Linux: `shmem_fallocate()`.
    pub(super) fn punch(&mut self, offset: u64, length: u64, shared: &Shared) -> Result<()> {
        let end = offset.saturating_add(length).min(self.size);
        if offset >= end {
            return Ok(());
        }
        if end >= self.base_length() && offset < self.base_length() {
            self.cut_base(offset, end, shared)?;
        }
        let page = PAGE_BYTES as u64;
        let is_to_end = end == self.size;
        let first = offset.div_ceil(page);
        let stop = if is_to_end {
            end.div_ceil(page)
        } else {
            end / page
        };
        let head_end = end.min(first * page);
        self.zero(offset, head_end, shared)?;
        self.zero(head_end.max(stop * page), end, shared)?;
        let below = self.base_pages();
        for number in first..stop.min(below) {
            self.write_page(number, 0, &[0; PAGE_BYTES], shared)?;
        }
        let gone: Vec<u64> = match first.max(below) {
            start if start < stop => self.pages.range(start..stop).map(|it| *it.0).collect(),
            _ => Vec::new(),
        };
        gone.iter()
            .for_each(|number| drop(self.pages.remove(number)));
        shared.release_content(gone.len() as u64 * page);
        Ok(())
    }

    /// Lets nothing of the lower file be seen from `offset` on. It ends at `end` at the latest.
    fn cut_base(&mut self, offset: u64, end: u64, shared: &Shared) -> Result<()> {
        let (number, start) = split(offset);
        if start > 0 {
            // The page of which a part stays is made while that is still seen.
            let length = (end - offset).min((PAGE_BYTES - start) as u64);
            let zeros = &[0; PAGE_BYTES][..length as usize];
            self.write_page(number, start, zeros, shared)?;
        }
        if let Some(base) = &mut self.base {
            base.length = base.length.min(offset);
        }
        self.base = self.base.take().filter(|base| base.length > 0);
        self.pages_over_base = self.pages.range(..self.base_pages()).count() as u64;
        Ok(())
    }

    /// Zeros bytes of one page, if there are any.
    fn zero(&mut self, start: u64, end: u64, shared: &Shared) -> Result<()> {
        let (number, at) = split(start);
        if start >= end || !self.pages.contains_key(&number) && start >= self.base_length() {
            return Ok(());
        }
        let zeros = &[0; PAGE_BYTES][..(end - start) as usize];
        self.write_page(number, at, zeros, shared)
    }

    /// Returns the next position that holds data; `ENXIO` when there is none (`SEEK_DATA`).
    pub(super) fn seek_data(&self, offset: u64) -> Result<u64> {
        if offset >= self.size {
            return Err(Errno::ENXIO);
        }
        if offset < self.base_length() {
            return Ok(offset);
        }
        let (number, _) = split(offset);
        let next = self.pages.range(number..).next();
        next.map(|(number, _)| offset.max(number * PAGE_BYTES as u64))
            .filter(|position| *position < self.size)
            .ok_or(Errno::ENXIO)
    }

    /// Returns the next position in a hole, of which one is at the end (`SEEK_HOLE`).
    pub(super) fn seek_hole(&self, offset: u64) -> Result<u64> {
        if offset >= self.size {
            return Err(Errno::ENXIO);
        }
        let mut position = offset;
        if position < self.base_length() {
            position = self.base_pages() * PAGE_BYTES as u64;
        }
        let (first, _) = split(position);
        let dense = self
            .pages
            .range(first..)
            .zip(first..)
            .take_while(|((number, _), expected)| *number == expected)
            .count() as u64;
        if dense > 0 {
            position = (first + dense) * PAGE_BYTES as u64;
        }
        Ok(position.min(self.size))
    }

    /// Gives all pages back.
    pub(super) fn release(&mut self, shared: &Shared) {
        let pages = std::mem::take(&mut self.pages);
        shared.release_content((pages.len() * PAGE_BYTES) as u64);
    }
}

/// Splits a position into a page's number and the place in it.
fn split(offset: u64) -> (u64, usize) {
    let page = PAGE_BYTES as u64;
    (offset / page, (offset % page) as usize)
}

fn boxed(bytes: Box<[u8]>) -> Box<Page> {
    bytes
        .try_into()
        .expect("the caller gives a whole page's bytes")
}
