/*
 * What processes cost: each way of using this program prints the nanoseconds of one round. The same source is compiled for the
 * machine itself.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FORKED_BYTES (2 << 20)

extern char **environ;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void print_round(double start, int rounds)
{
	printf("%.0f\n", (now() - start) / rounds);
}

static pid_t start(char **argv)
{
	pid_t child;
	int error = posix_spawnp(&child, argv[0], 0, 0, argv, environ);
	if (error) {
		fprintf(stderr, "%s: %s\n", argv[0], strerror(error));
		exit(1);
	}
	return child;
}

static void finish(pid_t child)
{
	int status;
	if (waitpid(child, &status, 0) != child || status) fail("waitpid");
}

static void spawn(char *self, int rounds)
{
	char *argv[] = { self, "nothing", 0 };
	double begun = now();
	for (int i = 0; i < rounds; i++) finish(start(argv));
	print_round(begun, rounds);
}

static void forks(int rounds)
{
	char *memory = malloc(FORKED_BYTES);
	memset(memory, 1, FORKED_BYTES);
	double begun = now();
	for (int i = 0; i < rounds; i++) {
		pid_t child = fork();
		if (child < 0) fail("fork");
		if (!child) _exit(memory[i] - 1);
		finish(child);
	}
	print_round(begun, rounds);
}

/* A system call that has nothing to do. */
static void calls(int rounds)
{
	double begun = now();
	for (int i = 0; i < rounds; i++) getppid();
	print_round(begun, rounds);
}

/* 4 KiB of a file that is in memory. */
static void reads(int rounds)
{
	static char page[4096];
	FILE *made = tmpfile();
	if (!made || write(fileno(made), page, sizeof page) != sizeof page) fail("tmpfile");
	double begun = now();
	for (int i = 0; i < rounds; i++) if (pread(fileno(made), page, sizeof page, 0) != sizeof page) fail("pread");
	print_round(begun, rounds);
}

static void note(int signal)
{
}

/* In loops, which poll for signals, since the program has a handler. */
static void numbers(int rounds)
{
	static unsigned char sieve[65536];
	unsigned found = 0;
	signal(SIGUSR1, note);
	double begun = now();
	for (int i = 0; i < rounds; i++) {
		memset(sieve, 0, sizeof sieve);
		for (unsigned factor = 2; factor * factor < sizeof sieve; factor++) {
			if (sieve[factor]) continue;
			for (unsigned multiple = factor * factor; multiple < sizeof sieve; multiple += factor) sieve[multiple] = 1;
		}
		for (unsigned number = 2; number < sizeof sieve; number++) found += !sieve[number];
	}
	if (found != rounds * 6542u) fail("primes");
	print_round(begun, rounds);
}

static void ping_pong(int rounds)
{
	int there[2], back[2];
	char byte = 0;
	if (pipe(there) || pipe(back)) fail("pipe");
	pid_t child = fork();
	if (child < 0) fail("fork");
	if (!child) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1) write(back[1], &byte, 1);
		_exit(0);
	}
	double begun = now();
	for (int i = 0; i < rounds; i++) {
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) fail("pipe");
	}
	print_round(begun, rounds);
	close(there[1]);
	finish(child);
}

static void timed(char **argv)
{
	double begun = now();
	finish(start(argv));
	print_round(begun, 1);
}

/* Leaves processes behind that do nothing until they are ended. */
static void idle(char *self, int count)
{
	char *argv[] = { self, "hold", 0 };
	for (int i = 0; i < count; i++) start(argv);
	for (;;) pause();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int count = argc > 2 ? atoi(argv[2]) : 0;
	if (!strcmp(what, "nothing")) return 0;
	if (!strcmp(what, "hold")) for (;;) pause();
	if (!strcmp(what, "spawn")) spawn(argv[0], count);
	else if (!strcmp(what, "fork")) forks(count);
	else if (!strcmp(what, "call")) calls(count);
	else if (!strcmp(what, "read")) reads(count);
	else if (!strcmp(what, "primes")) numbers(count);
	else if (!strcmp(what, "ping-pong")) ping_pong(count);
	else if (!strcmp(what, "time") && argc > 2) timed(argv + 2);
	else if (!strcmp(what, "idle")) idle(argv[0], count);
	else {
		fprintf(stderr, "usage: processes nothing|hold|spawn N|fork N|call N|read N|primes N|ping-pong N|time PROGRAM [ARGUMENT...]|idle N\n");
		return 2;
	}
	return 0;
}
