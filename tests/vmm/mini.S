# SPDX-License-Identifier: Apache-2.0
# A guest of a few hundred bytes: says "up" on the serial line and resets.
	.code64
	.globl _start
_start:
	lea	text(%rip), %rsi
	mov	$0x3f8, %dx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	mov	$0xfe, %al
	out	%al, $0x64
3:	hlt
	jmp	3b
text:	.asciz	"up\n"
