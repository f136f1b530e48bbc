/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls without a C library, and where the program begins.
 *
 * A statically linked C library brings 700 KB of start-up code, locales and
 * number formatting that this program never uses, into every container that wants an init;
 * what it does use is a dozen system calls.
 */
#pragma once

#include <asm/unistd.h>
#include <stddef.h>

#if defined(__x86_64__)
static inline long raw_call(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}
/* The stack as the kernel left it is the argument; it is aligned as a call wants it. */
__asm__(".globl _start\n.type _start,@function\n_start:\n"
	"xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall init_main\nud2\n");
#elif defined(__aarch64__)
static inline long raw_call(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n.type _start,%function\n_start:\n"
	"mov x29, #0\nmov x30, #0\nmov x0, sp\nand sp, x0, #-16\nbl init_main\nbrk #1\n");
#elif defined(__riscv) && __riscv_xlen == 64
static inline long raw_call(long n, long a, long b, long c, long d, long e)
{
	register long a7 __asm__("a7") = n, a0 __asm__("a0") = a, a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = e;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4) : "memory");
	return a0;
}
__asm__(".globl _start\n.type _start,@function\n_start:\n"
	"mv a0, sp\nandi sp, sp, -16\ncall init_main\nebreak\n");
#elif !defined(__cppcheck__) /* which knows no architecture */
#error "coffer-init: write the system call and the entry of this architecture"
#endif

/* Compilers call these by themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int c, size_t n);
void init_main(long *stack);
