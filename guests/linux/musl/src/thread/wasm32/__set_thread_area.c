#include "pthread_impl.h"

int __set_thread_area(void *pointer)
{
	__thread_pointer = (uintptr_t)pointer;
	return 0;
}
