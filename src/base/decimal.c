/* SPDX-License-Identifier: Apache-2.0 */
#include "base/decimal.h"

#include "base/str.h"

enum { NS_PER_S = 1000000000 };

const char *decimal_read(const char *text, uint64_t *ret_whole, uint64_t *ret_billionths)
{
	uint64_t whole = 0, part = 0, scale = NS_PER_S / 10;
	const char *p = text;
	bool digits = false;

	for (; *p >= '0' && *p <= '9'; p++, digits = true)
		if (__builtin_mul_overflow(whole, 10U, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return NULL;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, digits = true, scale /= 10)
			part += scale * (uint64_t)(*p - '0');
	if (!digits)
		return NULL;
	*ret_whole = whole;
	*ret_billionths = part;
	return p;
}

int decimal_scale(uint64_t whole, uint64_t billionths, uint64_t unit, int64_t *ret)
{
	unsigned __int128 v =
		(unsigned __int128)whole * unit + (unsigned __int128)billionths * unit / NS_PER_S;

	if (v > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

int duration_parse(const char *text, int64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {{"ns", 1},
		     {"us", 1000},
		     {"\302\265s", 1000},
		     {"ms", 1000000},
		     {"s", NS_PER_S},
		     {"m", 60ULL * NS_PER_S},
		     {"h", 3600ULL * NS_PER_S}};
	bool negative = *text == '-';
	int64_t sum = 0;

	text += negative || *text == '+';
	if (streq(text, "0")) {
		*ret = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		uint64_t whole, part, ns = 0;
		int64_t one;
		text = decimal_read(text, &whole, &part);
		if (!text)
			return -EINVAL;
		for (size_t i = 0; !ns && i < ARRAY_LEN(units); i++) {
			size_t len = strlen(units[i].unit);
			/* "m" is not the beginning of "ms" */
			if (strncmp(text, units[i].unit, len) == 0 && !(len == 1 && text[1] == 's')) {
				ns = units[i].ns;
				text += len;
			}
		}
		if (!ns || decimal_scale(whole, part, ns, &one) < 0 || __builtin_add_overflow(sum, one, &sum))
			return -EINVAL;
	}
	*ret = negative ? -sum : sum;
	return 0;
}
