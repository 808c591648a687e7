/* Files without names: in memory, sealed, and linked later; paths that are bounded; ranges of descriptors. Argument: a directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/openat2.h. */
struct how {
	uint64_t flags, mode, resolve;
};
enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16 };

/* The C libraries have different texts. */
static int of(int failed)
{
	return failed ? errno : 0;
}

static void writes_and_sizes_are_sealed(void)
{
	char text[8] = "", link[64], path[64];
	int fd = syscall(SYS_memfd_create, "name", MFD_ALLOW_SEALING);
	struct stat status;
	printf("made: %d\n", fd >= 0);
	fstat(fd, &status);
	printf("mode %o, links %d, size %d\n", status.st_mode, (int)status.st_nlink, (int)status.st_size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int length = readlink(path, link, sizeof link);
	printf("shown as %.*s\n", length < 0 ? 0 : length, link);
	printf("written: %d\n", (int)write(fd, "hello", 5));
	printf("seals: %d\n", fcntl(fd, F_GET_SEALS));
	printf("shrink: %d\n", of(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)));
	printf("shorter: %d, longer: %d\n", of(ftruncate(fd, 4)), of(ftruncate(fd, 6)));
	printf("grow: %d\n", of(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)));
	printf("longer: %d, written inside: %d", of(ftruncate(fd, 7)), (int)pwrite(fd, "H", 1, 0));
	printf(", over the end: %d, behind: %d\n", of(pwrite(fd, "ab", 2, 5) < 0), of(pwrite(fd, "a", 1, 6) < 0));
	printf("room: %d\n", of(fallocate(fd, 0, 0, 100)));
	int reader = open(path, O_RDONLY);
	printf("opened again: %d, ", reader >= 0);
	printf("sealed through it: %d\n", of(fcntl(reader, F_ADD_SEALS, F_SEAL_WRITE)));
	printf("write: %d\n", of(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	printf("written: %d, ", of(pwrite(fd, "x", 1, 0) < 0));
	printf("hole: %d\n", of(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1)));
	printf("seal: %d, ", of(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL)));
	printf("another: %d\n", of(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)));
	printf("seals: %d, unknown: %d\n", fcntl(fd, F_GET_SEALS), of(fcntl(fd, F_ADD_SEALS, 0x1000)));
	pread(reader, text, 7, 0);
	printf("read: %s\n", text);
	close(fd);
	close(reader);
}

static void files_are_sealed_only_where_that_was_asked_for(void)
{
	int fd = syscall(SYS_memfd_create, "", MFD_CLOEXEC), ends[2];
	printf("closed at exec: %d, seals: %d, ", fcntl(fd, F_GETFD), fcntl(fd, F_GET_SEALS));
	printf("added: %d\n", of(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	close(fd);
	pipe(ends);
	printf("pipe: %d %d\n", of(fcntl(ends[0], F_GET_SEALS) < 0), of(fcntl(ends[1], F_ADD_SEALS, 0)));
	char name[300];
	memset(name, 'n', sizeof name);
	name[250] = 0;
	printf("long name: %d, ", of(syscall(SYS_memfd_create, name, 0) < 0));
	name[249] = 0;
	fd = syscall(SYS_memfd_create, name, 0);
	printf("longest: %d, flags: %d\n", fd >= 0, of(syscall(SYS_memfd_create, "a", 0x40) < 0));
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static int link_by_number(int fd, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static void files_get_their_names_later(void)
{
	struct stat status;
	char text[16] = "";
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	fstat(fd, &status);
	printf("made: %d, mode %o, links %d\n", fd >= 0, status.st_mode, (int)status.st_nlink);
	printf("written: %d\n", (int)write(fd, "nameless", 8));
	printf("linked: %d, ", of(link_by_number(fd, "named")));
	fstat(fd, &status);
	printf("links %d\n", (int)status.st_nlink);
	int again = open("named", O_RDONLY);
	read(again, text, sizeof text);
	printf("read: %s\n", text);
	close(again);
	printf("twice: %d, ", of(link_by_number(fd, "second")));
	printf("exists: %d\n", of(link_by_number(fd, "named")));
	unlink("named");
	unlink("second");
	printf("none left: %d\n", of(link_by_number(fd, "third")));
	close(fd);
	fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	printf("never: %d\n", of(link_by_number(fd, "fourth")));
	close(fd);
	printf("to read: %d\n", of(open(".", O_TMPFILE | O_RDONLY, 0600) < 0));
	printf("no directory: %d\n", of(open("/dev/null", O_TMPFILE | O_RDWR, 0600) < 0));
	fd = syscall(SYS_memfd_create, "m", 0);
	printf("from memory: %d\n", of(link_by_number(fd, "fifth")));
	close(fd);
}

static int open_how(int directory, const char *path, uint64_t flags, uint64_t resolve)
{
	struct how how = { .flags = flags, .resolve = resolve };
	return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static void try(const char *what, int directory, const char *path, uint64_t resolve)
{
	int fd = open_how(directory, path, O_RDONLY, resolve);
	printf("%s: %d\n", what, of(fd < 0));
	if (fd >= 0) close(fd);
}

static void paths_stay_where_they_may(void)
{
	mkdir("top", 0755);
	mkdir("top/inner", 0755);
	close(open("top/file", O_CREAT | O_WRONLY, 0644));
	close(open("outside", O_CREAT | O_WRONLY, 0644));
	symlink("../outside", "top/out");
	symlink("file", "top/near");
	symlink("/file", "top/absolute");
	symlink("inner/../file", "top/round");
	int top = open("top", O_DIRECTORY | O_PATH);
	try("plain", top, "out", 0);
	try("beneath", top, "file", BENEATH);
	try("beneath, inside and back", top, "inner/../near", BENEATH);
	try("beneath, round", top, "round", BENEATH);
	try("beneath, out", top, "out", BENEATH);
	try("beneath, up", top, "../top/file", BENEATH);
	try("beneath, absolute link", top, "absolute", BENEATH);
	try("beneath, absolute", top, "/etc", BENEATH);
	try("root, absolute", top, "/file", IN_ROOT);
	try("root, absolute link", top, "absolute", IN_ROOT);
	try("root, up", top, "../../file", IN_ROOT);
	try("root, out", top, "out", IN_ROOT);
	try("no links", top, "near", NO_SYMLINKS);
	try("no links, none", top, "inner/../file", NO_SYMLINKS);
	try("no magic", AT_FDCWD, "/proc/self/fd/0", NO_MAGICLINKS);
	try("no magic, ordinary", top, "near", NO_MAGICLINKS);
	try("one mount", top, "near", NO_XDEV);
	try("two mounts", AT_FDCWD, "/proc/self", NO_XDEV);
	try("both", top, "file", BENEATH | IN_ROOT);
	try("unknown", top, "file", 0x400);
	close(top);
	unlink("top/file");
	unlink("top/out");
	unlink("top/near");
	unlink("top/absolute");
	unlink("top/round");
	rmdir("top/inner");
	rmdir("top");
	unlink("outside");
}

static void how_is_checked(void)
{
	struct {
		struct how how;
		uint64_t more;
	} longer = { { .flags = O_CREAT | O_RDWR, .mode = 0600 }, 0 };
	int fd = syscall(SYS_openat2, AT_FDCWD, "made", &longer, sizeof longer);
	printf("longer: %d\n", of(fd < 0));
	close(fd);
	longer.more = 1;
	printf("unknown: %d\n", of(syscall(SYS_openat2, AT_FDCWD, "made", &longer, sizeof longer) < 0));
	printf("short: %d\n", of(syscall(SYS_openat2, AT_FDCWD, "made", &longer, 8) < 0));
	longer.how.flags = O_RDONLY;
	printf("mode: %d\n", of(syscall(SYS_openat2, AT_FDCWD, "made", &longer, sizeof longer.how) < 0));
	printf("path and more: %d\n", of(open_how(AT_FDCWD, "made", O_PATH | O_RDWR, 0) < 0));
	printf("flags: %d\n", of(open_how(AT_FDCWD, "made", UINT64_C(1) << 40, 0) < 0));
	unlink("made");
}

static void ranges_are_closed(void)
{
	int low = fcntl(0, F_DUPFD, 40), middle = fcntl(0, F_DUPFD, 42), high = fcntl(0, F_DUPFD, 50);
	printf("marked: %d, ", of(syscall(SYS_close_range, 40, 45, 4)));
	printf("%d %d %d\n", fcntl(low, F_GETFD), fcntl(middle, F_GETFD), fcntl(high, F_GETFD));
	printf("closed: %d, ", of(syscall(SYS_close_range, 42, ~0U, 0)));
	printf("%d %d %d\n", fcntl(low, F_GETFD), fcntl(middle, F_GETFD), fcntl(high, F_GETFD));
	printf("turned: %d, flags: %d\n", of(syscall(SYS_close_range, 45, 40, 0)), of(syscall(SYS_close_range, 40, 45, 64)));
	close(low);
}

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1])) return 1;
	writes_and_sizes_are_sealed();
	files_are_sealed_only_where_that_was_asked_for();
	files_get_their_names_later();
	paths_stay_where_they_may();
	how_is_checked();
	ranges_are_closed();
	return 0;
}
