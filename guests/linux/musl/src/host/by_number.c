/*
 * The system call of a number that is not known before the program runs. It imports every call.
 */
#include <stdarg.h>
#include <unistd.h>
#include "syscall.h"

long __syscall_by_number(long n, long a1, long a2, long a3, long a4, long a5, long a6)
{
	return __syscall_switch(n, a1, a2, a3, a4, a5, a6);
}
