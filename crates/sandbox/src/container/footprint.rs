//! Keeps what the sandbox itself costs small.
//!
//! *Heap.* glibc gives each thread that allocates a heap of its own, which costs four system calls and some pages; the few
//! threads of a sandbox seldom meet in one.
//!
//! *Program.* Linux maps a program's pages by the dozen around each one that is touched, and keeps them mapped. Loading, linking and the
//! jail so leave some 8 MiB of this program and its libraries in an idle container's account. Unmapped, they stay in the
//! host's page cache, and what the container still runs comes back with a minor fault.

#![expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has these functions of the C library"
)]

use std::ffi::{c_int, c_void};

use rustix::mm::{Advice, madvise};

/// Makes all threads share one heap. Call it before the first one is started.
pub(super) fn share_heap() {
    // SAFETY: the call changes a number that later allocations read; no other thread runs yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Unmaps the pages of all segments that this process cannot have changed: those that only the start needed stay away.
pub(super) fn give_back_program() {
    // SAFETY: `give_back_object` has the signature that the call wants, keeps no pointer, and does not unwind: it
    // neither allocates nor panics.
    unsafe { libc::dl_iterate_phdr(Some(give_back_object), std::ptr::null_mut()) };
}

/// Does so for one object: the program itself or a library.
unsafe extern "C" fn give_back_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid pointer for the time of the call.
    let info = unsafe { &*info };
    for index in 0..usize::from(info.dlpi_phnum) {
        // SAFETY: `dlpi_phdr` points to `dlpi_phnum` headers, which live as long as the object is loaded.
        let segment = unsafe { &*info.dlpi_phdr.add(index) };
        let is_constant = segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0;
        if is_constant {
            give_back_segment(info.dlpi_addr + segment.p_vaddr, segment.p_memsz);
        }
    }
    0
}

/// Unmaps the pages of one segment that is mapped from its file and never written.
fn give_back_segment(start: u64, length: u64) {
    let page = rustix::param::page_size() as u64;
    let end = (start + length).next_multiple_of(page);
    let start = start - start % page;
    let address = std::ptr::with_exposed_provenance_mut(start as usize);
    // SAFETY: the range is a read-only segment of a loaded object, rounded to the pages it was mapped with. It is private, backed by
    // its file and unchanged (relocations only touch writable segments), so its pages read the same when they
    // come back, even to code that runs in them meanwhile.
    // What stays mapped after an error costs memory only.
    let _ = unsafe { madvise(address, (end - start) as usize, Advice::LinuxDontNeed) };
}
