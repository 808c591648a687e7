/*
 * `setjmp` and `longjmp`, as clang lowers them: a function that calls `setjmp` catches an exception, and `longjmp` throws it.
 *
 * Each call of such a function ("invocation") is told apart by an address in its frame, and each `setjmp` in it by a label.
 * Who catches the exception asks whether the jump is to one of its own labels, and throws on if not.
 *
 * LLVM: lib/Target/WebAssembly/WebAssemblyLowerEmscriptenEHSjLj.cpp describes the three functions and the exception.
 */
#include <setjmp.h>
#include <stdlib.h>
#include "libc.h"
#include "host.h"

/* What the exception carries. Its layout is the compiler's. */
struct jump {
	void *buffer;
	int value;
};

/* What a `jmp_buf` begins with. */
struct place {
	void *invocation;
	unsigned label;
	int callbacks_depth;
	struct jump jump;
};

_Static_assert(sizeof(struct place) <= sizeof(__jmp_buf), "a place fits into a buffer");

/* The exception: its one parameter is the address of a `struct jump`. */
__asm__ (
	".globl __c_longjmp\n"
	".tagtype __c_longjmp i32\n"
	"__c_longjmp:\n"
);
#define JUMPS 1

void __wasm_setjmp(void *buffer, unsigned label, void *invocation)
{
	struct place *place = buffer;
	place->invocation = invocation;
	place->label = label;
	place->callbacks_depth = callbacks_depth;
}

unsigned __wasm_setjmp_test(void *buffer, void *invocation)
{
	struct place *place = buffer;
	return place->invocation == invocation ? place->label : 0;
}

/* Handlers and other callbacks that are left so are over. */
__attribute__((__target__("exception-handling"))) _Noreturn void __wasm_longjmp(void *buffer, int value)
{
	struct place *place = buffer;
	callbacks_depth = place->callbacks_depth;
	place->jump = (struct jump){ buffer, value ? value : 1 };
	__builtin_wasm_throw(JUMPS, &place->jump);
}

/* For callers that were compiled without the lowering. */
_Noreturn void longjmp(jmp_buf buffer, int value)
{
	__wasm_longjmp(buffer, value);
}

weak_alias(longjmp, _longjmp);
