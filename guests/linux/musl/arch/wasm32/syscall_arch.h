/*
 * A system call is a call of the import that has its name. With the number known to the compiler, as it nearly always
 * is, the `switch` below folds into that call, and a program imports what it calls and no more.
 */
#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

/* A 32-bit value in an i64. */
typedef long __word;

#define __type_int int
#define __type_long long
#define __type_word __word

/* `name` stands beside `#` and `##` only, since it may be a macro's too. */
#define __IMPORT(import) __attribute__((__import_module__("wali"), __import_name__(import))) long
#define CALL0(number, name) __IMPORT("SYS_" #name) __wali_##name(void);
#define CALL1(number, name, a) __IMPORT("SYS_" #name) __wali_##name(__type_##a);
#define CALL2(number, name, a, b) __IMPORT("SYS_" #name) __wali_##name(__type_##a, __type_##b);
#define CALL3(number, name, a, b, c) __IMPORT("SYS_" #name) __wali_##name(__type_##a, __type_##b, __type_##c);
#define CALL4(number, name, a, b, c, d) __IMPORT("SYS_" #name) __wali_##name(__type_##a, __type_##b, __type_##c, __type_##d);
#define CALL5(number, name, a, b, c, d, e) \
	__IMPORT("SYS_" #name) __wali_##name(__type_##a, __type_##b, __type_##c, __type_##d, __type_##e);
#define CALL6(number, name, a, b, c, d, e, f) \
	__IMPORT("SYS_" #name) __wali_##name(__type_##a, __type_##b, __type_##c, __type_##d, __type_##e, __type_##f);
#define INSIDE0(number, name) __attribute__((__visibility__("hidden"))) long __inside_##name(void);
#define INSIDE1(number, name) __attribute__((__visibility__("hidden"))) long __inside_##name(long);
#define INSIDE2(number, name) __attribute__((__visibility__("hidden"))) long __inside_##name(long, long);
#define INSIDE3(number, name) __attribute__((__visibility__("hidden"))) long __inside_##name(long, long, long);
#define INSIDE5(number, name) \
	__attribute__((__visibility__("hidden"))) long __inside_##name(long, long, long, long, long);
#define INSIDE6(number, name) \
	__attribute__((__visibility__("hidden"))) long __inside_##name(long, long, long, long, long, long);
#include "syscall_table.h"
#include "syscall_table_end.h"

/* The number is not known to the compiler: this imports every call. */
__attribute__((__visibility__("hidden"))) long __syscall_by_number(long, long, long, long, long, long, long);

static inline __attribute__((__always_inline__)) long __syscall_switch(long n, long a1, long a2, long a3, long a4,
	long a5, long a6)
{
#define CALL0(number, name) case number: return __wali_##name();
#define CALL1(number, name, a) case number: return __wali_##name((__type_##a)a1);
#define CALL2(number, name, a, b) case number: return __wali_##name((__type_##a)a1, (__type_##b)a2);
#define CALL3(number, name, a, b, c) \
	case number: return __wali_##name((__type_##a)a1, (__type_##b)a2, (__type_##c)a3);
#define CALL4(number, name, a, b, c, d) \
	case number: return __wali_##name((__type_##a)a1, (__type_##b)a2, (__type_##c)a3, (__type_##d)a4);
#define CALL5(number, name, a, b, c, d, e) \
	case number: return __wali_##name((__type_##a)a1, (__type_##b)a2, (__type_##c)a3, (__type_##d)a4, (__type_##e)a5);
#define CALL6(number, name, a, b, c, d, e, f) \
	case number: return __wali_##name((__type_##a)a1, (__type_##b)a2, (__type_##c)a3, (__type_##d)a4, \
		(__type_##e)a5, (__type_##f)a6);
#define INSIDE0(number, name) case number: return __inside_##name();
#define INSIDE1(number, name) case number: return __inside_##name(a1);
#define INSIDE2(number, name) case number: return __inside_##name(a1, a2);
#define INSIDE3(number, name) case number: return __inside_##name(a1, a2, a3);
#define INSIDE5(number, name) case number: return __inside_##name(a1, a2, a3, a4, a5);
#define INSIDE6(number, name) case number: return __inside_##name(a1, a2, a3, a4, a5, a6);
	switch (n) {
#include "syscall_table.h"
#include "syscall_table_end.h"
	}
	return -ENOSYS;
}

static inline __attribute__((__always_inline__)) long __syscall6(long n, long a1, long a2, long a3, long a4, long a5,
	long a6)
{
	if (__builtin_constant_p(n)) return __syscall_switch(n, a1, a2, a3, a4, a5, a6);
	return __syscall_by_number(n, a1, a2, a3, a4, a5, a6);
}

static inline __attribute__((__always_inline__)) long __syscall0(long n)
{
	return __syscall6(n, 0, 0, 0, 0, 0, 0);
}

static inline __attribute__((__always_inline__)) long __syscall1(long n, long a1)
{
	return __syscall6(n, a1, 0, 0, 0, 0, 0);
}

static inline __attribute__((__always_inline__)) long __syscall2(long n, long a1, long a2)
{
	return __syscall6(n, a1, a2, 0, 0, 0, 0);
}

static inline __attribute__((__always_inline__)) long __syscall3(long n, long a1, long a2, long a3)
{
	return __syscall6(n, a1, a2, a3, 0, 0, 0);
}

static inline __attribute__((__always_inline__)) long __syscall4(long n, long a1, long a2, long a3, long a4)
{
	return __syscall6(n, a1, a2, a3, a4, 0, 0);
}

static inline __attribute__((__always_inline__)) long __syscall5(long n, long a1, long a2, long a3, long a4, long a5)
{
	return __syscall6(n, a1, a2, a3, a4, a5, 0);
}
