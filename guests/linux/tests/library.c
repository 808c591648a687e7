/*
 * What a C library does by itself, in the corners where a port goes wrong: widths of numbers, memory in pages, state of the only
 * thread, and text in and out. Another C library prints the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <float.h>
#include <iconv.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define PAGE 4096

static void numbers_to_text(void)
{
	printf("%5d|%-5d|%05d|%+d|% d|%x|%#o|%hhd|%hd\n", 42, 42, 42, 42, 42, 255u, 8u, (signed char)300, (short)70000);
	printf("%ld %lu %lld %zu %jd %td\n", LONG_MIN, ULONG_MAX, LLONG_MIN, (size_t)7, INTMAX_MAX, (ptrdiff_t)-3);
	printf("%" PRId64 " %" PRIx32 " %" PRIu8 "\n", INT64_MIN, UINT32_MAX, UINT8_MAX);
	printf("%f|%.0f|%.3e|%g|%g|%G|%a\n", M_PI, 2.5, 12345.678, 1e-5, 1e15, 1e-10, 0.1);
	printf("%.20f|%.17g|%10.2f|%-10.2f|%+.1f\n", 0.1, 1.0 / 3, -1.005, 2.675, 1e6);
	printf("%f %f %f %g %g\n", INFINITY, -INFINITY, fabs((double)NAN), DBL_MAX, DBL_TRUE_MIN);
	printf("%Lf|%.30Lg\n", 1.5L, 0.5L);
	printf("%s|%.2s|%5s|%-5s|%c|%%|%*d|%.*f\n", "text", "text", "ab", "ab", 'x', 6, 7, 3, 2.0);
	printf("%2$s %1$s\n", "one", "two");
	char small[5];
	int length = snprintf(small, sizeof small, "%d", 1234567);
	printf("%d %s\n", length, small);
}

static void text_to_numbers(void)
{
	static const char *const floats[] = { "1e308", "1e309", "-0", "0x1.8p3", "1e-320", "nan", "inf", ".5x", "x",
		"2.2250738585072011e-308", "179769313486231580793728971405301e277", "123456789012345678901234567890" };
	for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
		char *end;
		errno = 0;
		double value = strtod(floats[i], &end);
		printf("%s: %.17g, rest \"%s\", %s\n", floats[i], isnan(value) ? 0.0 : value, end, errno == ERANGE ? "range" : "fits");
	}
	errno = 0;
	long largest = strtol("9223372036854775808", 0, 10);
	printf("%ld %d %lu\n", largest, errno == ERANGE, strtoul("-1", 0, 0));
	printf("%ld %ld %ld\n", strtol("0x7f", 0, 0), strtol("077", 0, 0), strtol("zz", 0, 36));
	int integer, count;
	char word[8];
	double real;
	unsigned hexadecimal;
	count = sscanf("12 abc,3.5 ff", "%d %7[a-z],%lf %x", &integer, word, &real, &hexadecimal);
	printf("%d: %d %s %g %u\n", count, integer, word, real, hexadecimal);
}

static int by_remainder(const void *one, const void *other)
{
	int a = *(const int *)one, b = *(const int *)other;
	return a % 100 != b % 100 ? a % 100 - b % 100 : a - b;
}

static int by_text(const void *one, const void *other, void *context)
{
	++*(int *)context;
	return strcmp(*(char *const *)one, *(char *const *)other);
}

static void order(void)
{
	int numbers[500], wrong = 0, compared = 0;
	unsigned state = 1;
	for (int i = 0; i < 500; i++) numbers[i] = (state = state * 1103515245 + 12345) >> 16 & 0x7fff;
	qsort(numbers, 500, sizeof *numbers, by_remainder);
	for (int i = 1; i < 500; i++) wrong += by_remainder(numbers + i - 1, numbers + i) > 0;
	const char *words[] = { "pear", "apple", "fig", "banana" };
	qsort_r(words, 4, sizeof *words, by_text, &compared);
	int key = numbers[77];
	int *found = bsearch(&key, numbers, 500, sizeof *numbers, by_remainder);
	printf("order: %d wrong, %s %s %d, found %d\n", wrong, words[0], words[3], compared > 0, *found == key);
}

static void expressions(void)
{
	static const char *const cases[][2] = { { "^a(b|c)*d$", "abcbd" }, { "[[:digit:]]+", "x42y" }, { "l+(o)", "hello" },
		{ "a{2,3}", "caaat" }, { "^$", "" }, { "x*", "yyy" }, { "(a+)(b+)?", "aac" } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		regex_t expression;
		regmatch_t match[3];
		regcomp(&expression, cases[i][0], REG_EXTENDED);
		int result = regexec(&expression, cases[i][1], 3, match, 0);
		printf("%s: %d", cases[i][0], result);
		for (int group = 0; !result && group < 3; group++) printf(" %d-%d", (int)match[group].rm_so, (int)match[group].rm_eo);
		putchar('\n');
		regfree(&expression);
	}
}

static void zones(void)
{
	static const char *const names[] = { "UTC0", "EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45" };
	static const long seconds[] = { 0, 951782400, 1711846799, 1711846800, 1730595600, 4102444800 };
	for (size_t zone = 0; zone < sizeof names / sizeof *names; zone++) {
		setenv("TZ", names[zone], 1);
		tzset();
		for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
			time_t time = seconds[i];
			struct tm parts;
			char text[64];
			localtime_r(&time, &parts);
			strftime(text, sizeof text, "%F %T %Z %z %j %a %U", &parts);
			printf("%s, back %d\n", text, mktime(&parts) == time);
		}
	}
	struct tm parts = { .tm_year = 124, .tm_mon = 13, .tm_mday = -5, .tm_hour = 30, .tm_isdst = -1 };
	setenv("TZ", "UTC0", 1);
	tzset();
	printf("%ld", (long)mktime(&parts));
	memset(&parts, 0, sizeof parts);
	char *rest = strptime("2024-02-29 23:59:58 rest", "%Y-%m-%d %H:%M:%S", &parts);
	printf(" %ld%s\n", (long)timegm(&parts), rest);
}

static void convert(const char *to, const char *from, const char *text, size_t length)
{
	char output[64], *in = (char *)text, *out = output;
	size_t in_left = length, out_left = sizeof output;
	iconv_t conversion = iconv_open(to, from);
	size_t result = iconv(conversion, &in, &in_left, &out, &out_left);
	printf("%s to %s: %s", from, to, result == (size_t)-1 ? (errno == EILSEQ ? "illegal" : "cut") : "whole");
	for (char *it = output; it < out; it++) printf(" %02x", (unsigned char)*it);
	putchar('\n');
	iconv_close(conversion);
}

static void characters(void)
{
	printf("locale %d\n", setlocale(LC_ALL, "C.UTF-8") != 0);
	wchar_t wide[16];
	size_t count = mbstowcs(wide, "a\u00e9\u20ac\U0001f600", 16);
	printf("%zu %x %x\n", count, (unsigned)wide[2], (unsigned)wide[3]);
	char narrow[16] = "";
	count = wcstombs(narrow, wide, sizeof narrow);
	printf("%zu %s %d\n", count, narrow, mblen("\xff", 1));
	swprintf(wide, 16, L"%d %ls %s", 7, L"w", "n");
	printf("%ls %ld\n", wide, wcstol(L"-12", 0, 10));
	convert("UTF-16LE", "UTF-8", "a\u20ac\U0001f600", 8);
	convert("UTF-8", "ISO-8859-1", "\xe9!", 2);
	convert("UTF-8", "UTF-8", "ok\xc3", 3);
	convert("UTF-8", "UTF-8", "ok\xff", 3);
	convert("UCS-4BE", "UTF-8", "z", 1);
}

static void streams(void)
{
	FILE *file = tmpfile();
	char line[32];
	fprintf(file, "first\nsecond line\n%d", 3);
	rewind(file);
	printf("%s", fgets(line, sizeof line, file));
	printf("%ld", ftell(file));
	fgetc(file);
	ungetc('S', file);
	char *whole = 0;
	size_t size = 0;
	ssize_t got = getline(&whole, &size, file);
	printf(" %zd %s", got, whole);
	fseek(file, -1, SEEK_END);
	printf("%c", fgetc(file));
	printf(" %d", fgetc(file));
	printf(" %d\n", feof(file) != 0);
	free(whole);
	fclose(file);
	char *memory;
	FILE *stream = open_memstream(&memory, &size);
	for (int i = 0; i < 2000; i++) fprintf(stream, "%d,", i);
	fclose(stream);
	printf("%zu %.9s\n", size, memory);
	stream = fmemopen(memory, 8, "r");
	int one, two;
	int read = fscanf(stream, "%d,%d", &one, &two);
	printf("%d %d %d\n", read, one, two);
	fclose(stream);
	free(memory);
}

static int is_zero(const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) if (bytes[i]) return 0;
	return 1;
}

static unsigned char *map(size_t pages)
{
	return mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void pages(void)
{
	unsigned char *area = map(10);
	printf("aligned %d, zero %d\n", (uintptr_t)area % PAGE == 0, is_zero(area, 10 * PAGE));
	memset(area, 7, 10 * PAGE);
	munmap(area + 4 * PAGE, 2 * PAGE);
	unsigned char *others[64];
	int zeros = 0;
	for (int i = 0; i < 64; i++) {
		others[i] = map(2);
		zeros += is_zero(others[i], 2 * PAGE);
		memset(others[i], i, 2 * PAGE);
	}
	printf("zeros %d, kept %d\n", zeros, area[4 * PAGE - 1] == 7 && area[6 * PAGE] == 7);
	for (int i = 0; i < 64; i += 2) munmap(others[i], 2 * PAGE);
	unsigned char *grown = mremap(others[1], 2 * PAGE, 50 * PAGE, MREMAP_MAYMOVE);
	printf("grown %d %d %d\n", grown[0], grown[2 * PAGE - 1], is_zero(grown + 2 * PAGE, 48 * PAGE));
	grown = mremap(grown, 50 * PAGE, PAGE, 0);
	printf("shrunk %d, unaligned %d\n", grown[PAGE - 1], munmap(grown + 1, PAGE) < 0 && errno == EINVAL);
	FILE *file = tmpfile();
	fprintf(file, "mapped");
	fflush(file);
	char *text = mmap(0, 6, PROT_READ, MAP_PRIVATE, fileno(file), 0);
	printf("%.6s %d\n", text, text[6]);
	void *blocks[200];
	int wrong = 0;
	for (int i = 0; i < 200; i++) memset(blocks[i] = malloc(i * 997 + 1), i, i * 997 + 1);
	for (int i = 0; i < 200; i += 3) blocks[i] = realloc(blocks[i], i * 2000 + 1);
	for (int i = 0; i < 200; i++) wrong += *((unsigned char *)blocks[i] + i * 997) != i;
	for (int i = 0; i < 200; i++) free(blocks[i]);
	void *aligned = aligned_alloc(64, 640), *volatile too_many = calloc(SIZE_MAX / 2, 3);
	printf("blocks %d wrong, aligned %d, too many %d\n", wrong, (uintptr_t)aligned % 64 == 0, !too_many);
}

static _Thread_local int thread_local_count = 5;
static int ended;

static void count_once(void)
{
	thread_local_count++;
}

static void at_exit_first(void)
{
	printf("exit %d\n", ++ended);
}

static void only_thread(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_key_t key;
	pthread_once(&once, count_once);
	pthread_once(&once, count_once);
	pthread_key_create(&key, 0);
	pthread_setspecific(key, "value");
	pthread_mutex_lock(&mutex);
	printf("%d %d %s %d\n", thread_local_count, pthread_mutex_trylock(&mutex) == EBUSY, (char *)pthread_getspecific(key),
		pthread_equal(pthread_self(), pthread_self()) != 0);
	atexit(at_exit_first);
	atexit(at_exit_first);
}

static long add(int count, ...)
{
	va_list list;
	long sum = 0;
	va_start(list, count);
	for (int i = 0; i < count; i++) sum += i % 2 ? va_arg(list, long) : va_arg(list, int);
	va_end(list);
	return sum;
}

int main(void)
{
	setvbuf(stdout, 0, _IOFBF, 8192);
	numbers_to_text();
	text_to_numbers();
	order();
	expressions();
	zones();
	characters();
	streams();
	pages();
	only_thread();
	printf("%ld %s %s\n", add(4, 1, 1L << 40, -3, -1L), strerror(ENOENT), strsignal(9));
	printf("%d %s %d\n", (int)confstr(_CS_PATH, 0, 0) > 0, strchrnul("a/b", 0x2f), (int)sysconf(_SC_PAGESIZE));
	return 9;
}
