/* CPU time of threads of control, processes and children, and timers that send signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The C libraries have different texts. */
static int of(int failed)
{
	return failed ? errno : 0;
}

static long time_of(clockid_t clock)
{
	struct timespec time;
	if (clock_gettime(clock, &time)) return -1;
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static volatile unsigned work;

/* Computes until the process has used so much more CPU time. */
static void compute(long milliseconds)
{
	long end = time_of(CLOCK_PROCESS_CPUTIME_ID) + milliseconds * 1000000;
	while (time_of(CLOCK_PROCESS_CPUTIME_ID) < end)
		for (int i = 0; i < 1000; i++) work += i;
}

static long used_by(int who)
{
	struct rusage usage;
	if (getrusage(who, &usage)) return -1;
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void a_process_has_cpu_time_of_its_own(void)
{
	struct timespec nap = { 0, 60000000 };
	long start = time_of(CLOCK_PROCESS_CPUTIME_ID), thread = time_of(CLOCK_THREAD_CPUTIME_ID);
	nanosleep(&nap, 0);
	long slept = time_of(CLOCK_PROCESS_CPUTIME_ID) - start;
	printf("asleep: %d\n", slept < 50000000);
	compute(50);
	printf("computed: %d %d\n", time_of(CLOCK_PROCESS_CPUTIME_ID) - start >= 50000000,
		time_of(CLOCK_THREAD_CPUTIME_ID) - thread >= 49000000);
	printf("told: %d %d %d\n", used_by(RUSAGE_SELF) >= 45, used_by(RUSAGE_THREAD) >= 45, used_by(RUSAGE_CHILDREN) == 0);
	printf("nobody: %d\n", of(used_by(7) < 0));
	clockid_t clock;
	printf("own by number: %d, ", clock_getcpuclockid(getpid(), &clock));
	printf("%d\n", time_of(clock) >= 50000000);
	printf("nobody by number: %d\n", clock_getcpuclockid(4000000, &clock) == ESRCH);
}

static void children_are_counted_when_they_were_waited_for(void)
{
	struct rusage usage;
	struct tms before, after;
	times(&before);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		printf("child: %d\n", time_of(CLOCK_PROCESS_CPUTIME_ID) < 40000000);
		fflush(stdout);
		compute(60);
		_exit(0);
	}
	siginfo_t info;
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	printf("not yet: %d\n", used_by(RUSAGE_CHILDREN) == 0);
	wait4(child, 0, 0, &usage);
	printf("its own: %d\n", usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= 55000);
	printf("of children: %d\n", used_by(RUSAGE_CHILDREN) >= 55);
	times(&after);
	printf("ticks: %d\n", after.tms_cutime + after.tms_cstime - before.tms_cutime - before.tms_cstime >= 5);
	fflush(stdout);
	if (!(child = fork())) {
		printf("of a child's children: %d\n", used_by(RUSAGE_CHILDREN));
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
}

static void status_tells_the_time(void)
{
	FILE *file = fopen("/proc/self/stat", "r");
	char line[1000] = "";
	fgets(line, sizeof line, file);
	fclose(file);
	long user, system, of_children, systems;
	sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &user, &system,
		&of_children, &systems);
	printf("stat: %d %d\n", user + system >= 4, of_children + systems >= 5);
}

static volatile sig_atomic_t rung, code, value, own_number;

static void ring(int signal, siginfo_t *info, void *context)
{
	rung++;
	code = info->si_code;
	value = info->si_value.sival_int;
}

static void handle(int signal)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = ring;
	action.sa_flags = SA_SIGINFO;
	sigaction(signal, &action, 0);
}

static timer_t make(clockid_t clock, int how, int signal, int number)
{
	struct sigevent event;
	timer_t timer = 0;
	memset(&event, 0, sizeof event);
	event.sigev_notify = how;
	event.sigev_signo = signal;
	event.sigev_value.sival_int = number;
	if (how == SIGEV_THREAD_ID) event.sigev_notify_thread_id = syscall(SYS_gettid);
	int failed = timer_create(clock, &event, &timer);
	printf("timer: %d\n", of(failed));
	return timer;
}

static void set(timer_t timer, long first, long interval)
{
	struct itimerspec time = { { 0, interval }, { 0, first } };
	timer_settime(timer, 0, &time, 0);
}

static void wait_for_rings(int count)
{
	struct timespec nap = { 0, 1000000 };
	while (rung < count) nanosleep(&nap, 0);
}

static void timers_send_signals(void)
{
	struct itimerspec time, old;
	handle(SIGUSR1);
	rung = 0;
	timer_t timer = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 11);
	timer_gettime(timer, &time);
	printf("not set: %d %d\n", (int)time.it_value.tv_sec, (int)time.it_value.tv_nsec);
	set(timer, 2000000, 0);
	wait_for_rings(1);
	printf("rung: %d, code %d, value %d, overrun %d\n", rung, code, value, timer_getoverrun(timer));
	time = (struct itimerspec){ { 0, 0 }, { 100, 0 } };
	timer_settime(timer, 0, &time, &old);
	printf("before: %d\n", (int)old.it_value.tv_sec);
	timer_gettime(timer, &time);
	printf("left: %d %d\n", time.it_value.tv_sec == 99, time.it_interval.tv_sec == 0);
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	time = (struct itimerspec){ { 0, 0 }, now };
	timer_settime(timer, TIMER_ABSTIME, &time, &old);
	printf("before: %d\n", old.it_value.tv_sec == 99);
	wait_for_rings(2);
	printf("past: %d\n", rung);
	set(timer, 1000000, 1000000);
	wait_for_rings(5);
	set(timer, 0, 0);
	printf("again and again: %d\n", rung >= 5);
	printf("deleted: %d, ", of(timer_delete(timer)));
	/* One of the C libraries does not say why. */
	printf("gone: %d\n", timer_delete(timer) != 0);
}

static void rings_while_a_signal_waits_are_counted(void)
{
	sigset_t set_of_one;
	siginfo_t info;
	sigemptyset(&set_of_one);
	sigaddset(&set_of_one, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set_of_one, 0);
	timer_t timer = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 3, 12);
	struct timespec nap = { 0, 30000000 };
	set(timer, 1000000, 5000000);
	nanosleep(&nap, 0);
	sigwaitinfo(&set_of_one, &info);
	int overrun = timer_getoverrun(timer);
	set(timer, 0, 0);
	printf("waited: value %d, overrun %d, same %d\n", info.si_value.sival_int, info.si_overrun >= 4,
		info.si_overrun == overrun);
	printf("set again: %d\n", timer_getoverrun(timer));
	sigtimedwait(&set_of_one, &info, &(struct timespec){ 0, 0 });
	struct timespec none = { 0, 0 };
	printf("only one: %d\n", of(sigtimedwait(&set_of_one, &info, &none) < 0));
	timer_delete(timer);
	sigprocmask(SIG_UNBLOCK, &set_of_one, 0);
}

static void timers_count_other_times_and_ring_for_others(void)
{
	struct itimerspec time;
	rung = 0;
	timer_t timer = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 13);
	set(timer, 20000000, 0);
	while (rung < 1) compute(1);
	printf("computed: %d %d\n", rung, value);
	timer_delete(timer);
	timer = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, SIGUSR1, 14);
	set(timer, 20000000, 0);
	while (rung < 2) compute(1);
	printf("computed: %d %d\n", rung, value);
	timer_delete(timer);
	timer = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	set(timer, 500000000, 0);
	timer_gettime(timer, &time);
	printf("silent: %d\n", time.it_value.tv_nsec > 0 && time.it_value.tv_nsec <= 500000000);
	timer_delete(timer);
	make(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, 0);
	make(77, SIGEV_SIGNAL, SIGUSR1, 0);
	make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 99, 0);
	printf("none: %d\n", of(timer_getoverrun((timer_t)99) < 0));
}

static void intervals_of_computing_ring(void)
{
	struct itimerval time = { { 0, 5000 }, { 0, 5000 } }, left;
	handle(SIGVTALRM);
	handle(SIGPROF);
	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		rung = 0;
		printf("set: %d\n", of(setitimer(which, &time, 0)));
		while (rung < 3) compute(1);
		getitimer(which, &left);
		printf("interval: %d, left %d\n", (int)left.it_interval.tv_usec / 1000, left.it_value.tv_usec > 0);
		struct itimerval none = { { 0, 0 }, { 0, 0 } };
		setitimer(which, &none, 0);
		rung = 0;
		compute(20);
		printf("none: %d\n", rung);
	}
	printf("unknown: %d\n", of(setitimer(3, &time, 0)));
}

/* In a child: a limit does not go away. */
static void computing_ends_at_its_limit(void)
{
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		struct rlimit limit = { 1, 2 };
		rung = 0;
		handle(SIGXCPU);
		setrlimit(RLIMIT_CPU, &limit);
		while (!rung) compute(10);
		printf("limit: %d\n", time_of(CLOCK_PROCESS_CPUTIME_ID) >= 900000000);
		fflush(stdout);
		compute(5000);
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	printf("killed: %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	a_process_has_cpu_time_of_its_own();
	children_are_counted_when_they_were_waited_for();
	status_tells_the_time();
	timers_send_signals();
	rings_while_a_signal_waits_are_counted();
	timers_count_other_times_and_ring_for_others();
	intervals_of_computing_ring();
	computing_ends_at_its_limit();
	return 0;
}
