/* Signals: handlers, masks, calls that are interrupted, jumps out of handlers. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static sigjmp_buf out;

static void count(int signal)
{
	seen = seen * 100 + signal;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	action.sa_flags = flags;
	if (sigaction(signal, &action, 0)) exit(1);
}

static void handler_runs_when_a_signal_is_raised(void)
{
	seen = 0;
	handle(SIGUSR1, count, 0);
	raise(SIGUSR1);
	printf("raised: %d\n", seen);
}

static void blocked_signal_waits(void)
{
	sigset_t set, pending;
	seen = 0;
	handle(SIGUSR2, count, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, 0);
	kill(getpid(), SIGUSR2);
	sigpending(&pending);
	printf("blocked: %d, pending %d", seen, sigismember(&pending, SIGUSR2));
	sigprocmask(SIG_UNBLOCK, &set, 0);
	printf(", then %d\n", seen);
}

static void with_information(int signal, siginfo_t *information, void *context)
{
	seen = information->si_signo == signal && context != 0;
}

static void handler_gets_information(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = with_information;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGUSR1, &action, 0);
	seen = 0;
	raise(SIGUSR1);
	printf("information: %d\n", seen);
}

static void end_of_a_child_wakes_who_waits_for_signals(void)
{
	sigset_t set, none;
	seen = 0;
	handle(SIGCHLD, count, 0);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, 0);
	pid_t pid = fork();
	if (pid == 0) _exit(0);
	int result = sigsuspend(&none);
	printf("woken: %d, errno %d, seen %d\n", result, errno, seen);
	sigprocmask(SIG_UNBLOCK, &set, 0);
	handle(SIGCHLD, SIG_DFL, 0);
	waitpid(pid, 0, 0);
}

static void default_action_ends_a_child(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	printf("terminated: %d by %d\n", WIFSIGNALED(status), WTERMSIG(status));
}

static void ignored_signals_stay_ignored(void)
{
	int status;
	handle(SIGTERM, SIG_IGN, 0);
	pid_t pid = fork();
	if (pid == 0) {
		raise(SIGTERM);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	handle(SIGTERM, SIG_DFL, 0);
	printf("ignored: %d\n", WEXITSTATUS(status));
}

static void broken_pipe_ends_the_writer(void)
{
	int ends[2], status;
	if (pipe(ends)) exit(1);
	close(ends[0]);
	pid_t pid = fork();
	if (pid == 0) {
		if (write(ends[1], "x", 1) < 0) _exit(errno == EPIPE ? 2 : 3);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("broken pipe: %d by %d\n", WIFSIGNALED(status), WTERMSIG(status));
	close(ends[1]);
}

static void jump_out(int signal)
{
	siglongjmp(out, signal);
}

static void handler_jumps_out(void)
{
	sigset_t set;
	volatile int times = 0;
	handle(SIGUSR1, jump_out, 0);
	int value = sigsetjmp(out, 1);
	times++;
	if (times < 4) raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, 0, &set);
	printf("jumped: %d, %d times, blocked %d\n", value, times, sigismember(&set, SIGUSR1));
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	handler_runs_when_a_signal_is_raised();
	blocked_signal_waits();
	handler_gets_information();
	end_of_a_child_wakes_who_waits_for_signals();
	default_action_ends_a_child();
	ignored_signals_stay_ignored();
	broken_pipe_ends_the_writer();
	handler_jumps_out();
	return 0;
}
