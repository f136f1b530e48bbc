/* SPDX-License-Identifier: Apache-2.0 */
/* --filter key=value. */
#include "engine/engine_int.h"

#include <regex.h>

enum { PATTERN_MAX = 1000, COPIES_MAX = 1000 };

static int add_filter(struct engine_filters *f, const char *text, const char *const *known, struct err *err)
{
	const char *eq = strchr(text, '=');
	size_t len = eq ? (size_t)(eq - text) : 0;
	bool ok = false;

	if (!eq || len == 0)
		return err_set(err, EINVAL, "invalid filter \"%.64s\": expected key=value", text);
	for (const char *const *k = known; *k && !ok; k++)
		ok = strlen(*k) == len && strncmp(*k, text, len) == 0;
	if (!ok)
		return err_set(err, EINVAL, "invalid filter '%.*s'", (int)MIN_OF(len, 64U), text);
	struct engine_filter *v = realloc(f->v, (f->n + 1) * sizeof(*v));
	if (!v)
		return err_oom(err);
	f->v = v;
	v[f->n] = (struct engine_filter){.key = strndup(text, len), .value = strdup(eq + 1)};
	f->n++;
	return v[f->n - 1].key && v[f->n - 1].value ? 0 : err_oom(err);
}

int engine_filters_parse(const str_list *texts, const char *const *known, struct engine_filters *ret,
			 struct err *err)
{
	struct engine_filters f = {0};

	for (size_t i = 0; i < texts->n; i++) {
		int r = add_filter(&f, texts->v[i], known, err);
		if (r < 0) {
			engine_filters_free(&f);
			return r;
		}
	}
	*ret = f;
	return 0;
}

void engine_filters_free(struct engine_filters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].key);
		free(f->v[i].value);
	}
	free(f->v);
	*f = (struct engine_filters){0};
}

bool engine_filter_match(const struct engine_filters *f, const char *key, const char *value)
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (!streq(f->v[i].key, key))
			continue;
		if (streq(f->v[i].value, value))
			return true;
		any = true;
	}
	return !any;
}

const char *engine_filter_first(const struct engine_filters *f, const char *key)
{
	for (size_t i = 0; i < f->n; i++) {
		if (streq(f->v[i].key, key))
			return f->v[i].value;
	}
	return NULL;
}

/*
 * What the C library can be asked for without harm: its parser calls itself for each bracket, a repetition is
 * a copy of what is repeated, and a reference back makes the search try everything.  As with Docker's
 * expressions, which know no such references and no more than 1000 of a thing.
 */
static bool pattern_is_modest(const char *pattern)
{
	unsigned long copies = 1, n;
	char *end;

	if (strlen(pattern) > PATTERN_MAX)
		return false;
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1] >= '0' && p[1] <= '9')
			return false;
		if (*p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (*p != '{')
			continue;
		n = strtoul(p + 1, &end, 10);
		if (*end == ',')
			n = MAX_OF(n, strtoul(end + 1, &end, 10));
		if (n > COPIES_MAX)
			return false;
		copies *= MAX_OF(n, 1UL);
		if (copies > COPIES_MAX)
			return false;
	}
	return true;
}

bool engine_name_matches(const char *wanted, const char *name)
{
	autofree char *slashed = str_format("/%s", name);
	regex_t re;

	if (!slashed || streq(wanted, name))
		return slashed;
	if (!wanted[strcspn(wanted, "^$.[](){}*+?|\\")])
		return strstr(slashed, wanted);
	if (!pattern_is_modest(wanted) || regcomp(&re, wanted, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool matches = regexec(&re, name, 0, NULL, 0) == 0 || regexec(&re, slashed, 0, NULL, 0) == 0;
	regfree(&re);
	return matches;
}

static bool has_label(const char *wanted, const struct oci_pair *labels, size_t n)
{
	const char *eq = strchr(wanted, '=');
	size_t len = eq ? (size_t)(eq - wanted) : strlen(wanted);

	for (size_t i = 0; i < n; i++) {
		if (strlen(labels[i].key) == len && strncmp(labels[i].key, wanted, len) == 0 &&
		    (!eq || streq(labels[i].value, eq + 1)))
			return true;
	}
	return false;
}

bool engine_filter_labels(const struct engine_filters *f, const struct oci_pair *labels, size_t n)
{
	for (size_t i = 0; i < f->n; i++) {
		if (streq(f->v[i].key, "label") && !has_label(f->v[i].value, labels, n))
			return false;
		if (streq(f->v[i].key, "label!") && has_label(f->v[i].value, labels, n))
			return false;
	}
	return true;
}
