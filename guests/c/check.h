// Checks that say what failed: each test prints one line, and the exit code counts the failures.

#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int checks_passed;
static int checks_failed;

#define CHECK(condition)                                                        \
  do {                                                                          \
    int check_errno_ = errno;                                                   \
    if (condition) {                                                            \
      checks_passed++;                                                          \
    } else {                                                                    \
      checks_failed++;                                                          \
      check_errno_ = errno != 0 ? errno : check_errno_;                         \
      printf("FAIL %s:%d %s (%s)\n", __func__, __LINE__, #condition,            \
             strerror(check_errno_));                                           \
    }                                                                           \
    errno = 0;                                                                  \
  } while (0)

// The call fails, and for this reason.
#define CHECK_ERRNO(call, number)                                               \
  do {                                                                          \
    errno = 0;                                                                  \
    long result_ = (long)(call);                                                \
    if (result_ == -1 && errno == (number)) {                                   \
      checks_passed++;                                                          \
    } else {                                                                    \
      checks_failed++;                                                          \
      printf("FAIL %s:%d %s: expected %s, found %ld (%s)\n", __func__,          \
             __LINE__, #call, #number, result_, strerror(errno));               \
    }                                                                           \
    errno = 0;                                                                  \
  } while (0)

static int checks_end(void) {
  printf("%d passed, %d failed\n", checks_passed, checks_failed);
  fflush(stdout);
  return checks_failed != 0;
}

#endif
