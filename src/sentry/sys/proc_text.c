/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and numbers of /proc's texts. */
#include "sentry/sys/proc_text.h"

static const char *find_line(const char *text, const char *key, char separator)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line;
	     line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, key, n) != 0 || line[n] != separator)
			continue;
		line += n + 1;
		return line + strspn(line, " \t");
	}
	return NULL;
}

const char *status_line(const char *text, const char *key)
{
	return find_line(text, key, ':');
}

const char *word_line(const char *text, const char *key)
{
	return find_line(text, key, ' ');
}

uint64_t status_bits(const char *text, const char *key)
{
	const char *value = status_line(text, key);

	return value ? strtoull(value, NULL, 16) : 0;
}

long long status_number(const char *text, const char *key)
{
	const char *value = status_line(text, key);

	return value && *value >= '0' && *value <= '9' ? strtoll(value, NULL, 10) : -1;
}

long long status_last_number(const char *text, const char *key)
{
	const char *value = status_line(text, key), *end;

	if (!value)
		return -1;
	end = value + strcspn(value, "\n");
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	while (end > value && end[-1] >= '0' && end[-1] <= '9')
		end--;
	return *end >= '0' && *end <= '9' ? strtoll(end, NULL, 10) : -1;
}
