// The same server for many connections at once: `select` says which of them has something to read.
//
// `server-select [PORT]`; `server-select PORT poll` waits with `poll` instead.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum { CLIENTS_MAX = 256, BACKLOG = 128 };

struct client {
  int fd;
  size_t filled;
  char buffer[HTTP_REQUEST_MAX];
};

static struct client clients[CLIENTS_MAX];
static int clients_count;

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
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void accept_client(int listener) {
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) return;
  if (clients_count == CLIENTS_MAX || fd >= FD_SETSIZE) {
    close(fd);
    return;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  clients[clients_count].fd = fd;
  clients[clients_count].filled = 0;
  clients_count++;
}

// Answers what has come from `client`; returns 0 when the connection is to be closed.
static int serve(struct client *client) {
  char reply[HTTP_RESPONSE_MAX];
  size_t room = sizeof client->buffer - client->filled;
  ssize_t got = recv(client->fd, client->buffer + client->filled, room, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (got <= 0) return 0;
  client->filled += got;
  struct http_request request;
  while (http_parse(client->buffer, client->filled, &request) == HTTP_COMPLETE) {
    size_t size = http_hello(&request, reply);
    // An answer is smaller than any socket buffer: a short send means a client that never reads.
    if (send(client->fd, reply, size, 0) != (ssize_t)size || !request.keep_alive) return 0;
    client->filled -= request.size;
    memmove(client->buffer, client->buffer + request.size, client->filled);
  }
  return client->filled < sizeof client->buffer;
}

static void serve_or_drop(int index) {
  if (serve(&clients[index])) return;
  close(clients[index].fd);
  clients_count--;
  if (index != clients_count) clients[index] = clients[clients_count];
}

static void wait_with_select(int listener) {
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(listener, &readable);
  int highest = listener;
  for (int i = 0; i < clients_count; i++) {
    FD_SET(clients[i].fd, &readable);
    if (clients[i].fd > highest) highest = clients[i].fd;
  }
  if (select(highest + 1, &readable, NULL, NULL, NULL) <= 0) return;
  // Downwards, since a dropped client's place is taken by the last one.
  for (int i = clients_count - 1; i >= 0; i--) {
    if (FD_ISSET(clients[i].fd, &readable)) serve_or_drop(i);
  }
  if (FD_ISSET(listener, &readable)) accept_client(listener);
}

static void wait_with_poll(int listener) {
  struct pollfd waits[CLIENTS_MAX + 1];
  int count = clients_count;
  for (int i = 0; i < count; i++) waits[i] = (struct pollfd){clients[i].fd, POLLIN, 0};
  waits[count] = (struct pollfd){listener, POLLIN, 0};
  if (poll(waits, count + 1, -1) <= 0) return;
  for (int i = count - 1; i >= 0; i--) {
    if (waits[i].revents != 0) serve_or_drop(i);
  }
  if (waits[count].revents & POLLIN) accept_client(listener);
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 3000;
  int use_poll = argc > 2 && strcmp(argv[2], "poll") == 0;
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_on(port);
  if (listener < 0) {
    fprintf(stderr, "cannot listen on port %d: %s\n", port, strerror(errno));
    return 1;
  }
  printf("listening on port %d with %s\n", port, use_poll ? "poll" : "select");
  fflush(stdout);
  for (;;) {
    if (use_poll) {
      wait_with_poll(listener);
    } else {
      wait_with_select(listener);
    }
  }
}
