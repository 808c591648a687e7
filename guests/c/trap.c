/* A trap in a function that is called from a loop: the tests compare the backtrace with these lines. */
#include <stdio.h>

/* Counts down, so that the function has a loop before the trap. */
__attribute__((noinline)) static int divide(int dividend, volatile int *divisor) {
    while (*divisor > 0) {
        --*divisor;
    }
    return dividend / *divisor;
}

int main(int argc, char **argv) {
    (void)argv;
    volatile int divisor = 3;
    int sum = 0;
    for (int number = 0; number < 3; number++) {
        printf("%d\n", number);
        sum += divide(number + argc, &divisor);
    }
    return sum;
}
