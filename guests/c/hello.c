// Prints a greeting without a library's help: what the other runtimes start.

#include <unistd.h>

int main(void) { return write(1, "hello\n", 6) == 6 ? 0 : 1; }
