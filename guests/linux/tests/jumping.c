/*
 * Jumps, also out of a handler, and with FORKS a child that jumps: what it prints is the same however it is linked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf outer, inner;
static sigjmp_buf interrupted;

static void deep(int depth, jmp_buf to)
{
	if (!depth) longjmp(to, depth);
	deep(depth - 1, to);
	printf("not here\n");
}

static int nested(void)
{
	volatile int rounds = 0;
	int value = setjmp(inner);
	if (value) rounds++;
	if (rounds < 3) deep(10 * rounds, inner);
	printf("inner: %d after %d rounds\n", value, rounds);
	deep(3, outer);
	return 0;
}

static void handle(int signal)
{
	siglongjmp(interrupted, signal);
}

static void jump_out_of_handler(int save_mask)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, 0);
	int value = sigsetjmp(interrupted, save_mask);
	if (!value) raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, 0, &mask);
	printf("handler: %d, blocked %d\n", value == SIGUSR1, sigismember(&mask, SIGUSR1));
}

#ifdef FORKS
static void jump_in_child(void)
{
	int status = 0;
	fflush(stdout);
	pid_t child = fork();
	if (child < 0) {
		printf("no child: %s\n", strerror(errno));
		return;
	}
	if (!child) {
		int value = setjmp(inner);
		if (!value) deep(5, inner);
		_exit(40 + value);
	}
	waitpid(child, &status, 0);
	printf("child: %d\n", WEXITSTATUS(status));
}
#endif

int main(void)
{
	volatile int before = 1;
	if (!setjmp(outer)) {
		before++;
		nested();
	}
	printf("outer: %d\n", before);
	signal(SIGUSR1, handle);
	jump_out_of_handler(1);
	jump_out_of_handler(0);
#ifdef FORKS
	jump_in_child();
#endif
	return 7;
}
