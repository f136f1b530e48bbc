/* SPDX-License-Identifier: Apache-2.0 */
/* What templates can call, and how values look as text. */
#include "front/cli/template_int.h"

#include "base/nearest.h"
#include "base/str.h"

#include <inttypes.h>

/* ---- values ---- */

bool template_truth(const struct value *v)
{
	if (!v)
		return false;
	switch (v->kind) {
	case VALUE_NULL:
		return false;
	case VALUE_BOOL:
		return v->truth;
	case VALUE_NUMBER:
		return v->text[strspn(v->text, "-0.")] != '\0' && !str_starts(v->text, "0e");
	case VALUE_STRING:
		return *v->text != '\0';
	case VALUE_LIST:
	case VALUE_OBJECT:
		return v->n > 0;
	}
	return false;
}

static int by_member_key(const void *a, const void *b)
{
	return strcmp((*(const struct value *const *)a)->key, (*(const struct value *const *)b)->key);
}

const struct value **template_sorted(struct json_doc *memory, const struct value *object)
{
	const struct value **v = json_doc_alloc(memory, (object->n + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;
	for (const struct value *m = object->first; m; m = m->next)
		if ((unsigned char)*m->key >= ' ' || !*m->key)
			v[n++] = m;
	qsort(v, n, sizeof(*v), by_member_key);
	return v;
}

static void show_members(struct str *out, const struct value *v)
{
	struct json_doc memory autojson = {0};
	const struct value **sorted = template_sorted(&memory, v);

	/* Sets, that is maps of nothing to Go. */
	bool set = v->key && (streq(v->key, "ExposedPorts") || streq(v->key, "Volumes"));

	str_put(out, "map[");
	for (size_t i = 0; sorted && sorted[i]; i++) {
		str_putf(out, "%s%s:", i ? " " : "", sorted[i]->key);
		if (set && sorted[i]->kind == VALUE_OBJECT && sorted[i]->n == 0)
			str_put(out, "{}");
		else
			template_show(out, sorted[i]);
	}
	str_put(out, "]");
	out->failed |= !sorted;
}

/* JSON's null is a list, a map or a pointer that is not there, and Go prints each in its own way: by the
 * names that Docker's structures have for them. */
static const char *null_text(const char *key)
{
	static const char *const maps[] = {"Volumes",	   "ExposedPorts", "Labels",	 "Ports",
					   "PortBindings", "Options",	   "Sysctls",	 "Tmpfs",
					   "StorageOpt",   "Annotations",  "DriverOpts", "Data",
					   "Networks",	   "Containers",   "Bindings"};
	static const char *const pointers[] = {"StopTimeout", "Healthcheck",   "Health",
					       "Init",	      "PidsLimit",     "MemorySwappiness",
					       "IPAMConfig",  "OomKillDisable"};

	for (size_t i = 0; key && i < ARRAY_LEN(maps); i++)
		if (streq(key, maps[i]))
			return "map[]";
	for (size_t i = 0; key && i < ARRAY_LEN(pointers); i++)
		if (streq(key, pointers[i]))
			return "<nil>";
	return "[]";
}

void template_show(struct str *out, const struct value *v)
{
	if (!v) {
		str_put(out, "<no value>");
		return;
	}
	switch (v->kind) {
	case VALUE_NULL:
		str_put(out, null_text(v->key));
		break;
	case VALUE_BOOL:
		str_put(out, v->truth ? "true" : "false");
		break;
	case VALUE_NUMBER:
	case VALUE_STRING:
		str_put(out, v->text);
		break;
	case VALUE_LIST:
		str_put(out, "[");
		for (const struct value *m = v->first; m; m = m->next) {
			str_put(out, m == v->first ? "" : " ");
			template_show(out, m);
		}
		str_put(out, "]");
		break;
	case VALUE_OBJECT:
		show_members(out, v);
		break;
	}
}

static const char *shown(struct run *run, const struct value *v)
{
	struct str text autostr = {0};

	if (v && v->kind == VALUE_STRING)
		return v->text;
	template_show(&text, v);
	return memory_take(run->memory, &text);
}

static int give_value(struct run *run, const struct value *v, const struct value **ret)
{
	if (!v)
		return err_oom(run->err);
	*ret = v;
	return 0;
}

static int give_text(struct run *run, struct str *text, const struct value **ret)
{
	if (text->failed)
		return err_oom(run->err);
	return give_value(run, value_string(run->memory, memory_take(run->memory, text)), ret);
}

/* ---- comparing ---- */

static int whole_of(const struct value *v, int64_t *ret)
{
	return v && v->kind == VALUE_NUMBER ? str_to_i64(v->text, ret) : -EINVAL;
}

/* < 0, 0, > 0; a message where the two cannot be compared. */
static int compare_values(struct run *run, const struct value *a, const struct value *b, bool order, int *ret)
{
	int64_t x, y;

	if ((!a || a->kind == VALUE_NULL) && (!b || b->kind == VALUE_NULL) && !order) {
		*ret = 0;
		return 0;
	}
	if (!a || !b || a->kind == VALUE_NULL || b->kind == VALUE_NULL) {
		*ret = 1;
		return order ? err_set(run->err, EINVAL, "incompatible types for comparison") : 0;
	}
	if (a->kind != b->kind)
		return err_set(run->err, EINVAL, "incompatible types for comparison");
	if (a->kind >= VALUE_LIST || (order && a->kind == VALUE_BOOL))
		return err_set(run->err, EINVAL, "invalid type for comparison");
	if (a->kind == VALUE_BOOL) {
		*ret = a->truth != b->truth;
	} else if (a->kind == VALUE_STRING) {
		*ret = strcmp(a->text, b->text);
	} else if (whole_of(a, &x) == 0 && whole_of(b, &y) == 0) {
		*ret = (x > y) - (x < y);
	} else {
		double p = strtod(a->text, NULL), q = strtod(b->text, NULL);
		*ret = (p > q) - (p < q);
	}
	return 0;
}

static int call_eq(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	bool equal = false;

	for (size_t i = 1; i < n && !equal; i++) {
		int c, r = compare_values(run, args[0], args[i], false, &c);
		if (r < 0)
			return r;
		equal = c == 0;
	}
	return give_value(run, value_bool(run->memory, equal), ret);
}

static int call_ne(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	int c = 0, r = compare_values(run, args[0], args[n - 1], false, &c);

	return r < 0 ? r : give_value(run, value_bool(run->memory, c != 0), ret);
}

#define ORDER(name, op)                                                                                      \
	static int call_##name(struct run *run, const struct value *const *args, size_t n,                   \
			       const struct value **ret)                                                     \
	{                                                                                                    \
		int c = 0, r = compare_values(run, args[0], args[n - 1], true, &c);                          \
		return r < 0 ? r : give_value(run, value_bool(run->memory, c op 0), ret);                    \
	}
ORDER(lt, <)
ORDER(le, <=)
ORDER(gt, >)
ORDER(ge, >=)

static int call_not(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	return give_value(run, value_bool(run->memory, !template_truth(args[n - 1])), ret);
}

/* Only where `and`, `or` are given on as they are: run_and_or() does the rest. */
static int call_first(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	(void)n;
	return give_value(run, args[0], ret);
}

/* ---- reaching in ---- */

static bool all_strings(const struct value *map)
{
	for (const struct value *m = map->first; m; m = m->next)
		if (m->kind != VALUE_STRING)
			return false;
	return true;
}

static int index_once(struct run *run, const struct value *v, const struct value *key,
		      const struct value **ret)
{
	int64_t i;

	if (!v || v->kind == VALUE_NULL)
		return err_set(run->err, EINVAL, "index of untyped nil");
	if (v->kind == VALUE_OBJECT) {
		if (!key || key->kind != VALUE_STRING)
			return err_set(run->err, EINVAL, "value has type number; should be string");
		*ret = value_member(v, key->text);
		if (!*ret && all_strings(v))
			*ret = value_string(run->memory, "");
		return 0;
	}
	if (v->kind != VALUE_LIST)
		return err_set(run->err, EINVAL, "can't index item of this type");
	if (whole_of(key, &i) < 0)
		return err_set(run->err, EINVAL, "cannot index slice/array with this type");
	if (i < 0 || (uint64_t)i >= v->n)
		return err_set(run->err, EINVAL, "index out of range: %" PRId64, i);
	v = v->first;
	while (i-- > 0)
		v = v->next;
	*ret = v;
	return 0;
}

int template_index(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	const struct value *v = args[0];

	for (size_t i = 1; i < n; i++) {
		int r = index_once(run, v, args[i], &v);
		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}

static int call_len(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	const struct value *v = args[n - 1];

	if (v && v->kind == VALUE_STRING)
		return give_value(run, value_number(run->memory, (int64_t)strlen(v->text)), ret);
	if (!v || (v->kind != VALUE_NULL && v->kind < VALUE_LIST))
		return err_set(run->err, EINVAL, "len of this type");
	return give_value(run, value_number(run->memory, (int64_t)v->n), ret);
}

static int call_slice(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	const struct value *v = args[0];
	int64_t from = 0, to;

	if (!v || (v->kind != VALUE_STRING && v->kind != VALUE_LIST))
		return err_set(run->err, EINVAL, "can't slice item of this type");
	int64_t len = v->kind == VALUE_STRING ? (int64_t)strlen(v->text) : (int64_t)v->n;
	to = len;
	if ((n > 1 && whole_of(args[1], &from) < 0) || (n > 2 && whole_of(args[2], &to) < 0))
		return err_set(run->err, EINVAL, "cannot index slice/array with this type");
	if (from < 0 || to > len || from > to)
		return err_set(run->err, EINVAL, "index out of range: %" PRId64, to > len ? to : from);
	if (v->kind == VALUE_STRING)
		return give_value(run,
				  value_string(run->memory, memory_text_n(run->memory, v->text + from,
									  (size_t)(to - from))),
				  ret);
	struct value *list = value_new(run->memory, VALUE_LIST);
	int64_t i = 0;
	for (const struct value *m = v->first; list && m; m = m->next, i++) {
		struct value *copy = i >= from && i < to ? value_new(run->memory, m->kind) : NULL;
		if (copy) {
			*copy = *m;
			value_add(list, NULL, copy);
		}
	}
	return give_value(run, list, ret);
}

/* ---- texts ---- */

static int call_json(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct json_out out autojsonout = {0};

	(void)n;
	if (args[0])
		value_write(&out, NULL, args[0]);
	else
		json_put_null(&out, NULL);
	autofree char *text = json_take(&out);
	if (!text)
		return err_oom(run->err);
	return give_value(run, value_string(run->memory, memory_text(run->memory, text)), ret);
}

static int call_case(struct run *run, const struct value *v, int how, const struct value **ret)
{
	struct str text autostr = {0};
	bool begins = true;

	for (const char *p = shown(run, v); *p; p++) {
		bool small = *p >= 'a' && *p <= 'z', large = *p >= 'A' && *p <= 'Z';
		bool up = how > 0 || (how == 0 && begins);
		char c = small && up ? (char)(*p - 32) : large && how < 0 ? (char)(*p + 32) : *p;
		str_put_n(&text, &c, 1);
		begins = *p == ' ' || *p == '\t' || *p == '\n';
	}
	return give_text(run, &text, ret);
}

static int call_upper(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	return call_case(run, args[n - 1], 1, ret);
}

static int call_lower(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	return call_case(run, args[n - 1], -1, ret);
}

static int call_title(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	return call_case(run, args[n - 1], 0, ret);
}

static int call_join(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct str text autostr = {0};
	const struct value *list = args[0];

	if (list && list->kind != VALUE_LIST && list->kind != VALUE_NULL)
		return err_set(run->err, EINVAL, "wrong type for value; expected a list of strings");
	for (const struct value *m = list ? list->first : NULL; m; m = m->next) {
		str_put(&text, m == list->first ? "" : shown(run, args[n - 1]));
		str_put(&text, shown(run, m));
	}
	return give_text(run, &text, ret);
}

static int call_split(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	const char *text = shown(run, args[0]), *by = shown(run, args[n - 1]);
	struct value *list = value_new(run->memory, VALUE_LIST);
	size_t len = strlen(by);

	while (list) {
		const char *at = len ? strstr(text, by) : NULL;
		size_t piece = at ? (size_t)(at - text) : len || !*text ? strlen(text) : 1;
		if (len || *text)
			value_add(list, NULL,
				  value_string(run->memory, memory_text_n(run->memory, text, piece)));
		if (len ? !at : !*text)
			break;
		text += piece + len;
	}
	return give_value(run, list, ret);
}

static int call_truncate(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	const char *text = shown(run, args[0]);
	int64_t len;

	if (whole_of(args[n - 1], &len) < 0 || len < 0)
		return err_set(run->err, EINVAL, "wrong type for value; expected int");
	size_t have = strlen(text);
	return give_value(
		run, value_string(run->memory, memory_text_n(run->memory, text, MIN_OF(have, (size_t)len))),
		ret);
}

enum { PAD_MAX = 10000 };

static int call_pad(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct str text autostr = {0};
	const char *middle = shown(run, args[0]);
	int64_t before, after;

	if (whole_of(args[1], &before) < 0 || whole_of(args[n - 1], &after) < 0 || before < 0 || after < 0 ||
	    before > PAD_MAX || after > PAD_MAX)
		return err_set(run->err, EINVAL, "wrong type for value; expected int");
	if (*middle)
		str_putf(&text, "%*s%s%*s", (int)before, "", middle, (int)after, "");
	return give_text(run, &text, ret);
}

static int call_print(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct str text autostr = {0};

	for (size_t i = 0; i < n; i++) {
		bool words = i && (!args[i] || args[i]->kind != VALUE_STRING) &&
			     (!args[i - 1] || args[i - 1]->kind != VALUE_STRING);
		str_put(&text, words ? " " : "");
		template_show(&text, args[i]);
	}
	return give_text(run, &text, ret);
}

static int call_println(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct str text autostr = {0};

	for (size_t i = 0; i < n; i++) {
		str_put(&text, i ? " " : "");
		template_show(&text, args[i]);
	}
	str_put(&text, "\n");
	return give_text(run, &text, ret);
}

/* ---- printf ---- */

struct verb {
	char flags[8];
	int width, precision; /* -1 = none */
	char letter;
};

static const char *verb_read(const char *p, struct verb *v)
{
	size_t n = 0;

	*v = (struct verb){.width = -1, .precision = -1};
	for (; *p && strchr("-+# 0", *p); p++)
		if (n < sizeof(v->flags) - 1)
			v->flags[n++] = *p;
	for (int *at = &v->width; at; at = *p == '.' && at == &v->width ? (p++, &v->precision) : NULL) {
		if (*p >= '0' && *p <= '9')
			*at = 0;
		for (; *p >= '0' && *p <= '9'; p++)
			*at = MIN_OF(*at * 10 + (*p - '0'), PAD_MAX);
		if (at == &v->precision && *at < 0)
			*at = 0;
	}
	v->letter = *p;
	return *p ? p + 1 : p;
}

/* The text padded as the verb says. */
static void verb_put(struct str *out, const struct verb *v, const char *text)
{
	int len = v->precision >= 0 ? (int)MIN_OF(strlen(text), (size_t)v->precision) : (int)strlen(text);
	int pad = v->width > len ? v->width - len : 0;

	if (strchr(v->flags, '-'))
		str_putf(out, "%.*s%*s", len, text, pad, "");
	else
		str_putf(out, "%*s%.*s", pad, "", len, text);
}

static void verb_number(struct str *out, const struct verb *v, const struct value *arg)
{
	char spec[32], text[128];
	bool whole = strchr("dxX", v->letter) != NULL;
	int64_t n = 0;

	if (whole && whole_of(arg, &n) < 0) {
		str_putf(out, "%%!%c(%s=", v->letter,
			 arg && arg->kind == VALUE_STRING ? "string" : "float64");
		template_show(out, arg);
		str_put(out, ")");
		return;
	}
	struct verb bare = *v;
	bare.precision = -1;
	(void)snprintf(spec, sizeof(spec), "%s", v->flags); /* fits */
	bool zero = strchr(spec, '0') && !strchr(spec, '-'), plus = strchr(spec, '+') != NULL;
	int width = zero ? MAX_OF(v->width, 0) : 0,
	    precision = v->precision < 0 ? 6 : MIN_OF(v->precision, 40);
	width = MIN_OF(width, 60);
	double d = whole ? 0 : strtod(value_text(arg), NULL);
	switch (v->letter) {
	case 'd':
		(void)snprintf(text, sizeof(text), plus ? "%+0*" PRId64 : "%0*" PRId64, width ? width : 1,
			       n); /* fits */
		break;
	case 'x':
		(void)snprintf(text, sizeof(text), "%0*" PRIx64, width ? width : 1, (uint64_t)n); /* fits */
		break;
	case 'X':
		(void)snprintf(text, sizeof(text), "%0*" PRIX64, width ? width : 1, (uint64_t)n); /* fits */
		break;
	case 'e':
		(void)snprintf(text, sizeof(text), "%0*.*e", width ? width : 1, precision, d); /* fits */
		break;
	case 'g':
		(void)snprintf(text, sizeof(text), "%.*g", v->precision < 0 ? 17 : precision, d); /* fits */
		break;
	default:
		(void)snprintf(text, sizeof(text), "%0*.*f", width ? width : 1, precision,
			       d); /* cut is fine */
		break;
	}
	verb_put(out, &bare, text);
}

static void verb_value(struct run *run, struct str *out, const struct verb *v, const struct value *arg)
{
	struct str quoted autostr = {0};
	bool text = !arg || arg->kind != VALUE_NUMBER;

	switch (v->letter) {
	case 'd':
	case 'e':
	case 'f':
	case 'g':
		verb_number(out, v, arg);
		break;
	case 'x':
	case 'X':
		if (!text) {
			verb_number(out, v, arg);
			break;
		}
		for (const char *p = shown(run, arg); *p; p++)
			str_putf(&quoted, v->letter == 'x' ? "%02x" : "%02X", (unsigned char)*p);
		verb_put(out, v, quoted.s ? quoted.s : "");
		break;
	case 'q':
		json_quote(&quoted, shown(run, arg));
		verb_put(out, v, quoted.s ? quoted.s : "");
		break;
	case 's':
	case 'v':
	case 't':
		if (v->letter == 's' && !text)
			str_putf(out, "%%!s(int=%s)", arg->text);
		else
			verb_put(out, v, shown(run, arg));
		break;
	default:
		str_putf(out, "%%!%c(%s)", v->letter, shown(run, arg));
		break;
	}
	out->failed |= quoted.failed;
}

static int call_printf(struct run *run, const struct value *const *args, size_t n, const struct value **ret)
{
	struct str text autostr = {0};
	size_t used = 1;
	struct verb v;

	if (!args[0] || args[0]->kind != VALUE_STRING)
		return err_set(run->err, EINVAL, "wrong type for value; expected string");
	for (const char *p = args[0]->text; *p;) {
		if (*p != '%') {
			str_put_n(&text, p++, 1);
			continue;
		}
		p = verb_read(p + 1, &v);
		if (v.letter == '%')
			str_put(&text, "%");
		else if (!v.letter)
			str_put(&text, "%!(NOVERB)");
		else if (used == n)
			str_putf(&text, "%%!%c(MISSING)", v.letter);
		else
			verb_value(run, &text, &v, args[used++]);
	}
	bool extra = used < n;
	for (const char *before = "%!(EXTRA "; used < n; used++, before = ", ") {
		str_put(&text, before);
		template_show(&text, args[used]);
	}
	str_put(&text, extra ? ")" : "");
	return give_text(run, &text, ret);
}

static const struct template_function functions[] = {
	{"and", 1, TEMPLATE_ARGS_MAX, false, call_first},
	{"or", 1, TEMPLATE_ARGS_MAX, false, call_first},
	{"not", 1, 1, false, call_not},
	{"eq", 2, TEMPLATE_ARGS_MAX, false, call_eq},
	{"ne", 2, 2, false, call_ne},
	{"lt", 2, 2, false, call_lt},
	{"le", 2, 2, false, call_le},
	{"gt", 2, 2, false, call_gt},
	{"ge", 2, 2, false, call_ge},
	{"index", 1, TEMPLATE_ARGS_MAX, false, template_index},
	{"slice", 1, 3, false, call_slice},
	{"len", 1, 1, false, call_len},
	{"print", 0, TEMPLATE_ARGS_MAX, false, call_print},
	{"println", 0, TEMPLATE_ARGS_MAX, false, call_println},
	{"printf", 1, TEMPLATE_ARGS_MAX, false, call_printf},
	{"json", 1, 1, true, call_json},
	{"join", 2, 2, true, call_join},
	{"split", 2, 2, true, call_split},
	{"lower", 1, 1, true, call_lower},
	{"upper", 1, 1, true, call_upper},
	{"title", 1, 1, true, call_title},
	{"pad", 3, 3, true, call_pad},
	{"truncate", 2, 2, true, call_truncate},
};

const struct template_function *template_function_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (strlen(functions[i].name) == len && memcmp(functions[i].name, name, len) == 0)
			return &functions[i];
	return NULL;
}

const char *template_function_near(const char *name)
{
	return nearest_word(name, &functions[0].name, ARRAY_LEN(functions), sizeof(functions[0]));
}
