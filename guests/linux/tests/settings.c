/* Who a process is, what it may have, what it sets for itself; extended attributes and status. Argument: a directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The C libraries have different texts. */
static const char *number_of(int error)
{
	static char text[16];
	snprintf(text, sizeof text, "error %d", error);
	return text;
}

static const char *name_of(int failed)
{
	return failed ? number_of(errno) : "fine";
}

static void ids(const char *what, int failed)
{
	uid_t real, effective, saved;
	const char *how = name_of(failed);
	getresuid(&real, &effective, &saved);
	printf("%s: %s, %d %d %d\n", what, how, real, effective, saved);
}

/* In a child, since there is no way back. */
static void saved_users_come_back(void)
{
	fflush(stdout);
	pid_t child = fork();
	if (child) {
		waitpid(child, 0, 0);
		return;
	}
	ids("resuid", setresuid(1000, 1001, 1002));
	ids("to saved", seteuid(1002));
	ids("to real", setuid(1000));
	ids("foreign", setuid(7));
	ids("exchange", setreuid(1002, 1000));
	ids("keep", setresuid(-1, -1, -1));
	ids("root", setreuid(0, -1));
	fflush(stdout);
	_exit(0);
}

static void limits_are_kept_and_inherited(void)
{
	struct rlimit limit = { 10, 20 }, now;
	printf("files: %s\n", name_of(setrlimit(RLIMIT_NOFILE, &limit)));
	getrlimit(RLIMIT_NOFILE, &now);
	printf("files: %d %d\n", (int)now.rlim_cur, (int)now.rlim_max);
	int fd, highest = 0;
	while ((fd = dup(0)) >= 0) highest = fd;
	printf("highest: %d, %s\n", highest, number_of(errno));
	for (fd = 3; fd <= highest; fd++) close(fd);
	limit.rlim_cur = 30;
	printf("above: %s\n", name_of(setrlimit(RLIMIT_NOFILE, &limit)));
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		getrlimit(RLIMIT_NOFILE, &now);
		printf("child: %d %d\n", (int)now.rlim_cur, (int)now.rlim_max);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
	printf("none: %s\n", name_of(getrlimit(99, &now)));
}

static void names_and_promises(void)
{
	char name[16] = "";
	int value = -1;
	printf("name: %s\n", name_of(prctl(PR_SET_NAME, "a name that is too long", 0, 0, 0)));
	prctl(PR_GET_NAME, name, 0, 0, 0);
	printf("name: %s\n", name);
	printf("dumpable: %d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	printf(" %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	printf("death: %s", name_of(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0)));
	prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0);
	printf(" %d, %s\n", value, name_of(prctl(PR_SET_PDEATHSIG, 99, 0, 0, 0)));
	printf("promise: %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	printf(" %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	/* Whoever runs the native program may be nicer, or less so, than others. */
	printf("nice:");
	printf(" %s", name_of(setpriority(PRIO_PROCESS, 0, 5)));
	printf(" %d\n", getpriority(PRIO_PROCESS, 0));
	errno = 0;
	value = getpriority(PRIO_PROCESS, 999999);
	printf("nobody: %d %s\n", value, number_of(errno));
}

static void orphans_go_to_who_asked_for_them(void)
{
	int ends[2], status;
	char byte;
	if (pipe(ends) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) return;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		if (!fork()) {
			close(ends[1]);
			/* Its parent is gone when the end is closed. */
			if (read(ends[0], &byte, 1) == 0) _exit(6);
			_exit(7);
		}
		_exit(5);
	}
	waitpid(child, &status, 0);
	printf("child: %d\n", WEXITSTATUS(status));
	close(ends[1]);
	pid_t orphan = wait(&status);
	printf("orphan: %d, %d\n", orphan > 0 && orphan != child, WEXITSTATUS(status));
	close(ends[0]);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static void attributes(void)
{
	char value[16] = "", names[64];
	int fd = open("attributed", O_CREAT | O_RDWR, 0640);
	if (write(fd, "12345", 5) != 5) return;
	printf("set: %s\n", name_of(setxattr("attributed", "user.colour", "green", 5, 0)));
	printf("again: %s\n", name_of(fsetxattr(fd, "user.colour", "red", 3, XATTR_CREATE)));
	printf("missing: %s\n", name_of(setxattr("attributed", "user.size", "1", 1, XATTR_REPLACE)));
	int length = (int)getxattr("attributed", "user.colour", value, sizeof value);
	printf("get: %d %s\n", length, value);
	printf("asked: %d\n", (int)fgetxattr(fd, "user.colour", 0, 0));
	printf("short: %s\n", name_of(getxattr("attributed", "user.colour", value, 2) < 0));
	length = (int)flistxattr(fd, names, sizeof names);
	printf("list: %d %s\n", length, length > 0 ? names : "");
	printf("remove: %s\n", name_of(fremovexattr(fd, "user.colour")));
	printf("gone: %s\n", name_of(getxattr("attributed", "user.colour", value, sizeof value) < 0));
	printf("class: %s\n", name_of(getxattr("attributed", "other.colour", value, sizeof value) < 0));
	close(fd);
}

static void roots_are_changed(const char *directory)
{
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		printf("chroot: %s\n", name_of(chroot(directory)));
		printf("inside: %s\n", name_of(access("/attributed", F_OK)));
		printf("above: %s\n", name_of(access("/../attributed", F_OK)));
		printf("file: %s\n", name_of(chroot("/attributed")));
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
}

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1])) return 2;
	/* What whoever runs the tests leaves open would be counted. */
	for (int fd = 3; fd < 64; fd++) close(fd);
	attributes();
	roots_are_changed(arguments[1]);
	names_and_promises();
	orphans_go_to_who_asked_for_them();
	limits_are_kept_and_inherited();
	saved_users_come_back();
	unlink("attributed");
	return 0;
}
