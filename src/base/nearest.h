/* SPDX-License-Identifier: Apache-2.0 */
/* The known word that somebody who typed another one most likely meant. */
#pragma once

#include "base/base.h"

/*
 * Of `n` words of which each stands `stride` bytes behind the last (an array of structs), the one nearest to
 * `word` by letters added, dropped, changed or swapped, or NULL where none is near.  Words that are NULL are
 * passed over.
 */
const char *nearest_word(const char *word, const char *const *first, size_t n, size_t stride);
/* How many such changes lead from `a` to `b`; more than `most` counts as most + 1.  Long words are far. */
unsigned nearest_distance(const char *a, const char *b, unsigned most);
