// A small HTTP server in plain POSIX C: one connection at a time, blocking calls only.
//
// `server [PORT]` answers every request with a greeting and closes the connection, so that the
// next client gets its turn. `server PORT keep-alive` keeps it open for as long as the client
// likes, and serves nobody else meanwhile.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum { BACKLOG = 128 };

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(port);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
  if (listen(fd, BACKLOG) < 0) return -1;
  return fd;
}

// Sends everything, or fails when the client has gone.
static int send_all(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, 0);
    if (sent <= 0) return -1;
    bytes += sent;
    size -= sent;
  }
  return 0;
}

// Serves one connection until the client, the protocol or `may_keep_alive` ends it.
static void serve(int fd, int may_keep_alive) {
  static char buffer[HTTP_REQUEST_MAX];
  char reply[HTTP_RESPONSE_MAX];
  size_t filled = 0;
  for (;;) {
    ssize_t got = recv(fd, buffer + filled, sizeof buffer - filled, 0);
    if (got <= 0) return;
    filled += got;
    struct http_request request;
    while (http_parse(buffer, filled, &request) == HTTP_COMPLETE) {
      request.keep_alive = request.keep_alive && may_keep_alive;
      size_t size = http_hello(&request, reply);
      if (send_all(fd, reply, size) < 0 || !request.keep_alive) return;
      filled -= request.size;
      memmove(buffer, buffer + request.size, filled);
    }
    if (filled == sizeof buffer) {
      send_all(fd, HTTP_TOO_LARGE, strlen(HTTP_TOO_LARGE));
      return;
    }
  }
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 3000;
  int may_keep_alive = argc > 2 && strcmp(argv[2], "keep-alive") == 0;
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_on(port);
  if (listener < 0) {
    fprintf(stderr, "cannot listen on port %d: %s\n", port, strerror(errno));
    return 1;
  }
  printf("listening on port %d\n", port);
  fflush(stdout);
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    serve(client, may_keep_alive);
    close(client);
  }
}
