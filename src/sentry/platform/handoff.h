/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-off: calls that come to the sentry through memory shared with the
 * guest, and are answered there, without either side going into the host.
 *
 * Theory of operation
 *
 * A thread that makes many calls at patched sites (site.h) gets an *area* in
 * memory that its process shares with the sentry, and the area's address in
 * its GS base.  The slot writes the call's number and arguments there, and
 * waits for the answer for some microseconds.  On the other side a thread of
 * the sentry, the *listener*, looks at the areas of those who have called
 * lately, while they go on calling; else it sleeps.  The two must be on
 * different processors: each tells the other where it is.
 *
 * Whatever is not answered in time is made by the program's own instruction,
 * which traps.  If the sentry has taken the call meanwhile, this is the same
 * case as a notification that the host has interrupted and restarted: the
 * call goes on under the new notification, or its result is there already
 * (notify.c).  So there is one way of waiting, of signals and of restarts.
 *
 *   state      who sets it         then
 *   FREE       slot, tracer        no call, or it is not to be taken any more
 *   ASKED      slot                taken by the listener, or withdrawn by the slot (xchg FREE)
 *   TAKEN      listener (cmpxchg)  answered, refused, or given up by the slot (xchg FREE): then trapped
 *   ANSWERED   listener (cmpxchg)  the slot takes the result
 *   REFUSED    listener            the slot makes the call itself: the sentry has done nothing, or has
 *				    parked the call and waits for its notification
 *
 * What is shared is the guest's to scribble on, at any time.  A call is copied
 * once, and is then a call like any other; whose it is comes from which area
 * it stands in.  All threads that have the memory could make each other's
 * calls in any case, by writing code or stacks; a child of fork does not have
 * it (MADV_DONTFORK).  What a program gains by a call in a sibling's area
 * while that one is elsewhere is its own end: a second call within a call.
 *
 * To spare process_vm_readv and its kin, which cost as much as a whole stat,
 * the slot puts a copy of the call's path there, and takes a small result from
 * there.  It may fault on either; the tracer then has the call trap, where it
 * gets its EFAULT.
 */
#pragma once

#include "sentry/platform/arch.h"
#include "sentry/platform/stub_x86_64.h"

#include <stdatomic.h>
#include <stddef.h>

enum { HANDOFF_AREAS = 25, HANDOFF_SIZE = 16384 };

struct handoff_area {
	_Atomic uint32_t state;
	_Atomic uint32_t listener; /* its processor + 1; 0 = nobody looks */
	int64_t result;
	uint64_t out_to; /* where the slot is to copy out_size bytes of out */
	uint32_t out_size;
	char gap[36];
	/* The slot's. */
	uint64_t tail; /* of the slot: whose site it is */
	uint64_t args[6];
	int32_t nr;
	uint32_t path_size; /* of path, with its NUL; 0 = none */
	char path[AREA_PATH_MAX];
	unsigned char out[AREA_OUT_MAX];
};

_Static_assert(sizeof(struct handoff_area) == AREA_SIZE && HANDOFF_AREAS * AREA_SIZE <= HANDOFF_SIZE,
	       "the assembly counts on it");
#define HANDOFF_AT(field, offset)                                                                            \
	_Static_assert(offsetof(struct handoff_area, field) == (offset), "the assembly counts on it")
HANDOFF_AT(state, AREA_STATE);
HANDOFF_AT(listener, AREA_LISTENER);
HANDOFF_AT(result, AREA_RESULT);
HANDOFF_AT(out_to, AREA_OUT_TO);
HANDOFF_AT(out_size, AREA_OUT_SIZE);
HANDOFF_AT(tail, AREA_TAIL);
HANDOFF_AT(args, AREA_ARGS);
HANDOFF_AT(nr, AREA_NR);
HANDOFF_AT(path_size, AREA_PATH_SIZE);
HANDOFF_AT(path, AREA_PATH);
HANDOFF_AT(out, AREA_OUT);

struct task;

/* The areas of one memory. */
struct handoff_page {
	unsigned refs; /* of its memory, and of the listener */
	bool broken;   /* not (yet) to be used */
	bool forked;   /* ... and a child may have it, too */
	int fd;	       /* until both sides have mapped it */
	struct handoff_area *areas;
	uint64_t at; /* in the guest */
	struct task *owner[HANDOFF_AREAS];
};

/* ---- of the processor: handoff_x86_64.c ---- */

/* Whether this processor and host have what the slots need. */
bool handoff_possible(void);
unsigned handoff_cpu(void);
uint64_t handoff_clock(void); /* ticks, steady and the same on all processors */
uint64_t arch_gs(const struct arch_regs *regs);
void arch_set_gs(struct arch_regs *regs, uint64_t base);
void arch_clear_gs(pid_t tid); /* of a stopped thread */

/* Where in the common part of the slots a thread stands. */
enum handoff_at {
	HANDOFF_OUTSIDE,
	HANDOFF_BEFORE,	 /* it has not asked; or will make the call itself */
	HANDOFF_COPYING, /* ... and may fault on the path */
	HANDOFF_WAITING,
	HANDOFF_TAKING, /* it copies the result, and may fault */
	HANDOFF_DONE,	/* the result is in its register */
};
enum handoff_at handoff_where(const struct arch_regs *regs, uint64_t page);
/* The slot's tail. */
uint64_t handoff_tail(const struct arch_regs *regs, uint64_t page, const struct handoff_area *a);
/* It has seen the answer already. */
bool handoff_has_seen(const struct arch_regs *regs, enum handoff_at at);
/* Puts back what copying has changed of the call's registers. */
void handoff_restore(struct arch_regs *regs, enum handoff_at at, const struct handoff_area *a);
