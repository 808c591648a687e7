/* Handlers that are called, jumped out of, and waited for while a program computes and makes no system call. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBERS 20000

static volatile sig_atomic_t ticks;
static sigjmp_buf out;

static void tick(int signal)
{
	ticks++;
}

static void jump(int signal)
{
	siglongjmp(out, signal);
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	if (sigaction(signal, &action, 0)) exit(90);
}

static void every(int microseconds)
{
	struct timeval interval = { 0, microseconds };
	struct itimerval timer = { interval, interval };
	if (setitimer(ITIMER_REAL, &timer, 0)) exit(91);
}

static __attribute__((__noinline__)) void a_loop_sees_what_handlers_do(void)
{
	handle(SIGALRM, tick);
	ticks = 0;
	every(1000);
	while (ticks < 5) ;
	every(0);
	puts("a loop: ticked");
}

/* No loop, and no end before a handler has been called. */
static unsigned climb(unsigned depth)
{
	if (ticks) return 1;
	if (!depth) return 0;
	return climb(depth - 1) + climb(depth - 1);
}

static __attribute__((__noinline__)) void so_does_a_function_that_calls_itself(void)
{
	ticks = 0;
	every(1000);
	unsigned counted = climb(1000);
	every(0);
	printf("a recursion: %s\n", counted ? "ticked" : "not ticked");
}

static __attribute__((__noinline__)) void spin(void)
{
	for (;;) ;
}

static __attribute__((__noinline__)) void a_loop_is_jumped_out_of(void)
{
	struct itimerval once = { .it_value = { 0, 1000 } };
	volatile int rounds = 0;
	handle(SIGALRM, jump);
	if (sigsetjmp(out, 1)) rounds++;
	if (rounds < 3) {
		setitimer(ITIMER_REAL, &once, 0);
		spin();
	}
	printf("jumps out of loops: %d\n", rounds);
}

static int compare(const void *left, const void *right)
{
	unsigned first = *(const unsigned *)left, second = *(const unsigned *)right;
	return (first > second) - (first < second);
}

/* What handlers interrupt goes on with what it had. */
static __attribute__((__noinline__)) void nothing_is_lost_that_is_interrupted(void)
{
	static unsigned numbers[NUMBERS];
	unsigned state = 1, wrong = 0;
	handle(SIGALRM, tick);
	ticks = 0;
	every(200);
	do {
		for (int i = 0; i < NUMBERS; i++) numbers[i] = state = state * 1664525 + 1013904223;
		qsort(numbers, NUMBERS, sizeof *numbers, compare);
		for (int i = 1; i < NUMBERS; i++) wrong += numbers[i - 1] > numbers[i];
	} while (ticks < 20);
	every(0);
	printf("sorted: %u wrong\n", wrong);
}

/* Frames that are written and restored meanwhile stay whole. */
static __attribute__((__noinline__)) void forks_go_on(void)
{
	int sum = 0, rounds = 0;
	ticks = 0;
	every(200);
	while (rounds < 50 || ticks < 20) {
		pid_t child = fork();
		if (child < 0) exit(92);
		if (!child) {
			for (volatile int i = 0; i < 20000; i++) ;
			_exit(7);
		}
		int status;
		while (waitpid(child, &status, 0) < 0) if (errno != EINTR) exit(93);
		sum += WEXITSTATUS(status) - 7;
		rounds++;
	}
	every(0);
	printf("forks: %d wrong\n", sum);
}

static void leave(int signal)
{
	_exit(signal);
}

static __attribute__((__noinline__)) void a_child_that_computes_is_stopped_goes_on_and_ends(void)
{
	int ready[2], status;
	char byte;
	if (pipe(ready)) exit(94);
	pid_t child = fork();
	if (!child) {
		handle(SIGTERM, leave);
		if (write(ready[1], "!", 1) != 1) _exit(95);
		for (;;) ;
	}
	if (read(ready[0], &byte, 1) != 1) exit(96);
	kill(child, SIGSTOP);
	waitpid(child, &status, WUNTRACED);
	printf("stopped: %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	kill(child, SIGTERM);
	printf("nothing ends it meanwhile: %d\n", waitpid(child, &status, WNOHANG));
	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	printf("ended: %d with %d\n", WIFEXITED(status), WEXITSTATUS(status));
}

int main(void)
{
	a_loop_sees_what_handlers_do();
	so_does_a_function_that_calls_itself();
	a_loop_is_jumped_out_of();
	nothing_is_lost_that_is_interrupted();
	fflush(stdout);
	forks_go_on();
	fflush(stdout);
	a_child_that_computes_is_stopped_goes_on_and_ends();
	return 0;
}
