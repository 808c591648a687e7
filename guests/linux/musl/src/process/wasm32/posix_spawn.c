/*
 * The kernel starts a program without a copy of this one. A shell script without `#!` is not for us: `posix_spawnp`
 * looks the program up by itself before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../fdop.h"
#undef malloc
#undef calloc
#undef realloc
#undef free
#include "host.h"

/* As the kernel reads them. */
struct action {
	int operation, fd, source, flags;
	unsigned mode;
	const char *path;
};
struct attributes {
	int flags, group;
	unsigned long defaults, mask;
	unsigned long reserved;
};

static size_t count_actions(const posix_spawn_file_actions_t *actions)
{
	size_t count = 0;
	if (!actions) return 0;
	for (const struct fdop *it = actions->__actions; it; it = it->next) count++;
	return count;
}

/* The list begins with the newest. */
static void copy_actions(struct action *to, size_t count, const posix_spawn_file_actions_t *actions)
{
	const struct fdop *it = count ? actions->__actions : 0;
	for (; it; it = it->next) {
		to[--count] = (struct action){ it->cmd, it->fd, it->srcfd, it->oflag, it->mode, it->path };
	}
}

/* What `execvpe` would try for a name without a slash. */
static int spawn_on_path(const char *name, char *const *argv, char *const *envp, const struct action *actions,
	size_t count, const struct attributes *attributes)
{
	const char *directory = getenv("PATH");
	int result = -ENOENT, is_denied = 0;
	if (!directory) directory = "/usr/local/bin:/bin:/usr/bin";
	for (;;) {
		char path[PATH_MAX];
		const char *end = strchrnul(directory, ':');
		size_t length = end - directory;
		if (length + 1 + strlen(name) < sizeof path) {
			memcpy(path, directory, length);
			path[length] = '/';
			strcpy(path + length + (length != 0), name);
			result = host_spawn(path, argv, envp, actions, count, attributes);
			if (result == -EACCES) is_denied = 1;
			else if (result != -ENOENT && result != -ENOTDIR) return result;
		}
		if (!*end) return is_denied ? -EACCES : -ENOENT;
		directory = end + 1;
	}
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *restrict wanted, char *const argv[restrict], char *const envp[restrict])
{
	size_t count = count_actions(actions);
	struct action packed[count + 1];
	struct attributes attributes = { 0 };
	copy_actions(packed, count, actions);
	if (wanted) {
		attributes.flags = wanted->__flags;
		attributes.group = wanted->__pgrp;
		memcpy(&attributes.defaults, &wanted->__def, sizeof attributes.defaults);
		memcpy(&attributes.mask, &wanted->__mask, sizeof attributes.mask);
	}
	int is_search = wanted && wanted->__fn && !strchr(path, '/');
	int result = is_search
		? spawn_on_path(path, argv, envp, packed, count, &attributes)
		: host_spawn(path, argv, envp, packed, count, wanted ? &attributes : 0);
	if (result < 0) return -result;
	if (pid) *pid = result;
	return 0;
}
