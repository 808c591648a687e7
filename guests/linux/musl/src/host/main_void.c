/*
 * Linked if the program's `main` takes three parameters: clang leaves its name as it is.
 */
#include "host.h"

extern char **__environ;
int main(int argc, char **argv, char **envp);

PORT_PRIVATE int __main_void(void)
{
	return main(program_argc, program_argv, __environ);
}
