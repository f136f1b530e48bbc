/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding by tables, in one pass over the text (json_lex.c): each value is
 * converted when it is met, and nothing is kept of what no table asks for.
 *
 * The number of a list's elements is not known beforehand, so a list grows by
 * doubling in the document's arena, in place while it is the arena's last
 * allocation, which it is for lists of scalars.  An element is decoded where
 * it stays until the list grows again, and the list grows between elements
 * only, so that pointers into a half-read element are safe.
 *
 * Members are found from the place behind the last one found: programs write
 * them in the order of the specification, and so do the tables.
 */
#include "base/json_lex.h"

#include <stdarg.h>
#include <strings.h>

enum { BLOCK_MIN = 16 << 10, ALIGN = 8 };

/* ---- Memory ---- */

static void *arena_alloc(struct json_doc *doc, size_t size)
{
	struct json_block *b = doc->blocks;

	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!b || b->cap - b->used < size) {
		size_t cap = MAX_OF(size, b ? MIN_OF(b->cap * 2, (size_t)1 << 20) : (size_t)BLOCK_MIN);
		struct json_block *fresh = malloc(sizeof(*fresh) + cap);
		if (!fresh)
			return NULL;
		*fresh = (struct json_block){.next = b, .cap = cap};
		doc->blocks = b = fresh;
	}
	void *p = b->bytes + b->used;
	b->used += size;
	return p;
}

void *json_doc_alloc(struct json_doc *doc, size_t size)
{
	if (size > JSON_MEMORY_MAX - doc->used)
		return NULL;
	void *p = arena_alloc(doc, size);
	if (!p)
		return NULL;
	doc->used += size;
	return memset(p, 0, size);
}

void *json_alloc(struct json_in *in, size_t size)
{
	void *p = json_doc_alloc(in->doc, size);

	if (!p && size > JSON_MEMORY_MAX - in->doc->used)
		(void)err_set(in->err, E2BIG, "%s: the document is too large", in->where);
	else if (!p)
		(void)err_oom(in->err);
	return p;
}

void json_doc_free(struct json_doc *doc)
{
	while (doc->blocks) {
		struct json_block *b = doc->blocks;
		doc->blocks = b->next;
		free(b);
	}
	doc->used = 0;
}

/* A list in the making. */
struct growing {
	char *v;
	size_t n, cap, size; /* elements, room for, bytes of one */
};

/* Room for one more element: its address, zeroed, or NULL (the error is set). */
static void *add_element(struct json_in *in, struct growing *l)
{
	struct json_block *b = in->doc->blocks;

	if (l->n == JSON_LIST_MAX) {
		(void)json_fail(in, "more than %d elements", JSON_LIST_MAX);
		in->err->code = E2BIG;
		return NULL;
	}
	if (l->n == l->cap) {
		size_t old = (l->cap * l->size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
		size_t cap = l->cap ? l->cap * 2 : 4;
		bool last = l->v && l->v + old == b->bytes + b->used;
		if (last && b->cap - b->used >= (cap - l->cap) * l->size + ALIGN) {
			if (!json_alloc(in, cap * l->size - old))
				return NULL;
		} else {
			char *v = json_alloc(in, cap * l->size);
			if (!v)
				return NULL;
			if (l->n)
				memcpy(v, l->v, l->n * l->size);
			l->v = v;
		}
		l->cap = cap;
	}
	return l->v + l->n++ * l->size;
}

/* Every LIST_OF() begins as {pointer, count}; all pointers look alike. */
static void list_store(const struct growing *l, void *at)
{
	memcpy(at, &l->v, sizeof(l->v));
	memcpy((char *)at + sizeof(l->v), &l->n, sizeof(l->n));
}

/* ---- Messages ---- */

static void path_text(const struct json_in *in, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < in->nframes && n < size; i++) {
		const struct json_frame *f = &in->frames[i];
		int w;
		if (f->kind == JSON_FRAME_INDEX)
			w = snprintf(buf + n, size - n, "[%zu]", f->index);
		else if (f->kind == JSON_FRAME_KEY)
			w = snprintf(buf + n, size - n, "[\"%.64s\"]", f->name);
		else
			w = snprintf(buf + n, size - n, "%s%s", n ? "." : "", f->name);
		if (w < 0)
			break;
		n += (size_t)w;
	}
}

int json_fail(struct json_in *in, const char *fmt, ...)
{
	char what[512], path[256];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	path_text(in, path, sizeof(path));
	return err_set(in->err, EINVAL, "%s: %s%s%s", in->where, path, path[0] ? ": " : "", what);
}

struct bounds {
	int64_t min;
	uint64_t max;
};

static struct bounds bounds_of(const struct json_field *f)
{
	if (f->min || f->max)
		return (struct bounds){f->min, f->max};
	switch (f->kind) {
	case JSON_U16:
		return (struct bounds){0, UINT16_MAX};
	case JSON_I32:
		return (struct bounds){INT32_MIN, INT32_MAX};
	case JSON_U32:
	case JSON_U32S:
	case JSON_OPT_U32:
		return (struct bounds){0, UINT32_MAX};
	case JSON_I64:
	case JSON_OPT_I64:
		return (struct bounds){INT64_MIN, INT64_MAX};
	default:
		return (struct bounds){0, UINT64_MAX};
	}
}

static void list_values(const char *const *values, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (; *values && n < size; values++) {
		const char *sep = n == 0 ? "" : values[1] ? ", " : " or ";
		int w = snprintf(buf + n, size - n, "%s\"%s\"", sep, *values);
		if (w < 0)
			break;
		n += (size_t)w;
	}
}

static void list_chars(const char *chars, char *buf, size_t size)
{
	size_t n = 0;

	for (const char *c = chars; *c && n < size; c++) {
		const char *sep = c == chars ? "" : c[1] ? ", " : " or ";
		int w = snprintf(buf + n, size - n, "%s\"%c\"", sep, *c);
		n += w > 0 ? (size_t)w : 0;
	}
}

/* What the field wants, for a message. */
static void expected(const struct json_field *f, char *buf, size_t size)
{
	const char *text = "an object";
	struct bounds b = bounds_of(f);

	switch (f->kind) {
	case JSON_STR:
		if (f->allowed) {
			list_values(f->allowed, buf, size);
			return;
		}
		text = "a string";
		break;
	case JSON_CHAR:
		list_chars(f->chars, buf, size);
		return;
	case JSON_BOOL:
	case JSON_OPT_BOOL:
		text = "true or false";
		break;
	case JSON_STRS:
		text = "a list of strings";
		break;
	case JSON_U32S:
		text = "a list of numbers";
		break;
	case JSON_OBJECTS:
		text = "a list of objects";
		break;
	case JSON_CUSTOM:
		text = "a value";
		break;
	case JSON_STRUCT:
	case JSON_STRUCT_PTR:
	case JSON_PAIRS:
	case JSON_OBJECT_MAP:
		break;
	default:
		(void)snprintf(buf, size, "a number from %lld to %llu", (long long)b.min,
			       (unsigned long long)b.max); /* cutting is fine */
		return;
	}
	(void)snprintf(buf, size, "%s", text); /* cutting is fine */
}

/* "expected X, got Y" with what stands at in->p, which must be the beginning of a value. */
static int unexpected(struct json_in *in, const struct json_field *f)
{
	char want[384], name[16];
	const char *got;

	expected(f, want, sizeof(want));
	switch (*in->p) {
	case '{':
		got = "an object";
		break;
	case '[':
		got = "a list";
		break;
	case '"':
		got = "a string";
		break;
	case 't':
		got = "true";
		break;
	case 'f':
		got = "false";
		break;
	case 'n':
		got = "null";
		break;
	default:
		if (*in->p != '-' && (*in->p < '0' || *in->p > '9'))
			return json_syntax(in, in->p, "expected %s, got %s", want, json_byte_name(in, name));
		got = "a number";
	}
	return json_fail(in, "expected %s, got %s", want, got);
}

/* ---- Frames of the path ---- */

static void push_frame(struct json_in *in, enum json_frame_kind kind, const char *name)
{
	/* As deep as objects and lists are, so that json_lex_open() has bounded it. */
	in->frames[in->nframes++] = (struct json_frame){.kind = kind, .name = name};
}

static void pop_frame(struct json_in *in)
{
	in->nframes--;
}

/* ---- Scalars ---- */

static int decode_str(struct json_in *in, const struct json_field *f, const char **at)
{
	const char *s;
	size_t len;
	char want[384];

	if (*in->p != '"')
		return unexpected(in, f);
	int r = json_lex_string(in, &s, &len);
	if (r < 0)
		return r;
	if (len == 0 && f->empty_is_null)
		return f->required ? json_fail(in, "must not be empty") : 0;
	if (f->allowed) {
		const char *const *a = f->allowed;
		while (*a && !streq(*a, s))
			a++;
		if (!*a) {
			list_values(f->allowed, want, sizeof(want));
			return json_fail(in, "expected %s, got \"%.64s\"", want, s);
		}
	}
	*at = s;
	return 0;
}

static int decode_char(struct json_in *in, const struct json_field *f, char *at)
{
	const char *s = NULL;
	char want[64];
	int r = decode_str(in, f, &s);

	if (r < 0 || !s)
		return r;
	if (!s[0] || s[1] || !strchr(f->chars, s[0])) {
		list_chars(f->chars, want, sizeof(want));
		return json_fail(in, "expected %s, got \"%.64s\"", want, s);
	}
	*at = s[0];
	return 0;
}

static int decode_bool(struct json_in *in, const struct json_field *f, bool *at)
{
	bool v = *in->p == 't';

	if (!v && *in->p != 'f')
		return unexpected(in, f);
	*at = v;
	return json_lex_word(in, v ? "true" : "false");
}

/* A whole number within the field's bounds; negative ones in two's complement. */
static int decode_number(struct json_in *in, const struct json_field *f, uint64_t *ret)
{
	struct bounds b = bounds_of(f);
	struct json_number n;
	char want[128];

	if (*in->p != '-' && (*in->p < '0' || *in->p > '9'))
		return unexpected(in, f);
	int r = json_lex_number(in, &n);
	if (r < 0)
		return r;
	/* -0 is 0.  The magnitude of INT64_MIN is one more than INT64_MAX. */
	bool negative = n.negative && n.magnitude;
	bool fits = n.whole && !n.overflow;
	if (negative)
		fits = fits && b.min < 0 && n.magnitude <= 0 - (uint64_t)b.min;
	else
		fits = fits && n.magnitude <= b.max && (b.min <= 0 || n.magnitude >= (uint64_t)b.min);
	if (!fits) {
		expected(f, want, sizeof(want));
		return json_fail(in, "expected %s, got %.*s", want, (int)MIN_OF(n.len, (size_t)64), n.text);
	}
	*ret = negative ? 0 - n.magnitude : n.magnitude;
	return 0;
}

static int decode_int(struct json_in *in, const struct json_field *f, void *at)
{
	uint64_t v = 0;
	int r = decode_number(in, f, &v);

	if (r < 0)
		return r;
	switch (f->kind) {
	case JSON_U16:
		*(uint16_t *)at = (uint16_t)v;
		break;
	case JSON_I32:
		*(int32_t *)at = (int32_t)v;
		break;
	case JSON_U32:
	case JSON_U32S: /* an element */
		*(uint32_t *)at = (uint32_t)v;
		break;
	case JSON_I64:
		*(int64_t *)at = (int64_t)v;
		break;
	case JSON_U64:
		*(uint64_t *)at = v;
		break;
	case JSON_OPT_U32:
		*(struct opt_u32 *)at = (struct opt_u32){(uint32_t)v, true};
		break;
	case JSON_OPT_I64:
		*(struct opt_i64 *)at = (struct opt_i64){(int64_t)v, true};
		break;
	default:
		*(struct opt_u64 *)at = (struct opt_u64){v, true};
	}
	return 0;
}

/* ---- Objects ---- */

static bool same_name(const struct json_field *f, const char *name, size_t len, bool fold)
{
	if (f->name_len != len)
		return false;
	return fold ? strncasecmp(f->name, name, len) == 0 : memcmp(f->name, name, len) == 0;
}

/* The field of that name, or NULL; `hint` is where to look first. */
static const struct json_field *find_field(const struct json_table *t, size_t hint, const char *name,
					   size_t len)
{
	for (size_t i = 0, at = hint; i < t->n; i++, at++) {
		at = at >= t->n ? 0 : at;
		if (same_name(&t->fields[at], name, len, false))
			return &t->fields[at];
	}
	for (size_t i = 0; i < t->n; i++)
		if (same_name(&t->fields[i], name, len, true))
			return &t->fields[i];
	return NULL;
}

static int decode_member(struct json_in *in, const struct json_field *f, char *object)
{
	if (f->kind == JSON_REFUSED)
		return json_fail(in, "%s", f->why);
	int r = f->kind == JSON_CUSTOM ? f->custom(in, object) : json_decode_value(in, f, object + f->offset);
	if (r == 0 && f->present)
		*(bool *)(object + f->present - 1) = true;
	return r;
}

static int check_required(struct json_in *in, const struct json_table *t, uint64_t given)
{
	char want[384];

	for (size_t i = 0; i < t->n; i++) {
		if (!t->fields[i].required || given >> i & 1)
			continue;
		push_frame(in, JSON_FRAME_NAME, t->fields[i].name);
		expected(&t->fields[i], want, sizeof(want));
		return json_fail(in, "expected %s, got nothing", want);
	}
	return 0;
}

static int decode_object(struct json_in *in, const struct json_field *as, void *object)
{
	const struct json_table *t = as->table;
	uint64_t seen[2] = {0}, given = 0;
	size_t hint = 0, len;
	const char *name;
	bool empty;

	if (*in->p != '{')
		return unexpected(in, as);
	int r = json_lex_open(in, '}', &empty);
	for (bool more = !empty; r >= 0 && more; more = r > 0) {
		r = json_lex_name(in, &name, &len);
		if (r < 0)
			return r;
		const struct json_field *f = find_field(t, hint, name, len);
		if (!f) {
			r = json_lex_skip(in);
		} else {
			size_t i = (size_t)(f - t->fields);
			hint = i + 1;
			push_frame(in, JSON_FRAME_NAME, f->name);
			/* "cpu" and "CPU" are one object to Go, in two parts; all else given twice is
			 * ambiguous. */
			bool exact = same_name(f, name, len, false);
			if ((seen[exact] | (f->kind == JSON_STRUCT ? 0 : seen[!exact])) >> i & 1)
				return json_fail(in, "given twice");
			seen[exact] |= (uint64_t)1 << i;
			if (*in->p == 'n') {
				r = json_lex_word(in, "null");
			} else {
				given |= (uint64_t)1 << i;
				r = decode_member(in, f, object);
			}
			if (r < 0)
				return r;
			pop_frame(in);
		}
		if (r >= 0)
			r = json_lex_next(in, '}');
	}
	return r < 0 ? r : check_required(in, t, given);
}

static int decode_object_ptr(struct json_in *in, const struct json_field *f, void *at)
{
	if (*in->p != '{')
		return unexpected(in, f);
	void *object = json_alloc(in, f->table->size);
	if (!object)
		return -in->err->code;
	memcpy(at, &object, sizeof(object));
	return decode_object(in, f, object);
}

/* ---- Lists and maps ---- */

static int decode_list(struct json_in *in, const struct json_field *f, void *at)
{
	/* For the message about an element that is wrong. */
	struct json_field element = *f;
	struct growing l = {.size = sizeof(char *)};
	bool empty;

	if (*in->p != '[')
		return unexpected(in, f);
	if (f->kind == JSON_OBJECTS) {
		l.size = f->table->size;
	} else if (f->kind == JSON_U32S) {
		l.size = sizeof(uint32_t);
		element.kind = JSON_U32;
	} else {
		element.kind = JSON_STR;
	}
	if (f->kind == JSON_OBJECTS)
		element.kind = JSON_STRUCT;
	int r = json_lex_open(in, ']', &empty);
	if (r < 0 || empty)
		return r;
	push_frame(in, JSON_FRAME_INDEX, NULL);
	do {
		in->frames[in->nframes - 1].index = l.n;
		void *slot = add_element(in, &l);
		if (!slot)
			return -in->err->code;
		r = f->kind == JSON_OBJECTS ? decode_object(in, &element, slot)
					    : json_decode_value(in, &element, slot);
		if (r >= 0)
			r = json_lex_next(in, ']');
	} while (r > 0);
	if (r < 0)
		return r;
	pop_frame(in);
	list_store(&l, at);
	return 0;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A key that occurs twice among `n` elements of `size` bytes with the key at `offset`. */
static int check_keys(struct json_in *in, const struct growing *l, size_t offset)
{
	const char *twice = NULL;
	autofree const char **keys = malloc(l->n * sizeof(*keys));

	if (!keys)
		return err_oom(in->err);
	for (size_t i = 0; i < l->n; i++)
		memcpy(&keys[i], l->v + i * l->size + offset, sizeof(keys[i]));
	qsort(keys, l->n, sizeof(*keys), compare_strings);
	for (size_t i = 1; i < l->n && !twice; i++)
		if (streq(keys[i - 1], keys[i]))
			twice = keys[i];
	if (!twice)
		return 0;
	push_frame(in, JSON_FRAME_KEY, twice);
	return json_fail(in, "given twice");
}

static int decode_map(struct json_in *in, const struct json_field *f, void *at)
{
	static const struct json_field text = {.kind = JSON_STR};
	const struct json_field object = {.kind = JSON_STRUCT, .table = f->table};
	bool pairs = f->kind == JSON_PAIRS, empty;
	struct growing l = {.size = pairs ? sizeof(struct json_pair) : f->table->size};
	size_t key_at = pairs ? 0 : f->table->key, len;

	if (*in->p != '{')
		return unexpected(in, f);
	int r = json_lex_open(in, '}', &empty);
	if (r < 0 || empty)
		return r;
	push_frame(in, JSON_FRAME_KEY, NULL);
	do {
		const char *key;
		r = json_lex_name(in, &key, &len);
		if (r < 0)
			return r;
		in->frames[in->nframes - 1].name = key;
		char *slot = add_element(in, &l);
		if (!slot)
			return -in->err->code;
		*(const char **)(slot + key_at) = key;
		r = pairs ? decode_str(in, &text, (const char **)(slot + sizeof(char *)))
			  : decode_object(in, &object, slot);
		if (r >= 0)
			r = json_lex_next(in, '}');
	} while (r > 0);
	if (r < 0)
		return r;
	pop_frame(in);
	list_store(&l, at);
	return l.n > 1 ? check_keys(in, &l, key_at) : 0;
}

int json_decode_value(struct json_in *in, const struct json_field *f, void *at)
{
	switch (f->kind) {
	case JSON_STR:
		return decode_str(in, f, at);
	case JSON_CHAR:
		return decode_char(in, f, at);
	case JSON_BOOL:
		return decode_bool(in, f, at);
	case JSON_OPT_BOOL: {
		struct opt_bool v = {.set = true};
		int r = decode_bool(in, f, &v.v);
		*(struct opt_bool *)at = v;
		return r;
	}
	case JSON_STRUCT:
		return decode_object(in, f, at);
	case JSON_STRUCT_PTR:
		return decode_object_ptr(in, f, at);
	case JSON_STRS:
	case JSON_U32S:
	case JSON_OBJECTS:
		return decode_list(in, f, at);
	case JSON_PAIRS:
	case JSON_OBJECT_MAP:
		return decode_map(in, f, at);
	default:
		return decode_int(in, f, at);
	}
}

size_t json_offset(const struct json_in *in)
{
	return (size_t)(in->p - in->start);
}

int json_decode(struct json_doc *doc, const char *text, size_t len, const char *where,
		const struct json_table *table, void *object, struct err *err)
{
	const struct json_field whole = {.kind = JSON_STRUCT, .table = table};
	char name[16], *copy = arena_alloc(doc, len + JSON_TEXT_PAD);

	if (!copy)
		return err_oom(err);
	memcpy(copy, text, len);
	memset(copy + len, 0, JSON_TEXT_PAD);

	struct json_in in;
	in.p = in.start = in.line_start = copy;
	in.end = copy + len;
	in.line = 1;
	in.depth = in.nframes = 0;
	in.doc = doc;
	in.where = where;
	in.err = err;
	json_skip_blanks(&in);
	int r = decode_object(&in, &whole, object);
	if (r < 0)
		return r;
	json_skip_blanks(&in);
	if (in.p != in.end)
		return json_syntax(&in, in.p, "expected the end of the text, got %s",
				   json_byte_name(&in, name));
	return 0;
}
