/* What is said of signals: codes, senders, values, queues; and signals that are read. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The C libraries have different texts. */
static const char *number_of(int error)
{
	static char text[16];
	snprintf(text, sizeof text, "error %d", error);
	return text;
}

static pid_t child;

static const char *who(pid_t pid)
{
	return pid == getpid() ? "me" : pid == child ? "my child" : pid ? "another" : "nobody";
}

/* The C libraries keep different signals for themselves. */
static int plain(int signal)
{
	return signal < SIGRTMIN ? signal : 100 + signal - SIGRTMIN;
}

static void tell(int signal, siginfo_t *info, void *context)
{
	(void)context;
	printf("%d: code %d", plain(signal), info->si_code);
	if (info->si_code <= 0) printf(" of %s, user %d", who(info->si_pid), info->si_uid == getuid());
	if (info->si_code == SI_QUEUE) printf(", value %d", info->si_value.sival_int);
	if (signal == SIGCHLD && info->si_code > 0) printf(" of %s, status %d", who(info->si_pid), info->si_status);
	printf("\n");
}

static void handle(int signal, int flags)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = tell;
	action.sa_flags = SA_SIGINFO | flags;
	sigfillset(&action.sa_mask);
	if (sigaction(signal, &action, 0)) exit(1);
}

static void mask(int how, int first, int second)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, first);
	if (second) sigaddset(&set, second);
	sigprocmask(how, &set, 0);
}

static void handlers_are_told_who_sends(void)
{
	handle(SIGUSR1, 0);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 77 });
	handle(SIGPIPE, 0);
	int ends[2];
	if (pipe(ends)) return;
	close(ends[0]);
	if (write(ends[1], "x", 1) < 0) printf("pipe: %s\n", number_of(errno));
	close(ends[1]);
}

static void high_signals_queue_and_low_ones_do_not(void)
{
	int high = SIGRTMIN + 3;
	handle(high, 0);
	handle(SIGUSR2, 0);
	mask(SIG_BLOCK, high, SIGUSR2);
	for (int i = 1; i <= 3; i++) {
		sigqueue(getpid(), high, (union sigval){ .sival_int = i });
		sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = i });
	}
	mask(SIG_UNBLOCK, high, SIGUSR2);
}

static void a_wait_is_told_who_sends(void)
{
	siginfo_t info;
	sigset_t set;
	struct timespec none = { 0, 0 };
	mask(SIG_BLOCK, SIGUSR1, SIGRTMIN + 4);
	sigqueue(getpid(), SIGRTMIN + 4, (union sigval){ .sival_int = 5 });
	kill(getpid(), SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 4);
	for (int i = 0; i < 3; i++) {
		int signal = sigtimedwait(&set, &info, &none);
		if (signal < 0) printf("no more: %s\n", number_of(errno));
		else tell(signal, &info, 0);
	}
	mask(SIG_UNBLOCK, SIGUSR1, SIGRTMIN + 4);
}

static void parents_are_told_what_became_of_children(void)
{
	siginfo_t info;
	sigset_t set;
	int status;
	mask(SIG_BLOCK, SIGCHLD, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	fflush(stdout);
	if (!(child = fork())) _exit(3);
	tell(sigwaitinfo(&set, &info), &info, 0);
	waitpid(child, &status, 0);
	if (!(child = fork())) for (;;) pause();
	kill(child, SIGSTOP);
	tell(sigwaitinfo(&set, &info), &info, 0);
	kill(child, SIGCONT);
	tell(sigwaitinfo(&set, &info), &info, 0);
	kill(child, SIGKILL);
	tell(sigwaitinfo(&set, &info), &info, 0);
	waitpid(child, &status, 0);
	mask(SIG_UNBLOCK, SIGCHLD, 0);
}

static void signals_are_read(void)
{
	struct signalfd_siginfo told[4];
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;
	mask(SIG_BLOCK, SIGUSR1, SIGRTMIN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), poll = epoll_create1(0);
	epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
	printf("quiet: %d\n", epoll_wait(poll, &event, 1, 0));
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 8 });
	printf("not meant: %d\n", epoll_wait(poll, &event, 1, 0));
	sigaddset(&set, SIGRTMIN);
	printf("same: %d\n", signalfd(fd, &set, 0) == fd);
	kill(getpid(), SIGUSR1);
	printf("meant: %d\n", epoll_wait(poll, &event, 1, 1000));
	ssize_t length = read(fd, told, sizeof told);
	printf("read %zd\n", length / (ssize_t)sizeof *told);
	for (int i = 0; i < length / (int)sizeof *told; i++)
		printf("%d: code %d of %s, value %d\n", plain(told[i].ssi_signo), told[i].ssi_code, who(told[i].ssi_pid), told[i].ssi_int);
	length = read(fd, told, sizeof told);
	printf("empty: %s\n", number_of(errno));
	length = read(fd, told, 8);
	printf("short: %s\n", number_of(errno));
	mask(SIG_UNBLOCK, SIGUSR1, SIGRTMIN);
	close(fd), close(poll);
}

static void a_sleep_tells_what_is_left(void)
{
	struct timespec long_time = { 1000, 0 }, left = { 0, 0 };
	handle(SIGALRM, 0);
	ualarm(2000, 0);
	int slept = nanosleep(&long_time, &left);
	printf("slept %d, %d\n", slept, left.tv_sec >= 998 && left.tv_sec < 1000);
}

int main(void)
{
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	handlers_are_told_who_sends();
	high_signals_queue_and_low_ones_do_not();
	a_wait_is_told_who_sends();
	parents_are_told_what_became_of_children();
	signals_are_read();
	a_sleep_tells_what_is_left();
	return 0;
}
