/* SPDX-License-Identifier: Apache-2.0 */
/* What journalctl writes: fields lie within what was given, and a piece of the input never says more than the
 * whole. */
#include "monitor/journal_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No byte behind: an over-read is seen. */
	autofree char *buf = malloc(size ? size : 1);
	struct journal_field f, g;
	size_t at = 0;

	if (!buf)
		return 0;
	memcpy(buf, data, size);
	for (;;) {
		ssize_t n = journal_export_field(buf + at, size - at, &f);
		if (n <= 0)
			return 0;
		if ((size_t)n > size - at || f.name < buf || f.name + f.name_len > buf + size ||
		    f.value < f.name || f.value + f.len > buf + size)
			abort();
		if (journal_export_field(buf + at, (size_t)n, &g) != n ||
		    journal_export_field(buf + at, (size_t)n - 1, &g) != 0)
			abort();
		at += (size_t)n;
	}
}
