/*
 * `fork` and `setjmp` return twice, which wasm has no instruction for. Binaryen's asyncify rewrites the program so that
 * its frames can be written into memory and restored from it ("unwound" and "rewound"); this file asks for it, and
 * is linked into programs that need it only.
 *
 *     fork     unwind; ask the kernel with no frame left, so that a copy of the memory is a copy of all; rewind both
 *     setjmp   unwind; keep a copy of the frames; rewind
 *     longjmp  have the kernel drop all frames; rewind the copy
 *
 * The functions that call asyncify's own are those that it leaves as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* A place to jump to. */
struct point {
	struct point *next;
	void *buffer;
	unsigned long serial;
	uintptr_t stack_pointer;
	size_t bytes_count;
	unsigned char bytes[];
};

/* What a `jmp_buf` holds. Its copies lead to the same point. */
struct mark {
	unsigned long serial;
	struct point *point;
};

static struct point *points;
static unsigned long points_made;

static enum { FORK, MARK } request;
static struct __jmp_buf_tag *request_buffer;
/* The frames are being restored, and `answer` is what the call that unwound them returns. */
static int is_restoring;
static int answer;
static uintptr_t unwound_at;
/* Where `resume` begins: at a point, or at none in a child that was forked. */
static struct point *resume_point;

static inline void begin_unwinding(void)
{
	unwound_at = stack_pointer();
	frames.end = frames.bytes;
	frames.limit = frames.bytes + sizeof frames.bytes;
}

/* Drops the points of functions that have returned, whose frames were deeper, and the one that is replaced. */
static void drop_points(void *buffer, uintptr_t pointer)
{
	struct point **place = &points;
	while (*place) {
		struct point *it = *place;
		if (it->stack_pointer < pointer || (it->stack_pointer == pointer && it->buffer == buffer)) {
			*place = it->next;
			free(it);
		} else {
			place = &it->next;
		}
	}
}

static void keep_point(struct __jmp_buf_tag *buffer)
{
	size_t count = frames.end - frames.bytes;
	drop_points(buffer, unwound_at);
	struct point *point = malloc(sizeof *point + count);
	if (!point) abort();
	*point = (struct point){ points, buffer, ++points_made, unwound_at, count };
	memcpy(point->bytes, frames.bytes, count);
	points = point;
	*(struct mark *)buffer->__jb = (struct mark){ point->serial, point };
}

/* What was asked for, with no frame of the program left. The child of a fork begins in `resume`. */
static void serve(void)
{
	answer = 0;
	is_restoring = 1;
	resume_point = 0;
	if (request == MARK) keep_point(request_buffer);
	else answer = host_fork();
}

static __attribute__((__noinline__)) void run(void)
{
	for (;;) {
		program_run();
		asyncify_stop_unwind();
		serve();
		asyncify_start_rewind(&frames);
	}
}

static void restore_point(void)
{
	if (!resume_point) return;
	memcpy(frames.bytes, resume_point->bytes, resume_point->bytes_count);
	frames.end = frames.bytes + resume_point->bytes_count;
	is_restoring = 1;
}

static __attribute__((__noinline__)) void resume_frames(void)
{
	restore_point();
	asyncify_start_rewind(&frames);
	run();
}

void _start(void)
{
	run();
}

/* The stack of the program is as it was, so nothing may be put on it before its end is known. */
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
		return answer;
	}
	if (signals_depth) return -ENOSYS;
	request = FORK;
	begin_unwinding();
	asyncify_start_unwind(&frames);
	return 0;
}

long __inside_vfork(void)
{
	return __inside_fork();
}

__attribute__((__noinline__)) int setjmp(jmp_buf buffer)
{
	if (is_restoring) {
		is_restoring = 0;
		asyncify_stop_rewind();
		return answer;
	}
	if (signals_depth) abort();
	request = MARK;
	request_buffer = buffer;
	begin_unwinding();
	asyncify_start_unwind(&frames);
	return 0;
}

static struct point *point_of(struct mark *mark)
{
	for (struct point *it = points; it; it = it->next) {
		if (it == mark->point && it->serial == mark->serial) return it;
	}
	abort();
}

_Noreturn void longjmp(jmp_buf buffer, int value)
{
	resume_point = point_of((struct mark *)buffer->__jb);
	unwound_at = resume_point->stack_pointer;
	answer = value ? value : 1;
	signals_depth = 0;
	host_restart();
}

weak_alias(setjmp, _setjmp);
weak_alias(longjmp, _longjmp);
