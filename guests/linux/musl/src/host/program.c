/*
 * The first function of a program, from its arguments to its exit.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "libc.h"
#include "host.h"

/* clang calls `main` so when it takes arguments. */
int __main_argc_argv(int argc, char **argv);

_Thread_local int callbacks_depth;
_Thread_local int handlers_must_wait;
int program_argc;
char **program_argv;

static void *start_block(void)
{
	void *block = mmap(0, host_start_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED) __builtin_trap();
	host_start_fill(block);
	return block;
}

/* Made by the linker, of constructors. Where it is not called by name, each exported function calls it: threads and handlers too. */
void __wasm_call_ctors(void);

/* `main` is called by name and not through a pointer, so that frames above it can be restored. */
void program_run(void)
{
	int *block = start_block();
	program_argc = block[0];
	program_argv = (char **)(block + 1);
	__init_libc(program_argv + program_argc + 1, program_argv[0]);
	__wasm_call_ctors();
	exit(__main_argc_argv(program_argc, program_argv));
}
