/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub as an ELF image, laid out by hand, as data: coffer-sentry puts it
 * into a memfd (zygote.c).  Position independent, without a stack frame.
 *
 * It asks what to do, runs the list of commands that it is given, clears all
 * registers, and goes to the guest's program.  A command that fails ends the
 * process by SIGSEGV, as an execve does that fails behind the point of no
 * return.
 */
#include "sentry/platform/stub_x86_64.h"

	.section .rodata
	.balign	16
	.globl	stub_image, stub_image_end, stub_start, stub_syscall
	.hidden	stub_image, stub_image_end, stub_start, stub_syscall
stub_image:
	.byte	0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
	.short	3, 62				/* ET_DYN, EM_X86_64 */
	.long	1
	.quad	stub_start - stub_image
	.quad	stub_phdrs - stub_image, 0	/* no sections */
	.long	0
	.short	64, 56, 3, 64, 0, 0
stub_phdrs:
	.long	1, 5				/* PT_LOAD, R X */
	.quad	0, 0, 0
	.quad	stub_image_end - stub_image, stub_image_end - stub_image, 0x1000
	.long	1, 6				/* PT_LOAD, RW: the list */
	.quad	0, STUB_CODE_MAX, STUB_CODE_MAX
	.quad	0, STUB_LIST_MAX, 0x1000
	.long	0x6474e551, 6			/* PT_GNU_STACK */
	.quad	0, 0, 0, 0, 0, 16

stub_start:
	mov	$STUB_CALL, %eax
	mov	%rsp, %rdi
	lea	stub_image + STUB_CODE_MAX(%rip), %rsi
stub_syscall:
	syscall
	test	%rax, %rax
	jnz	stub_start
	lea	stub_image + STUB_CODE_MAX - STUB_COMMAND_SIZE(%rip), %rbx
.Lnext:
	add	$STUB_COMMAND_SIZE, %rbx
	mov	(%rbx), %rbp
	mov	8(%rbx), %rdi
	mov	16(%rbx), %rsi
	cmp	$STUB_END, %rbp
	je	.Lend
	cmp	$STUB_ZERO, %rbp
	je	.Lzero
	mov	24(%rbx), %rdx
	mov	32(%rbx), %r10
	mov	40(%rbx), %r8
	mov	48(%rbx), %r9
	mov	%ebp, %eax
	and	$~STUB_TRY, %eax
	syscall
	cmp	$-4096, %rax
	jb	.Lnext
	test	$STUB_TRY, %ebp
	jnz	.Lnext
	hlt
.Lzero:
	mov	%rsi, %rcx
	xor	%eax, %eax
	rep stosb
	jmp	.Lnext
.Lend:
	mov	%rdi, %rsp
	push	%rsi
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	ret
stub_image_end:
	.org	stub_image + STUB_IMAGE_MAX	/* fails where the stub is larger */

	.section .note.GNU-stack, "", @progbits
