/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/value.h"

#include "base/json_lex.h"

#include <inttypes.h>

/* ---- memory ---- */

const char *memory_text_n(struct json_doc *memory, const char *text, size_t len)
{
	char *copy = json_doc_alloc(memory, len + 1);

	if (!copy)
		return "";
	if (len)
		memcpy(copy, text, len);
	return copy;
}

const char *memory_text(struct json_doc *memory, const char *text)
{
	return memory_text_n(memory, text, strlen(text));
}

const char *memory_take(struct json_doc *memory, struct str *text)
{
	const char *copy = text->failed ? "" : memory_text_n(memory, text->s ? text->s : "", text->len);

	str_free(text);
	return copy;
}

/* The room of a list is the power of two at or above its length: where that is full, the list moves. */
void *memory_push(struct json_doc *memory, void *list, size_t element_size)
{
	struct {
		char *v;
		size_t n;
	} l;

	memcpy(&l, list, sizeof(l));
	if ((l.n & (l.n - 1)) == 0) {
		char *v = json_doc_alloc(memory, (l.n ? l.n * 2 : 1) * element_size);
		if (!v)
			return NULL;
		if (l.n)
			memcpy(v, l.v, l.n * element_size);
		l.v = v;
	}
	l.n++;
	memcpy(list, &l, sizeof(l));
	return l.v + (l.n - 1) * element_size;
}

/* ---- making ---- */

struct value *value_new(struct json_doc *memory, enum value_kind kind)
{
	struct value *v = json_doc_alloc(memory, sizeof(*v));

	if (v)
		v->kind = kind;
	return v;
}

struct value *value_string(struct json_doc *memory, const char *text)
{
	struct value *v = value_new(memory, VALUE_STRING);

	if (v)
		v->text = text ? text : "";
	return v;
}

struct value *value_number(struct json_doc *memory, int64_t n)
{
	struct value *v = value_new(memory, VALUE_NUMBER);
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, n); /* fits */
	if (v)
		v->text = memory_text(memory, text);
	return v;
}

struct value *value_bool(struct json_doc *memory, bool truth)
{
	struct value *v = value_new(memory, VALUE_BOOL);

	if (v)
		v->truth = truth;
	return v;
}

void value_add(struct value *parent, const char *key, struct value *v)
{
	if (!parent || !v)
		return;
	v->key = key;
	v->next = NULL;
	if (parent->last)
		parent->last->next = v;
	else
		parent->first = v;
	parent->last = v;
	parent->n++;
}

void value_put(struct json_doc *memory, struct value *object, const char *key, const char *text)
{
	value_add(object, key, value_string(memory, text));
}

/* ---- looking ---- */

const struct value *value_member(const struct value *object, const char *key)
{
	if (!object || object->kind != VALUE_OBJECT)
		return NULL;
	for (const struct value *v = object->first; v; v = v->next)
		if (streq(v->key, key))
			return v;
	return NULL;
}

const struct value *value_path(const struct value *v, const char *path)
{
	char name[128];

	while (v && *path) {
		size_t len = strcspn(path, ".");
		if (len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		v = value_member(v, name);
		path += len;
		path += *path == '.';
	}
	return v;
}

const char *value_text(const struct value *v)
{
	return v && v->text ? v->text : "";
}

/* ---- reading ---- */

static int value_read_one(struct json_in *in, struct value **ret);

static int read_children(struct json_in *in, struct value *parent)
{
	char close = parent->kind == VALUE_OBJECT ? '}' : ']';
	bool empty;
	int r = json_lex_open(in, close, &empty);

	if (r < 0 || empty)
		return r;
	do {
		const char *key = NULL;
		struct value *v = NULL;
		size_t len;
		r = parent->kind == VALUE_OBJECT ? json_lex_name(in, &key, &len) : 0;
		if (r == 0)
			r = value_read_one(in, &v);
		if (r < 0)
			return r;
		if (parent->n == JSON_LIST_MAX)
			return json_syntax(in, in->p, "more than %d elements", JSON_LIST_MAX);
		value_add(parent, key, v);
		r = json_lex_next(in, close);
	} while (r == 1);
	return r;
}

static int read_scalar(struct json_in *in, struct value *v)
{
	struct json_number n;
	size_t len;
	int r;

	switch (v->kind) {
	case VALUE_STRING:
		return json_lex_string(in, &v->text, &len);
	case VALUE_BOOL:
		v->truth = *in->p == 't';
		return json_lex_word(in, v->truth ? "true" : "false");
	case VALUE_NULL:
		return json_lex_word(in, "null");
	case VALUE_NUMBER:
		r = json_lex_number(in, &n);
		if (r == 0)
			v->text = memory_text_n(in->doc, n.text, n.len);
		return r;
	case VALUE_LIST:
	case VALUE_OBJECT:
		break;
	}
	return 0;
}

static int value_read_one(struct json_in *in, struct value **ret)
{
	char name[16];

	json_skip_blanks(in);
	char c = *in->p;
	struct value *v = json_alloc(in, sizeof(*v));
	if (!v)
		return -in->err->code;
	*ret = v;
	v->kind = c == '{'		 ? VALUE_OBJECT
		  : c == '['		 ? VALUE_LIST
		  : c == '"'		 ? VALUE_STRING
		  : c == 't' || c == 'f' ? VALUE_BOOL
		  : c == 'n'		 ? VALUE_NULL
					 : VALUE_NUMBER;
	if (v->kind == VALUE_NUMBER && c != '-' && (c < '0' || c > '9'))
		return json_syntax(in, in->p, "expected a value, got %s", json_byte_name(in, name));
	return v->kind >= VALUE_LIST ? read_children(in, v) : read_scalar(in, v);
}

int value_read(struct json_doc *memory, const char *text, size_t len, const char *where, struct value **ret,
	       struct err *err)
{
	struct json_in in = {.doc = memory, .where = where, .err = err, .line = 1};
	struct value *v;

	in.start = json_doc_alloc(memory, len + JSON_TEXT_PAD);
	if (!in.start)
		return err_oom(err);
	if (len)
		memcpy(in.start, text, len);
	in.p = in.line_start = in.start;
	in.end = in.start + len;
	int r = value_read_one(&in, &v);
	if (r < 0)
		return r;
	json_skip_blanks(&in);
	if (in.p < in.end)
		return json_syntax(&in, in.p, "more behind the value");
	*ret = v;
	return 0;
}

/* ---- writing ---- */

void value_write(struct json_out *out, const char *key, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		json_put_null(out, key);
		break;
	case VALUE_BOOL:
		json_put_bool(out, key, v->truth);
		break;
	case VALUE_NUMBER:
		json_put_raw(out, key, v->text);
		break;
	case VALUE_STRING:
		json_put_str(out, key, v->text);
		break;
	case VALUE_LIST:
	case VALUE_OBJECT:
		if (v->kind == VALUE_LIST)
			json_begin_list(out, key);
		else
			json_begin_object(out, key);
		for (const struct value *m = v->first; m; m = m->next)
			if (!m->key || (unsigned char)*m->key >= ' ' || !*m->key)
				value_write(out, m->key, m);
		json_end(out);
		break;
	}
}
