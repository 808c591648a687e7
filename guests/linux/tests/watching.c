/* What happens to files and in directories, as inotify tells it. The argument is a directory to work in. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void tried(const char *call, int result)
{
	printf("%s: %d", call, result);
	if (result < 0) printf(" error %d", errno);
	printf("\n");
}

#define TRY(call) tried(#call, call)

static int make(const char *name)
{
	return open(name, O_CREAT | O_RDWR, 0600);
}

static void write_to(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0) printf("write: error %d\n", errno);
}

/* Reads all that is queued; cookies are numbered as they come. */
static void tell(const char *what, int fd)
{
	static char bytes[65536];
	uint32_t cookies[16] = { 0 };
	int known = 0;
	printf("%s:\n", what);
	ssize_t length = read(fd, bytes, sizeof bytes);
	for (ssize_t at = 0; at < length;) {
		struct inotify_event event;
		memcpy(&event, bytes + at, sizeof event);
		int cookie = 0;
		while (cookie < known && cookies[cookie] != event.cookie) cookie++;
		if (cookie == known && event.cookie && known < 16) cookies[known++] = event.cookie;
		printf("  %d %x %d %u %s\n", event.wd, event.mask, event.cookie ? cookie + 1 : 0, event.len,
			event.len ? bytes + at + sizeof event : "-");
		at += sizeof event + event.len;
	}
	if (length < 0) printf("  error %d\n", errno);
}

static void directories_tell_of_their_names(void)
{
	char byte;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	TRY(fcntl(fd, F_GETFD));
	TRY(!!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	TRY(inotify_add_watch(fd, ".", IN_ALL_EVENTS));
	tell("nothing yet", fd);
	int file = make("one");
	write_to(file, "some text");
	write_to(file, "and more");
	if (pread(file, &byte, 1, 0) != 1) printf("read: error %d\n", errno);
	close(file);
	tell("made", fd);
	TRY(chmod("one", 0640));
	TRY(chown("one", getuid(), getgid()));
	tell("changed", fd);
	file = open("one", O_RDONLY);
	TRY(fchmod(file, 0600));
	close(file);
	TRY(truncate("one", 3));
	TRY(utimensat(AT_FDCWD, "one", 0, 0));
	tell("cut", fd);
	TRY(mkdir("inner", 0700));
	TRY(symlink("one", "link"));
	TRY(link("one", "two"));
	TRY(rename("two", "inner/two"));
	tell("named", fd);
	TRY(rename("inner/two", "three"));
	TRY(rename("three", "link"));
	TRY(rename("inner", "renamed"));
	TRY(rmdir("renamed"));
	tell("moved", fd);
	TRY(unlink("link"));
	TRY(unlink("one"));
	tell("gone", fd);
	close(fd);
}

static void files_tell_until_they_are_gone(void)
{
	int fd = inotify_init1(IN_NONBLOCK);
	close(make("one"));
	TRY(mkdir("inner", 0700));
	TRY(inotify_add_watch(fd, "one", IN_ALL_EVENTS));
	TRY(inotify_add_watch(fd, "inner", IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF));
	TRY(inotify_add_watch(fd, "./one", IN_ALL_EVENTS));
	TRY(link("one", "two"));
	TRY(unlink("one"));
	TRY(rename("two", "one"));
	TRY(rename("inner", "outer"));
	tell("moved", fd);
	TRY(unlink("one"));
	TRY(rmdir("outer"));
	tell("gone", fd);
	TRY(inotify_rm_watch(fd, 1));
	close(fd);
}

static void watches_are_changed_once_and_forgotten(void)
{
	int fd = inotify_init1(IN_NONBLOCK), pipes[2];
	if (pipe(pipes)) return;
	close(make("one"));
	TRY(inotify_add_watch(fd, "one", IN_OPEN));
	TRY(inotify_add_watch(fd, "one", IN_CLOSE | IN_MASK_ADD));
	close(open("one", O_RDONLY));
	tell("added", fd);
	TRY(inotify_add_watch(fd, "one", IN_OPEN));
	close(open("one", O_WRONLY));
	tell("instead", fd);
	TRY(inotify_add_watch(fd, "one", IN_OPEN | IN_MASK_CREATE));
	TRY(inotify_rm_watch(fd, 1));
	tell("forgotten", fd);
	TRY(inotify_add_watch(fd, "one", IN_OPEN | IN_ONESHOT));
	close(open("one", O_RDONLY));
	close(open("one", O_RDONLY));
	tell("once", fd);
	errno = 0;
	TRY(inotify_add_watch(fd, "one", IN_OPEN | IN_ONLYDIR));
	TRY(inotify_add_watch(fd, "one", IN_ONLYDIR));
	TRY(inotify_add_watch(fd, "none", IN_OPEN));
	TRY(inotify_add_watch(pipes[0], "one", IN_OPEN));
	TRY(inotify_add_watch(99, "one", IN_OPEN));
	TRY(inotify_init1(1));
	TRY(symlink("one", "link"));
	TRY(inotify_add_watch(fd, "link", IN_ALL_EVENTS | IN_DONT_FOLLOW));
	TRY(inotify_add_watch(fd, "link", IN_ALL_EVENTS));
	close(open("link", O_RDONLY));
	TRY(unlink("link"));
	tell("links", fd);
	unlink("one");
	close(fd), close(pipes[0]), close(pipes[1]);
}

static void a_reader_gets_whole_events_only(void)
{
	char bytes[64];
	int fd = inotify_init1(0), available = 0, status;
	struct pollfd polled = { .fd = fd, .events = POLLIN | POLLOUT };
	inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE);
	TRY(poll(&polled, 1, 0));
	close(make("a name of more than sixteen"));
	TRY(poll(&polled, 1, 0));
	printf("events: %x\n", polled.revents);
	TRY(ioctl(fd, FIONREAD, &available));
	printf("available: %d\n", available);
	TRY(read(fd, bytes, 47));
	unlink("a name of more than sixteen");
	TRY(read(fd, bytes, 64));
	TRY(read(fd, bytes, 64));
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		close(make("two"));
		_exit(0);
	}
	tell("from the child", fd);
	waitpid(child, &status, 0);
	unlink("two");
	close(fd);
}

int main(int count, char **arguments)
{
	if (count != 2 || chdir(arguments[1]) || mkdir("watched", 0700) || chdir("watched")) return 1;
	directories_tell_of_their_names();
	files_tell_until_they_are_gone();
	watches_are_changed_once_and_forgotten();
	a_reader_gets_whole_events_only();
	return 0;
}
