/*
 * `fork` of a program whose frames nobody can restore: the kernel finds no `resume` in it, and answers `ENOSYS`. The import says of a
 * linked program that it wants to fork.
 */
#include "syscall.h"
#include "host.h"

long __inside_fork(void)
{
	return host_fork();
}

long __inside_vfork(void)
{
	return host_fork();
}
