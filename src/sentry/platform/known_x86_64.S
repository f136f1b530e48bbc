/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a slot does for a call with a path (known.c): looks for the answer in
 * the table, and falls through to what is behind it where there is none.
 *
 * Templates: site_x86_64.c copies one into the slot and makes its distances
 * right.  Those to the site's data are written as offsets there; the last one
 * is to behind the call.  The registers of the call stay as they are, but
 * %rax, so that a thread can be put in front of it from anywhere here.  Who
 * faults is sent on to make the call itself (known_fault()).
 *
 * An entry changes only while the generation is another one than it has, and
 * once a generation.  So what has been read between two looks at the
 * generation that both found the entry's own is whole.
 */
#include "sentry/platform/stub_x86_64.h"

	.section .rodata

	/* The site's data at an offset, with the instruction's end noted. */
	.macro	OF_DATA op, offset, reg, at
	\op	\offset(%rip), \reg
\at:
	.endm

	/* What is asked, as a number. */
	.macro	KEY_stat reg, out
	mov	$4, \reg
	.endm
	.macro	KEY_lstat reg, out
	mov	$6, \reg
	.endm
	.macro	KEY_newfstatat reg, out
	mov	$4, \reg
	test	%r10d, %r10d
	jz	.Lkey\@
	mov	$6, \reg
	cmp	$0x100, %r10d		/* AT_SYMLINK_NOFOLLOW */
	jne	\out
.Lkey\@:
	.endm
	.macro	KEY_access reg, out
	cmp	$7, %esi
	ja	\out
	mov	%esi, \reg
	shl	$8, \reg
	or	$21, \reg
	.endm

	.macro	COPY buf, from=0
	mov	KNOWN_STAT + \from(%r11), %rax
	mov	%rax, \from(\buf)
	.if	\from + 8 < KNOWN_STAT_SIZE
	COPY	\buf, "(\from + 8)"
	.endif
	.endm

	.macro	KNOWN name, nr, path, buf=none
	.balign	16
	.globl	known_\name, known_\name\()_end, known_\name\()_fix
	.hidden	known_\name, known_\name\()_end, known_\name\()_fix
known_\name:
	OF_DATA	mov, SITE_KNOWN, %rcx, .La_\name
	test	%rcx, %rcx
	jz	.Lout_\name
	.ifnc	\buf, none
	mov	\path, %rcx		/* a path that the answer would write over */
	sub	\buf, %rcx
	add	$KNOWN_PATH_MAX, %rcx
	cmp	$KNOWN_PATH_MAX + 144, %rcx
	jb	.Lout_\name
	.endif
	.ifc	\name, newfstatat
	cmp	$-100, %edi		/* AT_FDCWD */
	je	.Lat_\name
	cmpb	$'/', (\path)
	jne	.Lout_\name
.Lat_\name:
	.endif
	KEY_\name %r11d, .Lout_\name
	xor	%ecx, %ecx
.Lhash_\name:
	movzbl	(\path, %rcx), %eax
	rol	$KNOWN_ROTATE, %r11d
	xor	%eax, %r11d
	inc	%ecx
	test	%eax, %eax
	jz	.Lhashed_\name
	cmp	$KNOWN_PATH_MAX, %ecx
	jb	.Lhash_\name
	jmp	.Lout_\name
.Lhashed_\name:
	imul	$KNOWN_MULTIPLY, %r11d, %r11d
	shr	$32 - KNOWN_BITS, %r11d
	imul	$KNOWN_SIZE, %r11d, %r11d
	OF_DATA	add, SITE_KNOWN, %r11, .Lb_\name
	OF_DATA	mov, SITE_TREE, %rcx, .Lc_\name
	mov	(%rcx), %rax
	cmp	%rax, KNOWN_GENERATION(%r11)
	jne	.Lout_\name
	KEY_\name %ecx, .Lout_\name
	cmp	%ecx, KNOWN_KEY(%r11)
	jne	.Lout_\name
	shl	$8, %rax		/* %al is free */
	xor	%ecx, %ecx
.Lcompare_\name:
	mov	(\path, %rcx), %al
	cmp	%al, KNOWN_PATH(%r11, %rcx)
	jne	.Lout_\name
	inc	%ecx
	test	%al, %al
	jnz	.Lcompare_\name
	shr	$8, %rax
	mov	%rax, %rcx
	.ifnc	\buf, none
	cmpl	$0, KNOWN_RESULT(%r11)
	jne	.Lmissing_\name
	COPY	\buf
	xor	%eax, %eax
	mov	%rax, KNOWN_STAT_SIZE(\buf)
	mov	%rax, KNOWN_STAT_SIZE + 8(\buf)
	mov	%rax, KNOWN_STAT_SIZE + 16(\buf)
.Lmissing_\name:
	.endif
	movslq	KNOWN_RESULT(%r11), %rax
	OF_DATA	mov, SITE_TREE, %r11, .Ld_\name
	shl	$8, %rcx
	mov	(%r11), %r11
	shl	$8, %r11
	cmp	%r11, %rcx
	jne	.Lout_\name
	.byte	0xe9
	.long	0
.Le_\name:
.Lout_\name:
	mov	$\nr, %eax
known_\name\()_end:
	.balign	2
known_\name\()_fix:
	.short	.La_\name - known_\name, .Lb_\name - known_\name, .Lc_\name - known_\name
	.short	.Ld_\name - known_\name, .Le_\name - known_\name, 0
	.endm

	KNOWN	stat, 4, %rdi, %rsi
	KNOWN	lstat, 6, %rdi, %rsi
	KNOWN	newfstatat, 262, %rsi, %rdx
	KNOWN	access, 21, %rdi

	.section .note.GNU-stack, "", @progbits
