/*
 * `sigsetjmp` is a macro (<setjmp.h>): a call of `setjmp` must stand in the function whose frame is to be kept. So the mask is put
 * back before the jump, and not after it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#undef sigsetjmp

void __sigsetjmp_save(sigjmp_buf buffer, int is_mask_saved)
{
	buffer->__fl = is_mask_saved;
	if (is_mask_saved) sigprocmask(SIG_SETMASK, 0, (sigset_t *)buffer->__ss);
}

/* For who only looks whether there is one. */
int sigsetjmp(sigjmp_buf buffer, int is_mask_saved)
{
	abort();
}

_Noreturn void siglongjmp(sigjmp_buf buffer, int value)
{
	if (buffer->__fl) sigprocmask(SIG_SETMASK, (sigset_t *)buffer->__ss, 0);
	longjmp(buffer, value);
}
