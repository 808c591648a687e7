/*
 * What a thrown exception is told by: its one parameter is the address of what the C++ library knows of it.
 *
 * LLVM: lib/Target/WebAssembly/WebAssemblyISelLowering.cpp gives it this name.
 */
__asm__ (
	".globl __cpp_exception\n"
	".tagtype __cpp_exception i32\n"
	"__cpp_exception:\n"
);
