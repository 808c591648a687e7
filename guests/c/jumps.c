// setjmp and longjmp: out of nested calls, again and again, with values, and through a signature
// of every kind of argument.

#include <setjmp.h>
#include <stdlib.h>

#include "check.h"

static jmp_buf place;
static jmp_buf outer;

static void jump_from(int depth, int value) {
  if (depth == 0) longjmp(place, value);
  jump_from(depth - 1, value);
  abort();
}

static void values(void) {
  volatile int turns = 0;
  int value = setjmp(place);
  if (turns < 5) {
    turns++;
    jump_from(turns * 10, turns);
  }
  CHECK(value == 5);
  CHECK(turns == 5);
}

static void nested(void) {
  volatile int steps = 0;
  if (setjmp(outer) == 0) {
    if (setjmp(place) == 0) {
      jump_from(3, 1);
    } else {
      steps++;
      longjmp(outer, 2);
    }
  } else {
    steps++;
  }
  CHECK(steps == 2);
}

static double mixed(double a, long long b, float c, int d) {
  if (d < 0) longjmp(place, 7);
  return a + (double)b + c + d;
}

static void signatures(void) {
  double (*volatile function)(double, long long, float, int) = mixed;
  if (setjmp(place) == 0) {
    CHECK(function(0.5, 1LL << 40, 2.5f, 3) == 0.5 + (double)(1LL << 40) + 2.5 + 3);
    function(0, 0, 0, -1);
    abort();
  }
  CHECK(1);
}

static void locals_survive(void) {
  volatile int kept = 1;
  char text[32];
  snprintf(text, sizeof text, "before");
  if (setjmp(place) == 0) {
    kept = 2;
    jump_from(1, 1);
  }
  CHECK(kept == 2 && strcmp(text, "before") == 0);
}

int main(void) {
  errno = 0;
  values();
  nested();
  signatures();
  locals_survive();
  return checks_end();
}
