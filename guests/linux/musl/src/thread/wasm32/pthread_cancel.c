/*
 * Cancellation. A signal ends the call in which a thread waits, since handlers run on the way out of calls; each cancellation
 * point looks before and after its call whether the thread is to end (`internal/syscall.h`).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include "pthread_impl.h"
#include "syscall.h"

hidden long __cancel(void), __cancel_before(long), __cancel_after(long, long);

long __cancel(void)
{
	pthread_t self = __pthread_self();
	if (self->canceldisable == PTHREAD_CANCEL_ENABLE || self->cancelasync) pthread_exit(PTHREAD_CANCELED);
	self->canceldisable = PTHREAD_CANCEL_DISABLE;
	return -ECANCELED;
}

static int is_wanted(pthread_t self)
{
	return self->cancel && self->canceldisable != PTHREAD_CANCEL_DISABLE;
}

/* What a call answers that is not to be made, or 0. */
long __cancel_before(long number)
{
	pthread_t self = __pthread_self();
	if (self->canceldisable && number == SYS_close) return 0;
	return is_wanted(self) ? __cancel() : 0;
}

/* What a call answers that has answered `result`. */
long __cancel_after(long number, long result)
{
	return result == -EINTR && number != SYS_close && is_wanted(__pthread_self()) ? __cancel() : result;
}

void __testcancel(void)
{
	if (__pthread_self()->cancel && !__pthread_self()->canceldisable) __cancel();
}

static void handle(int signal, siginfo_t *information, void *context)
{
	pthread_t self = __pthread_self();
	if (self->cancelasync && is_wanted(self)) {
		sigset_t own = { 0 };
		sigaddset(&own, SIGCANCEL);
		pthread_sigmask(SIG_UNBLOCK, &own, 0);
		__cancel();
	}
}

/* Without `SA_RESTART`: the call in which the thread waits is to end. */
static void install_handler(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = handle };
	memset(&action.sa_mask, -1, _NSIG / 8);
	__libc_sigaction(SIGCANCEL, &action, 0);
}

int pthread_cancel(pthread_t thread)
{
	static int is_installed;
	if (!is_installed) {
		install_handler();
		is_installed = 1;
	}
	a_store(&thread->cancel, 1);
	if (thread == __pthread_self()) {
		if (thread->canceldisable == PTHREAD_CANCEL_ENABLE && thread->cancelasync) pthread_exit(PTHREAD_CANCELED);
		return 0;
	}
	return pthread_kill(thread, SIGCANCEL);
}
