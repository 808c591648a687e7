/*
 * A program is one module and has no table of its symbols. Rust's library looks up this one, which not every C library has, to
 * start programs in another directory without `fork`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <string.h>
#include "dynlink.h"

void *__dlsym(void *restrict handle, const char *restrict name, void *restrict caller)
{
	if (!strcmp(name, "posix_spawn_file_actions_addchdir_np")) return (void *)posix_spawn_file_actions_addchdir_np;
	__dl_seterr("Symbol not found: %s", name);
	return 0;
}
