/* Without threads clang makes a thread-local variable a global one. */
extern __attribute__((__visibility__("hidden"))) _Thread_local uintptr_t __thread_pointer;

static inline uintptr_t __get_tp(void)
{
	return __thread_pointer;
}

#define MC_PC __pc
