/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/journal_export.h"

#include <endian.h>

ssize_t journal_export_field(const char *buf, size_t len, struct journal_field *ret)
{
	const char *nl = len ? memchr(buf, '\n', len) : NULL, *eq;
	uint64_t le, n;

	if (!nl)
		return len > JOURNAL_FIELD_MAX ? -EBADMSG : 0;
	size_t line = (size_t)(nl - buf);
	if (line == 0) {
		*ret = (struct journal_field){.name = buf, .value = buf};
		return 1;
	}
	eq = memchr(buf, '=', line);
	if (eq == buf)
		return -EBADMSG;
	if (eq) {
		*ret = (struct journal_field){buf, (size_t)(eq - buf), eq + 1, (size_t)(nl - eq - 1)};
		return (ssize_t)line + 1;
	}
	if (len - line - 1 < sizeof(le))
		return 0;
	memcpy(&le, nl + 1, sizeof(le));
	n = le64toh(le);
	if (n > JOURNAL_FIELD_MAX)
		return -EBADMSG;
	size_t head = line + 1 + sizeof(le);
	if (len - head <= n)
		return 0;
	if (buf[head + n] != '\n')
		return -EBADMSG;
	*ret = (struct journal_field){buf, line, buf + head, n};
	return (ssize_t)(head + n + 1);
}
