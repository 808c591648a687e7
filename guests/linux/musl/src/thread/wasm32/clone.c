/*
 * There are no threads, nor processes that share memory.
 */
#include <errno.h>
#include "pthread_impl.h"

int __clone(int (*entry)(void *), void *stack, int flags, void *argument, ...)
{
	return -ENOSYS;
}
