/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AddressSanitizer's part at run time, for a sentry that is static and has none: what the compiler's calls
 * ask before each access (as in a kernel's), and the allocator whose memory they know.
 *
 * Memory is of an arena of its own, with a byte for each eight of it: 0 = all may be touched, 1 to 7 = that
 * many from the front, CLOSED = none.  Around each block some bytes are closed, and a freed block is, until
 * QUARANTINE bytes were freed after it.  What a bad access comes from stands in the debug log, as an offset
 * in the program, and it is its end.
 */
#include "sentry/kernel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GRAIN = 8, ZONE = 32, CLASSES = 40, LEAST = 7, CLOSED = 0xff, QUARANTINE = 1 << 20 };
#define ARENA ((size_t)16 << 30)

/* In front of what the caller has, and closed to it. */
struct block {
	char *start;
	struct block *next; /* while it is free */
	size_t size;
	unsigned class;
};
_Static_assert(sizeof(struct block) <= ZONE, "it is in the zone in front");

static char *arena;
static unsigned char *shadow;
static size_t used, held;
static struct block *free_ones[CLASSES], *oldest, **newest = &oldest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

extern const char __ehdr_start[];

/* The linker puts these in the place of the real ones. */
void *__real_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__real_memset(void *to, int c, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);
void *__wrap_memset(void *to, int c, size_t n);

static void check(uintptr_t at, size_t n, void *from)
{
	uintptr_t begin = at - (uintptr_t)arena, end = begin + n;

	if (!arena || !n || begin >= ARENA)
		return;
	for (uintptr_t g = begin / GRAIN; g <= (end - 1) / GRAIN; g++) {
		uintptr_t last = g == (end - 1) / GRAIN ? (end - 1) % GRAIN : GRAIN - 1;

		if (!shadow[g] || (shadow[g] != CLOSED && last < shadow[g]))
			continue;
		kernel_log("bad access to %zu bytes at %#zx, from %#zx", n, (size_t)begin,
			   (size_t)((const char *)from - __ehdr_start));
		__builtin_trap();
	}
}

#define ASKED(n)                                                                                             \
	void __asan_load##n##_noabort(uintptr_t at);                                                         \
	void __asan_load##n##_noabort(uintptr_t at)                                                          \
	{                                                                                                    \
		check(at, n, __builtin_return_address(0));                                                   \
	}                                                                                                    \
	void __asan_store##n##_noabort(uintptr_t at);                                                        \
	void __asan_store##n##_noabort(uintptr_t at)                                                         \
	{                                                                                                    \
		check(at, n, __builtin_return_address(0));                                                   \
	}
ASKED(1)
ASKED(2)
ASKED(4)
ASKED(8)
ASKED(16)

void __asan_loadN_noabort(uintptr_t at, size_t n);
void __asan_loadN_noabort(uintptr_t at, size_t n)
{
	check(at, n, __builtin_return_address(0));
}

void __asan_storeN_noabort(uintptr_t at, size_t n);
void __asan_storeN_noabort(uintptr_t at, size_t n)
{
	check(at, n, __builtin_return_address(0));
}

void __asan_handle_no_return(void);
void __asan_handle_no_return(void)
{
}

void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	check((uintptr_t)to, n, __builtin_return_address(0));
	check((uintptr_t)from, n, __builtin_return_address(0));
	return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	check((uintptr_t)to, n, __builtin_return_address(0));
	check((uintptr_t)from, n, __builtin_return_address(0));
	return __real_memmove(to, from, n);
}

void *__wrap_memset(void *to, int c, size_t n)
{
	check((uintptr_t)to, n, __builtin_return_address(0));
	return __real_memset(to, c, n);
}

/* ---- the allocator ---- */

static void *reserve(size_t n)
{
	void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static bool begin(void)
{
	if (!shadow)
		shadow = reserve(ARENA / GRAIN);
	if (shadow && !arena)
		arena = reserve(ARENA);
	return arena;
}

/* The bytes from `at` on, of a whole block, can be touched or not. */
static void set(const char *at, size_t n, unsigned char to)
{
	unsigned char *s = shadow + (size_t)(at - arena) / GRAIN;

	__real_memset(s, to, n / GRAIN);
	if (n % GRAIN)
		s[n / GRAIN] = to ? to : (unsigned char)(n % GRAIN);
}

static char *take(unsigned class)
{
	size_t size = (size_t)1 << class;
	struct block *b = free_ones[class];
	char *start;

	if (b) {
		free_ones[class] = b->next;
		return b->start;
	}
	if (!begin() || size > ARENA - used)
		return NULL;
	start = arena + used;
	used += size;
	set(start, size, CLOSED);
	return start;
}

static void *allocate(size_t align, size_t n)
{
	size_t whole = n + align + 2 * ZONE;
	unsigned class = LEAST;
	struct block *b;
	char *start, *at;

	while (class < CLASSES && (size_t)1 << class < whole)
		class ++;
	pthread_mutex_lock(&lock);
	start = n < ARENA && class < CLASSES ? take(class) : NULL;
	if (!start) {
		pthread_mutex_unlock(&lock);
		errno = ENOMEM;
		return NULL;
	}
	at = (char *)(((uintptr_t)start + ZONE + align - 1) & ~(uintptr_t)(align - 1));
	b = (struct block *)(at - ZONE);
	*b = (struct block){start, NULL, n, class};
	set(at, n, 0);
	pthread_mutex_unlock(&lock);
	__real_memset(at, 0xa5, n);
	return at;
}

void free(void *at)
{
	struct block *b = (struct block *)((char *)at - ZONE);

	if (!at)
		return;
	check((uintptr_t)at, b->size ? 1 : 0, __builtin_return_address(0)); /* twice */
	pthread_mutex_lock(&lock);
	set(at, b->size, CLOSED);
	b->next = NULL;
	*newest = b;
	newest = &b->next;
	held += (size_t)1 << b->class;
	while (held > QUARANTINE && oldest) {
		struct block *x = oldest;

		oldest = x->next;
		if (!oldest)
			newest = &oldest;
		held -= (size_t)1 << x->class;
		x->next = free_ones[x->class];
		free_ones[x->class] = x;
	}
	pthread_mutex_unlock(&lock);
}

void *malloc(size_t n)
{
	return allocate(16, n);
}

void *calloc(size_t n, size_t size)
{
	size_t whole;
	void *at;

	if (__builtin_mul_overflow(n, size, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	at = allocate(16, whole);
	return at ? __real_memset(at, 0, whole) : NULL;
}

void *realloc(void *old, size_t n)
{
	const struct block *b = (struct block *)((char *)old - ZONE);
	void *at = allocate(16, n);

	if (!at || !old)
		return at;
	__real_memcpy(at, old, n < b->size ? n : b->size);
	free(old);
	return at;
}

void *aligned_alloc(size_t align, size_t n)
{
	return allocate(align < 16 ? 16 : align, n);
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
	return aligned_alloc(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	void *at = aligned_alloc(align, n);

	if (!at)
		return ENOMEM;
	*ret = at;
	return 0;
}
