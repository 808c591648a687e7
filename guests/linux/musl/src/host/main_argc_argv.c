/*
 * Linked if the program's `main` does not take argc and argv: clang calls one without parameters `__main_void`.
 */
#include "host.h"

int __main_void(void);

PORT_PRIVATE int __main_argc_argv(int argc, char **argv)
{
	return __main_void();
}
