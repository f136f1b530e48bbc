/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory: the one way to it.  An address and a length come from
 * the guest, and are checked here; what comes back is a pointer to as many
 * bytes.  The guest writes there while we read: whoever decides by a value
 * copies it first (memory_read, or an atomic load), and decides by the copy.
 */
#pragma once

#include "base/err.h"

#define MEMORY_GAP_START UINT64_C(0xc0000000) /* devices, interrupt controllers */
#define MEMORY_GAP_END	 UINT64_C(0x100000000)

enum memory_kind {
	MEMORY_ANONYMOUS, /* of this process alone */
	MEMORY_SHARED,	  /* a file that will be the snapshot's memory */
	MEMORY_PRIVATE,	  /* a snapshot's file, copied as it is written to */
};

struct guest_memory {
	unsigned char *base;
	uint64_t size; /* bytes; what goes beyond MEMORY_GAP_START appears from MEMORY_GAP_END on */
	enum memory_kind kind;
};

/* size: whole pages.  fd, at: of the file, for the kinds that have one; a shared one is made long enough. */
must_use int memory_open(struct guest_memory *m, uint64_t size, enum memory_kind kind, int fd, uint64_t at,
			 struct err *err);
void memory_close(struct guest_memory *m);

/* NULL where not all of it is memory.  len == 0 gives NULL too. */
void *memory_at(const struct guest_memory *m, uint64_t address, uint64_t len);
/* false where not all of it is memory; nothing is copied then. */
must_use bool memory_read(const struct guest_memory *m, uint64_t address, void *to, size_t len);
must_use bool memory_write(const struct guest_memory *m, uint64_t address, const void *from, size_t len);
/* Gives whole pages back to the host; the guest no longer cares for what they hold. */
void memory_drop(const struct guest_memory *m, void *start, size_t len);

static inline uint64_t memory_low(const struct guest_memory *m)
{
	return MIN_OF(m->size, MEMORY_GAP_START);
}

static inline uint64_t memory_high(const struct guest_memory *m)
{
	return m->size - memory_low(m);
}
