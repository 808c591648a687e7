/* One thread: plain loads and stores are atomic, as far as anyone sees. */
#define a_cas a_cas
static inline int a_cas(volatile int *place, int expected, int value)
{
	int found = *place;
	if (found == expected) *place = value;
	return found;
}

#define a_cas_p a_cas_p
static inline void *a_cas_p(volatile void *place, void *expected, void *value)
{
	void *volatile *pointer = (void *volatile *)place;
	void *found = *pointer;
	if (found == expected) *pointer = value;
	return found;
}

#define a_barrier a_barrier
static inline void a_barrier(void)
{
	__asm__ __volatile__ ("" : : : "memory");
}

#define a_crash a_crash
static inline void a_crash(void)
{
	__builtin_trap();
}

#define a_ctz_64 a_ctz_64
static inline int a_ctz_64(uint64_t value)
{
	return __builtin_ctzll(value);
}

#define a_clz_64 a_clz_64
static inline int a_clz_64(uint64_t value)
{
	return __builtin_clzll(value);
}

#define a_ctz_32 a_ctz_32
static inline int a_ctz_32(uint32_t value)
{
	return __builtin_ctz(value);
}

#define a_clz_32 a_clz_32
static inline int a_clz_32(uint32_t value)
{
	return __builtin_clz(value);
}
