/*
 * The only thread's state. Without threads clang makes a thread-local variable a global one.
 */
#include "pthread_impl.h"
#include "libc.h"
#include "syscall.h"

volatile int __thread_list_lock;
uintptr_t __thread_pointer;

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
