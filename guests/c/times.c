// Clocks, sleeping and the calendar.

#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void clocks(void) {
  struct timespec now, later, real;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  CHECK(clock_gettime(CLOCK_REALTIME, &real) == 0 && real.tv_sec > 1600000000);
  struct timeval day;
  CHECK(gettimeofday(&day, NULL) == 0 && day.tv_sec - real.tv_sec <= 1);
  time_t seconds = time(NULL);
  CHECK(seconds - real.tv_sec <= 1);
  struct timespec pause = {0, 20 * 1000 * 1000};
  CHECK(nanosleep(&pause, NULL) == 0);
  CHECK(usleep(1000) == 0);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &later) == 0);
  long long passed = (later.tv_sec - now.tv_sec) * 1000000000LL + later.tv_nsec - now.tv_nsec;
  CHECK(passed >= 20 * 1000 * 1000);
  CHECK(clock() != (clock_t)-1);
  struct timespec resolution;
  CHECK(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_sec == 0);
}

static void calendar(void) {
  time_t moment = 1000000000;
  struct tm parts;
  CHECK(gmtime_r(&moment, &parts) != NULL);
  CHECK(parts.tm_year == 101 && parts.tm_mon == 8 && parts.tm_mday == 9);
  CHECK(parts.tm_hour == 1 && parts.tm_min == 46 && parts.tm_sec == 40 && parts.tm_wday == 0);
  char text[64];
  CHECK(strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %j", &parts) > 0);
  CHECK(strcmp(text, "2001-09-09 01:46:40 Sun 252") == 0);
  CHECK(timegm(&parts) == moment);
  // Without a time zone in the environment, local time is UTC.
  tzset();
  CHECK(localtime_r(&moment, &parts) != NULL && parts.tm_hour == 1);
  CHECK(mktime(&parts) == moment);
  CHECK(asctime(&parts) != NULL);
}

int main(void) {
  setenv("TZ", "UTC0", 1);
  errno = 0;
  clocks();
  calendar();
  return checks_end();
}
