/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/rfc3339.h"

#define NS_PER_SECOND INT64_C(1000000000)

/*
 * Days since 1970 of a date of the Gregorian calendar and back.  The year is
 * counted from March, so that the leap day is its last; 146,097 days make 400
 * years.
 */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = year / 400, of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	days += 719468;
	int64_t era = days / 146097;
	unsigned of_era = (unsigned)(days - era * 146097);
	unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (int64_t)y + era * 400 + (*month <= 2);
}

static char *put_digits(char *p, uint64_t v, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--, v /= 10)
		p[i - 1] = (char)('0' + v % 10);
	return p + digits;
}

size_t rfc3339_format(int64_t ns, char buf[static RFC3339_MAX])
{
	int64_t s = ns / NS_PER_SECOND, year;
	uint64_t fraction = (uint64_t)(ns % NS_PER_SECOND), of_day = (uint64_t)(s % 86400);
	unsigned month, day;
	char *p = buf;

	date_of(s / 86400, &year, &month, &day);
	p = put_digits(p, (uint64_t)year, 4);
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, day, 2);
	*p++ = 'T';
	p = put_digits(p, of_day / 3600, 2);
	*p++ = ':';
	p = put_digits(p, of_day / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, of_day % 60, 2);
	if (fraction) {
		*p++ = '.';
		p = put_digits(p, fraction, 9);
		while (p[-1] == '0')
			p--;
	}
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - buf);
}

/* `digits` of them at text[*at], in min..max; -1 where they are not there. */
static int64_t digits_between(const char *text, size_t len, size_t *at, unsigned digits, int64_t min,
			      int64_t max)
{
	int64_t v = 0;

	if (len - *at < digits)
		return -1;
	for (unsigned i = 0; i < digits; i++) {
		char c = text[*at + i];
		if (c < '0' || c > '9')
			return -1;
		v = v * 10 + (c - '0');
	}
	*at += digits;
	return v < min || v > max ? -1 : v;
}

static bool take_any(const char *text, size_t len, size_t *at, const char *any)
{
	if (*at >= len || !text[*at] || !strchr(any, text[*at]))
		return false;
	++*at;
	return true;
}

/* ".123": nanoseconds; digits after the ninth are passed over. */
static int64_t take_fraction(const char *text, size_t len, size_t *at)
{
	int64_t ns = 0, unit = NS_PER_SECOND / 10;

	for (; *at < len && text[*at] >= '0' && text[*at] <= '9'; ++*at, unit /= 10)
		ns += (text[*at] - '0') * unit;
	return ns;
}

int rfc3339_parse(const char *text, size_t len, int64_t *ret_ns)
{
	size_t at = 0;
	int64_t v[6], ns = 0, offset = 0;
	static const struct {
		unsigned digits;
		int64_t min, max;
		const char *then;
	} parts[] = {{4, 1970, 2261, "-"}, {2, 1, 12, "-"}, {2, 1, 31, "Tt "},
		     {2, 0, 23, ":"},	   {2, 0, 59, ":"}, {2, 0, 60, NULL}};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		v[i] = digits_between(text, len, &at, parts[i].digits, parts[i].min, parts[i].max);
		if (v[i] < 0 || (parts[i].then && !take_any(text, len, &at, parts[i].then)))
			return -EINVAL;
	}
	if (take_any(text, len, &at, ".,"))
		ns = take_fraction(text, len, &at);
	if (!take_any(text, len, &at, "Zz")) {
		bool minus = at < len && text[at] == '-';
		if (!take_any(text, len, &at, "+-"))
			return -EINVAL;
		int64_t h = digits_between(text, len, &at, 2, 0, 23);
		if (h < 0 || !take_any(text, len, &at, ":"))
			return -EINVAL;
		int64_t m = digits_between(text, len, &at, 2, 0, 59);
		if (m < 0)
			return -EINVAL;
		offset = (h * 60 + m) * 60 * (minus ? -1 : 1);
	}
	if (at != len)
		return -EINVAL;
	int64_t s = days_of(v[0], (unsigned)v[1], (unsigned)v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5];
	*ret_ns = (s - offset) * NS_PER_SECOND + ns;
	return 0;
}
