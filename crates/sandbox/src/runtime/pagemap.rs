//! Which pages of a memory hold something that nothing else has: what a copy of the memory needs.
//!
//! Linux: Documentation/admin-guide/mm/pagemap.rst, `PAGEMAP_SCAN` (since 6.7).
#![expect(unsafe_code, reason = "the kernel's request is an `ioctl(2)`")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// The request: `_IOWR('f', 16, struct pm_scan_arg)`.
pub(crate) const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// Runs of pages that the kernel names at a time.
const REGIONS_MAX: usize = 64;

/// For fewer pages a call costs more than their faults.
const POPULATED_PAGES_MIN: usize = 4;

/// What the kernel says of a page. Linux: include/uapi/linux/fs.h.
mod category {
    pub(super) const FILE: u64 = 1 << 2;
    pub(super) const PRESENT: u64 = 1 << 3;
    pub(super) const SWAPPED: u64 = 1 << 4;
    pub(super) const ZERO: u64 = 1 << 5;
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_max: u64,
    pages_max: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// The table of this process's pages.
#[derive(Debug)]
pub(crate) struct PageMap(File);

impl PageMap {
    /// Opens the table; `None` where the kernel does not answer requests about it.
    pub(crate) fn open() -> Option<PageMap> {
        let map = PageMap(File::open("/proc/self/pagemap").ok()?);
        let probe = [0u8];
        map.written(&probe, |_| {}).ok()?;
        Some(map)
    }

    /// Names the ranges of `memory` that were written since it was mapped: in pages of their own, neither those of
    /// the file below them nor the kernel's page of zeros.
    pub(crate) fn written(
        &self,
        memory: &[u8],
        mut each: impl FnMut(Range<usize>),
    ) -> io::Result<()> {
        let page_bytes = rustix::param::page_size();
        let base = memory.as_ptr().addr();
        let mut start = base / page_bytes * page_bytes;
        let end = (base + memory.len()).next_multiple_of(page_bytes);
        let mut regions = [PageRegion::default(); REGIONS_MAX];
        while start < end {
            let (count, walked) = self.scan(start..end, &mut regions)?;
            for region in &regions[..count] {
                let from = (region.start as usize).max(base) - base;
                let to = (region.end as usize).min(base + memory.len()) - base;
                each(from..to);
            }
            // What the kernel has not walked through is asked for again; it always gets on.
            start = walked.max(start + page_bytes);
        }
        Ok(())
    }

    /// Returns how many regions were found, and up to which address.
    fn scan(
        &self,
        range: Range<usize>,
        regions: &mut [PageRegion; REGIONS_MAX],
    ) -> io::Result<(usize, usize)> {
        let mut arguments = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            start: range.start as u64,
            end: range.end as u64,
            regions: regions.as_mut_ptr().addr() as u64,
            regions_max: REGIONS_MAX as u64,
            category_inverted: category::FILE | category::ZERO,
            category_mask: category::FILE | category::ZERO,
            category_anyof_mask: category::PRESENT | category::SWAPPED,
            return_mask: category::PRESENT,
            ..ScanArguments::default()
        };
        // SAFETY: the descriptor is open; the kernel reads and writes `arguments`, which has the size that it says, and writes
        // at most `regions_max` regions to `regions`, whose address was taken from a unique reference. Both outlive the call.
        let found = unsafe { libc::ioctl(self.0.as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
        match usize::try_from(found) {
            Ok(count) => Ok((count.min(REGIONS_MAX), arguments.walk_end as usize)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

/// Has the kernel provide pages of their own for `memory`, which is about to be overwritten: one call instead of a fault for each page.
pub(crate) fn populate(memory: &mut [u8]) {
    let page_bytes = rustix::param::page_size();
    let start = memory.as_ptr().addr().next_multiple_of(page_bytes);
    let end = memory.as_ptr_range().end.addr() / page_bytes * page_bytes;
    if end < start + POPULATED_PAGES_MIN * page_bytes {
        return;
    }
    let first = memory
        .as_mut_ptr()
        .wrapping_add(start - memory.as_ptr().addr());
    // SAFETY: the pages lie within `memory`, which is borrowed uniquely; populating changes no byte of them.
    let populated = unsafe {
        rustix::mm::madvise(
            first.cast(),
            end - start,
            rustix::mm::Advice::LinuxPopulateWrite,
        )
    };
    // Before Linux 5.14 it is refused; then each page is provided when it is written.
    let _ = populated;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_were_written_are_named() {
        let Some(map) = PageMap::open() else {
            // An older kernel: memories are compared there.
            return;
        };
        let page = rustix::param::page_size();
        let mut memory = memmap2::MmapMut::map_anon(16 * page).unwrap();
        let untouched = memory[3 * page];
        memory[5 * page + 7] = 1 + untouched;
        memory[6 * page] = 1;
        memory[15 * page] = 1;
        let mut found = Vec::new();
        map.written(&memory[5 * page + 2..], |range| found.push(range))
            .unwrap();
        assert_eq!(found, [0..2 * page - 2, 10 * page - 2..11 * page - 2]);
    }

    #[test]
    fn populating_changes_nothing() {
        let page = rustix::param::page_size();
        let mut memory = memmap2::MmapMut::map_anon(16 * page).unwrap();
        memory[5 * page] = 9;
        populate(&mut memory[page + 1..]);
        populate(&mut memory[..10]);
        assert_eq!(memory.iter().filter(|byte| **byte != 0).count(), 1);
    }

    #[test]
    fn many_scattered_pages_are_all_named() {
        let Some(map) = PageMap::open() else {
            return;
        };
        let page = rustix::param::page_size();
        let pages = 4 * REGIONS_MAX;
        let mut memory = memmap2::MmapMut::map_anon(pages * page).unwrap();
        for index in (0..pages).step_by(2) {
            memory[index * page] = 1;
        }
        let mut count = 0;
        map.written(&memory, |range| count += range.len()).unwrap();
        assert_eq!(count, pages / 2 * page);
    }
}
