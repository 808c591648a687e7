// Files, directories, pipes and waiting, as POSIX has them. `files DIRECTORY` works in a new
// directory below DIRECTORY and leaves nothing.

#define _GNU_SOURCE

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

static void read_and_write(void) {
  int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
  CHECK(fd >= 0);
  CHECK(write(fd, "hello world", 11) == 11);
  CHECK(lseek(fd, 6, SEEK_SET) == 6);
  char text[16] = {0};
  CHECK(read(fd, text, sizeof text) == 5);
  CHECK(strcmp(text, "world") == 0);
  CHECK(read(fd, text, sizeof text) == 0);
  CHECK(pread(fd, text, 5, 0) == 5 && memcmp(text, "hello", 5) == 0);
  CHECK(pwrite(fd, "HELLO", 5, 0) == 5);
  CHECK(lseek(fd, 0, SEEK_CUR) == 11);
  CHECK(lseek(fd, -3, SEEK_END) == 8);
  CHECK_ERRNO(lseek(fd, -100, SEEK_SET), EINVAL);
  struct iovec parts[2] = {{"ab", 2}, {"cd", 2}};
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  CHECK(writev(fd, parts, 2) == 4);
  CHECK(ftruncate(fd, 4) == 0);
  CHECK(fsync(fd) == 0);
  struct stat meta;
  CHECK(fstat(fd, &meta) == 0 && meta.st_size == 4);
  CHECK(close(fd) == 0);
  CHECK_ERRNO(close(fd), EBADF);
  CHECK_ERRNO(open("file", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
  CHECK_ERRNO(open("none", O_RDONLY), ENOENT);
  CHECK_ERRNO(open("file/below", O_RDONLY), ENOTDIR);
  CHECK(truncate("file", 100) == 0);
  CHECK(stat("file", &meta) == 0 && meta.st_size == 100);
  fd = open("file", O_WRONLY | O_APPEND);
  CHECK(write(fd, "end", 3) == 3);
  CHECK(fstat(fd, &meta) == 0 && meta.st_size == 103);
  CHECK_ERRNO(read(fd, text, 1), EBADF);
  close(fd);
}

static void metadata(void) {
  struct stat meta;
  CHECK(stat("file", &meta) == 0);
  CHECK(S_ISREG(meta.st_mode) && meta.st_nlink == 1);
  CHECK(chmod("file", 0600) == 0);
  CHECK(stat("file", &meta) == 0 && (meta.st_mode & 07777) == 0600);
  CHECK(stat(".", &meta) == 0 && S_ISDIR(meta.st_mode));
  CHECK_ERRNO(stat("none", &meta), ENOENT);
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  CHECK(utimensat(AT_FDCWD, "file", times, 0) == 0);
  CHECK(stat("file", &meta) == 0 && meta.st_mtim.tv_sec == 2000 && meta.st_atim.tv_sec == 1000);
  CHECK(access("file", R_OK | W_OK) == 0);
  CHECK_ERRNO(access("none", F_OK), ENOENT);
  struct statvfs space;
  CHECK(statvfs(".", &space) == 0 && space.f_bsize > 0);
#ifndef __EMSCRIPTEN__
  // Emscripten keeps a mask of its own and applies it nowhere.
  mode_t old = umask(027);
  int fd = open("masked", O_WRONLY | O_CREAT, 0666);
  CHECK(fstat(fd, &meta) == 0 && (meta.st_mode & 0777) == 0640);
  close(fd);
  CHECK(umask(old) == 027);
  CHECK(unlink("masked") == 0);
#endif
}

static void names(void) {
  struct stat meta;
#ifdef __EMSCRIPTEN__
  // Emscripten's library refuses hard links without asking its host.
  CHECK(close(open("second", O_WRONLY | O_CREAT, 0644)) == 0);
#else
  CHECK(link("file", "second") == 0);
  CHECK(stat("second", &meta) == 0 && meta.st_nlink == 2);
#endif
  CHECK(rename("second", "third") == 0);
  CHECK_ERRNO(stat("second", &meta), ENOENT);
  CHECK(symlink("third", "link") == 0);
  char target[PATH_MAX] = {0};
  CHECK(readlink("link", target, sizeof target) == 5 && strcmp(target, "third") == 0);
  CHECK(lstat("link", &meta) == 0 && S_ISLNK(meta.st_mode));
  CHECK(stat("link", &meta) == 0 && S_ISREG(meta.st_mode));
  CHECK_ERRNO(readlink("file", target, sizeof target), EINVAL);
  CHECK(symlink("loop", "loop") == 0);
  CHECK_ERRNO(stat("loop", &meta), ELOOP);
  CHECK(unlink("loop") == 0 && unlink("link") == 0 && unlink("third") == 0);
  CHECK_ERRNO(unlink("third"), ENOENT);
  CHECK_ERRNO(rename("none", "any"), ENOENT);
}

static void directories(void) {
  CHECK(mkdir("dir", 0755) == 0);
  CHECK_ERRNO(mkdir("dir", 0755), EEXIST);
  CHECK_ERRNO(unlink("dir"), EISDIR);
  int dir = open("dir", O_RDONLY | O_DIRECTORY);
  CHECK(dir >= 0);
  int fd = openat(dir, "inner", O_WRONLY | O_CREAT, 0644);
  CHECK(fd >= 0);
  close(fd);
  CHECK(mkdirat(dir, "deeper", 0755) == 0);
  CHECK_ERRNO(rmdir("dir"), ENOTEMPTY);
  int seen = 0;
  DIR *stream = opendir("dir");
  CHECK(stream != NULL);
  struct dirent *entry;
  while (stream != NULL && (entry = readdir(stream)) != NULL) {
    seen += strcmp(entry->d_name, "inner") == 0 && entry->d_type == DT_REG;
    seen += strcmp(entry->d_name, "deeper") == 0 && entry->d_type == DT_DIR;
    seen += strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  }
  CHECK(seen == 4);
  if (stream != NULL) closedir(stream);
  struct stat meta;
  CHECK(fstatat(dir, "inner", &meta, 0) == 0 && S_ISREG(meta.st_mode));
  CHECK(renameat(dir, "inner", AT_FDCWD, "outer") == 0);
  CHECK(unlinkat(dir, "deeper", AT_REMOVEDIR) == 0);
  close(dir);
  char before[PATH_MAX], inside[PATH_MAX];
  CHECK(getcwd(before, sizeof before) != NULL);
  CHECK(chdir("dir") == 0);
  CHECK(getcwd(inside, sizeof inside) != NULL && strncmp(inside, before, strlen(before)) == 0);
  CHECK(chdir("..") == 0);
  CHECK(rmdir("dir") == 0 && unlink("outer") == 0);
  CHECK_ERRNO(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void many_entries(void) {
  char name[32];
  CHECK(mkdir("many", 0755) == 0);
  for (int i = 0; i < 500; i++) {
    snprintf(name, sizeof name, "many/entry-%d", i);
    close(open(name, O_WRONLY | O_CREAT, 0644));
  }
  int seen = 0;
  DIR *stream = opendir("many");
  while (stream != NULL && readdir(stream) != NULL) seen++;
  CHECK(seen == 502);
  if (stream != NULL) closedir(stream);
  for (int i = 0; i < 500; i++) {
    snprintf(name, sizeof name, "many/entry-%d", i);
    unlink(name);
  }
  CHECK(rmdir("many") == 0);
}

static void descriptors(void) {
  int fd = open("file", O_RDONLY);
  int copy = dup(fd);
  CHECK(copy > fd);
  CHECK(lseek(fd, 2, SEEK_SET) == 2 && lseek(copy, 0, SEEK_CUR) == 2);
  CHECK(dup2(fd, 20) == 20);
  CHECK(fcntl(fd, F_DUPFD, 30) == 30);
  CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  CHECK(close(20) == 0 && close(30) == 0 && close(copy) == 0);
  CHECK_ERRNO(dup(1000), EBADF);
  CHECK(isatty(fd) == 0);
  close(fd);
}

static void pipes(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  struct pollfd wait = {ends[0], POLLIN, 0};
  CHECK(poll(&wait, 1, 0) == 0);
  CHECK(write(ends[1], "through", 7) == 7);
  CHECK(poll(&wait, 1, 1000) == 1 && (wait.revents & POLLIN));
  int waiting = 0;
  CHECK(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == 7);
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(ends[0], &readable);
  struct timeval soon = {1, 0};
  CHECK(select(ends[0] + 1, &readable, NULL, NULL, &soon) == 1 && FD_ISSET(ends[0], &readable));
  char text[16] = {0};
  CHECK(read(ends[0], text, sizeof text) == 7 && strcmp(text, "through") == 0);
  CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  CHECK_ERRNO(read(ends[0], text, sizeof text), EAGAIN);
  CHECK_ERRNO(lseek(ends[0], 0, SEEK_SET), ESPIPE);
  CHECK(close(ends[1]) == 0);
  CHECK(read(ends[0], text, sizeof text) == 0);
  CHECK(poll(&wait, 1, 1000) == 1 && (wait.revents & POLLHUP));
  CHECK(close(ends[0]) == 0);
}

static void devices(void) {
  char text[8];
  int fd = open("/dev/null", O_RDWR);
  CHECK(fd >= 0 && write(fd, "x", 1) == 1 && read(fd, text, 1) == 0);
  close(fd);
  fd = open("/dev/zero", O_RDONLY);
  CHECK(fd >= 0 && read(fd, text, 8) == 8 && text[7] == 0);
  close(fd);
  fd = open("/dev/full", O_WRONLY);
  CHECK(fd >= 0);
  CHECK_ERRNO(write(fd, "x", 1), ENOSPC);
  close(fd);
  fd = open("/dev/urandom", O_RDONLY);
  CHECK(fd >= 0 && read(fd, text, 8) == 8);
  close(fd);
}

// `lock` sets or tests a lock of 10 bytes at `start`; `F_OFD_` commands are those of descriptions.
static int lock(int fd, int command, short kind, off_t start, struct flock *found) {
  struct flock wanted = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = 10};
  int result = fcntl(fd, command, &wanted);
  if (found) *found = wanted;
  return result;
}

static void locks(void) {
  int one = open("file", O_RDWR), two = open("file", O_RDWR), reader = open("file", O_RDONLY);
  struct flock found;
  // A process never stands in its own way.
  CHECK(lock(one, F_SETLK, F_WRLCK, 0, NULL) == 0);
  CHECK(lock(two, F_SETLKW, F_WRLCK, 5, NULL) == 0);
  CHECK(lock(two, F_GETLK, F_WRLCK, 0, &found) == 0 && found.l_type == F_UNLCK);
  CHECK(found.l_start == 0 && found.l_len == 10);
  // A description stands in the way of its process, until the process closes any descriptor of the file.
  CHECK_ERRNO(lock(two, F_OFD_SETLK, F_RDLCK, 0, NULL), EAGAIN);
  CHECK(lock(two, F_OFD_GETLK, F_RDLCK, 0, &found) == 0 && found.l_type == F_WRLCK);
  // Emscripten's `getpid` is a number of its library, not the kernel's.
  CHECK(found.l_start == 0 && found.l_len == 15 && found.l_pid > 0);
  CHECK(close(open("file", O_RDONLY)) == 0);
  CHECK(lock(two, F_OFD_SETLK, F_WRLCK, 0, NULL) == 0);
  CHECK(lock(one, F_OFD_GETLK, F_WRLCK, 5, &found) == 0 && found.l_type == F_WRLCK);
  CHECK(found.l_start == 0 && found.l_len == 10 && found.l_pid == -1);
  CHECK_ERRNO(lock(one, F_SETLK, F_RDLCK, 9, NULL), EAGAIN);
  CHECK(lock(one, F_OFD_SETLKW, F_WRLCK, 10, NULL) == 0);
  CHECK_ERRNO(lock(reader, F_OFD_SETLK, F_WRLCK, 100, NULL), EBADF);
  CHECK_ERRNO(lock(one, F_SETLK, 7, 0, NULL), EINVAL);
  CHECK_ERRNO(lock(one, F_SETLK, F_RDLCK, -1, NULL), EINVAL);
  CHECK_ERRNO(lock(1000, F_SETLK, F_RDLCK, 0, NULL), EBADF);
  CHECK(close(two) == 0);
  CHECK(lock(one, F_SETLK, F_WRLCK, 0, NULL) == 0);
  CHECK(close(one) == 0 && close(reader) == 0);
}

int main(int argc, char **argv) {
  if (argc < 2 || chdir(argv[1]) != 0) {
    fprintf(stderr, "usage: files DIRECTORY\n");
    return 2;
  }
  if (mkdir("files-test", 0755) != 0 || chdir("files-test") != 0) {
    perror("files-test");
    return 2;
  }
  errno = 0;
  read_and_write();
  metadata();
  names();
  directories();
  many_entries();
  descriptors();
  pipes();
  devices();
  locks();
  CHECK(unlink("file") == 0);
  CHECK(chdir("..") == 0 && rmdir("files-test") == 0);
  return checks_end();
}
