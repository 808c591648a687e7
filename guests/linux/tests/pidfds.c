/* Processes behind descriptors; signals that a child reads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The C libraries have different texts. */
static int of(int failed)
{
	return failed ? errno : 0;
}

static int pidfd_open(pid_t pid, unsigned flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_send_signal(int fd, int signal, siginfo_t *info)
{
	return syscall(SYS_pidfd_send_signal, fd, signal, info, 0);
}

static int pidfd_getfd(int fd, int number)
{
	return syscall(SYS_pidfd_getfd, fd, number, 0);
}

static int is_ready(int fd, int milliseconds)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };
	int count = poll(&one, 1, milliseconds);
	return count * 100 + one.revents;
}

/* A child that waits until what it reads from is closed. */
static pid_t waiting_child(int *end)
{
	int ends[2];
	pipe2(ends, O_CLOEXEC);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		char byte;
		close(ends[1]);
		read(ends[0], &byte, 1);
		_exit(5);
	}
	close(ends[0]);
	*end = ends[1];
	return child;
}

static void ends_are_told(void)
{
	int end;
	pid_t child = waiting_child(&end);
	int fd = pidfd_open(child, 0);
	printf("open: %d, closed at exec %d\n", fd >= 0, fcntl(fd, F_GETFD));
	printf("alive: %d\n", is_ready(fd, 0));
	char byte;
	printf("read: %d\n", of(read(fd, &byte, 1) < 0));
	int set = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	printf("in a set: %d\n", epoll_wait(set, &event, 1, 0));
	close(end);
	printf("ended: %d\n", is_ready(fd, -1));
	printf("in a set: %d\n", epoll_wait(set, &event, 1, -1));
	printf("zombie: %d\n", of(pidfd_send_signal(fd, 0, 0)));
	siginfo_t info;
	memset(&info, 0, sizeof info);
	printf("kept: %d\n", of(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT)));
	printf("waited: %d, ", of(waitid(P_PIDFD, fd, &info, WEXITED)));
	printf("%d %d %d\n", info.si_pid == child, info.si_code == CLD_EXITED, info.si_status);
	printf("again: %d\n", of(waitid(P_PIDFD, fd, &info, WEXITED)));
	printf("gone: %d\n", of(pidfd_send_signal(fd, 0, 0)));
	close(set);
	close(fd);
}

static void signals_go_to_the_one_behind(void)
{
	int end;
	pid_t child = waiting_child(&end);
	int fd = pidfd_open(child, O_NONBLOCK);
	siginfo_t info;
	memset(&info, 0, sizeof info);
	printf("not yet: %d\n", of(waitid(P_PIDFD, fd, &info, WEXITED)));
	printf("not asked: %d, %d\n", of(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG)), info.si_pid);
	printf("odd: %d\n", of(pidfd_send_signal(fd, 1000, 0)));
	memset(&info, 0, sizeof info);
	info.si_signo = SIGUSR1;
	info.si_code = SI_QUEUE;
	printf("other: %d\n", of(pidfd_send_signal(fd, SIGTERM, &info)));
	info.si_signo = SIGTERM;
	info.si_code = SI_USER;
	printf("forged: %d\n", of(pidfd_send_signal(fd, SIGTERM, &info)));
	info.si_code = SI_QUEUE;
	printf("sent: %d\n", of(pidfd_send_signal(fd, SIGTERM, &info)));
	printf("ended: %d\n", is_ready(fd, -1));
	waitid(P_PIDFD, fd, &info, WEXITED);
	printf("by: %d %d\n", info.si_code == CLD_KILLED, info.si_status == SIGTERM);
	close(end);
	close(fd);
}

static void what_is_none_is_refused(void)
{
	siginfo_t info;
	printf("nobody: %d\n", of(pidfd_open(4000000, 0) < 0));
	printf("zero: %d\n", of(pidfd_open(0, 0) < 0));
	printf("negative: %d\n", of(pidfd_open(-1, 0) < 0));
	printf("flags: %d\n", of(pidfd_open(getpid(), 1) < 0));
	printf("no descriptor: %d\n", of(pidfd_send_signal(99, 0, 0)));
	printf("no process: %d\n", of(pidfd_send_signal(1, 0, 0)));
	printf("wait: %d\n", of(waitid(P_PIDFD, 1, &info, WEXITED)));
	int own = pidfd_open(getpid(), 0);
	printf("no child: %d\n", of(waitid(P_PIDFD, own, &info, WEXITED)));
	close(own);
}

static void descriptors_are_taken(void)
{
	int there[2], told[2];
	char text[6] = "";
	pipe(told);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		pipe(there);
		write(there[1], "inside", 6);
		write(told[1], there, sizeof *there);
		pause();
	}
	int number;
	read(told[0], &number, sizeof number);
	int fd = pidfd_open(child, 0);
	int taken = pidfd_getfd(fd, number);
	printf("taken: %d, closed at exec %d\n", taken >= 0, fcntl(taken, F_GETFD));
	read(taken, text, 6);
	printf("read: %.6s\n", text);
	printf("none: %d\n", of(pidfd_getfd(fd, 90) < 0));
	printf("flags: %d\n", of(syscall(SYS_pidfd_getfd, fd, number, 1) < 0));
	kill(child, SIGKILL);
	is_ready(fd, -1);
	printf("ended: %d\n", of(pidfd_getfd(fd, number) < 0));
	waitpid(child, 0, 0);
	close(taken);
	close(fd);
}

static void a_child_reads_its_own_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	int fd = signalfd(-1, &set, SFD_NONBLOCK);
	struct signalfd_siginfo info;
	kill(getpid(), SIGUSR1);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		printf("the parent's: %d\n", of(read(fd, &info, sizeof info) < 0));
		kill(getpid(), SIGUSR1);
		printf("ready: %d\n", is_ready(fd, -1));
		printf("own: %d, ", (int)read(fd, &info, sizeof info));
		printf("%d\n", info.ssi_pid == getpid());
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
	printf("kept: %d, ", (int)read(fd, &info, sizeof info));
	printf("%d\n", info.ssi_pid == getpid());
	close(fd);
}

int main(void)
{
	ends_are_told();
	signals_go_to_the_one_behind();
	what_is_none_is_refused();
	descriptors_are_taken();
	a_child_reads_its_own_signals();
	return 0;
}
