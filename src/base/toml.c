/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TOML tree against a table, then to JSON text, which json_decode() stores.
 * What that reader would say of a wrong value it says with a path; here the
 * same is found before, with the line.
 */
#include "base/toml_int.h"

#include "base/json_write.h"
#include "base/nearest.h"

#include <inttypes.h>
#include <strings.h>

struct toml_check {
	const char *where;
	struct err *err;
	char path[256];
};

#define toml_complain(c, n, ...) toml_fail_at((c)->err, (c)->where, (n)->line, __VA_ARGS__)

static const char *toml_kind_name(enum toml_kind k)
{
	static const char *const names[] = {"a table",	"an array",   "a string",
					    "a number", "a fraction", "true or false"};

	return names[k];
}

static int toml_table(struct toml_check *c, const struct toml_node *n, const struct json_table *t);

static int toml_want(const struct toml_check *c, const struct toml_node *n, enum toml_kind kind)
{
	if (n->kind == kind)
		return 0;
	return toml_complain(c, n, "%s: expected %s, got %s", c->path, toml_kind_name(kind),
			     toml_kind_name(n->kind));
}

static int toml_check_allowed(const struct toml_check *c, const struct toml_node *n,
			      const char *const *allowed)
{
	char list[256] = "";
	size_t len = 0;

	for (size_t i = 0; allowed && allowed[i]; i++) {
		if (streq(allowed[i], n->text))
			return 0;
		int k = snprintf(list + len, sizeof(list) - len, "%s\"%s\"", i ? ", " : "", allowed[i]);
		len = k > 0 ? MIN_OF(len + (size_t)k, sizeof(list) - 1) : len;
	}
	if (!allowed)
		return 0;
	return toml_complain(c, n, "%s: \"%s\" is not known: one of %s", c->path, n->text, list);
}

static int toml_check_number(const struct toml_check *c, const struct toml_node *n,
			     const struct json_field *f)
{
	static const struct {
		int64_t min;
		uint64_t max;
	} kinds[] = {
		[JSON_U16] = {0, UINT16_MAX},
		[JSON_I32] = {INT32_MIN, INT32_MAX},
		[JSON_U32] = {0, UINT32_MAX},
		[JSON_I64] = {INT64_MIN, INT64_MAX},
		[JSON_U64] = {0, INT64_MAX},
		[JSON_OPT_U32] = {0, UINT32_MAX},
		[JSON_OPT_I64] = {INT64_MIN, INT64_MAX},
		[JSON_OPT_U64] = {0, INT64_MAX},
	};
	bool given = f->min != 0 || f->max != 0;
	int64_t min = given ? f->min : kinds[f->kind].min;
	uint64_t max = MIN_OF(given ? f->max : kinds[f->kind].max, (uint64_t)INT64_MAX);
	int r = toml_want(c, n, TOML_INTEGER);

	if (r < 0)
		return r;
	if (n->integer < min || n->integer > (int64_t)max)
		return toml_complain(c, n,
				     "%s: expected a number from %" PRId64 " to %" PRIu64 ", got %" PRId64,
				     c->path, min, max, n->integer);
	return 0;
}

static int toml_check_list(struct toml_check *c, const struct toml_node *n, const struct json_field *f)
{
	int r = toml_want(c, n, TOML_ARRAY);

	for (const struct toml_node *item = n->first; r == 0 && item; item = item->next) {
		if (f->kind == JSON_OBJECTS)
			r = toml_table(c, item, f->table);
		else if (f->kind == JSON_U32S)
			r = toml_want(c, item, TOML_INTEGER);
		else if ((r = toml_want(c, item, TOML_STRING)) == 0)
			r = toml_check_allowed(c, item, f->allowed);
	}
	return r;
}

/* A table whose keys are the user's. */
static int toml_check_map(struct toml_check *c, const struct toml_node *n, const struct json_field *f)
{
	int r = toml_want(c, n, TOML_TABLE);
	size_t len = strlen(c->path);

	for (const struct toml_node *m = n->first; r == 0 && m; m = m->next) {
		(void)snprintf(c->path + len, sizeof(c->path) - len, ".\"%s\"", m->key); /* cut is fine */
		r = f->kind == JSON_PAIRS ? toml_want(c, m, TOML_STRING) : toml_table(c, m, f->table);
		c->path[len] = '\0';
	}
	return r;
}

static int toml_check_field(struct toml_check *c, const struct toml_node *n, const struct json_field *f)
{
	int r;

	switch ((enum json_kind)f->kind) {
	case JSON_STR:
	case JSON_CHAR:
		r = toml_want(c, n, TOML_STRING);
		return r < 0 ? r : toml_check_allowed(c, n, f->allowed);
	case JSON_BOOL:
	case JSON_OPT_BOOL:
		return toml_want(c, n, TOML_BOOL);
	case JSON_U16:
	case JSON_I32:
	case JSON_U32:
	case JSON_I64:
	case JSON_U64:
	case JSON_OPT_U32:
	case JSON_OPT_I64:
	case JSON_OPT_U64:
		return toml_check_number(c, n, f);
	case JSON_STRUCT:
	case JSON_STRUCT_PTR:
		return toml_table(c, n, f->table);
	case JSON_STRS:
	case JSON_U32S:
	case JSON_OBJECTS:
		return toml_check_list(c, n, f);
	case JSON_PAIRS:
	case JSON_OBJECT_MAP:
		return toml_check_map(c, n, f);
	case JSON_REFUSED:
		return toml_complain(c, n, "%s: %s", c->path, f->why);
	case JSON_CUSTOM:
		return 0; /* its reader checks */
	}
	return 0;
}

static const struct json_field *toml_field(const struct json_table *t, const char *key)
{
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->fields[i].name, key))
			return &t->fields[i];
	return NULL;
}

static int toml_unknown(struct toml_check *c, const struct toml_node *n, const struct json_table *t)
{
	const char *near = nearest_word(n->key, &t->fields[0].name, t->n, sizeof(t->fields[0]));
	const char *dot = *c->path ? "." : "";

	for (size_t i = 0; !near && i < t->n; i++)
		if (strcasecmp(t->fields[i].name, n->key) == 0)
			near = t->fields[i].name;
	if (near)
		return toml_complain(c, n, "unknown key \"%s%s%s\": did you mean \"%s%s%s\"?", c->path, dot,
				     n->key, c->path, dot, near);
	return toml_complain(c, n, "unknown key \"%s%s%s\"", c->path, dot, n->key);
}

static int toml_table(struct toml_check *c, const struct toml_node *n, const struct json_table *t)
{
	size_t len = strlen(c->path);
	int r = toml_want(c, n, TOML_TABLE);

	for (const struct toml_node *m = n->first; r == 0 && m; m = m->next) {
		const struct json_field *f = toml_field(t, m->key);
		if (!f)
			return toml_unknown(c, m, t);
		(void)snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len ? "." : "",
			       m->key); /* cut is fine */
		r = toml_check_field(c, m, f);
		c->path[len] = '\0';
	}
	return r;
}

static void toml_write(struct json_out *out, const struct toml_node *n)
{
	switch (n->kind) {
	case TOML_TABLE:
	case TOML_ARRAY:
		if (n->kind == TOML_TABLE)
			json_begin_object(out, n->key);
		else
			json_begin_list(out, n->key);
		for (const struct toml_node *m = n->first; m; m = m->next)
			toml_write(out, m);
		json_end(out);
		break;
	case TOML_STRING:
		json_put_str(out, n->key, n->text);
		break;
	case TOML_INTEGER:
		json_put_i64(out, n->key, n->integer);
		break;
	case TOML_FLOAT:
		json_put_raw(out, n->key, n->text);
		break;
	case TOML_BOOL:
		json_put_bool(out, n->key, n->integer);
		break;
	}
}

static int toml_text(const struct toml_node *root, char **ret, struct err *err)
{
	struct json_out out autojsonout = {0};

	toml_write(&out, root);
	char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	*ret = text;
	return 0;
}

int toml_to_json(const char *text, size_t len, const char *where, char **ret_json, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct toml_node *root;
	int r = toml_read(&doc, text, len, where, &root, err);

	return r < 0 ? r : toml_text(root, ret_json, err);
}

int toml_decode(struct json_doc *doc, const char *text, size_t len, const char *where,
		const struct json_table *table, void *object, struct err *err)
{
	struct json_doc tree autojson = {0};
	struct toml_check c = {.where = where, .err = err};
	struct toml_node *root;
	autofree char *json = NULL;

	int r = toml_read(&tree, text, len, where, &root, err);
	if (r == 0)
		r = toml_table(&c, root, table);
	if (r == 0)
		r = toml_text(root, &json, err);
	return r < 0 ? r : json_decode(doc, json, strlen(json), where, table, object, err);
}
