/* Fifos, whose ends wait for each other. The argument is a directory to work in. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int opened_by_handler = -1;

static void tried(const char *call, long result)
{
	printf("%s: %ld", call, result);
	if (result < 0) printf(" error %d", errno);
	printf("\n");
}

#define TRY(call) tried(#call, call)

static void tick(int flags, void (*handler)(int), long microseconds)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	struct itimerval timer = { .it_value.tv_usec = microseconds, .it_interval.tv_usec = microseconds };
	sigaction(SIGALRM, &action, 0);
	setitimer(ITIMER_REAL, &timer, 0);
}

static void note(int signal)
{
	(void)signal;
}

static void open_reader(int signal)
{
	(void)signal;
	if (opened_by_handler < 0) opened_by_handler = open("fifo", O_RDONLY | O_NONBLOCK);
}

static void ends_that_cannot_wait_answer(void)
{
	char byte;
	TRY(open("fifo", O_WRONLY | O_NONBLOCK));
	int reader = open("fifo", O_RDONLY | O_NONBLOCK);
	struct pollfd polled = { .fd = reader, .events = POLLIN };
	TRY(read(reader, &byte, 1));
	TRY(poll(&polled, 1, 0));
	int writer = open("fifo", O_WRONLY);
	TRY(read(reader, &byte, 1));
	TRY(write(writer, "abc", 3));
	TRY(read(reader, &byte, 1));
	close(writer);
	TRY(read(reader, &byte, 1));
	TRY(read(reader, &byte, 1));
	TRY(read(reader, &byte, 1));
	TRY(poll(&polled, 1, 0));
	printf("events: %x\n", polled.revents);
	close(reader);
	int both = open("fifo", O_RDWR);
	TRY(write(both, "d", 1));
	TRY(read(both, &byte, 1));
	TRY(fcntl(both, F_GETFL) & O_ACCMODE);
	close(both);
}

static void readers_and_writers_meet(void)
{
	char bytes[8];
	int status;
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (!child) {
			int writer = open("fifo", O_WRONLY);
			_exit(write(writer, "hello", 5) != 5);
		}
		int reader = open("fifo", O_RDONLY);
		ssize_t length = read(reader, bytes, 8), end = read(reader, bytes, 8);
		waitpid(child, &status, 0);
		if (length != 5 || end || status || memcmp(bytes, "hello", 5)) printf("round %d: %zd %zd %x\n", i, length, end, status);
		close(reader);
	}
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (!child) _exit(open("fifo", O_RDONLY) < 0);
		int writer = open("fifo", O_WRONLY);
		if (writer < 0) printf("round %d: error %d\n", i, errno);
		close(writer);
		waitpid(child, &status, 0);
		if (status) printf("round %d: %x\n", i, status);
	}
}

static void handlers_interrupt_and_restart(void)
{
	tick(0, note, 5000);
	TRY(open("fifo", O_RDONLY));
	TRY(open("fifo", O_WRONLY));
	tick(SA_RESTART, open_reader, 5000);
	int writer = open("fifo", O_WRONLY);
	tick(SA_RESTART, note, 0);
	printf("restarted: %d %d\n", writer >= 0, opened_by_handler >= 0);
	TRY(write(writer, "x", 1));
	TRY(fsync(writer));
	TRY(fdatasync(open("/dev/null", O_WRONLY)));
	close(writer), close(opened_by_handler);
	TRY(open("fifo", O_WRONLY | O_NONBLOCK));
}

static void a_reader_that_is_killed_leaves_nothing(void)
{
	int status;
	pid_t child = fork();
	if (!child) _exit(open("fifo", O_RDONLY) < 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	printf("killed by %d\n", WTERMSIG(status));
	TRY(open("fifo", O_WRONLY | O_NONBLOCK));
}

int main(int count, char **arguments)
{
	if (count != 2 || chdir(arguments[1])) return 1;
	TRY(mkfifo("fifo", 0600));
	fflush(stdout);
	ends_that_cannot_wait_answer();
	fflush(stdout);
	readers_and_writers_meet();
	handlers_interrupt_and_restart();
	fflush(stdout);
	a_reader_that_is_killed_leaves_nothing();
	TRY(unlink("fifo"));
	return 0;
}
