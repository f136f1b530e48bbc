/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program: exits with 0, or waits for ever when it is given an argument.
 *
 * No libc: the bench times runtimes, and glibc's own start costs more than a hundred
 * microseconds per exec. Build: cc -O2 -static -nostdlib -ffreestanding -o true true.c
 */
static long call2(long nr, long a, long b)
{
	long ret;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = 0;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(0), "r"(r10)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	ret = x0;
#else
#error "true.c: no system calls for this architecture yet"
#endif
	return ret;
}

#if defined(__x86_64__)
enum { NR_PPOLL = 271, NR_EXIT_GROUP = 231 };
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
#elif defined(__aarch64__)
enum { NR_PPOLL = 73, NR_EXIT_GROUP = 94 };
__asm__(".globl _start\n_start:\n mov x0, sp\n bl run\n");
#endif

__attribute__((noreturn, used)) void run(const long *stack);
__attribute__((noreturn, used)) void run(const long *stack)
{
	while (stack[0] > 1)
		call2(NR_PPOLL, 0, 0);
	for (;;)
		call2(NR_EXIT_GROUP, 0, 0);
}
