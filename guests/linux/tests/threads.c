/*
 * Threads: starting and joining them, what they have for themselves and what they share, waiting for each other,
 * signals of one thread, and cancellation. Prints the same everywhere. Its argument is its own path.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 2000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void *own(void *argument)
{
	return argument;
}

static void results_are_joined(void)
{
	pthread_t threads[THREADS];
	long sum = 0;
	for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, own, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		sum += (long)result;
	}
	printf("joined %ld\n", sum);
}

static long counter;

static void *count(void *argument)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return 0;
}

static atomic_long atomic;

static void *count_atomically(void *argument)
{
	for (int i = 0; i < ROUNDS; i++) atomic++;
	return 0;
}

static void run_all(void *(*entry)(void *), void *argument)
{
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, entry, argument);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
}

static void counters_lose_nothing(void)
{
	run_all(count, 0);
	run_all(count_atomically, 0);
	printf("counted %ld and %ld\n", counter, atomic);
}

static _Thread_local int seven = 7;
static _Thread_local char zeros[100];
static atomic_int fresh;

static void *look_at_variables(void *argument)
{
	int is_fresh = seven == 7 && !errno;
	for (size_t i = 0; i < sizeof zeros; i++) is_fresh &= !zeros[i];
	memset(zeros, 1, sizeof zeros);
	seven++;
	errno = 5;
	fresh += is_fresh && seven == 8;
	return 0;
}

static void variables_are_the_threads_own(void)
{
	errno = 3;
	seven = 9;
	run_all(look_at_variables, 0);
	printf("fresh %d, kept %d %d\n", fresh, seven, errno);
}

static int turn, turns;

static void *take_turns(void *argument)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != *(int *)argument) pthread_cond_wait(&changed, &mutex);
		turn = !turn;
		turns++;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&mutex);
	}
	return 0;
}

static void two_take_turns(void)
{
	int names[2] = { 0, 1 };
	pthread_t threads[2];
	for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, take_turns, &names[i]);
	for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
	printf("turns %d\n", turns);
}

static int is_open, passed;

static void *wait_for_gate(void *argument)
{
	pthread_mutex_lock(&mutex);
	turns++;
	while (!is_open) pthread_cond_wait(&changed, &mutex);
	passed++;
	pthread_mutex_unlock(&mutex);
	return 0;
}

static void a_broadcast_wakes_all(void)
{
	pthread_t threads[THREADS];
	turns = 0;
	for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, wait_for_gate, 0);
	for (int all = 0; !all; sched_yield()) {
		pthread_mutex_lock(&mutex);
		all = turns == THREADS;
		pthread_mutex_unlock(&mutex);
	}
	pthread_mutex_lock(&mutex);
	is_open = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
	printf("passed %d\n", passed);
}

static pthread_barrier_t barrier;
static sem_t semaphore;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static int initialised, written;
static atomic_int serial, unequal;

static void initialise(void)
{
	initialised++;
}

static void *use_everything(void *argument)
{
	pthread_once(&once, initialise);
	serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
	for (int i = 0; i < ROUNDS / 10; i++) {
		pthread_rwlock_wrlock(&rwlock);
		written++;
		pthread_rwlock_unlock(&rwlock);
		pthread_rwlock_rdlock(&rwlock);
		int before = written;
		sched_yield();
		unequal += written != before;
		pthread_rwlock_unlock(&rwlock);
		pthread_spin_lock(&spin);
		counter++;
		pthread_spin_unlock(&spin);
	}
	sem_post(&semaphore);
	return 0;
}

static void locks_of_all_kinds_hold(void)
{
	pthread_barrier_init(&barrier, 0, THREADS);
	sem_init(&semaphore, 0, 0);
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	counter = 0;
	run_all(use_everything, 0);
	for (int i = 0; i < THREADS; i++) sem_wait(&semaphore);
	printf("once %d, serial %d, written %d, unequal %d, counted %ld, left %d\n", initialised, serial, written, unequal, counter,
		sem_trywait(&semaphore));
	struct timespec soon;
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 1000000;
	if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
	int timed = sem_timedwait(&semaphore, &soon);
	printf("timed %d %d\n", timed, errno == ETIMEDOUT);
	pthread_mutex_lock(&mutex);
	printf("waited %d\n", pthread_cond_timedwait(&changed, &mutex, &soon) == ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
}

static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value)
{
	destroyed += (intptr_t)value;
}

static void *set_key(void *argument)
{
	pthread_setspecific(key, (void *)2);
	return 0;
}

static void values_of_keys_are_destroyed(void)
{
	pthread_key_create(&key, destroy);
	run_all(set_key, 0);
	printf("destroyed %d\n", destroyed);
}

static void *post(void *argument)
{
	sem_post(&semaphore);
	return 0;
}

static void detached_threads_leave_nothing(void)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int failed = 0;
	for (int i = 0; i < 500; i++) {
		pthread_t thread;
		failed += pthread_create(&thread, &attributes, post, 0) != 0;
		sem_wait(&semaphore);
	}
	printf("detached, %d failed\n", failed);
}

static volatile sig_atomic_t handled_by;
static atomic_int blocked_ready, stop;

static void note_thread(int signal)
{
	handled_by = syscall(SYS_gettid);
}

static void *be_signalled(void *argument)
{
	*(int *)argument = syscall(SYS_gettid);
	sem_post(&semaphore);
	struct timespec pause = { 0, 1000000 };
	while (!stop) nanosleep(&pause, 0);
	return 0;
}

static void a_signal_is_for_one_thread(void)
{
	struct sigaction action = { .sa_handler = note_thread };
	int tid;
	pthread_t thread;
	sigaction(SIGUSR1, &action, 0);
	pthread_create(&thread, 0, be_signalled, &tid);
	sem_wait(&semaphore);
	pthread_kill(thread, SIGUSR1);
	while (!handled_by) sched_yield();
	printf("own %d, first's %d\n", handled_by == tid, handled_by == getpid());
	int unknown = syscall(SYS_tgkill, getpid(), 99999, 0);
	printf("unknown %d %d\n", unknown, errno == ESRCH);
	stop = 1;
	pthread_join(thread, 0);
}

/* It makes no system call. */
static void *compute(void *argument)
{
	sem_post(&semaphore);
	while (!handled_by) ;
	return 0;
}

static void so_is_one_for_a_thread_that_computes(void)
{
	pthread_t thread;
	handled_by = 0;
	pthread_create(&thread, 0, compute, 0);
	sem_wait(&semaphore);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, 0);
	printf("computed, first's %d\n", handled_by == getpid());
}

static void *wait_for_signals(void *argument)
{
	sigset_t *set = argument;
	int first, second;
	sigwait(set, &first);
	sem_post(&semaphore);
	sigwait(set, &second);
	return (void *)(intptr_t)(first == SIGUSR2 && second == SIGTERM);
}

static void one_thread_takes_all_signals(void)
{
	sigset_t set, other, before;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	pthread_t thread;
	void *result;
	pthread_create(&thread, 0, wait_for_signals, &set);
	kill(getpid(), SIGUSR2);
	sem_wait(&semaphore);
	kill(getpid(), SIGTERM);
	pthread_join(thread, &result);
	pthread_sigmask(SIG_SETMASK, &before, &other);
	printf("waited for %d, blocked %d\n", (int)(intptr_t)result, sigismember(&other, SIGTERM));
}

static atomic_int cleaned;

static void clean(void *argument)
{
	cleaned += 1;
	pthread_mutex_unlock(&mutex);
}

static void *wait_forever(void *argument)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(clean, 0);
	sem_post(&semaphore);
	for (;;) pthread_cond_wait(&changed, &mutex);
	pthread_cleanup_pop(1);
	return 0;
}

static void *read_forever(void *argument)
{
	char byte;
	sem_post(&semaphore);
	for (;;) read(*(int *)argument, &byte, 1);
	return 0;
}

static void *cannot_be_cancelled(void *argument)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, 0);
	sem_post(&semaphore);
	sem_wait(argument);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, 0);
	pthread_testcancel();
	return (void *)1;
}

static int is_cancelled(void *(*entry)(void *), void *argument, sem_t *then)
{
	pthread_t thread;
	void *result;
	pthread_create(&thread, 0, entry, argument);
	sem_wait(&semaphore);
	pthread_cancel(thread);
	if (then) sem_post(then);
	pthread_join(thread, &result);
	return result == PTHREAD_CANCELED;
}

static void waiting_threads_are_cancelled(void)
{
	int ends[2];
	sem_t gate;
	sem_init(&gate, 0, 0);
	pipe(ends);
	printf("cancelled %d", is_cancelled(wait_forever, 0, 0));
	printf(" %d", is_cancelled(read_forever, &ends[0], 0));
	printf(" %d, cleaned %d\n", is_cancelled(cannot_be_cancelled, &gate, &gate), cleaned);
}

/* Of this program. */
static char *path;

static void *spawn_hello(void *argument)
{
	char *words[] = { "threads", "hello", 0 };
	char *none[] = { 0 };
	pid_t child;
	int status = -1;
	if (!posix_spawn(&child, path, 0, 0, words, none)) waitpid(child, &status, 0);
	return (void *)(intptr_t)status;
}

static void threads_start_processes(void)
{
	pthread_t thread;
	void *status;
	pthread_create(&thread, 0, spawn_hello, 0);
	pthread_join(thread, &status);
	printf("spawned %d\n", (int)(intptr_t)status);
}

static void *allocate(void *argument)
{
	unsigned seed = (uintptr_t)argument;
	int bad = 0;
	for (int i = 0; i < ROUNDS / 4; i++) {
		size_t bytes = rand_r(&seed) % 20000 + 1;
		char *block = i % 4 ? malloc(bytes) : mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(block, seed, bytes);
		for (size_t at = 0; at < bytes; at += 97) bad += block[at] != (char)seed;
		if (i % 4) free(block);
		else munmap(block, bytes);
	}
	return (void *)(intptr_t)bad;
}

static void memory_is_given_to_one(void)
{
	pthread_t threads[THREADS];
	long bad = 0;
	for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, allocate, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		bad += (intptr_t)result;
	}
	printf("bad %ld\n", bad);
}

static void *end_last(void *argument)
{
	pthread_join(*(pthread_t *)argument, 0);
	printf("the first thread is gone\n");
	return 0;
}

static void *exit_with_seven(void *argument)
{
	exit(7);
}

static void *become_hello(void *argument)
{
	execl(path, "threads", "hello", (char *)0);
	return 0;
}

static void *spin_forever(void *argument)
{
	for (;;) atomic++;
}

/* Another thread ends the process, or makes it another program, while the first waits and one computes. */
static int wait_for_another(void *(*entry)(void *))
{
	pthread_t thread, spinning;
	pthread_create(&spinning, 0, spin_forever, 0);
	pthread_create(&thread, 0, entry, 0);
	for (;;) pause();
}

int main(int argc, char **argv)
{
	static pthread_t first;
	pthread_t last;
	if (!strcmp(argv[1], "hello")) {
		puts("hello");
		return 0;
	}
	path = argv[1];
	if (argc > 2) return wait_for_another(strcmp(argv[2], "exec") ? exit_with_seven : become_hello);
	setvbuf(stdout, 0, _IOLBF, 0);
	results_are_joined();
	counters_lose_nothing();
	variables_are_the_threads_own();
	two_take_turns();
	a_broadcast_wakes_all();
	locks_of_all_kinds_hold();
	values_of_keys_are_destroyed();
	detached_threads_leave_nothing();
	a_signal_is_for_one_thread();
	so_is_one_for_a_thread_that_computes();
	one_thread_takes_all_signals();
	waiting_threads_are_cancelled();
	threads_start_processes();
	memory_is_given_to_one();
	first = pthread_self();
	pthread_create(&last, 0, end_last, &first);
	pthread_exit(0);
}
