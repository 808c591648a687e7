/* What libc++ needs of the kernel's header. Linux: include/uapi/linux/futex.h */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
