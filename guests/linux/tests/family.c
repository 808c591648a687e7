/* Processes: what a parent and its children see of each other. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int exit_status(pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, 0) != pid) return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void child_has_a_copy_of_memory(void)
{
	char text[16] = "before";
	char *heap = strdup("heap before");
	pid_t pid = fork();
	if (pid == 0) {
		int is_whole = !strcmp(text, "before") && !strcmp(heap, "heap before");
		strcpy(text, "child");
		strcpy(heap, "child");
		_exit(is_whole ? 41 : 1);
	}
	printf("copy: child %d, parent has %s, %s\n", exit_status(pid), text, heap);
	free(heap);
}

static int fork_below(int depth)
{
	char local[32];
	snprintf(local, sizeof local, "frame %d", depth);
	int result = depth ? fork_below(depth - 1) : fork();
	return !strncmp(local, "frame ", 6) && atoi(local + 6) == depth ? result : -1;
}

static void fork_returns_through_deep_frames(void)
{
	pid_t pid = fork_below(50);
	if (pid == 0) _exit(7);
	printf("deep: %d\n", pid > 0 ? exit_status(pid) : pid);
}

static void pipe_carries_bytes_from_child_to_parent(void)
{
	int ends[2];
	char text[64];
	size_t count = 0;
	ssize_t got;
	if (pipe(ends)) exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		dprintf(ends[1], "from the child, whose parent is %d", getppid() > 0);
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + count, sizeof text - 1 - count)) > 0) count += got;
	text[count] = 0;
	close(ends[0]);
	printf("pipe: %s; status %d\n", text, exit_status(pid));
}

static void both_sides_talk(void)
{
	int there[2], back[2];
	if (pipe(there) || pipe(back)) exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		for (int i = 0; i < 100; i++) {
			if (read(there[0], &byte, 1) != 1) _exit(1);
			byte++;
			if (write(back[1], &byte, 1) != 1) _exit(2);
		}
		_exit(0);
	}
	int sum = 0;
	for (int i = 0; i < 100; i++) {
		char byte = i;
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) break;
		sum += byte;
	}
	printf("talk: %d, status %d\n", sum, exit_status(pid));
}

static void exec_replaces_the_program(const char *self)
{
	pid_t pid = fork();
	if (pid == 0) {
		setenv("FROM", "the environment", 1);
		execl(self, "family", "echo", "one", "two words", (char *)0);
		_exit(errno == ENOENT ? 126 : 127);
	}
	fflush(stdout);
	printf("exec: %d\n", exit_status(pid));
}

static void exec_of_nothing_fails_in_the_caller(void)
{
	char *argv[] = { "nothing", 0 };
	execv("/nothing/here", argv);
	printf("no exec: errno %d\n", errno);
}

static void spawn_starts_a_program_with_redirection(const char *self)
{
	int ends[2];
	char text[128] = "";
	posix_spawn_file_actions_t actions;
	char *argv[] = { "family", "echo", "spawned", 0 };
	pid_t pid;
	if (pipe(ends)) exit(1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	int error = posix_spawn(&pid, self, &actions, 0, argv, environ);
	close(ends[1]);
	if (!error && read(ends[0], text, sizeof text - 1) < 0) exit(1);
	printf("spawn: error %d, status %d, wrote %s", error, error ? -1 : exit_status(pid), text);
	close(ends[0]);
	error = posix_spawn(&pid, "/nothing/here", 0, 0, argv, environ);
	printf("no spawn: errno %d\n", error);
}

static void waiting_for_nobody_fails(void)
{
	int status;
	pid_t pid = wait(&status);
	printf("nobody: %d, errno %d\n", pid, errno);
}

static int echo(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? "|" : "\n");
	if (getenv("FROM")) printf("FROM is %s\n", getenv("FROM"));
	return argc;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "echo")) return echo(argc, argv);
	if (argc != 2) {
		fprintf(stderr, "usage: family PATH-OF-ITSELF\n");
		return 2;
	}
	setvbuf(stdout, 0, _IONBF, 0);
	child_has_a_copy_of_memory();
	fork_returns_through_deep_frames();
	pipe_carries_bytes_from_child_to_parent();
	both_sides_talk();
	exec_replaces_the_program(argv[1]);
	exec_of_nothing_fails_in_the_caller();
	spawn_starts_a_program_with_redirection(argv[1]);
	waiting_for_nobody_fails();
	return 0;
}
