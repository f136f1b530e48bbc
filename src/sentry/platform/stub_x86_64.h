/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub: the program that a process runs between the host's execve and the
 * guest's program (exec.c), and that the zygote runs for ever.  It is trusted
 * only while it is alone in its process; it is no part of the boundary.
 *
 * Shared by C and assembly.
 */
#pragma once

#define STUB_CALL      100000 /* the number of no system call: "what shall I do?" (stack pointer, list) */
#define STUB_CODE_MAX  0x1000 /* the list of commands is this far from the image's start */
#define STUB_IMAGE_MAX 512    /* what is behind it in its page is for slots (patch.c) */
#define STUB_LIST_MAX  0x4000 /* and has this size */

#define STUB_COMMAND_SIZE 64
#define STUB_END	  -1	     /* stack pointer, address to go to */
#define STUB_ZERO	  -2	     /* address, length */
#define STUB_TRY	  0x40000000 /* added to a call's number: its failure does not matter */

#ifndef __ASSEMBLER__
#include <stdint.h>

struct stub_command {
	int64_t nr; /* of a system call, or STUB_* */
	uint64_t args[6];
	uint64_t reserved;
};
_Static_assert(sizeof(struct stub_command) == STUB_COMMAND_SIZE, "the assembly counts on it");

/* The ELF image, and in it the addresses of its first and its only `syscall` instruction. */
extern const unsigned char stub_image[], stub_image_end[], stub_start[], stub_syscall[];
#endif
