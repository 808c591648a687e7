/*
 * What a thread has for itself: thread-local variables, which lie where the linker's `__tls_base` of its instance
 * says, and `struct pthread` right behind them. Those of the first thread are in the program's data.
 */
#include <string.h>
#include "pthread_impl.h"
#include "libc.h"
#include "syscall.h"
#include "host.h"

volatile int __thread_list_lock;
_Thread_local uintptr_t __thread_pointer;

static struct pthread first_thread;

int __init_tp(void *thread)
{
	pthread_t self = thread;
	self->self = self;
	__thread_pointer = (uintptr_t)TP_ADJ(thread);
	self->detach_state = DT_JOINABLE;
	self->tid = __syscall(SYS_set_tid_address, &__thread_list_lock);
	self->locale = &libc.global_locale;
	self->robust_list.head = &self->robust_list.head;
	self->next = self->prev = self;
	return 0;
}

#ifdef __wasm_atomics__

#define ALIGNMENT_MIN 16

static size_t alignment(void)
{
	size_t of_variables = __builtin_wasm_tls_align();
	return of_variables > ALIGNMENT_MIN ? of_variables : ALIGNMENT_MIN;
}

static size_t rounded(size_t bytes)
{
	return (bytes + alignment() - 1) & -alignment();
}

static size_t variables_bytes(void)
{
	return rounded(__builtin_wasm_tls_size());
}

void __init_tls(size_t *aux)
{
	libc.can_do_threads = 1;
	libc.tls_align = alignment();
	libc.tls_size = alignment() + variables_bytes() + rounded(sizeof first_thread);
	__init_tp(&first_thread);
}

/* The thread fills in its variables by itself. */
void *__copy_tls(unsigned char *memory)
{
	return (void *)(rounded((uintptr_t)memory) + variables_bytes());
}

void __wasm_init_tls(void *variables);

PORT_PRIVATE void thread_begin(void *thread)
{
	size_t bytes = variables_bytes();
	if (__builtin_wasm_tls_size()) __wasm_init_tls((char *)thread - bytes);
	__thread_pointer = (uintptr_t)thread;
}

#else

void __init_tls(size_t *aux)
{
	libc.tls_size = sizeof first_thread;
	libc.tls_align = _Alignof(struct pthread);
	__init_tp(&first_thread);
}

void *__copy_tls(unsigned char *memory)
{
	return memory;
}

#endif
