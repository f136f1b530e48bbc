/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sites: instructions in front of a system call that can be replaced by
 * a jump, and the code that the jump leads to (patch.c).  Of a processor's own
 * file, site_*.c.
 */
#pragma once

#include "sentry/file.h"
#include "sentry/platform/arch.h"
#include "sentry/platform/stub_x86_64.h"

#include <stddef.h>

enum {
	SITE_BEFORE = 16,  /* bytes up to the call's end that are looked at */
	SITE_SLOT = 512,   /* at most, of code for one site */
	SITE_JUMP = 5,	   /* bytes replaced */
	SITE_NUMBERS = 112 /* calls below this may have an answer */
};

/*
 * Shadows (shadow.c) are descriptors of the stub from SHADOW_BASE on: for each kind of file SHADOW_MAX, one
 * for each of the guest's numbers below that.  The filter knows of a file only its number.
 */
enum { SHADOW_BASE = 512, SHADOW_MAX = 512, SHADOW_ALL = SHADOW_MAX * SHADOW_KINDS };
enum { SHADOW_POLLABLE = SHADOW_ALL }; /* patch_set_native: plus the descriptor, of site_data.pollable */
/* In the upper half of the first argument, which the host does not look at; plus the call's number. */
#define SHADOW_MARK UINT32_C(0x5eedf100)

/* What the slots look at; zero: nothing is known. */
struct site_data {
	uint32_t answers[SITE_NUMBERS];	  /* by number: the result + 1; 0 = ask */
	uint64_t native[SHADOW_ALL / 64]; /* by shadow, less SHADOW_BASE: it may be there */
	/* Hand-off (handoff.h); no area is in a range of size 0. */
	uint64_t areas, areas_size;
	uint64_t spins;
	/* Answers to paths (known.c): the middle of the table's first entry, 0 = none; where the generation
	 * is. */
	uint64_t known, tree;
	/* By descriptor: what has the socket's shadow may be in a set of epoll's twin, as a pipe may not. */
	uint64_t pollable[SHADOW_MAX / 64];
};
_Static_assert(offsetof(struct site_data, areas) == SITE_AREAS &&
		       offsetof(struct site_data, areas_size) == SITE_AREAS_SIZE &&
		       offsetof(struct site_data, spins) == SITE_SPINS &&
		       offsetof(struct site_data, known) == SITE_KNOWN &&
		       offsetof(struct site_data, tree) == SITE_TREE,
	       "the assembly counts on it");

struct site {
	uint64_t at;	    /* of the instruction that is replaced */
	uint64_t call;	    /* of the call itself, which stays */
	uint64_t end;	    /* behind it */
	int nr;		    /* -1 = whatever the program says */
	uint64_t other_way; /* where a branch between the two leads; 0 = there is none */
	unsigned copied; /* bytes of instructions up to the call that the slot begins with, as they are: they
			    cannot be made twice; 0 = they can */
	uint64_t slot;
	unsigned size, answered, added, asked, refused; /* offsets in the slot's code */
	bool handed_off; /* what is not answered there goes to `handoff`, the common part of the slots */
	uint64_t handoff;
	bool knows;		   /* it looks for the path's answer in the table, */
	unsigned known, known_end; /* ... between these offsets, where it may fault */
	unsigned tail;		   /* where that comes back to: STUB_MODE_AT, STUB_TAIL_END */
};

bool site_is_answered(int nr); /* struct site_data.answers */
/* ... and .native: the kinds of shadows that the call may be made on, a bit each; 0 = none. */
unsigned site_kinds(int nr);
/* Whether a slot can look for the answer: stat, lstat, newfstatat, access. */
bool site_may_know(int nr);
/* Which argument is a path: 1, 2, 0 = none. */
int site_path(int nr);

/* Looks at the SITE_BEFORE bytes that end at `end`, where a call was made; fills all but slot and what
 * follows. */
bool site_find(const unsigned char *bytes, uint64_t end, int nr, struct site *ret);
/* The code for s->slot, and the jump to it; `bytes` as of site_find.  false = out of reach. */
bool site_code(struct site *s, uint64_t data, const unsigned char *bytes, unsigned char code[SITE_SLOT],
	       unsigned char jump[SITE_JUMP]);
/* Whether `bytes`, as of site_find, have the jump to s->slot already. */
bool site_is_patched(const struct site *s, const unsigned char *bytes);
/*
 * A thread is in the slot: puts it in front of the site or behind the call, as if there were no slot.  True:
 * a signal has interrupted the native call, which waited.  `anew`: what was interrupted with EINTR shall be
 * made by the call's own instruction.
 */
bool site_leave(const struct site *s, struct arch_regs *regs, bool anew);
/* ... its native call has just come to its end. */
bool site_is_behind_call(const struct site *s, const struct arch_regs *regs);
