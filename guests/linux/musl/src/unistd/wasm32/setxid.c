/*
 * Each call by its own number, so that a program does not import all calls.
 */
#include <unistd.h>
#include "syscall.h"
#include "libc.h"

int __setxid(int number, int id, int effective, int saved)
{
	switch (number) {
	case SYS_setuid: return syscall(SYS_setuid, id);
	case SYS_setgid: return syscall(SYS_setgid, id);
	case SYS_setreuid: return syscall(SYS_setreuid, id, effective);
	case SYS_setregid: return syscall(SYS_setregid, id, effective);
	case SYS_setresuid: return syscall(SYS_setresuid, id, effective, saved);
	case SYS_setresgid: return syscall(SYS_setresgid, id, effective, saved);
	}
	return __syscall_ret(-ENOSYS);
}
