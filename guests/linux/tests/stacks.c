/* Alternate stacks of handlers, limits of files' sizes, what is left of a time-out, and waits for signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

static _Alignas(16) char stack[64 * 1024], other[64 * 1024];
static volatile sig_atomic_t was_there, was_told, inner, refused;
static sigjmp_buf out;

/* The C libraries have different texts. */
static int of(int failed)
{
	return failed ? errno : 0;
}

static int is_on(const char *area)
{
	char here;
	volatile char *address = &here;
	return address >= area && address < area + sizeof stack;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	action.sa_flags = flags;
	if (sigaction(signal, &action, 0)) exit(1);
}

static void look(int signal)
{
	stack_t now, new = { .ss_sp = other, .ss_size = sizeof other };
	was_there = is_on(stack);
	sigaltstack(0, &now);
	was_told = now.ss_flags;
	refused = of(sigaltstack(&new, 0));
}

static void look_inside(int signal)
{
	raise(SIGUSR2);
	inner = was_there * 10 + was_told;
}

static void leave(int signal)
{
	siglongjmp(out, 1);
}

static void handlers_run_on_their_stack(void)
{
	stack_t none, set = { .ss_sp = stack, .ss_size = sizeof stack }, got;
	printf("none: %d, ", of(sigaltstack(0, &none)));
	printf("%d\n", none.ss_flags);
	printf("set: %d\n", of(sigaltstack(&set, 0)));
	sigaltstack(0, &got);
	printf("kept: %d %d %d\n", got.ss_sp == stack, (int)got.ss_size, got.ss_flags);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	printf("there: %d %d %d\n", was_there, was_told, refused);
	sigaltstack(0, &got);
	printf("back: %d %d\n", is_on(stack), got.ss_flags);
	handle(SIGUSR1, look, 0);
	sigset_t both;
	raise(SIGUSR1);
	printf("not asked: %d %d %d\n", was_there, was_told, refused);
	sigaltstack(&set, 0);
	handle(SIGUSR1, look_inside, SA_ONSTACK);
	handle(SIGUSR2, look, SA_ONSTACK);
	raise(SIGUSR1);
	printf("inside: %d\n", inner);
	sigemptyset(&both);
	if (!sigsetjmp(out, 1)) {
		handle(SIGUSR1, leave, SA_ONSTACK);
		raise(SIGUSR1);
	}
	sigaltstack(0, &got);
	printf("jumped: %d %d\n", is_on(stack), got.ss_flags);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		sigaltstack(0, &got);
		_exit(got.ss_sp == stack && got.ss_flags == 0);
	}
	int status;
	waitpid(child, &status, 0);
	printf("child: %d\n", WEXITSTATUS(status));
}

static void what_is_no_stack_is_refused(void)
{
	stack_t small = { .ss_sp = stack, .ss_size = 100 };
	stack_t odd = { .ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 64 };
	stack_t off = { .ss_flags = SS_DISABLE }, now;
	printf("small: %d\n", of(sigaltstack(&small, 0)));
	printf("odd: %d\n", of(sigaltstack(&odd, 0)));
	printf("off: %d", of(sigaltstack(&off, &now)));
	sigaltstack(0, &now);
	printf(", %d\n", now.ss_flags);
}

static volatile sig_atomic_t counted;

static void count(int signal)
{
	counted++;
}

/* In a child: a limit does not go away. */
static void files_end_at_their_limit(void)
{
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		struct rlimit limit = { 10, 10 };
		char name[] = "/tmp/limitXXXXXX";
		handle(SIGXFSZ, count, 0);
		setrlimit(RLIMIT_FSIZE, &limit);
		int fd = mkstemp(name);
		unlink(name);
		int first = write(fd, "12345678", 8), second = write(fd, "12345678", 8);
		printf("written: %d %d, signals %d\n", first, second, counted);
		int failed = of(write(fd, "1", 1) < 0);
		printf("beyond: %d, signals %d\n", failed, counted);
		failed = of(pwrite(fd, "1", 1, 10) < 0);
		printf("at: %d, signals %d\n", failed, counted);
		failed = of(ftruncate(fd, 11));
		printf("cut: %d, signals %d\n", failed, counted);
		failed = of(posix_fallocate(fd, 0, 11));
		printf("room: %d, signals %d\n", failed, counted);
		failed = of(ftruncate(fd, 10));
		printf("within: %d, signals %d\n", failed, counted);
		fflush(stdout);
		signal(SIGXFSZ, SIG_DFL);
		write(fd, "1", 1);
		pwrite(fd, "1", 1, 20);
		_exit(1);
	}
	int status;
	waitpid(child, &status, 0);
	printf("ended by SIGXFSZ: %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

/* The C libraries keep what the kernel tells to themselves. */
static void what_is_left_is_told(void)
{
	struct timespec time = { 5, 0 };
	int ends[2];
	pipe(ends);
	write(ends[1], "x", 1);
	struct pollfd in = { .fd = ends[0], .events = POLLIN };
	syscall(SYS_ppoll, &in, 1, &time, 0, 8);
	printf("ppoll: %d\n", time.tv_sec == 4 && time.tv_nsec > 0);
	char byte;
	read(ends[0], &byte, 1);
	time = (struct timespec){ 0, 2000000 };
	printf("passed: %d", (int)syscall(SYS_ppoll, &in, 1, &time, 0, 8));
	printf(", %d\n", time.tv_sec == 0 && time.tv_nsec == 0);
	struct timeval value = { 5, 0 };
	fd_set set;
	FD_ZERO(&set);
	FD_SET(ends[1], &set);
	syscall(SYS_select, ends[1] + 1, 0, &set, 0, &value);
	printf("select: %d\n", value.tv_sec == 4 && value.tv_usec > 0);
	time = (struct timespec){ 5, 0 };
	FD_SET(ends[1], &set);
	syscall(SYS_pselect6, ends[1] + 1, 0, &set, 0, &time, 0);
	printf("pselect6: %d\n", time.tv_sec == 4 && time.tv_nsec > 0);
	handle(SIGALRM, count, 0);
	struct timespec interrupted = { 5, 0 };
	ualarm(20000, 0);
	int result = syscall(SYS_ppoll, &in, 1, &interrupted, 0, 8);
	printf("interrupted: %d, %d\n", of(result < 0), interrupted.tv_sec == 4);
}

static void signals_are_waited_for(void)
{
	sigset_t set, others;
	siginfo_t info;
	struct timespec none = { 0, 0 }, soon = { 0, 2000000 }, later = { 5, 0 }, odd = { 0, 1000000000 };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &others);
	printf("none: %d\n", of(sigtimedwait(&set, &info, &none) < 0));
	printf("passed: %d\n", of(sigtimedwait(&set, &info, &soon) < 0));
	printf("odd: %d\n", of(sigtimedwait(&set, &info, &odd) < 0));
	union sigval value = { .sival_int = 7 };
	sigqueue(getpid(), SIGRTMIN + 2, value);
	value.sival_int = 8;
	sigqueue(getpid(), SIGRTMIN + 1, value);
	value.sival_int = 9;
	sigqueue(getpid(), SIGRTMIN + 1, value);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 4; i++) {
		int number = sigtimedwait(&set, &info, &later);
		int shown = number == SIGUSR1 ? 0 : number - SIGRTMIN;
		printf("taken: %d, code %d, own %d, value %d\n", shown, info.si_code, info.si_pid == getpid(),
			shown ? info.si_value.sival_int : 0);
	}
	/* Ignored by default, but blocked and waited for. */
	fflush(stdout);
	pid_t child = fork();
	if (!child) _exit(3);
	int number = sigtimedwait(&set, &info, &later);
	printf("child: %d %d %d\n", number == SIGCHLD, info.si_pid == child, info.si_status);
	waitpid(child, 0, 0);
	handle(SIGALRM, count, SA_RESTART);
	ualarm(20000, 0);
	/* One of the C libraries waits again by itself. */
	printf("interrupted: %d\n", of(syscall(SYS_rt_sigtimedwait, &set, &info, &later, 8) < 0));
	sigprocmask(SIG_SETMASK, &others, 0);
}

int main(void)
{
	handlers_run_on_their_stack();
	what_is_no_stack_is_refused();
	files_end_at_their_limit();
	what_is_left_is_told();
	signals_are_waited_for();
	return 0;
}
