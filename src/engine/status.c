/* SPDX-License-Identifier: Apache-2.0 */
/* How long and since when, in the words that `ps` has for it; times in and out of text. */
#include "engine/engine_int.h"

#include "base/clock.h"

#include <time.h>

void engine_duration_text(int64_t ns, char *buf, size_t len)
{
	int64_t s = ns / ENGINE_NS_SECOND, m = s / 60, h = (m + 30) / 60;
	const char *fixed = NULL, *unit = NULL;
	int64_t n = 0;

	if (s < 1) {
		fixed = "Less than a second";
	} else if (s == 1) {
		fixed = "1 second";
	} else if (s < 60) {
		n = s, unit = "seconds";
	} else if (m == 1) {
		fixed = "About a minute";
	} else if (m < 60) {
		n = m, unit = "minutes";
	} else if (h == 1) {
		fixed = "About an hour";
	} else if (h < 48) {
		n = h, unit = "hours";
	} else if (h < 24 * 7 * 2) {
		n = h / 24, unit = "days";
	} else if (h < 24 * 30 * 2) {
		n = h / 24 / 7, unit = "weeks";
	} else if (h < 24 * 365 * 2) {
		n = h / 24 / 30, unit = "months";
	} else {
		n = h / 24 / 365, unit = "years";
	}
	int r = fixed ? snprintf(buf, len, "%s", fixed) : snprintf(buf, len, "%lld %s", (long long)n, unit);
	if (r < 0)
		buf[0] = '\0';
}

void engine_status_text(const struct engine_status_in *in, char *buf, size_t len)
{
	char since[48];
	int r;

	if (streq(in->state, "running") || streq(in->state, "paused")) {
		bool paused = streq(in->state, "paused"), health = in->health && *in->health && !paused;
		engine_duration_text(in->now - in->started, since, sizeof(since));
		r = snprintf(buf, len, "Up %s%s%s%s%s", since, paused ? " (Paused)" : "",
			     health ? (streq(in->health, "starting") ? " (health: " : " (") : "",
			     health ? in->health : "", health ? ")" : "");
	} else if (streq(in->state, "restarting")) {
		engine_duration_text(in->now - in->finished, since, sizeof(since));
		r = snprintf(buf, len, "Restarting (%d) %s ago", in->exit_code, since);
	} else if (streq(in->state, "removing")) {
		r = snprintf(buf, len, "Removal In Progress");
	} else if (streq(in->state, "dead")) {
		r = snprintf(buf, len, "Dead");
	} else if (streq(in->state, "created") || in->finished == 0) {
		r = snprintf(buf, len, "Created");
	} else {
		engine_duration_text(in->now - in->finished, since, sizeof(since));
		r = snprintf(buf, len, "Exited (%d) %s ago", in->exit_code, since);
	}
	if (r < 0)
		buf[0] = '\0';
}

int64_t engine_now(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void engine_time_text(int64_t ns, char ret[static 40])
{
	time_t s = (time_t)(ns / ENGINE_NS_SECOND);
	struct tm tm;

	if (ns <= 0 || !gmtime_r(&s, &tm)) {
		if (snprintf(ret, 40, "0001-01-01T00:00:00Z") < 0)
			ret[0] = '\0';
		return;
	}
	char date[24];
	size_t n = strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	if (n == 0 || snprintf(ret, 40, "%s.%09lldZ", date, (long long)(ns % ENGINE_NS_SECOND)) < 0)
		ret[0] = '\0';
}

/* "1h30m", "90s", "1.5h", "10ms"; as Go's ParseDuration. */
static bool parse_age(const char *s, int64_t *ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	double total = 0;

	if (!*s)
		return false;
	while (*s) {
		size_t i = ARRAY_LEN(units), n = strspn(s, "0123456789.");
		char *end;
		double v = strtod(s, &end);
		if (n == 0 || end != s + n)
			return false;
		s = end;
		n = strspn(s, "nusmh");
		while (i > 0 && !(strlen(units[i - 1].unit) == n && strncmp(units[i - 1].unit, s, n) == 0))
			i--;
		/* "1h30m": units are told apart by the digits behind them. */
		if (i == 0)
			return false;
		total += v * units[i - 1].ns;
		s += n;
	}
	if (total > 9e18)
		return false;
	*ret = (int64_t)total;
	return true;
}

static bool parse_date(const char *text, int64_t *ret)
{
	static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H",
					      "%Y-%m-%d"};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = {.tm_isdst = -1};
		double fraction = 0;
		const char *rest = strptime(text, formats[i], &tm);
		if (!rest)
			continue;
		if (*rest == '.') {
			char *end;
			fraction = strtod(rest, &end);
			rest = end;
		}
		int64_t offset = 0;
		time_t t;
		if (*rest == 'Z' && !rest[1]) {
			t = timegm(&tm);
		} else if ((*rest == '+' || *rest == '-') && strlen(rest) == 6 && rest[3] == ':') {
			offset = (strtol(rest + 1, NULL, 10) * 60 + strtol(rest + 4, NULL, 10)) * 60;
			offset = *rest == '-' ? -offset : offset;
			t = timegm(&tm);
		} else if (!*rest) {
			t = mktime(&tm);
		} else {
			continue;
		}
		*ret = ((int64_t)t - offset) * ENGINE_NS_SECOND + (int64_t)(fraction * 1e9);
		return true;
	}
	return false;
}

int engine_time_parse(const char *text, int64_t *ret, struct err *err)
{
	int64_t age;

	if (parse_date(text, ret))
		return 0;
	if (strspn(text, "0123456789.") == strlen(text) && *text) {
		char *end;
		int64_t s = strtoll(text, &end, 10);
		double fraction = *end == '.' ? strtod(end, &end) : 0;
		if (!*end && s < INT64_MAX / ENGINE_NS_SECOND) {
			*ret = s * ENGINE_NS_SECOND + (int64_t)(fraction * 1e9);
			return 0;
		}
	}
	if (parse_age(text, &age)) {
		*ret = engine_now() - age;
		return 0;
	}
	return err_set(
		err, EINVAL,
		"invalid time \"%.64s\": expected a date (2024-12-31T23:59:59Z), seconds since 1970, or "
		"an age (10m, 1h30m)",
		text);
}
