/*
 * `fork` returns twice, which wasm has no instruction for. Binaryen's asyncify rewrites the program so that its frames can
 * be written into memory and restored from it ("unwound" and "rewound"); this file asks for it, and is linked into programs that
 * fork only: they unwind, ask the kernel with no frame left, so that a copy of the memory is a copy of all, and both rewind.
 *
 * The functions that call asyncify's own are those that it leaves as they are.
 */
#include <errno.h>
#include "libc.h"
#include "host.h"

#define FRAMES_BYTES_MAX (256 * 1024)

#define ASYNCIFY(name) __attribute__((__import_module__("asyncify"), __import_name__(name)))
ASYNCIFY("start_unwind") void asyncify_start_unwind(void *frames);
ASYNCIFY("stop_unwind") void asyncify_stop_unwind(void);
ASYNCIFY("start_rewind") void asyncify_start_rewind(void *frames);
ASYNCIFY("stop_rewind") void asyncify_stop_rewind(void);

/* The frames as asyncify writes and reads them. */
static struct {
	unsigned char *end, *limit;
	_Alignas(16) unsigned char bytes[FRAMES_BYTES_MAX];
} frames;

/* The frames are being restored, and `answer` is what the call that unwound them returns. */
static int is_restoring;
static int answer;
static uintptr_t unwound_at;

/* The C++ library's, where it is linked. Frames in which an exception is handled, or that one has left, cannot be restored. */
__attribute__((__weak__)) void *__cxa_current_exception_type(void);
__attribute__((__weak__)) unsigned __cxa_uncaught_exceptions(void);

static int is_in_exception(void)
{
	return __cxa_current_exception_type && (__cxa_current_exception_type() || __cxa_uncaught_exceptions());
}

static __attribute__((__noinline__)) void run(void)
{
	for (;;) {
		program_run();
		asyncify_stop_unwind();
		is_restoring = 1;
		answer = 0;
		answer = host_fork();
		asyncify_start_rewind(&frames);
	}
}

static __attribute__((__noinline__)) void resume_frames(void)
{
	asyncify_start_rewind(&frames);
	run();
}

void _start(void)
{
	run();
}

/* Where the child begins. The stack of the program is as it was, so nothing may be put on it before its end is known. */
__attribute__((__export_name__("resume"))) void resume(void)
{
	set_stack_pointer(unwound_at);
	resume_frames();
}

__attribute__((__noinline__)) long __inside_fork(void)
{
	if (is_restoring) {
		is_restoring = 0;
		asyncify_stop_rewind();
		handlers_must_wait--;
		return answer;
	}
	if (callbacks_depth || is_in_exception()) return -ENOSYS;
	unwound_at = stack_pointer();
	handlers_must_wait++;
	frames.end = frames.bytes;
	frames.limit = frames.bytes + sizeof frames.bytes;
	asyncify_start_unwind(&frames);
	return 0;
}

long __inside_vfork(void)
{
	return __inside_fork();
}
