/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/options.h"

#include "base/nearest.h"
#include "base/str.h"
#include "front/cli/units.h"

bool opt_takes_value(const struct opt *o)
{
	return o->type != OPT_BOOL;
}

const char *opt_value_name(const struct opt *o)
{
	static const char *const names[] = {"",	     "string",	 "int",	    "int",  "bytes",
					    "bytes", "duration", "decimal", "list", "list"};

	return o->value ? o->value : names[o->type];
}

struct oci_pair pair_cut(struct json_doc *memory, const char *text)
{
	size_t len = strcspn(text, "=");

	return (struct oci_pair){memory_text_n(memory, text, len), text[len] ? text + len + 1 : ""};
}

/* The flag as messages name it: "-m, --memory". */
static int bad_value(const struct opt *o, const char *text, const char *why, struct err *err)
{
	char name[80];

	if (o->letter)
		(void)snprintf(name, sizeof(name), "-%c, --%s", o->letter,
			       o->name); /* fits: names are ours */
	else
		(void)snprintf(name, sizeof(name), "--%s", o->name); /* likewise */
	return err_set(err, EINVAL, "invalid argument \"%s\" for \"%s\" flag: %s", text, name, why);
}

static int store_int(const struct opt *o, const char *text, void *field, struct err *err)
{
	int64_t v;

	if (str_to_i64(text, &v) < 0)
		return bad_value(o, text, "expected a whole number", err);
	if (o->type == OPT_I64) {
		*(int64_t *)field = v;
		return 0;
	}
	if (v < INT_MIN || v > INT_MAX)
		return bad_value(o, text, "value out of range", err);
	*(int *)field = (int)v;
	return 0;
}

/* What is kept is an object of JSON, with each key once. */
int pair_put(struct json_doc *memory, pair_list *list, const char *text, struct err *err)
{
	struct oci_pair pair = pair_cut(memory, text), *at = NULL;

	for (size_t i = 0; !at && i < list->n; i++) {
		if (streq(list->v[i].key, pair.key))
			at = &list->v[i];
	}
	if (!at)
		at = memory_push(memory, list, sizeof(*at));
	if (!at)
		return err_oom(err);
	*at = pair;
	return 0;
}

static int store_one(const struct opt *o, const char *text, void *field, struct json_doc *memory,
		     struct err *err)
{
	const char **item;

	switch ((enum opt_type)o->type) {
	case OPT_BOOL:
		return bool_parse(text, field) < 0 ? bad_value(o, text, "expected true or false", err) : 0;
	case OPT_STRING:
		*(const char **)field = text;
		return 0;
	case OPT_INT:
	case OPT_I64:
		return store_int(o, text, field, err);
	case OPT_SIZE:
	case OPT_SIZE_ANY:
		if (bytes_parse(text, o->type == OPT_SIZE_ANY, field) == 0)
			return 0;
		return bad_value(o, text,
				 "invalid size: write bytes, or a number with k, m, g or t behind it", err);
	case OPT_DURATION:
		if (duration_parse(text, field) == 0)
			return 0;
		return bad_value(o, text, "invalid duration: write it as 500ms, 30s, 1m30s or 2h", err);
	case OPT_CPUS:
		if (cpus_parse(text, field) == 0)
			return 0;
		return bad_value(o, text, "expected a number of processors, as 1.5", err);
	case OPT_LIST:
		item = memory_push(memory, field, sizeof(*item));
		if (!item)
			return err_oom(err);
		*item = text;
		return 0;
	case OPT_PAIRS:
		if (*text == '\0' || *text == '=')
			return bad_value(o, text, "expected key=value", err);
		return pair_put(memory, field, text, err);
	}
	return 0;
}

int options_store(const struct opt *o, const char *text, void *values, struct json_doc *memory,
		  struct err *err)
{
	int r = store_one(o, text, (char *)values + o->offset, memory, err);

	if (r == 0 && o->given)
		*((bool *)values + (o->given - 1)) = true;
	return r;
}

static const struct opt *opt_by_name(const struct options_in *in, const char *name, size_t len)
{
	for (size_t t = 0; t < OPTIONS_TABLES_MAX; t++)
		for (size_t i = 0; i < in->tables[t].n; i++)
			if (strlen(in->tables[t].v[i].name) == len &&
			    memcmp(in->tables[t].v[i].name, name, len) == 0)
				return &in->tables[t].v[i];
	return NULL;
}

static const struct opt *opt_by_letter(const struct options_in *in, char letter)
{
	for (size_t t = 0; t < OPTIONS_TABLES_MAX; t++)
		for (size_t i = 0; i < in->tables[t].n; i++)
			if (in->tables[t].v[i].letter == letter)
				return &in->tables[t].v[i];
	return NULL;
}

static int unknown_flag(const struct options_in *in, const char *name, size_t len, struct err *err)
{
	char word[64];
	const char *near = NULL, *absent = in->absent ? in->absent(in->of, name, len) : NULL;

	(void)snprintf(word, sizeof(word), "%.*s", (int)MIN_OF(len, 63U), name); /* cut is fine */
	if (absent)
		return err_set(err, EINVAL, "unknown flag: --%s: %s", word, absent);
	for (size_t t = 0; !near && t < OPTIONS_TABLES_MAX; t++)
		if (in->tables[t].n)
			near = nearest_word(word, &in->tables[t].v[0].name, in->tables[t].n,
					    sizeof(struct opt));
	if (near)
		return err_set(err, EINVAL, "unknown flag: --%s; did you mean --%s?", word, near);
	return err_set(err, EINVAL, "unknown flag: --%s", word);
}

static int long_option(struct options_in *in, int *i, void *values, struct err *err)
{
	const char *name = in->argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const char *text = name[len] == '=' ? name + len + 1 : NULL;
	const struct opt *o = len ? opt_by_name(in, name, len) : NULL;

	if (!o && len == 4 && memcmp(name, "help", 4) == 0)
		return OPTIONS_HELP;
	if (!o && !len)
		return err_set(err, EINVAL, "bad flag syntax: %s", in->argv[*i]);
	if (!o)
		return unknown_flag(in, name, len, err);
	if (!text && !opt_takes_value(o))
		text = "true";
	if (!text)
		text = o->implied;
	if (!text) {
		if (*i + 1 >= in->argc)
			return err_set(err, EINVAL, "flag needs an argument: --%s", o->name);
		text = in->argv[++*i];
	}
	return options_store(o, text, values, in->memory, err);
}

static int short_options(struct options_in *in, int *i, void *values, struct err *err)
{
	const char *word = in->argv[*i];

	for (const char *p = word + 1; *p; p++) {
		const struct opt *o = opt_by_letter(in, *p);
		const char *text = NULL;
		if (!o && *p == 'h')
			return OPTIONS_HELP;
		const char *absent = !o && in->absent ? in->absent(in->of, p, 1) : NULL;
		if (!o)
			return err_set(err, EINVAL, "unknown shorthand flag: '%c' in %s%s%s", *p, word,
				       absent ? ": " : "", absent ? absent : "");
		bool last = !opt_takes_value(o) ? p[1] == '=' : true;
		if (p[1] == '=')
			text = p + 2;
		else if (!opt_takes_value(o))
			text = "true";
		else if (o->implied)
			text = o->implied, last = false;
		else if (p[1])
			text = p + 1;
		else if (*i + 1 < in->argc)
			text = in->argv[++*i];
		else
			return err_set(err, EINVAL, "flag needs an argument: '%c' in %s", *p, word);
		int r = options_store(o, text, values, in->memory, err);
		if (r < 0)
			return r;
		if (last)
			break;
	}
	return 0;
}

int options_parse(struct options_in *in, void *values, struct err *err)
{
	int i = 0;

	in->nrest = 0;
	for (; i < in->argc; i++) {
		const char *word = in->argv[i];
		if (word[0] != '-' || word[1] == '\0') {
			if (in->stop_first)
				break;
			in->rest[in->nrest++] = in->argv[i];
			continue;
		}
		if (streq(word, "--")) {
			i++;
			break;
		}
		int r = word[1] == '-' ? long_option(in, &i, values, err)
				       : short_options(in, &i, values, err);
		if (r != 0)
			return r;
	}
	in->used = i;
	for (; i < in->argc; i++)
		in->rest[in->nrest++] = in->argv[i];
	in->rest[in->nrest] = NULL;
	return 0;
}
