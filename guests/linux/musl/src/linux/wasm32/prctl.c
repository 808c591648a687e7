/*
 * Callers pass numbers and pointers of 32 bits, and zeros of any width behind them.
 */
#include <stdarg.h>
#include <sys/prctl.h>
#include "syscall.h"

int prctl(int operation, ...)
{
	long arguments[4];
	va_list list;
	va_start(list, operation);
	for (int i = 0; i < 4; i++) arguments[i] = va_arg(list, int);
	va_end(list);
	return syscall(SYS_prctl, operation, arguments[0], arguments[1], arguments[2], arguments[3]);
}
