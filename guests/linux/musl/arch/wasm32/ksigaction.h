#include <features.h>

/* What `rt_sigaction` takes. The handler is an index of the table; nothing returns from it by a restorer. */
struct k_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned mask[2];
};

hidden void __restore(void), __restore_rt(void);
