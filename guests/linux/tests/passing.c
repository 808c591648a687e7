/* What travels beside the bytes of Unix sockets: descriptors, and who sends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM 1024

static void tried(const char *call, long result)
{
	printf("%s: %ld", call, result);
	if (result < 0) printf(" error %d", errno);
	printf("\n");
}

#define TRY(call) tried(#call, call)

/* Sends a text with so many descriptors, and with credentials if there are some. */
static long pass(int over, const char *text, const int *fds, int count, const struct ucred *who)
{
	static union { char bytes[ROOM]; struct cmsghdr align; } control;
	struct iovec part = { .iov_base = (void *)text, .iov_len = strlen(text) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = ROOM };
	memset(&control, 0, sizeof control);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	size_t used = 0;
	if (who) {
		head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_CREDENTIALS, head->cmsg_len = CMSG_LEN(sizeof *who);
		memcpy(CMSG_DATA(head), who, sizeof *who);
		used = (char *)CMSG_NXTHDR(&message, head) - control.bytes;
		head = CMSG_NXTHDR(&message, head);
	}
	if (count) {
		head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, count * sizeof(int));
		used += CMSG_SPACE(count * sizeof(int));
	}
	message.msg_controllen = used;
	if (!used) message.msg_control = 0;
	return sendmsg(over, &message, MSG_NOSIGNAL);
}

static long pass_one(int over, const char *text, int fd)
{
	return pass(over, text, &fd, 1, 0);
}

/* Receives and tells; keeps descriptors. */
static int take(int over, int flags, size_t room, int fds[8], struct ucred *who)
{
	static union { char bytes[ROOM]; struct cmsghdr align; } control;
	char text[16] = "";
	struct iovec part = { .iov_base = text, .iov_len = sizeof text - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = room };
	long length = recvmsg(over, &message, flags);
	int count = 0;
	if (length < 0) {
		printf("received: error %d\n", errno);
		return 0;
	}
	printf("received %ld '%s'%s", length, text, message.msg_flags & MSG_CTRUNC ? " cut" : "");
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
		if (head->cmsg_type == SCM_RIGHTS) {
			count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(head), count * sizeof(int));
			printf(" %d descriptors", count);
		} else if (head->cmsg_type == SCM_CREDENTIALS) {
			memcpy(who, CMSG_DATA(head), sizeof *who);
			printf(" credentials %d %d", (int)who->uid, (int)who->gid);
		}
	}
	printf("\n");
	return count;
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++) close(fds[i]);
}

static void descriptors_reach_another_process(int kind)
{
	int ends[2], pipes[2], fds[8], status;
	char byte = 0;
	struct ucred who;
	if (socketpair(AF_UNIX, kind, 0, ends) || pipe(pipes)) return;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		close(pipes[1]);
		int count = take(ends[1], 0, ROOM, fds, &who);
		printf("child writes: %zd\n", count == 1 ? write(fds[0], "!", 1) : -1);
		fflush(stdout);
		_exit(0);
	}
	long sent = pass_one(ends[0], "a pipe", pipes[1]);
	close(pipes[1]);
	waitpid(child, &status, 0);
	printf("sent: %ld\n", sent);
	TRY(read(pipes[0], &byte, 1));
	TRY(read(pipes[0], &byte, 1));
	close_all(ends, 2), close(pipes[0]);
}

static void messages_keep_their_descriptors(int kind)
{
	int ends[2], fds[8];
	struct ucred who;
	if (socketpair(AF_UNIX, kind | SOCK_NONBLOCK, 0, ends)) return;
	TRY(send(ends[0], "ab", 2, 0));
	TRY(pass_one(ends[0], "cd", 0));
	TRY(send(ends[0], "ef", 2, 0));
	TRY(pass(ends[0], "gh", (int[]){ 0, 1, 2 }, 3, 0));
	TRY(send(ends[0], "ij", 2, 0));
	close_all(fds, take(ends[1], MSG_PEEK, ROOM, fds, &who));
	for (int i = 0; i < 6; i++) close_all(fds, take(ends[1], 0, ROOM, fds, &who));
	close_all(ends, 2);
}

static void what_does_not_fit_is_cut(void)
{
	int ends[2], fds[8], pipes[2];
	char byte;
	struct ucred who;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) || pipe2(pipes, O_NONBLOCK)) return;
	TRY(pass(ends[0], "three", (int[]){ pipes[1], pipes[1], pipes[1] }, 3, 0));
	close(pipes[1]);
	int count = take(ends[1], MSG_CMSG_CLOEXEC, CMSG_LEN(2 * sizeof(int)), fds, &who);
	printf("kept: %d\n", count);
	for (int i = 0; i < count; i++) TRY(fcntl(fds[i], F_GETFD));
	TRY(read(pipes[0], &byte, 1));
	close_all(fds, count);
	TRY(read(pipes[0], &byte, 1));
	TRY(pass_one(ends[0], "none", 1));
	take(ends[1], 0, 0, fds, &who);
	TRY(pass_one(ends[0], "unasked", 1));
	TRY(read(ends[1], &(char[8]){ 0 }, 8));
	TRY(pass_one(ends[0], "bad", 99));
	TRY(pass(ends[0], "", (int[]){ 1 }, 1, 0));
	static int many[254];
	TRY(pass(ends[0], "many", many, 200, 0));
	take(ends[1], 0, 0, fds, &who);
	close_all(ends, 2), close(pipes[0]);
}

static void senders_are_told(int kind)
{
	int ends[2], one = 1, fds[8], status;
	struct ucred who = { 0 }, own = { getpid(), getuid(), getgid() }, other = { getpid() + 1, getuid(), getgid() };
	socklen_t length = sizeof who;
	if (socketpair(AF_UNIX, kind, 0, ends)) return;
	TRY(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &who, &length));
	printf("peer: %d %d %d, %d bytes\n", who.pid == getpid(), (int)who.uid, (int)who.gid, (int)length);
	TRY(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
	one = 0;
	length = sizeof one;
	TRY(getsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, &length));
	printf("set: %d\n", one);
	TRY(pass(ends[0], "mine", 0, 0, &own));
	take(ends[1], 0, ROOM, fds, &who);
	printf("mine: %d\n", who.pid == getpid());
	TRY(send(ends[0], "plain", 5, 0));
	fflush(stdout);
	pid_t child = fork();
	if (!child) _exit(send(ends[0], "child", 5, 0) != 5);
	waitpid(child, &status, 0);
	TRY(pass_one(ends[0], "after", 1));
	take(ends[1], 0, ROOM, fds, &who);
	printf("plain: %d\n", who.pid == getpid());
	take(ends[1], 0, ROOM, fds, &who);
	printf("child: %d\n", who.pid == child);
	close_all(fds, take(ends[1], 0, ROOM, fds, &who));
	printf("after: %d\n", who.pid == getpid());
	fflush(stdout);
	child = fork();
	if (!child) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) _exit(1);
		own = (struct ucred){ getpid(), 1000, 1000 };
		TRY(pass(ends[0], "user", 0, 0, &own));
		own.uid = 0;
		TRY(pass(ends[0], "root", 0, 0, &own));
		TRY(pass(ends[0], "other", 0, 0, &other));
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	take(ends[1], 0, ROOM, fds, &who);
	close_all(ends, 2);
}

static void listeners_know_who_connects(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0passing" };
	struct ucred who;
	socklen_t length = sizeof address, size = sizeof who;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), status;
	TRY(getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &who, &size));
	printf("nobody: %d %d %d\n", (int)who.pid, (int)who.uid, (int)who.gid);
	TRY(bind(listener, (struct sockaddr *)&address, length));
	TRY(listen(listener, 1));
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		int client = socket(AF_UNIX, SOCK_STREAM, 0);
		TRY(connect(client, (struct sockaddr *)&address, length));
		TRY(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &size));
		printf("server: %d\n", who.pid == getppid());
		fflush(stdout);
		_exit(read(client, &status, 1) != 0);
	}
	int server = accept(listener, 0, 0);
	TRY(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &size));
	int known = who.pid == child;
	close(server);
	waitpid(child, &status, 0);
	printf("client: %d, ended %x\n", known, status);
	close(listener);
}

int main(void)
{
	descriptors_reach_another_process(SOCK_STREAM);
	descriptors_reach_another_process(SOCK_DGRAM);
	descriptors_reach_another_process(SOCK_SEQPACKET);
	messages_keep_their_descriptors(SOCK_STREAM);
	messages_keep_their_descriptors(SOCK_DGRAM);
	messages_keep_their_descriptors(SOCK_SEQPACKET);
	what_does_not_fit_is_cut();
	senders_are_told(SOCK_STREAM);
	senders_are_told(SOCK_DGRAM);
	senders_are_told(SOCK_SEQPACKET);
	listeners_know_who_connects();
	return 0;
}
