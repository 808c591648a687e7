/*
 * A caller passes each argument in its own width, so it is read in the width that the table of calls says.
 */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include "syscall.h"

#undef syscall

/* The types of a call's parameters, each followed by a space. */
static const char *parameters(long number)
{
	switch (number) {
#define CALL0(number, name) case number: return "";
#define CALL1(number, name, a) case number: return #a " ";
#define CALL2(number, name, a, b) case number: return #a " " #b " ";
#define CALL3(number, name, a, b, c) case number: return #a " " #b " " #c " ";
#define CALL4(number, name, a, b, c, d) case number: return #a " " #b " " #c " " #d " ";
#define CALL5(number, name, a, b, c, d, e) case number: return #a " " #b " " #c " " #d " " #e " ";
#define CALL6(number, name, a, b, c, d, e, f) case number: return #a " " #b " " #c " " #d " " #e " " #f " ";
#define INSIDE0(number, name) case number: return "";
#define INSIDE1(number, name) case number: return "word ";
#define INSIDE2(number, name) case number: return "word word ";
#define INSIDE3(number, name) case number: return "word word word ";
#define INSIDE5(number, name) case number: return "word word word word word ";
#define INSIDE6(number, name) case number: return "word word word word word long ";
#include "syscall_table.h"
#include "syscall_table_end.h"
	}
	return "";
}

long syscall(long number, ...)
{
	long arguments[6] = { 0 };
	const char *type = parameters(number);
	va_list list;
	va_start(list, number);
	for (int i = 0; *type; i++) {
		arguments[i] = *type == 'l' ? va_arg(list, long) : va_arg(list, int);
		type = strchr(type, ' ') + 1;
	}
	va_end(list);
	return __syscall_ret(__syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
		arguments[5]));
}
