// SQLite in memory, as a piece of computation: prints `sqlite SECONDS CHECKSUM`.
//
// Compiled together with SQLite's one-file source, without any file system (`SQLITE_OS_OTHER`).

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqlite3.h"

enum { ROWS = 100000 };

// A database in memory opens no file, yet SQLite wants one file system to be registered.
static int open_nothing(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs, (void)name, (void)file, (void)flags, (void)out;
  return SQLITE_CANTOPEN;
}

static int fixed_randomness(sqlite3_vfs *vfs, int size, char *bytes) {
  (void)vfs;
  memset(bytes, 0x5a, size);
  return size;
}

static int fixed_time(sqlite3_vfs *vfs, double *days) {
  (void)vfs;
  *days = 2440587.5;
  return SQLITE_OK;
}

static int full_path(sqlite3_vfs *vfs, const char *name, int size, char *path) {
  (void)vfs;
  sqlite3_snprintf(size, path, "%s", name);
  return SQLITE_OK;
}

int sqlite3_os_init(void) {
  static sqlite3_vfs none = {
      .iVersion = 1,
      .szOsFile = sizeof(sqlite3_file),
      .mxPathname = 64,
      .zName = "none",
      .xOpen = open_nothing,
      .xFullPathname = full_path,
      .xRandomness = fixed_randomness,
      .xCurrentTime = fixed_time,
  };
  return sqlite3_vfs_register(&none, 1);
}

int sqlite3_os_end(void) { return SQLITE_OK; }

static void run(sqlite3 *database, const char *statement) {
  char *message = NULL;
  if (sqlite3_exec(database, statement, NULL, NULL, &message) != SQLITE_OK) {
    fprintf(stderr, "%s: %s\n", statement, message);
    exit(1);
  }
}

static sqlite3_stmt *prepared(sqlite3 *database, const char *text) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(database, text, -1, &statement, NULL) != SQLITE_OK) {
    fprintf(stderr, "%s: %s\n", text, sqlite3_errmsg(database));
    exit(1);
  }
  return statement;
}

static void insert_rows(sqlite3 *database) {
  sqlite3_stmt *statement = prepared(database, "INSERT INTO item VALUES (?, ?, ?)");
  char name[32];
  for (int i = 0; i < ROWS; i++) {
    unsigned int scattered = (unsigned int)i * 2654435761U;
    int size = snprintf(name, sizeof name, "item-%u", scattered % 10007);
    sqlite3_bind_int(statement, 1, i);
    sqlite3_bind_text(statement, 2, name, size, SQLITE_STATIC);
    sqlite3_bind_double(statement, 3, scattered / 1024.0);
    if (sqlite3_step(statement) != SQLITE_DONE) exit(1);
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
}

static long long query(sqlite3 *database) {
  sqlite3_stmt *statement = prepared(
      database,
      "SELECT name, count(*), sum(price) FROM item WHERE id % 3 = 0 GROUP BY name ORDER BY 3 DESC");
  long long checksum = 0;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    checksum = checksum * 31 + sqlite3_column_int64(statement, 1) + (long long)sqlite3_column_double(statement, 2);
  }
  sqlite3_finalize(statement);
  return checksum;
}

int main(void) {
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  sqlite3 *database;
  if (sqlite3_open(":memory:", &database) != SQLITE_OK) return 1;
  run(database, "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)");
  run(database, "BEGIN");
  insert_rows(database);
  run(database, "COMMIT");
  run(database, "CREATE INDEX by_name ON item (name, price)");
  long long checksum = query(database);
  sqlite3_close(database);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
  printf("sqlite %.6f %016llx\n", seconds, (unsigned long long)checksum);
  return 0;
}
