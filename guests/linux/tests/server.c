/*
 * A web server as they were first written: a process for each connection. It ends when /end is asked for.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int connections;

static void answer(int connection)
{
	char request[1024], path[256] = "", body[512], reply[1024];
	ssize_t count = read(connection, request, sizeof request - 1);
	if (count < 0) count = 0;
	request[count] = 0;
	sscanf(request, "GET %255s", path);
	snprintf(body, sizeof body, "connection %d: %s\n", connections, path);
	snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body), body);
	write(connection, reply, strlen(reply));
	exit(strcmp(path, "/end") ? 0 : 3);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, status;
	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
		perror("listen");
		return 1;
	}
	for (;;) {
		int connection = accept(listener, 0, 0);
		connections++;
		pid_t child = fork();
		if (!child) answer(connection);
		close(connection);
		waitpid(child, &status, 0);
		if (WEXITSTATUS(status) == 3) return 0;
	}
}
