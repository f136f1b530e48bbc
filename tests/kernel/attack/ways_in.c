/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways past a filter that knows one instruction: ways_in WAY.  Each tries getuid, whose answer the sentry
 *alone knows.
 *
 *	jit     a `syscall` in memory that was written just now	-> answered by the sentry like any other
 *	int80   the 32-bit entry				-> killed
 *	x32     numbers with the x32 bit			-> killed
 *	vsyscall  the page of old, at an address of the kernel's	-> time(2), as natively
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int jit(void)
{
	static const unsigned char code[] = {0xb8, 0x66, 0,    0,
					     0,	   0x0f, 0x05, 0xc3}; /* mov $102,%eax; syscall; ret */
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	memcpy(p, code, sizeof(code));
	long (*f)(void);
	memcpy(&f, &p, sizeof(f));
	printf("uid %ld\n", f());
	return 0;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	long r = -1;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(way, "jit") == 0)
		return jit();
	if (strcmp(way, "int80") == 0)
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(24L) : "memory"); /* getuid of i386 */
	else if (strcmp(way, "x32") == 0)
		r = syscall(0x40000000 + SYS_getuid);
	else if (strcmp(way, "vsyscall") == 0) {
		time_t (*old)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400UL;
		r = old(NULL) > 0;
	}
	printf("came through: %ld\n", r);
	return 0;
}
