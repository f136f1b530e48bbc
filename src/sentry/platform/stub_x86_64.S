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
	.globl	stub_handoff, stub_handoff_kept, stub_handoff_path, stub_handoff_ask, stub_handoff_copy
	.hidden	stub_handoff, stub_handoff_kept, stub_handoff_path, stub_handoff_ask, stub_handoff_copy
	.globl	stub_handoff_copied, stub_handoff_done, stub_handoff_call, stub_handoff_jump, stub_handoff_end
	.hidden	stub_handoff_copied, stub_handoff_done, stub_handoff_call, stub_handoff_jump, stub_handoff_end
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

/*
 * A call handed to the sentry through the thread's area (handoff.c): %r11 is
 * the slot's tail, all else is as at the call.  Only %rcx and %r11 are free.
 */
#define DATA(offset) stub_image + STUB_IMAGE_MAX + offset(%rip)
	.balign	16
stub_handoff:
	rdgsbase %rcx
	sub	DATA(SITE_AREAS), %rcx
	cmp	DATA(SITE_AREAS_SIZE), %rcx
	jae	.Lcall
	rdpid	%rcx
	inc	%ecx
	cmpl	$0, %gs:AREA_LISTENER
	je	.Lcall
	cmp	%ecx, %gs:AREA_LISTENER	/* it would have to wait for us to sleep */
	je	.Lcall
	mov	%r11, %gs:AREA_TAIL
stub_handoff_kept:
	mov	%eax, %gs:AREA_NR
	mov	%rdi, %gs:AREA_ARGS
	mov	%rsi, %gs:AREA_ARGS + 8
	mov	%rdx, %gs:AREA_ARGS + 16
	mov	%r10, %gs:AREA_ARGS + 24
	mov	%r8, %gs:AREA_ARGS + 32
	mov	%r9, %gs:AREA_ARGS + 40
	movl	$0, %gs:AREA_PATH_SIZE
	movzbl	STUB_MODE_AT(%r11), %ecx
	dec	%ecx
	js	2f
	mov	%rdi, %r11
	cmovnz	%rsi, %r11
	cmp	$4096, %r11
	jb	2f
	xor	%ecx, %ecx
	mov	%r11, %rdi
stub_handoff_path:
	movzbl	(%rdi,%rcx), %r11d	/* may fault: handoff_fault() */
	mov	%r11b, %gs:AREA_PATH(%rcx)
	inc	%ecx
	test	%r11d, %r11d
	jz	1f
	cmp	$AREA_PATH_MAX, %ecx
	jb	stub_handoff_path
	xor	%ecx, %ecx
1:	mov	%ecx, %gs:AREA_PATH_SIZE
	mov	%gs:AREA_ARGS, %rdi
2:	mov	$AREA_ASKED, %r11d	/* no answer yet, whatever it was */
stub_handoff_ask:
	mov	DATA(SITE_SPINS), %ecx
	mov	%r11d, %gs:AREA_STATE
2:	pause
	mov	%gs:AREA_STATE, %r11d
	cmp	$AREA_ANSWERED, %r11d
	jae	3f
	dec	%ecx
	jnz	2b
	xor	%r11d, %r11d
	xchg	%r11d, %gs:AREA_STATE
	cmp	$AREA_ASKED, %r11d
	jne	5f
	movl	$0, %gs:AREA_LISTENER	/* it is not there */
5:	cmp	$AREA_ANSWERED, %r11d
3:	jne	.Lcall_kept
	mov	%gs:AREA_OUT_SIZE, %ecx
	test	%ecx, %ecx
	jz	4f
stub_handoff_copy:
	rdgsbase %rsi
	add	$AREA_OUT, %rsi
	mov	%gs:AREA_OUT_TO, %rdi
	rep movsb			/* may fault */
	mov	%gs:AREA_ARGS, %rdi
	mov	%gs:AREA_ARGS + 8, %rsi
stub_handoff_copied:
4:	mov	%gs:AREA_RESULT, %rax
stub_handoff_done:
	movl	$AREA_FREE, %gs:AREA_STATE
	mov	%gs:AREA_TAIL, %r11
	add	$STUB_TAIL_END, %r11
	jmp	*%r11
stub_handoff_call:
.Lcall_kept:
	mov	%gs:AREA_TAIL, %r11
stub_handoff_jump:	/* who comes here from above has not written its tail */
.Lcall:	jmp	*%r11
stub_handoff_end:
stub_image_end:
	.org	stub_image + STUB_IMAGE_MAX	/* fails where the stub is larger */

	.section .note.GNU-stack, "", @progbits
