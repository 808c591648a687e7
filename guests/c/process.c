// The process itself: arguments, environment, standard streams, identity and ways to end.
//
// `process ACTION [ARG...]`

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

static void at_exit(void) { printf("at exit\n"); }

static int identity(void) {
  struct utsname names;
  errno = 0;
  CHECK(getpid() > 0);
  CHECK(getuid() == geteuid() && getgid() == getegid());
  CHECK(uname(&names) == 0 && names.sysname[0] != 0);
  CHECK(sysconf(_SC_PAGESIZE) > 0);
  return checks_end();
}

static int echo_stdin(void) {
  char text[4096];
  ssize_t count;
  while ((count = read(0, text, sizeof text)) > 0) {
    if (write(1, text, count) != count) return 1;
  }
  return count < 0;
}

int main(int argc, char **argv) {
  const char *action = argc > 1 ? argv[1] : "";
  if (strcmp(action, "args") == 0) {
    for (int i = 1; i < argc; i++) printf("%s\n", argv[i]);
    return 0;
  }
  if (strcmp(action, "env") == 0) {
    for (char **entry = environ; *entry != NULL; entry++) printf("%s\n", *entry);
    return 0;
  }
  if (strcmp(action, "getenv") == 0) {
    const char *value = getenv(argc > 2 ? argv[2] : "");
    printf("%s\n", value != NULL ? value : "(none)");
    return value == NULL;
  }
  if (strcmp(action, "exit") == 0) {
    atexit(at_exit);
    exit(argc > 2 ? atoi(argv[2]) : 0);
  }
  if (strcmp(action, "return") == 0) return argc > 2 ? atoi(argv[2]) : 0;
  if (strcmp(action, "abort") == 0) abort();
  if (strcmp(action, "assert") == 0) assert(argc < 2);
  if (strcmp(action, "trap") == 0) __builtin_trap();
  if (strcmp(action, "stderr") == 0) return fprintf(stderr, "to stderr\n") < 0;
  if (strcmp(action, "stdin") == 0) return echo_stdin();
  if (strcmp(action, "identity") == 0) return identity();
  fprintf(stderr, "usage: process args|env|getenv|exit|return|abort|assert|trap|stderr|stdin|identity\n");
  return 2;
}
