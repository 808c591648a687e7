/*
 * A thread is another instance of the module over the same memory. It begins in `thread_start`, on a stack and with
 * variables of its own. No processes share memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include "pthread_impl.h"
#include "host.h"

#ifdef __wasm_atomics__

/* What a thread begins with; it lies at the end of its stack. */
struct beginning {
	int (*entry)(void *);
	void *argument;
	void *thread;
};

int __clone(int (*entry)(void *), void *stack, int flags, void *argument, ...)
{
	va_list rest;
	va_start(rest, argument);
	int *tid = va_arg(rest, int *);
	void *thread = va_arg(rest, void *);
	int *clear_tid = va_arg(rest, int *);
	va_end(rest);
	if (!(flags & CLONE_THREAD)) return -ENOSYS;
	uintptr_t end = ((uintptr_t)stack - sizeof(struct beginning)) & -16;
	struct beginning *beginning = (struct beginning *)end;
	*beginning = (struct beginning){ entry, argument, thread };
	return host_clone(beginning, flags & CLONE_PARENT_SETTID ? tid : 0, flags & CLONE_CHILD_CLEARTID ? clear_tid : 0);
}

static __attribute__((__noinline__)) void begin(struct beginning *beginning)
{
	thread_begin(beginning->thread);
	__syscall(SYS_exit, beginning->entry(beginning->argument));
}

/* The stack is not this thread's before it is set, so nothing may be put on it before. */
__attribute__((__export_name__("thread_start"))) void thread_start(void *beginning)
{
	set_stack_pointer((uintptr_t)beginning);
	begin(beginning);
}

#else

int __clone(int (*entry)(void *), void *stack, int flags, void *argument, ...)
{
	return -ENOSYS;
}

#endif
