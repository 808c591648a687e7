/*
 * How a program starts. Programs that fork or jump link another `_start` (src/host/frames.c).
 */
#include "host.h"

__attribute__((__weak__)) void _start(void)
{
	program_run();
}
