/* Bytes that go from one descriptor to another without the program. The argument is a directory to work in. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void tried(const char *call, long result)
{
	printf("%s: %ld", call, result);
	if (result < 0) printf(" error %d", errno);
	printf("\n");
}

#define TRY(call) tried(#call, call)

static int file_with(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
	if (write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET)) printf("%s: error %d\n", name, errno);
	return fd;
}

static void show(const char *what, int fd)
{
	char text[64] = "";
	ssize_t length = pread(fd, text, sizeof text - 1, 0);
	printf("%s: %zd '", what, length);
	for (ssize_t i = 0; i < length; i++) putchar(text[i] ? text[i] : '.');
	printf("' at %d\n", (int)lseek(fd, 0, SEEK_CUR));
}

static void drain(const char *what, int fd)
{
	char text[64] = "";
	ssize_t length = read(fd, text, sizeof text - 1);
	printf("%s: %zd '%s'\n", what, length, text);
}

static void files_are_sent(void)
{
	int from = file_with("from", "0123456789"), to = file_with("to", ""), pipes[2], ends[2];
	off_t at = 3;
	if (pipe2(pipes, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return;
	TRY(sendfile(to, from, 0, 4));
	show("from", from);
	TRY(sendfile(pipes[1], from, &at, 100));
	printf("at %d\n", (int)at);
	show("from", from);
	drain("pipe", pipes[0]);
	TRY(sendfile(ends[0], from, 0, 100));
	drain("socket", ends[1]);
	TRY(sendfile(ends[0], from, 0, 100));
	show("to", to);
	at = -1;
	TRY(sendfile(to, from, &at, 1));
	at = 100;
	TRY(sendfile(to, from, &at, 1));
	TRY(sendfile(to, pipes[0], 0, 1));
	TRY(sendfile(to, 99, 0, 1));
	TRY(sendfile(pipes[0], from, 0, 1));
	int appends = open("to", O_WRONLY | O_APPEND);
	TRY(sendfile(appends, from, 0, 1));
	TRY(sendfile(to, appends, 0, 1));
	signal(SIGPIPE, SIG_IGN);
	close(pipes[0]);
	at = 0;
	TRY(sendfile(pipes[1], from, &at, 5));
	printf("at %d\n", (int)at);
	close(pipes[1]), close(from), close(to), close(appends), close(ends[0]), close(ends[1]);
}

static void much_is_sent_to_who_reads_slowly(void)
{
	enum { SIZE = 300000 };
	char *bytes = malloc(SIZE);
	int pipes[2], file = open("much", O_CREAT | O_RDWR, 0600), status;
	long sum = 0, count = 0;
	for (int i = 0; i < SIZE; i++) bytes[i] = i % 251;
	if (write(file, bytes, SIZE) != SIZE || pipe(pipes) || lseek(file, 0, SEEK_SET)) return;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		close(pipes[0]);
		long sent, all = 0;
		while ((sent = sendfile(pipes[1], file, 0, SIZE + 10)) > 0) all += sent;
		printf("sent %ld, then %ld\n", all, sent);
		fflush(stdout);
		_exit(0);
	}
	close(pipes[1]);
	for (ssize_t length; (length = read(pipes[0], bytes, 5000)) > 0; count += length)
		for (ssize_t i = 0; i < length; i++) sum += bytes[i] != (char)((count + i) % 251);
	waitpid(child, &status, 0);
	printf("read %ld, wrong %ld\n", count, sum);
	close(pipes[0]), close(file);
	free(bytes);
}

static void ranges_of_files_are_copied(void)
{
	int from = file_with("from", "0123456789"), to = file_with("to", "abc"), pipes[2];
	off_t source = 4, target = 6;
	if (pipe(pipes)) return;
	TRY(copy_file_range(from, &source, to, &target, 3, 0));
	printf("%d %d\n", (int)source, (int)target);
	show("to", to);
	TRY(copy_file_range(from, 0, to, 0, 100, 0));
	TRY(copy_file_range(from, 0, to, 0, 100, 0));
	show("from", from);
	show("to", to);
	source = 0, target = 5;
	TRY(copy_file_range(from, &source, from, &target, 5, 0));
	show("inside", from);
	source = 0, target = 3;
	TRY(copy_file_range(from, &source, from, &target, 5, 0));
	TRY(copy_file_range(from, 0, pipes[1], 0, 5, 0));
	TRY(copy_file_range(from, 0, to, 0, 5, 1));
	TRY(copy_file_range(from, 0, 99, 0, 5, 0));
	int directory = open(".", O_RDONLY), appends = open("to", O_WRONLY | O_APPEND), reads = open("to", O_RDONLY);
	TRY(copy_file_range(directory, 0, to, 0, 5, 0));
	TRY(copy_file_range(from, 0, appends, 0, 5, 0));
	TRY(copy_file_range(from, 0, reads, 0, 5, 0));
	close(from), close(to), close(directory), close(appends), close(reads), close(pipes[0]), close(pipes[1]);
}

static void pipes_are_spliced(void)
{
	int from = file_with("from", "0123456789"), to = file_with("to", ""), one[2], two[2];
	off_t at = 2;
	if (pipe(one) || pipe(two)) return;
	TRY(splice(from, &at, one[1], 0, 5, 0));
	printf("at %d\n", (int)at);
	TRY(tee(one[0], two[1], 3, 0));
	drain("tee", two[0]);
	TRY(splice(one[0], 0, two[1], 0, 4, SPLICE_F_MOVE));
	drain("moved", two[0]);
	at = 1;
	TRY(splice(one[0], 0, to, &at, 100, 0));
	show("to", to);
	TRY(splice(one[0], 0, to, 0, 100, SPLICE_F_NONBLOCK));
	TRY(tee(one[0], two[1], 100, SPLICE_F_NONBLOCK));
	TRY(splice(from, 0, to, 0, 5, 0));
	TRY(splice(one[0], &at, to, 0, 5, 0));
	TRY(splice(one[0], 0, one[1], 0, 5, 0));
	TRY(tee(one[0], one[1], 5, 0));
	TRY(tee(from, one[1], 5, 0));
	TRY(splice(one[1], 0, to, 0, 5, 0));
	TRY(splice(one[0], 0, to, 0, 0, 0));
	TRY(splice(one[0], 0, to, 0, 5, 64));
	close(one[1]);
	TRY(splice(one[0], 0, to, 0, 5, 0));
	close(two[0]);
	TRY(splice(from, 0, two[1], 0, 5, 0));
	close(one[0]), close(two[1]), close(from), close(to);
}

static void a_splice_waits_for_bytes(void)
{
	int one[2], two[2], status;
	if (pipe(one) || pipe(two)) return;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		close(one[1]);
		long moved, all = 0;
		while ((moved = splice(one[0], 0, two[1], 0, 1 << 20, 0)) > 0) all += moved;
		printf("moved %ld, then %ld\n", all, moved);
		fflush(stdout);
		_exit(0);
	}
	close(one[0]), close(two[1]);
	drain("first", (TRY(write(one[1], "first", 5)), two[0]));
	drain("second", (TRY(write(one[1], "second", 6)), two[0]));
	fflush(stdout);
	close(one[1]);
	waitpid(child, &status, 0);
	drain("end", two[0]);
	close(two[0]);
}

int main(int count, char **arguments)
{
	if (count != 2 || chdir(arguments[1])) return 1;
	files_are_sent();
	much_is_sent_to_who_reads_slowly();
	ranges_of_files_are_copied();
	pipes_are_spliced();
	a_splice_waits_for_bytes();
	return 0;
}
