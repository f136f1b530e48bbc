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
#define STUB_IMAGE_MAX 1024   /* what is behind it in its page is for slots (patch.c) */
#define STUB_LIST_MAX  0x4000 /* and has this size */

#define STUB_COMMAND_SIZE 64
#define STUB_END	  -1	     /* stack pointer, address to go to */
#define STUB_ZERO	  -2	     /* address, length */
#define STUB_TRY	  0x40000000 /* added to a call's number: its failure does not matter */

/* Offsets in struct site_data (site.h), which begins at STUB_IMAGE_MAX, of what the hand-off looks at. */
#define SITE_AREAS	704
#define SITE_AREAS_SIZE 712
#define SITE_SPINS	720
/* ... of what slots know of paths (known.c): the middle of the table's first entry, and where the generation
 * is. */
#define SITE_KNOWN 728
#define SITE_TREE  736

/* The table's entries, from their middle on. */
#define KNOWN_MIDDLE	 128
#define KNOWN_GENERATION (-128)
#define KNOWN_RESULT	 (-120)
#define KNOWN_KEY	 (-116)
#define KNOWN_STAT	 (-112)
#define KNOWN_STAT_SIZE	 120 /* the rest of struct stat is zero */
#define KNOWN_PATH	 8
#define KNOWN_PATH_MAX	 184 /* with its NUL */
#define KNOWN_SIZE	 320
#define KNOWN_BITS	 7
#define KNOWN_ROTATE	 5
#define KNOWN_MULTIPLY	 0x1e3779b1

/* ... and in struct handoff_area (handoff.h). */
#define AREA_STATE     0
#define AREA_LISTENER  4
#define AREA_RESULT    8
#define AREA_OUT_TO    16
#define AREA_OUT_SIZE  24
#define AREA_TAIL      64
#define AREA_ARGS      72
#define AREA_NR	       120
#define AREA_PATH_SIZE 124
#define AREA_PATH      128
#define AREA_PATH_MAX  256
#define AREA_OUT       384
#define AREA_OUT_MAX   256
#define AREA_SIZE      640

/* AREA_STATE */
#define AREA_FREE     0
#define AREA_ASKED    1 /* by the slot */
#define AREA_TAKEN    2 /* by the sentry */
#define AREA_ANSWERED 3 /* the result is there */
#define AREA_REFUSED  4 /* the call is to be made by its own instruction */

/* What a slot may go to, by their distance from stub_image. */
#define STUB_MODE_AT  (-1) /* in front of a slot's tail: which argument is a path, 1 or 2; 0 = none */
#define STUB_TAIL_END 5	   /* the tail: a jump to the call itself, and one behind it */

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
/* The slots' common part of a hand-off: its beginning, where the slot's tail has been kept, where the path is
 * copied and that is over, where it has asked; where the result is copied and that is over, where it is in
 * its register; where the call is to be made after all; the end. */
extern const unsigned char stub_handoff[], stub_handoff_kept[], stub_handoff_path[], stub_handoff_ask[],
	stub_handoff_copy[], stub_handoff_copied[], stub_handoff_done[], stub_handoff_call[],
	stub_handoff_jump[], stub_handoff_end[];
/* Code for slots, and where it ends; offsets of what is behind a distance that is to be made right, and 0. */
extern const unsigned char known_stat[], known_stat_end[], known_lstat[], known_lstat_end[],
	known_newfstatat[], known_newfstatat_end[], known_access[], known_access_end[];
extern const uint16_t known_stat_fix[], known_lstat_fix[], known_newfstatat_fix[], known_access_fix[];
#endif
