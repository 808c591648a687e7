/*
 * The end of a thread that nobody joins. Its stack cannot go while it stands on it: the next one to end lets it go. Callers hold the
 * lock of the list of threads until they are gone, so whoever has it finds only stacks on which nobody stands.
 */
#include <sys/mman.h>
#include "pthread_impl.h"
#include "syscall.h"

static struct {
	void *start;
	size_t bytes;
} left;

_Noreturn void __unmapself(void *start, size_t bytes)
{
	if (left.bytes) __munmap(left.start, left.bytes);
	left.start = start;
	left.bytes = bytes;
	for (;;) __syscall(SYS_exit, 0);
}
