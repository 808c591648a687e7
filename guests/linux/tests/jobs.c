/* Job control: sessions, foreground groups and terminals' signals, through a terminal that the program opens itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;
static volatile sig_atomic_t seen;

static void note(int signal)
{
	seen = seen * 100 + signal;
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	if (sigaction(signal, &action, 0)) exit(90);
}

static void show(const char *what, int result)
{
	if (result < 0) printf("%s: %d, errno %d\n", what, result, errno);
	else printf("%s: %d\n", what, result);
}

/* A child that says when it is ready, and waits for the word to go on. */
struct job {
	pid_t pid;
	int from, to;
};

static void tell(int fd)
{
	if (write(fd, "!", 1) != 1) _exit(91);
}

static void hear(int fd)
{
	char byte;
	while (read(fd, &byte, 1) < 0)
		if (errno != EINTR) _exit(92);
}

static struct job start(void (*run)(int to, int from))
{
	struct job job;
	int there[2], back[2];
	if (pipe(there) || pipe(back)) exit(93);
	fflush(stdout);
	job.pid = fork();
	if (job.pid == 0) {
		close(there[1]);
		close(back[0]);
		run(back[1], there[0]);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	job.from = back[0];
	job.to = there[1];
	return job;
}

static void report(const char *what, pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, WUNTRACED) != pid) printf("%s: errno %d\n", what, errno);
	else if (WIFSTOPPED(status)) printf("%s: stopped by %d\n", what, WSTOPSIG(status));
	else if (WIFSIGNALED(status)) printf("%s: ended by %d\n", what, WTERMSIG(status));
	else printf("%s: exit %d\n", what, WEXITSTATUS(status));
}

static void open_terminal(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master)) exit(94);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	show("locked", slave);
	if (unlockpt(master)) exit(95);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	printf("opened: %d, terminals %d %d\n", slave >= 0, isatty(slave), isatty(master));
}

static void nobody_is_controlled_at_first(void)
{
	errno = 0;
	show("foreground", tcgetpgrp(slave));
	show("session", tcgetsid(slave));
	show("set", tcsetpgrp(slave, getpgrp()));
	show("tty", open("/dev/tty", O_RDWR));
}

static void leader_acquires_it(void)
{
	printf("acquire: %d\n", ioctl(slave, TIOCSCTTY, 0));
	printf("again: %d\n", ioctl(slave, TIOCSCTTY, 0));
	printf("own: %d %d\n", tcgetpgrp(slave) == getpgrp(), tcgetsid(slave) == getsid(0));
	printf("master: %d\n", tcgetpgrp(master) == getpgrp());
	int tty = open("/dev/tty", O_RDWR);
	printf("tty: %d\n", tty >= 0);
	close(tty);
	errno = 0;
	show("no group", tcsetpgrp(slave, 99999999));
	show("negative", tcsetpgrp(slave, -5));
	show("process 1", tcsetpgrp(slave, 1));
}

static void reads(int to, int from)
{
	char line[32];
	setpgid(0, 0);
	tell(to);
	hear(from);
	ssize_t got = read(slave, line, sizeof line);
	_exit(got == 5 && !memcmp(line, "line\n", 5) ? 0 : 1);
}

static void background_reader_stops(void)
{
	struct job job = start(reads);
	hear(job.from);
	if (write(master, "line\n", 5) != 5) exit(96);
	tell(job.to);
	report("reader", job.pid);
	printf("foreground: %d\n", tcsetpgrp(slave, job.pid));
	kill(job.pid, SIGCONT);
	report("reader", job.pid);
	handle(SIGTTOU, SIG_IGN);
	printf("back: %d\n", tcsetpgrp(slave, getpgrp()));
	handle(SIGTTOU, SIG_DFL);
}

static void reads_ignoring(int to, int from)
{
	char byte;
	(void)from;
	setpgid(0, 0);
	handle(SIGTTIN, SIG_IGN);
	errno = 0;
	int ignored = read(slave, &byte, 1) == -1 && errno == EIO;
	handle(SIGTTIN, note);
	seen = 0;
	int handled = read(slave, &byte, 1) == -1 && errno == EINTR && seen == SIGTTIN;
	tell(to);
	_exit(ignored + 2 * handled);
}

static void background_reader_that_ignores_fails(void)
{
	struct job job = start(reads_ignoring);
	hear(job.from);
	report("ignoring", job.pid);
}

static void prints(int to, int from)
{
	setpgid(0, 0);
	tell(to);
	hear(from);
	_exit(write(slave, "x", 1) == 1 ? 0 : 1);
}

static void changes(int to, int from)
{
	struct termios modes;
	setpgid(0, 0);
	tell(to);
	hear(from);
	_exit(tcgetattr(slave, &modes) || tcsetattr(slave, TCSANOW, &modes) ? 1 : 0);
}

static void set_tostop(int is_on)
{
	struct termios modes;
	if (tcgetattr(slave, &modes)) exit(97);
	if (is_on) modes.c_lflag |= TOSTOP;
	else modes.c_lflag &= ~TOSTOP;
	if (tcsetattr(slave, TCSADRAIN, &modes)) exit(98);
}

static void resume(struct job job, const char *what)
{
	if (tcsetpgrp(slave, job.pid)) exit(99);
	kill(job.pid, SIGCONT);
	report(what, job.pid);
	handle(SIGTTOU, SIG_IGN);
	if (tcsetpgrp(slave, getpgrp())) exit(100);
	handle(SIGTTOU, SIG_DFL);
}

static void background_writer_stops_if_told(void)
{
	struct job job = start(prints);
	hear(job.from);
	tell(job.to);
	report("printer", job.pid);
	set_tostop(1);
	job = start(prints);
	hear(job.from);
	tell(job.to);
	report("printer", job.pid);
	resume(job, "printer");
	set_tostop(0);
	job = start(changes);
	hear(job.from);
	tell(job.to);
	report("changer", job.pid);
	resume(job, "changer");
}

static void waits(int to, int from)
{
	setpgid(0, 0);
	tell(to);
	hear(from);
}

static void typed_characters_are_signals(void)
{
	static const struct { const char *typed, *name; } CASES[] = {
		{ "\003", "interrupt" }, { "\034", "quit" }, { "\032", "suspend" },
	};
	for (int i = 0; i < 3; i++) {
		struct job job = start(waits);
		hear(job.from);
		tcsetpgrp(slave, job.pid);
		if (write(master, CASES[i].typed, 1) != 1) exit(101);
		report(CASES[i].name, job.pid);
		if (i == 2) {
			kill(job.pid, SIGKILL);
			report(CASES[i].name, job.pid);
		}
		handle(SIGTTOU, SIG_IGN);
		tcsetpgrp(slave, getpgrp());
		handle(SIGTTOU, SIG_DFL);
	}
}

static void windows_of_another_size_are_told(void)
{
	struct winsize window = { 33, 77, 0, 0 };
	seen = 0;
	handle(SIGWINCH, note);
	ioctl(master, TIOCSWINSZ, &window);
	int first = seen;
	ioctl(slave, TIOCSWINSZ, &window);
	memset(&window, 0, sizeof window);
	ioctl(slave, TIOCGWINSZ, &window);
	printf("window: %d then %d, %d x %d\n", first, seen, window.ws_row, window.ws_col);
}

static void requests_are_answered(void)
{
	int number = -1, queued = -1, locked = -1;
	char buffer[64];
	printf("number: %d\n", ioctl(master, TIOCGPTN, &number) == 0 && number >= 0);
	show("number of a slave", ioctl(slave, TIOCGPTN, &number));
	show("lock", ioctl(master, TIOCGPTLCK, &locked));
	show("locked", locked);
	tcflush(slave, TCIOFLUSH);
	tcflush(master, TCIOFLUSH);
	if (write(master, "abc\nde", 6) != 6) exit(102);
	ssize_t got = read(slave, buffer, 2);
	int result = ioctl(slave, FIONREAD, &queued);
	printf("read: %zd; queued %d, %d\n", got, result, queued);
	result = ioctl(slave, TIOCOUTQ, &queued);
	printf("output: %d, %d\n", result, queued);
	show("flow", tcflow(slave, TCOOFF));
	show("no flow", tcflow(slave, 9));
	show("flow", tcflow(slave, TCOON));
	show("drain", tcdrain(slave));
	show("break", tcsendbreak(slave, 0));
	show("exclusive", ioctl(slave, TIOCEXCL));
	show("shared", ioctl(slave, TIOCNXCL));
}

static void peer_is_opened_without_a_path(void)
{
	int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	struct stat ours, theirs;
	if (fstat(peer, &theirs) || fstat(slave, &ours)) exit(104);
	printf("peer: same %d\n", ours.st_rdev == theirs.st_rdev && ours.st_ino == theirs.st_ino);
	close(peer);
}

static void leader(int to, int from)
{
	(void)from;
	int own = posix_openpt(O_RDWR | O_NOCTTY);
	if (own < 0 || unlockpt(own)) _exit(1);
	setsid();
	int tty = open(ptsname(own), O_RDWR);
	if (tcgetpgrp(tty) != getpid()) _exit(2);
	handle(SIGHUP, note);
	handle(SIGCONT, note);
	seen = 0;
	close(own);
	char byte;
	int is_told = seen == 118 || seen == 1801;
	int ends = read(tty, &byte, 1) == 0;
	errno = 0;
	int refuses = write(tty, "x", 1) == -1 && errno == EIO;
	tell(to);
	_exit(40 + is_told + 2 * ends + 4 * refuses);
}

static void closing_the_master_hangs_up(void)
{
	struct job job = start(leader);
	hear(job.from);
	report("leader", job.pid);
}

static void member(int to, int from)
{
	setpgid(0, 0);
	tell(to);
	hear(from);
}

static void leader_that_ends(int to, int from)
{
	int own = posix_openpt(O_RDWR | O_NOCTTY);
	if (own < 0 || unlockpt(own)) _exit(1);
	setsid();
	int tty = open(ptsname(own), O_RDWR);
	struct job job = start(member);
	hear(job.from);
	if (tcsetpgrp(tty, job.pid)) _exit(3);
	if (write(to, &job.pid, sizeof job.pid) != sizeof job.pid) _exit(4);
	hear(from);
}

static void end_of_a_leader_hangs_its_foreground_up(void)
{
	struct job job = start(leader_that_ends);
	pid_t pid = 0;
	if (read(job.from, &pid, sizeof pid) != sizeof pid) exit(103);
	tell(job.to);
	report("leader", job.pid);
	/* Its pipes end when it is gone. */
	char byte;
	printf("member: %zd\n", read(job.from, &byte, 1));
}

static void giving_it_up_frees_it(void)
{
	seen = 0;
	handle(SIGHUP, note);
	handle(SIGCONT, note);
	printf("give up: %d\n", ioctl(slave, TIOCNOTTY));
	printf("told: %d\n", seen == 118 || seen == 1801);
	show("foreground", tcgetpgrp(slave));
	show("none", ioctl(slave, TIOCNOTTY));
}

int main(void)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid) {
		report("all", pid);
		return 0;
	}
	if (setsid() < 0) return 1;
	open_terminal();
	nobody_is_controlled_at_first();
	leader_acquires_it();
	background_reader_stops();
	background_reader_that_ignores_fails();
	background_writer_stops_if_told();
	typed_characters_are_signals();
	windows_of_another_size_are_told();
	requests_are_answered();
	peer_is_opened_without_a_path();
	closing_the_master_hangs_up();
	end_of_a_leader_hangs_its_foreground_up();
	giving_it_up_frees_it();
	fflush(stdout);
	_exit(0);
}
