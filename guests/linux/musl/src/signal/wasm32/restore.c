/*
 * How the kernel calls a handler. It is linked with `sigaction`, which names the restorers.
 */
#include <signal.h>
#include <string.h>
#include "host.h"
#include "syscall.h"

hidden void __restore(void)
{
}

hidden void __restore_rt(void)
{
}

/* `value` is what the signal carries. */
static void call_with_information(int handler, int signal, int code, int pid, int uid, long value)
{
	siginfo_t information;
	ucontext_t context;
	memset(&information, 0, sizeof information);
	memset(&context, 0, sizeof context);
	information.si_signo = signal;
	information.si_code = code;
	if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE) {
		information.si_addr = (void *)(uintptr_t)value;
	} else {
		information.si_pid = pid;
		information.si_uid = uid;
		if (signal == SIGCHLD) information.si_status = value;
		else information.si_value.sival_int = value;
	}
	((void (*)(int, siginfo_t *, void *))handler)(signal, &information, &context);
}

/* What a function that calls nothing may have below the stack pointer. LLVM: WebAssemblyFrameLowering::RedZoneSize. */
#define RED_ZONE_BYTES 128

/* A program that exports this calls it in its loops when the kernel has something to do for it; see docs/design/0002-linux-guests.md. */
__attribute__((__export_name__("signal_attend"))) void signal_attend(void)
{
	if (handlers_must_wait) return;
	uintptr_t interrupted = stack_pointer();
	set_stack_pointer(interrupted - RED_ZONE_BYTES);
	host_attend();
	set_stack_pointer(interrupted);
}

static __attribute__((__noinline__)) void call(int handler, int flags, int signal, int code, int pid, int uid, long value)
{
	if (flags & SA_SIGINFO) call_with_information(handler, signal, code, pid, uid, value);
	else ((void (*)(int))handler)(signal);
}

/*
 * The kernel has set the mask, and puts it back afterwards. It says `SA_ONSTACK` where the handler is to begin on the
 * alternate stack; to set the stack pointer is for us.
 */
__attribute__((__export_name__("signal_deliver"))) void signal_deliver(int handler, int flags, int signal, int code,
	int pid, int uid, long value)
{
	stack_t alternate;
	callbacks_depth++;
	if ((flags & SA_ONSTACK) && !__syscall(SYS_sigaltstack, 0, &alternate)) {
		uintptr_t interrupted = stack_pointer();
		set_stack_pointer(((uintptr_t)alternate.ss_sp + alternate.ss_size) & -16);
		call(handler, flags, signal, code, pid, uid, value);
		set_stack_pointer(interrupted);
	} else {
		call(handler, flags, signal, code, pid, uid, value);
	}
	callbacks_depth--;
}
