/* POSIX threads: create and join, detach, mutexes, condition variables, thread-local variables, keys, barriers.
 * `threads [ACTION]`; passes on Linux too. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define check(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static void fail(const char *condition, int line) {
    printf("FAIL line %d: %s\n", line, condition);
    fflush(stdout);
    _exit(1);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread int mine = 7;
static long sum;
static int ready;
static int detached_done;

static void *add(void *argument) {
    check(mine == 7);
    mine = (int)(long)argument;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        sum += mine;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return (void *)(long)(mine * 2);
}

static void create_and_join(void) {
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) {
        check(pthread_create(&threads[i], NULL, add, (void *)(i + 1)) == 0);
    }
    pthread_mutex_lock(&lock);
    while (ready < 4) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    for (long i = 0; i < 4; i++) {
        void *result;
        check(pthread_join(threads[i], &result) == 0);
        check((long)result == (i + 1) * 2);
    }
    check(sum == 10000);
    check(mine == 7);
}

static void *set_errno(void *argument) {
    check(errno == 0);
    check(close(99) == -1);
    check(errno == EBADF);
    return argument;
}

static void errno_is_each_threads_own(void) {
    pthread_t thread;
    errno = 0;
    check(pthread_create(&thread, NULL, set_errno, NULL) == 0);
    check(pthread_join(thread, NULL) == 0);
    check(errno == 0);
}

static pthread_key_t key;
static int destroyed;

static void destroy(void *value) {
    destroyed += *(int *)value;
    free(value);
}

static void *use_key(void *argument) {
    int *value = malloc(sizeof *value);
    *value = (int)(long)argument;
    check(pthread_getspecific(key) == NULL);
    check(pthread_setspecific(key, value) == 0);
    pthread_exit(value);
}

static void keys_are_destroyed(void) {
    pthread_t threads[2];
    check(pthread_key_create(&key, destroy) == 0);
    for (long i = 0; i < 2; i++) {
        check(pthread_create(&threads[i], NULL, use_key, (void *)(i + 20)) == 0);
    }
    for (int i = 0; i < 2; i++) {
        check(pthread_join(threads[i], NULL) == 0);
    }
    check(destroyed == 41);
}

static void *nested(void *argument) {
    long depth = (long)argument;
    void *result = NULL;
    if (depth > 0) {
        pthread_t inner;
        check(pthread_create(&inner, NULL, nested, (void *)(depth - 1)) == 0);
        check(pthread_join(inner, &result) == 0);
    }
    return (void *)((long)result + depth);
}

static void threads_start_threads(void) {
    pthread_t thread;
    void *result;
    check(pthread_create(&thread, NULL, nested, (void *)3) == 0);
    check(pthread_join(thread, &result) == 0);
    check((long)result == 6);
}

static void *finish(void *argument) {
    char on_stack[1000];
    memset(on_stack, (int)(long)argument, sizeof on_stack);
    pthread_mutex_lock(&lock);
    detached_done += on_stack[999];
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Far more than fit at once with 2 MiB of stack each, so their stacks have to be given back. */
static void detached_threads_leave_nothing(void) {
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes) == 0);
    check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    for (int i = 1; i <= 60; i++) {
        pthread_t thread;
        while (pthread_create(&thread, &attributes, finish, (void *)1) != 0) {
            usleep(1000);
        }
        pthread_mutex_lock(&lock);
        while (detached_done < i) {
            pthread_cond_wait(&changed, &lock);
        }
        pthread_mutex_unlock(&lock);
    }
    check(detached_done == 60);
}

static void joined_threads_leave_nothing(void) {
    for (int i = 0; i < 60; i++) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, finish, (void *)0) == 0);
        check(pthread_join(thread, NULL) == 0);
    }
}

static void waits_end_in_time(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20 * 1000 * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&lock);
    int result;
    do {
        result = pthread_cond_timedwait(&changed, &lock, &until);
    } while (result == 0);
    pthread_mutex_unlock(&lock);
    check(result == ETIMEDOUT);
}

static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int initialised;

static void initialise(void) { initialised++; }

static void *meet(void *argument) {
    pthread_once(&once, initialise);
    int result = pthread_barrier_wait(&barrier);
    return (void *)(long)(result == PTHREAD_BARRIER_SERIAL_THREAD) ;
}

static void barriers_and_once(void) {
    pthread_t threads[3];
    long serial = 0;
    check(pthread_barrier_init(&barrier, NULL, 3) == 0);
    for (int i = 0; i < 3; i++) {
        check(pthread_create(&threads[i], NULL, meet, NULL) == 0);
    }
    for (int i = 0; i < 3; i++) {
        void *result;
        check(pthread_join(threads[i], &result) == 0);
        serial += (long)result;
    }
    check(serial == 1);
    check(initialised == 1);
}

static void *wait_for_ever(void *argument) {
    pthread_mutex_lock(&lock);
    for (;;) {
        pthread_cond_wait(&changed, &lock);
    }
}

static void *trap(void *argument) {
    __builtin_trap();
}

static void *leave(void *argument) {
    exit(9);
}

int main(int argc, char **argv) {
    pthread_t thread;
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "exit") == 0) {
        pthread_create(&thread, NULL, leave, NULL);
        pthread_join(thread, NULL);
    } else if (strcmp(action, "trap") == 0) {
        pthread_create(&thread, NULL, trap, NULL);
        pthread_join(thread, NULL);
    } else if (strcmp(action, "return") == 0) {
        check(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
        return 3;
    } else {
        create_and_join();
        errno_is_each_threads_own();
        keys_are_destroyed();
        threads_start_threads();
        joined_threads_leave_nothing();
        detached_threads_leave_nothing();
        waits_end_in_time();
        barriers_and_once();
        printf("ok\n");
    }
    return 0;
}
