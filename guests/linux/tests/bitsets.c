/* Threads that wait for some bits of a futex; a thread that becomes another program with its own mask. Argument: this program. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_BITSET = 9, WAKE_BITSET = 10, WAKE = 1, REALTIME = 256 };

static int word;
static char *program;

static long futex(int operation, int number, struct timespec *time, int bits)
{
	return syscall(SYS_futex, &word, operation, number, time, 0, bits);
}

static void *wait_for(void *bits)
{
	long result = futex(WAIT_BITSET, 0, 0, (int)(long)bits);
	return (void *)(result ? (long)errno : 0);
}

/* Until so many are woken, since threads take their time to wait. */
static long wake(int bits, int count)
{
	long woken = 0;
	while (woken < count) {
		woken += futex(WAKE_BITSET, count - woken, 0, bits);
		sched_yield();
	}
	return woken;
}

static void only_those_that_are_meant_are_woken(void)
{
	pthread_t threads[3];
	void *result;
	for (long i = 0; i < 3; i++) pthread_create(&threads[i], 0, wait_for, (void *)(1L << i));
	printf("second: %ld\n", wake(2, 1));
	pthread_join(threads[1], &result);
	printf("ended: %ld\n", (long)result);
	printf("again: %ld, other bits: %ld\n", futex(WAKE_BITSET, 9, 0, 2), futex(WAKE_BITSET, 9, 0, 8));
	printf("both: %ld\n", wake(1 | 4, 2));
	pthread_join(threads[0], 0);
	pthread_join(threads[2], 0);
	pthread_create(&threads[0], 0, wait_for, (void *)16L);
	while (futex(WAKE, 1, 0, 0) == 0) sched_yield();
	pthread_join(threads[0], &result);
	printf("by all: %ld\n", (long)result);
}

static void times_are_absolute(void)
{
	struct timespec past = { 1, 0 };
	printf("none: %d", futex(WAIT_BITSET, 0, 0, 0) < 0 ? errno : 0);
	printf(", %d\n", futex(WAKE_BITSET, 1, 0, 0) < 0 ? errno : 0);
	printf("changed: %d\n", futex(WAIT_BITSET, 7, 0, 1) < 0 ? errno : 0);
	printf("past: %d", futex(WAIT_BITSET, 0, &past, 1) < 0 ? errno : 0);
	printf(", %d\n", futex(WAIT_BITSET | REALTIME, 0, &past, 1) < 0 ? errno : 0);
}

static void *become(void *nothing)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, 0);
	execl(program, program, program, "masked", (char *)0);
	return 0;
}

int main(int count, char **arguments)
{
	sigset_t set;
	pthread_t thread;
	program = arguments[1];
	if (count > 2) {
		sigprocmask(SIG_BLOCK, 0, &set);
		printf("blocked: %d %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2));
		return 0;
	}
	only_those_that_are_meant_are_woken();
	times_are_absolute();
	fflush(stdout);
	sigemptyset(&set);
	pthread_create(&thread, 0, become, 0);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, 0);
	pthread_join(thread, 0);
	return 0;
}
