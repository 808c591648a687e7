// Sockets as a client: `sockets resolve HOST`, `sockets send HOST PORT TEXT`,
// `sockets udp ADDRESS PORT TEXT`, `sockets self` (both ends here), `sockets unix PATH`.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int resolve(const char *host) {
  struct addrinfo hints = {0}, *found = NULL;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  int error = getaddrinfo(host, NULL, &hints, &found);
  if (error != 0) {
    printf("resolve: %s\n", gai_strerror(error));
    return 1;
  }
  for (struct addrinfo *it = found; it != NULL; it = it->ai_next) {
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &((struct sockaddr_in *)it->ai_addr)->sin_addr, text, sizeof text);
    printf("%s\n", text);
  }
  freeaddrinfo(found);
  return 0;
}

static int address_of(const char *host, const char *port, struct sockaddr_in *address) {
  struct addrinfo hints = {0}, *found = NULL;
  hints.ai_family = AF_INET;
  if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
  memcpy(address, found->ai_addr, sizeof *address);
  freeaddrinfo(found);
  return 0;
}

static int exchange(int type, const char *host, const char *port, const char *text) {
  struct sockaddr_in address;
  if (address_of(host, port, &address) < 0) {
    printf("cannot resolve\n");
    return 1;
  }
  int fd = socket(AF_INET, type, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    printf("connect: %s\n", strerror(errno));
    return 1;
  }
  char line[512];
  int size = snprintf(line, sizeof line, "%s\n", text);
  if (send(fd, line, size, 0) != size) return 1;
  size_t filled = 0;
  while (filled < sizeof line && (filled == 0 || line[filled - 1] != '\n')) {
    ssize_t got = recv(fd, line + filled, sizeof line - filled, 0);
    if (got <= 0) break;
    filled += got;
  }
  fwrite(line, 1, filled, stdout);
  return close(fd);
}

// A listener, a client of it and the connection between them, all in this process.
static int talk(int listener, const struct sockaddr *address, socklen_t size) {
  CHECK(listen(listener, 4) == 0);
  int client = socket(address->sa_family, SOCK_STREAM, 0);
  CHECK(client >= 0);
  CHECK(connect(client, address, size) == 0);
  int served = accept(listener, NULL, NULL);
  CHECK(served >= 0);
  CHECK(send(client, "ping", 4, 0) == 4);
  struct pollfd wait = {served, POLLIN, 0};
  CHECK(poll(&wait, 1, 5000) == 1 && (wait.revents & POLLIN));
  char text[16] = {0};
  CHECK(recv(served, text, sizeof text, 0) == 4 && strcmp(text, "ping") == 0);
  CHECK(fcntl(served, F_SETFL, O_NONBLOCK) == 0);
  CHECK_ERRNO(recv(served, text, sizeof text, 0), EAGAIN);
  CHECK(close(client) == 0);
  wait.revents = 0;
  CHECK(poll(&wait, 1, 5000) == 1);
  CHECK(recv(served, text, sizeof text, 0) == 0);
  CHECK(close(served) == 0 && close(listener) == 0);
  return checks_end();
}

static int talk_to_self(void) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  errno = 0;
  CHECK(listener >= 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
  socklen_t size = sizeof address;
  CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0 && address.sin_port != 0);
  return talk(listener, (struct sockaddr *)&address, size);
}

static int talk_by_path(const char *path) {
  struct sockaddr_un address = {0};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  errno = 0;
  CHECK(listener >= 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
  return talk(listener, (struct sockaddr *)&address, sizeof address);
}

int main(int argc, char **argv) {
  const char *action = argc > 1 ? argv[1] : "";
  if (strcmp(action, "resolve") == 0 && argc == 3) return resolve(argv[2]);
  if (strcmp(action, "send") == 0 && argc == 5) return exchange(SOCK_STREAM, argv[2], argv[3], argv[4]);
  if (strcmp(action, "udp") == 0 && argc == 5) return exchange(SOCK_DGRAM, argv[2], argv[3], argv[4]);
  if (strcmp(action, "self") == 0) return talk_to_self();
  if (strcmp(action, "unix") == 0 && argc == 3) return talk_by_path(argv[2]);
  fprintf(stderr, "usage: sockets resolve|send|udp|self|unix\n");
  return 2;
}
