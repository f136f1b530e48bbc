/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No function of the C library that reads the locale or the time zone's files
 * takes part: both cost a start more than all the rest of a command line.
 */
#include "front/cli/units.h"

#include "base/str.h"

#include <inttypes.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

int bytes_parse(const char *text, bool unlimited, int64_t *ret)
{
	static const char letters[] = "bkmgtp";
	uint64_t whole, part, unit = 1;

	if (unlimited && streq(text, "-1")) {
		*ret = -1;
		return 0;
	}
	const char *p = decimal_read(text, &whole, &part);
	if (!p)
		return -EINVAL;
	p += *p == ' ' && p[1];
	if (*p) {
		const char *at = strchr(letters, *p | 0x20);
		if (!at)
			return -EINVAL;
		unit <<= 10 * (at - letters);
		p++;
		if (at != letters) {
			p += *p == 'i' || *p == 'I';
			p += *p == 'b' || *p == 'B';
		}
	}
	return *p ? -EINVAL : decimal_scale(whole, part, unit, ret);
}

int cpus_parse(const char *text, int64_t *ret)
{
	uint64_t whole, part;
	const char *p = decimal_read(text, &whole, &part);

	if (!p || *p)
		return -EINVAL;
	return decimal_scale(whole, part, NS_PER_S, ret);
}

int bool_parse(const char *text, bool *ret)
{
	static const char *const words[] = {"1", "t", "T", "true",  "TRUE",  "True",
					    "0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (streq(text, words[i])) {
			*ret = i < ARRAY_LEN(words) / 2;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- moments ---- */

/* Days since 1970 of a date of the Gregorian calendar, by the rule of the 400-year cycle from March on. */
static int64_t days_since_epoch(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool two_digits(const char **p, int64_t low, int64_t high, int64_t *ret)
{
	const char *s = *p;

	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*ret = (s[0] - '0') * 10 + (s[1] - '0');
	*p += 2;
	return *ret >= low && *ret <= high;
}

/* Hours and what may stand behind them; `*ret` in ns. */
static bool clock_read(const char **p, int64_t *ret)
{
	int64_t h, m = 0, s = 0, ns = 0, scale = NS_PER_S / 10;

	if (!two_digits(p, 0, 23, &h))
		return false;
	if (**p == ':' && ((*p)++, !two_digits(p, 0, 59, &m)))
		return false;
	if (**p == ':' && ((*p)++, !two_digits(p, 0, 60, &s)))
		return false;
	if (**p == '.')
		for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
			ns += scale * (**p - '0');
	*ret = ((h * 60 + m) * 60 + s) * NS_PER_S + ns;
	return true;
}

static int date_parse(const char *p, int64_t *ret)
{
	int64_t century, year, month, day, clock = 0, zone_h, zone_m;

	if (!two_digits(&p, 16, 99, &century) || !two_digits(&p, 0, 99, &year) || *p++ != '-' ||
	    !two_digits(&p, 1, 12, &month) || *p++ != '-' || !two_digits(&p, 1, 31, &day))
		return -EINVAL;
	if ((*p == 'T' || *p == 't' || *p == ' ') && (p++, !clock_read(&p, &clock)))
		return -EINVAL;
	int64_t seconds = days_since_epoch(century * 100 + year, month, day) * 86400;
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		int sign = *p++ == '-' ? 1 : -1;
		if (!two_digits(&p, 0, 14, &zone_h) || *p++ != ':' || !two_digits(&p, 0, 59, &zone_m))
			return -EINVAL;
		seconds += sign * (zone_h * 3600 + zone_m * 60);
	}
	if (*p || __builtin_mul_overflow(seconds, (int64_t)NS_PER_S, ret) ||
	    __builtin_add_overflow(*ret, clock, ret))
		return -EINVAL;
	return 0;
}

int moment_parse(const char *text, int64_t now, int64_t *ret)
{
	uint64_t whole, part;
	int64_t v;

	if (date_parse(text, &v) == 0) {
		*ret = v;
		return 0;
	}
	const char *p = decimal_read(text, &whole, &part);
	if (p && !*p)
		return decimal_scale(whole, part, NS_PER_S, ret);
	if (duration_parse(text, &v) < 0 || __builtin_sub_overflow(now, v, &v))
		return -EINVAL;
	*ret = v;
	return 0;
}

int64_t moment_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail */
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void civil(int64_t ns, struct tm *ret, int64_t *ret_ns)
{
	int64_t part = ns % NS_PER_S;
	time_t s = (time_t)(ns / NS_PER_S);

	if (part < 0) {
		part += NS_PER_S;
		s--;
	}
	if (!gmtime_r(&s, ret))
		*ret = (struct tm){.tm_year = 70, .tm_mday = 1};
	*ret_ns = part;
}

struct units_text moment_text(int64_t ns)
{
	struct units_text t;
	struct tm tm;
	int64_t part;

	civil(ns, &tm, &part);
	(void)snprintf(t.s, sizeof(t.s), "%04d-%02d-%02d %02d:%02d:%02d +0000 UTC", tm.tm_year + 1900,
		       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec); /* fits */
	return t;
}

struct units_text moment_rfc3339(int64_t ns)
{
	struct units_text t;
	struct tm tm;
	int64_t part;

	civil(ns, &tm, &part);
	(void)snprintf(t.s, sizeof(t.s), "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRId64 "Z", tm.tm_year + 1900,
		       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, part); /* fits */
	return t;
}

/* ---- sizes and durations for people ---- */

static struct units_text size_text(double v, double base, int digits, const char *const *units, size_t n)
{
	struct units_text t;
	size_t i = 0;

	while (v >= base && i + 1 < n) {
		v /= base;
		i++;
	}
	/* 999.9 in three digits is 1000 in words of its own, not 1e+03. */
	if (v >= 999.5 && digits <= 3)
		(void)snprintf(t.s, sizeof(t.s), "%.0f%s", v, units[i]); /* fits */
	else
		(void)snprintf(t.s, sizeof(t.s), "%.*g%s", digits, v, units[i]); /* fits */
	return t;
}

struct units_text size_decimal(double bytes, int digits)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};

	return size_text(bytes, 1000, digits, units, ARRAY_LEN(units));
}

struct units_text size_binary(double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

	return size_text(bytes, 1024, 4, units, ARRAY_LEN(units));
}

struct units_text duration_text(int64_t ns)
{
	struct units_text t = {""};
	int64_t s = ns / NS_PER_S, m = s / 60, h = (m + 30) / 60;
	const char *fixed = s < 1			 ? "Less than a second"
			    : s == 1			 ? "1 second"
			    : m == 1			 ? "About a minute"
			    : m > 1 && m >= 60 && h == 1 ? "About an hour"
							 : NULL;
	const struct {
		int64_t below, value;
		const char *unit;
	} steps[] = {
		{60, s, "seconds"},
		{60 * 60, m, "minutes"},
		{48 * 3600 - 1800, h, "hours"},
		{14 * 86400 - 1800, h / 24, "days"},
		{60 * 86400 - 1800, h / 24 / 7, "weeks"},
		{730 * (int64_t)86400 - 1800, h / 24 / 30, "months"},
		{INT64_MAX, s / 3600 / 24 / 365, "years"},
	};

	for (size_t i = 0; !fixed && i < ARRAY_LEN(steps); i++) {
		if (s < steps[i].below) {
			(void)snprintf(t.s, sizeof(t.s), "%" PRId64 " %s", steps[i].value,
				       steps[i].unit); /* fits */
			return t;
		}
	}
	(void)snprintf(t.s, sizeof(t.s), "%s", fixed ? fixed : ""); /* fits */
	return t;
}
