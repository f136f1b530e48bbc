/* SPDX-License-Identifier: Apache-2.0 */
#include "front/oci/args.h"

#include "base/str.h"

static const struct arg *find_arg(struct arg_table table, const char *name, size_t len)
{
	for (size_t i = 0; i < table.n; i++) {
		const struct arg *a = &table.v[i];
		if (strlen(a->name) == len && memcmp(a->name, name, len) == 0)
			return a;
		if (len == 1 && a->letter == *name)
			return a;
	}
	return NULL;
}

static int to_bool(const char *text, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (streq(text, yes[i]) || streq(text, no[i])) {
			*ret = streq(text, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

/* One "12.5s" of a duration; moves *text on. */
static int duration_part(const char **text, double *ret_ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	char *end;

	if (!((**text >= '0' && **text <= '9') || **text == '.'))
		return -EINVAL;
	double v = strtod(*text, &end);
	size_t len = strspn(end, "numsh");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].unit) == len && memcmp(units[i].unit, end, len) == 0) {
			*ret_ms = v * units[i].ms;
			*text = end + len;
			return 0;
		}
	}
	return -EINVAL;
}

static int to_ms(const char *text, int *ret)
{
	bool negative = *text == '-';
	double sum = 0, part;

	text += negative;
	if (*text == '\0')
		return -EINVAL;
	if (streq(text, "0")) {
		*ret = 0;
		return 0;
	}
	while (*text) {
		if (duration_part(&text, &part) < 0)
			return -EINVAL;
		sum += part;
	}
	if (sum > INT_MAX)
		return -ERANGE;
	if (sum > 0 && sum < 1)
		sum = 1;
	*ret = negative ? -(int)sum : (int)sum;
	return 0;
}

static int list_add(str_list *list, const char *text)
{
	const char **v = reallocarray(list->v, list->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	list->v = v;
	list->v[list->n++] = text;
	return 0;
}

static int store_number(const struct arg *a, const char *text, void *field)
{
	int64_t v;
	int r = str_to_i64(text, &v);

	if (r < 0)
		return r;
	if (a->type == ARG_OPT_I64) {
		*(struct opt_i64 *)field = (struct opt_i64){.v = v, .set = true};
		return 0;
	}
	if (v < INT_MIN || v > INT_MAX)
		return -ERANGE;
	*(int *)field = (int)v;
	return 0;
}

static int store_bool(const struct arg *a, const char *text, void *field)
{
	bool v = true;

	if (text && to_bool(text, &v) < 0)
		return -EINVAL;
	if (a->type == ARG_BOOL)
		*(bool *)field = v;
	else
		*(struct opt_bool *)field = (struct opt_bool){.v = v, .set = true};
	return 0;
}

static int store(const struct arg *a, const char *text, void *values, struct err *err)
{
	void *field = (char *)values + a->offset;
	int r = 0;

	switch (a->type) {
	case ARG_BOOL:
	case ARG_OPT_BOOL:
		r = store_bool(a, text, field);
		break;
	case ARG_STRING:
		*(const char **)field = text;
		break;
	case ARG_INT:
	case ARG_OPT_I64:
		r = store_number(a, text, field);
		break;
	case ARG_LIST:
		r = list_add(field, text);
		break;
	case ARG_MILLISECONDS:
		r = to_ms(text, field);
		break;
	}
	if (r == -ENOMEM)
		return err_oom(err);
	if (r < 0)
		return err_set(err, EINVAL, "invalid value \"%s\" for flag -%s: parse error", text, a->name);
	return 0;
}

/* Handles in->argv[*i], which begins with a dash. */
static int option(struct arg_table table, const struct args_in *in, int *i, void *values, struct err *err)
{
	const char *word = in->argv[*i], *name = word + 1 + (word[1] == '-');
	size_t len = strcspn(name, "=");
	const char *text = name[len] == '=' ? name + len + 1 : NULL;
	const struct arg *a = find_arg(table, name, len);

	if (!a && ((len == 4 && memcmp(name, "help", 4) == 0) || (len == 1 && *name == 'h')))
		return ARGS_HELP;
	if (!a)
		return err_set(err, EINVAL, "flag provided but not defined: -%.*s", (int)MIN_OF(len, 256U),
			       name);
	if (!text && a->type != ARG_BOOL && a->type != ARG_OPT_BOOL) {
		if (*i + 1 >= in->argc)
			return err_set(err, EINVAL, "flag needs an argument: -%s", a->name);
		text = in->argv[++*i];
	}
	return store(a, text, values, err);
}

int args_parse(struct arg_table table, struct args_in *in, void *values, struct err *err)
{
	int i = 0;

	in->nrest = 0;
	for (; i < in->argc; i++) {
		const char *word = in->argv[i];
		if (word[0] != '-' || word[1] == '\0') {
			in->rest[in->nrest++] = in->argv[i];
			if (!in->stop_first)
				continue;
			i++;
			break;
		}
		if (streq(word, "--")) {
			i++;
			break;
		}
		int r = option(table, in, &i, values, err);
		if (r != 0)
			return r;
	}
	/* `exec ID -- command`: the dashes are runc's separator, not a word of the command. */
	if (in->stop_first && in->nrest == 1 && i < in->argc && streq(in->argv[i], "--"))
		i++;
	for (; i < in->argc; i++)
		in->rest[in->nrest++] = in->argv[i];
	in->rest[in->nrest] = NULL;
	return 0;
}

void args_free(struct arg_table table, void *values)
{
	for (size_t i = 0; i < table.n; i++) {
		if (table.v[i].type != ARG_LIST)
			continue;
		str_list *list = (str_list *)((char *)values + table.v[i].offset);
		free(list->v);
		*list = (str_list){0};
	}
}

static bool takes_value(const struct arg *a)
{
	return a->type != ARG_BOOL && a->type != ARG_OPT_BOOL;
}

static int label(const struct arg *a, char *buf, size_t size)
{
	const char *value = takes_value(a) ? " value" : "";

	return a->letter ? snprintf(buf, size, "--%s%s, -%c%s", a->name, value, a->letter, value)
			 : snprintf(buf, size, "--%s%s", a->name, value);
}

void args_print(FILE *out, struct arg_table table)
{
	char text[128];
	int width = (int)strlen("--help, -h");

	for (size_t i = 0; i < table.n; i++)
		if (table.v[i].help)
			width = MAX_OF(width, label(&table.v[i], text, sizeof(text)));
	for (size_t i = 0; i < table.n; i++) {
		if (!table.v[i].help)
			continue;
		(void)label(&table.v[i], text, sizeof(text)); /* always fits: names are ours */
		fprintf(out, "   %-*s  %s\n", width, text, table.v[i].help);
	}
	fprintf(out, "   %-*s  %s\n", width, "--help, -h", "show help");
}
