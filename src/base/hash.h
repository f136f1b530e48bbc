/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FNV-1a, 64 bits: names for files, numbers for nodes, sums against damage.  Whoever chooses the input can
 * make two of the same sum: nothing that must withstand forgery is told by it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t fnv_step(uint64_t sum, uint64_t part)
{
	return (sum ^ part) * UINT64_C(0x100000001b3);
}

/* Goes on with `sum`; FNV_START to begin with. */
static inline uint64_t fnv_bytes(uint64_t sum, const void *data, size_t len)
{
	for (const unsigned char *p = data; len > 0; len--, p++)
		sum = fnv_step(sum, *p);
	return sum;
}
