/*
 * Memory in pages of 4 KiB, over the linear memory's growth: what `mmap` and its relatives do on other machines'
 * kernels. One bit tells of each page whether it is taken. A page that was never taken is zero; others are cleared
 * when they are taken again.
 *
 * The lock is of their own: threads that end take it when others believe already that they are alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "pthread_impl.h"
#include "syscall.h"
#include "host.h"

#define PAGE_BYTES 4096
#define PAGES_MAX (1u << 20)
#define WASM_PAGE_PAGES 16
/* The memory grows by this at least, since to grow it is a call of the runtime. */
#define GROWTH_WASM_PAGES_MIN 4

extern unsigned char __heap_base;

static uint64_t taken[PAGES_MAX / 64];
/* No page below this one is free. */
static size_t first_free;
/* No page from this one on was ever taken. */
static size_t untouched;
/* The first page that the linear memory does not have. */
static size_t limit;

static volatile int lock, waiters;

static void take_lock(void)
{
	for (;;) {
		handlers_must_wait++;
		if (!a_swap(&lock, 1)) return;
		handlers_must_wait--;
		__wait(&lock, &waiters, 1, 1);
	}
}

static void release_lock(void)
{
	a_store(&lock, 0);
	handlers_must_wait--;
	if (waiters) __wake(&lock, 1, 1);
}

static int is_taken(size_t page)
{
	return taken[page / 64] >> page % 64 & 1;
}

static void mark(size_t page, size_t count, int as_taken)
{
	for (size_t end = page + count; page < end; page++) {
		uint64_t bit = (uint64_t)1 << page % 64;
		if (as_taken) taken[page / 64] |= bit;
		else taken[page / 64] &= ~bit;
	}
}

static void initialise(void)
{
	first_free = untouched = ((uintptr_t)&__heap_base + PAGE_BYTES - 1) / PAGE_BYTES;
	limit = __builtin_wasm_memory_size(0) * WASM_PAGE_PAGES;
}

/* The first page of a run of free ones, which may reach over the limit of the memory. */
static size_t find(size_t count)
{
	size_t start = first_free;
	while (start < limit && is_taken(start)) start++;
	first_free = start;
	for (size_t page = start; page < limit && page - start < count; page++) {
		if (page % 64 == 0 && taken[page / 64] == UINT64_MAX) {
			page += 63;
			start = page + 1;
		} else if (is_taken(page)) {
			start = page + 1;
		}
	}
	return start;
}

static int grow_to(size_t end)
{
	if (end <= limit) return 1;
	if (end > PAGES_MAX) return 0;
	size_t needed = (end - limit + WASM_PAGE_PAGES - 1) / WASM_PAGE_PAGES;
	size_t growth = needed < GROWTH_WASM_PAGES_MIN ? GROWTH_WASM_PAGES_MIN : needed;
	size_t old = __builtin_wasm_memory_grow(0, growth);
	if (old == (size_t)-1 && growth > needed) {
		growth = needed;
		old = __builtin_wasm_memory_grow(0, growth);
	}
	if (old == (size_t)-1) return 0;
	limit = (old + growth) * WASM_PAGE_PAGES;
	return 1;
}

static void clear(size_t page, size_t count)
{
	if (page >= untouched) return;
	size_t used = untouched - page < count ? untouched - page : count;
	memset((void *)(page * PAGE_BYTES), 0, used * PAGE_BYTES);
}

/* Takes pages that are free and within the memory, and makes them zero. */
static void take(size_t page, size_t count)
{
	clear(page, count);
	mark(page, count, 1);
	if (untouched < page + count) untouched = page + count;
}

/* The first of `count` new pages; 0 if there are none. */
static size_t allocate(size_t count)
{
	if (!limit) initialise();
	size_t page = find(count);
	if (count > PAGES_MAX - page || !grow_to(page + count)) return 0;
	take(page, count);
	return page;
}

static void release(size_t page, size_t count)
{
	mark(page, count, 0);
	if (page < first_free) first_free = page;
}

static size_t pages_of(size_t bytes)
{
	return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

/* Whether these are pages of ours: not the program's data or stack, and not beyond the memory. */
static int is_mapped_range(uintptr_t address, size_t bytes)
{
	return address % PAGE_BYTES == 0 && address >= (uintptr_t)&__heap_base
		&& address / PAGE_BYTES <= limit && pages_of(bytes) <= limit - address / PAGE_BYTES;
}

static long fill_from_file(unsigned char *to, size_t bytes, int fd, off_t offset)
{
	while (bytes) {
		long count = __syscall(SYS_pread64, fd, to, bytes, offset);
		if (count == -EINTR) continue;
		if (count <= 0) return count;
		to += count;
		offset += count;
		bytes -= count;
	}
	return 0;
}

/* A mapping of a file is a copy of it, so one that others should see changes of is refused. */
long __inside_mmap(long start, long bytes, long protection, long flags, long fd, long offset)
{
	int is_shared_file = !(flags & MAP_ANONYMOUS) && (flags & MAP_SHARED);
	if (!bytes || flags & MAP_FIXED) return -EINVAL;
	if (is_shared_file && protection & PROT_WRITE) return -ENODEV;
	size_t count = pages_of(bytes);
	take_lock();
	size_t page = allocate(count);
	release_lock();
	if (!page) return -ENOMEM;
	if (!(flags & MAP_ANONYMOUS)) {
		long result = fill_from_file((unsigned char *)(page * PAGE_BYTES), bytes, fd, offset);
		if (result < 0) {
			__inside_munmap(page * PAGE_BYTES, bytes);
			return result;
		}
	}
	return page * PAGE_BYTES;
}

long __inside_munmap(long start, long bytes)
{
	if (!bytes || !is_mapped_range(start, bytes)) return -EINVAL;
	take_lock();
	release((uintptr_t)start / PAGE_BYTES, pages_of(bytes));
	release_lock();
	return 0;
}

static int is_free(size_t page, size_t count)
{
	for (size_t end = page + count; page < end && page < limit; page++) {
		if (is_taken(page)) return 0;
	}
	return 1;
}

static long change_size(long start, long old_bytes, long bytes, long flags)
{
	size_t page = (uintptr_t)start / PAGE_BYTES, old = pages_of(old_bytes), count = pages_of(bytes);
	if (count <= old) {
		release(page + count, old - count);
		return start;
	}
	if (is_free(page + old, count - old) && grow_to(page + count)) {
		take(page + old, count - old);
		return start;
	}
	if (!(flags & MREMAP_MAYMOVE)) return -ENOMEM;
	size_t to = allocate(count);
	if (!to) return -ENOMEM;
	memcpy((void *)(to * PAGE_BYTES), (void *)(page * PAGE_BYTES), old * PAGE_BYTES);
	release(page, old);
	return to * PAGE_BYTES;
}

long __inside_mremap(long start, long old_bytes, long bytes, long flags, long new_start)
{
	if (!bytes || flags & MREMAP_FIXED || !is_mapped_range(start, old_bytes)) return -EINVAL;
	take_lock();
	long result = change_size(start, old_bytes, bytes, flags);
	release_lock();
	return result;
}

/* All memory can be read and written: there is nothing to protect it with. */
long __inside_mprotect(long start, long bytes, long protection)
{
	return 0;
}

long __inside_madvise(long start, long bytes, long advice)
{
	if (advice != MADV_DONTNEED) return 0;
	if (!is_mapped_range(start, bytes)) return -EINVAL;
	memset((void *)(uintptr_t)start, 0, pages_of(bytes) * PAGE_BYTES);
	return 0;
}

long __inside_msync(long start, long bytes, long flags)
{
	return 0;
}

/* The allocator then takes pages. */
long __inside_brk(long end)
{
	return 0;
}
