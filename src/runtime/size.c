/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/size.h"

#include <strings.h>

int size_parse(const char *text, int64_t *ret)
{
	static const char letters[] = "kmgtpe";
	char *end;

	/* strtod takes blanks, signs, hexadecimal, infinities. */
	if (*text == '\0' || strspn(text, "0123456789.") == 0)
		return -EINVAL;
	double v = strtod(text, &end);
	if ((size_t)(end - text) != strspn(text, "0123456789."))
		return -EINVAL;
	end += *end == ' ';
	const char *letter = *end ? strchr(letters, *end | 32) : NULL;
	if (letter) {
		for (const char *p = letters; p <= letter; p++)
			v *= 1024;
		end++;
		end += *end == 'i' && (end[1] | 32) == 'b';
	}
	end += (*end | 32) == 'b';
	if (*end != '\0' || v >= 9.2e18)
		return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}
