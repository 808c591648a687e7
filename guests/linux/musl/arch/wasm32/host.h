/*
 * What the kernel offers beyond system calls: the imports of the module `minke`, and what the parts of our port share.
 */
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <stdint.h>

#define PORT_PRIVATE __attribute__((__visibility__("hidden")))
#define HOST_IMPORT(name) __attribute__((__import_module__("minke"), __import_name__(name)))

/* Bytes of the block of arguments, environment and auxiliary vector. */
HOST_IMPORT("start_size") size_t host_start_size(void);
/* Writes the block: argc, the pointers and the vector as on a new Linux stack, then what they point to. */
HOST_IMPORT("start_fill") void host_start_fill(void *block);
/* Calls handlers that are to be called, and waits while the process is stopped. */
HOST_IMPORT("attend") void host_attend(void);
/* Makes a child with a copy of the memory, in which `resume` is called; called from the outermost frame only. */
HOST_IMPORT("fork") int host_fork(void);
/* Starts a thread, which calls `thread_start`; its number or a negative errno. */
HOST_IMPORT("clone") int host_clone(void *beginning, int *tid, int *clear_tid);
/* Starts another program; the pid or a negative errno. */
HOST_IMPORT("spawn") int host_spawn(const char *path, char *const *argv, char *const *envp, const void *actions,
	size_t actions_count, const void *attributes);

extern PORT_PRIVATE int program_argc;
extern PORT_PRIVATE char **program_argv;

/*
 * Handlers of signals that have not returned, below which the host's frames lie, and calls of library functions that call back, whose
 * frames cannot be restored: `fork` answers `ENOSYS` in both.
 */
extern PORT_PRIVATE _Thread_local int callbacks_depth;

/*
 * What the port is doing that no handler may see half done, as the system call would be that another machine's library makes in its place:
 * a program whose code is interrupted leaves its handlers for later while this is not 0.
 */
extern PORT_PRIVATE _Thread_local int handlers_must_wait;

/* Runs the program from its start, or, while its frames are being restored, to where it was. */
PORT_PRIVATE void program_run(void);

/* Gives a new thread its variables. */
PORT_PRIVATE void thread_begin(void *thread);

/* Where the stack of variables in memory ends; it grows down. */
static inline uintptr_t stack_pointer(void)
{
	uintptr_t pointer;
	__asm__ __volatile__ (".globaltype __stack_pointer, i32\n\tglobal.get __stack_pointer\n\tlocal.set %0" : "=r"(pointer));
	return pointer;
}

static inline void set_stack_pointer(uintptr_t pointer)
{
	__asm__ __volatile__ (".globaltype __stack_pointer, i32\n\tlocal.get %0\n\tglobal.set __stack_pointer" : : "r"(pointer) : "memory");
}

#endif
