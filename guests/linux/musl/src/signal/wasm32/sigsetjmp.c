/*
 * `setjmp` restores the frames of all its callers, so unlike on other machines this one may be an ordinary caller.
 */
#include <setjmp.h>
#include <signal.h>
#include "syscall.h"

hidden int __sigsetjmp_tail(sigjmp_buf, int);

int sigsetjmp(sigjmp_buf buffer, int save_mask)
{
	int value = setjmp(buffer);
	return save_mask ? __sigsetjmp_tail(buffer, value) : value;
}

weak_alias(sigsetjmp, __sigsetjmp);
