/* Descriptors that tell what has happened: epoll, eventfd, timerfd. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The C libraries have different texts. */
static const char *number_of(int error)
{
	static char text[16];
	snprintf(text, sizeof text, "error %d", error);
	return text;
}

static const char *name_of(int failed)
{
	return failed ? number_of(errno) : "fine";
}

static void watch(int set, int operation, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };
	int failed = epoll_ctl(set, operation, fd, &event);
	if (failed) printf("ctl %d of %llu: %s\n", operation, (unsigned long long)data, name_of(failed));
}

static void tell(const char *what, int set, int timeout)
{
	struct epoll_event events[8];
	int count = epoll_wait(set, events, 8, timeout);
	printf("%s: %d", what, count);
	for (int i = 0; i < count; i++)
		printf(" %llu=%x", (unsigned long long)events[i].data.u64, events[i].events);
	printf("\n");
}

static void sets_tell_levels_edges_and_ends(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), level[2], edge[2], pair[2];
	char bytes[8];
	if (pipe(level) || pipe(edge) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return;
	watch(set, EPOLL_CTL_ADD, level[0], EPOLLIN, 1);
	watch(set, EPOLL_CTL_ADD, edge[0], EPOLLIN | EPOLLET, 2);
	watch(set, EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLONESHOT, 3);
	tell("start", set, 0);
	watch(set, EPOLL_CTL_MOD, pair[0], EPOLLIN | EPOLLRDHUP, 4);
	if (write(level[1], "ab", 2) + write(edge[1], "ab", 2) != 4) return;
	tell("written", set, -1);
	tell("again", set, 0);
	if (read(level[0], bytes, 1) + read(edge[0], bytes, 1) != 2) return;
	tell("read one", set, 0);
	if (read(level[0], bytes, 1) != 1) return;
	close(edge[1]);
	close(pair[1]);
	tell("ends", set, 1000);
	close(edge[0]);
	watch(set, EPOLL_CTL_DEL, pair[0], 0, 4);
	tell("gone", set, 0);
	close(set);
}

static void sets_refuse_what_makes_no_sense(void)
{
	int set = epoll_create1(0), inner = epoll_create(1), file = open("/", O_RDONLY);
	int pipes[2];
	if (pipe(pipes)) return;
	watch(set, EPOLL_CTL_ADD, set, EPOLLIN, 1);
	watch(set, EPOLL_CTL_ADD, file, EPOLLIN, 2);
	watch(set, EPOLL_CTL_ADD, 99, EPOLLIN, 3);
	watch(set, EPOLL_CTL_MOD, pipes[0], EPOLLIN, 4);
	watch(set, EPOLL_CTL_DEL, pipes[0], EPOLLIN, 5);
	watch(set, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 6);
	watch(set, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 7);
	watch(set, 9, pipes[0], EPOLLIN, 8);
	watch(pipes[0], EPOLL_CTL_ADD, set, EPOLLIN, 9);
	watch(set, EPOLL_CTL_ADD, inner, EPOLLIN, 10);
	watch(inner, EPOLL_CTL_ADD, set, EPOLLIN, 11);
	struct epoll_event event;
	printf("no room: %s\n", name_of(epoll_wait(set, &event, 0, 0) < 0));
	printf("no set: %s\n", name_of(epoll_wait(pipes[0], &event, 1, 0) < 0));
	printf("no size: %s\n", name_of(epoll_create(0) < 0));
	int fd = eventfd(1, 0);
	watch(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 12);
	tell("nested", set, 1000);
	close(fd);
	tell("closed", set, 0);
	close(set), close(inner), close(file);
}

static void take(const char *what, int fd)
{
	uint64_t count = 0;
	ssize_t length = read(fd, &count, 8);
	printf("%s: %zd of %llu\n", what, length, (unsigned long long)count);
}

static void counters_add_and_take(void)
{
	uint64_t count = 0;
	int all = eventfd(3, EFD_NONBLOCK), one = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	count = 4;
	printf("add: %zd\n", write(all, &count, 8));
	take("take", all);
	printf("empty: %s\n", name_of(read(all, &count, 8) < 0));
	take("one", one);
	printf("short: %s\n", name_of(read(one, &count, 4) < 0));
	count = UINT64_MAX;
	printf("too much: %s\n", name_of(write(one, &count, 8) < 0));
	count = UINT64_MAX - 1;
	printf("full: %s\n", name_of(write(one, &count, 8) < 0));
	close(all), close(one);
}

static void a_counter_wakes_another_process(void)
{
	int fd = eventfd(0, 0), status;
	uint64_t count;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		count = 42;
		_exit(write(fd, &count, 8) != 8);
	}
	take("from the child", fd);
	waitpid(child, &status, 0);
	printf("it ended with %d\n", status);
	close(fd);
}

static void timers_ring(void)
{
	uint64_t rings = 0;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), set = epoll_create1(0);
	struct itimerspec once = { .it_value = { 0, 2000000 } }, left;
	struct itimerspec often = { .it_value = { 0, 1000000 }, .it_interval = { 0, 1000000 } };
	watch(set, EPOLL_CTL_ADD, fd, EPOLLIN, 5);
	printf("unset: %s\n", name_of(read(fd, &rings, 8) < 0));
	printf("set: %s\n", name_of(timerfd_settime(fd, 0, &once, 0)));
	tell("rang", set, 5000);
	take("rings", fd);
	timerfd_gettime(fd, &left);
	printf("left: %ld %ld\n", (long)left.it_value.tv_sec, left.it_value.tv_nsec);
	timerfd_settime(fd, 0, &often, 0);
	for (int i = 0; i < 3; i++) {
		tell("often", set, 5000);
		ssize_t length = read(fd, &rings, 8);
		printf("%d\n", length == 8 && rings > 0);
	}
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	struct itimerspec past = { .it_value = { now.tv_sec - 1, now.tv_nsec } };
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, &left);
	printf("interval was %ld\n", left.it_interval.tv_nsec);
	tell("past", set, 5000);
	printf("no timer: %s\n", name_of(timerfd_settime(set, 0, &once, 0)));
	printf("no clock: %s\n", name_of(timerfd_create(77, 0) < 0));
	close(fd), close(set);
}

static void note(int signal)
{
	(void)signal;
}

static void a_handler_interrupts_a_wait(void)
{
	struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };
	struct epoll_event event;
	sigset_t block, none;
	int set = epoll_create1(0);
	sigaction(SIGUSR1, &action, 0);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, 0);
	raise(SIGUSR1);
	printf("blocked: %d\n", epoll_wait(set, &event, 1, 1));
	printf("unblocked: %s\n", name_of(epoll_pwait(set, &event, 1, -1, &none) < 0));
	printf("after: %d\n", epoll_wait(set, &event, 1, 1));
	close(set);
}

int main(void)
{
	sets_tell_levels_edges_and_ends();
	sets_refuse_what_makes_no_sense();
	counters_add_and_take();
	a_counter_wakes_another_process();
	timers_ring();
	a_handler_interrupts_a_wait();
	return 0;
}
