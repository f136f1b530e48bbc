/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

enum { WORD_MAX = 63 };

unsigned nearest_distance(const char *a, const char *b, unsigned most)
{
	unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX || (n > m ? n - m : m - n) > most)
		return most + 1;
	for (unsigned j = 0; j <= m; j++)
		last[j] = j;
	for (unsigned i = 1; i <= n; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
			best = MIN_OF(best, last[j] + 1);
			best = MIN_OF(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN_OF(best, before[j - 2] + 1);
			now[j] = best;
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return MIN_OF(last[m], most + 1);
}

const char *nearest_word(const char *word, const char *const *first, size_t n, size_t stride)
{
	unsigned most = strlen(word) > 5 ? 2 : 1, best = most + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const char *known = *(const char *const *)((const char *)first + i * stride);
		unsigned d = known ? nearest_distance(word, known, most) : best;
		if (d < best) {
			best = d;
			found = known;
		}
	}
	return found;
}
