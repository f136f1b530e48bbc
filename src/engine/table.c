/* SPDX-License-Identifier: Apache-2.0 */
/* JSON written by the tables that read it: what one knows the other cannot forget. */
#include "engine/record.h"

/* What every LIST_OF() looks like. */
struct any_list {
	const char *v;
	size_t n;
};

static void write_u64(struct json_out *out, const char *name, uint64_t v)
{
	if (v)
		json_put_u64(out, name, v);
}

static void write_i64(struct json_out *out, const char *name, int64_t v)
{
	if (v)
		json_put_i64(out, name, v);
}

static void write_objects(struct json_out *out, const struct json_field *f, const struct any_list *l)
{
	if (l->n == 0)
		return;
	json_begin_list(out, f->name);
	for (size_t i = 0; i < l->n; i++)
		engine_table_write(out, NULL, f->table, l->v + i * f->table->size);
	json_end(out);
}

static void table_write_pairs(struct json_out *out, const char *name, const struct any_list *l)
{
	const struct json_pair *p = (const struct json_pair *)(const void *)l->v;

	if (l->n == 0)
		return;
	json_begin_object(out, name);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(out, p[i].key, p[i].value ? p[i].value : "");
	json_end(out);
}

static void write_strs(struct json_out *out, const char *name, const str_list *l)
{
	if (l->n)
		json_put_strs(out, name, l->v, l->n);
}

static void write_number(struct json_out *out, const struct json_field *f, const void *at)
{
	if (f->kind == JSON_U16)
		write_u64(out, f->name, *(const uint16_t *)at);
	else if (f->kind == JSON_I32)
		write_i64(out, f->name, *(const int32_t *)at);
	else if (f->kind == JSON_U32)
		write_u64(out, f->name, *(const uint32_t *)at);
	else if (f->kind == JSON_I64)
		write_i64(out, f->name, *(const int64_t *)at);
	else if (f->kind == JSON_U64)
		write_u64(out, f->name, *(const uint64_t *)at);
}

static void write_field(struct json_out *out, const struct json_field *f, const char *at, const void *object)
{
	const char *text;

	switch ((enum json_kind)f->kind) {
	case JSON_STR:
		text = *(const char *const *)(const void *)at;
		if (text)
			json_put_str(out, f->name, text);
		break;
	case JSON_BOOL:
		if (*(const bool *)at)
			json_put_bool(out, f->name, true);
		break;
	case JSON_STRUCT:
		engine_table_write(out, f->name, f->table, f->offset ? at : object);
		break;
	case JSON_STRUCT_PTR:
		if (*(const void *const *)(const void *)at)
			engine_table_write(out, f->name, f->table, *(const void *const *)(const void *)at);
		break;
	case JSON_STRS:
		write_strs(out, f->name, (const str_list *)(const void *)at);
		break;
	case JSON_OBJECTS:
		write_objects(out, f, (const struct any_list *)(const void *)at);
		break;
	case JSON_PAIRS:
		table_write_pairs(out, f->name, (const struct any_list *)(const void *)at);
		break;
	case JSON_U16:
	case JSON_I32:
	case JSON_U32:
	case JSON_I64:
	case JSON_U64:
		write_number(out, f, at);
		break;
	case JSON_CHAR:
	case JSON_OPT_BOOL:
	case JSON_OPT_U32:
	case JSON_OPT_I64:
	case JSON_OPT_U64:
	case JSON_U32S:
	case JSON_OBJECT_MAP:
	case JSON_CUSTOM:
	case JSON_REFUSED:
		out->misused = true; /* no table of ours has them */
		break;
	}
}

void engine_table_write(struct json_out *out, const char *key, const struct json_table *table,
			const void *object)
{
	json_begin_object(out, key);
	for (size_t i = 0; i < table->n; i++)
		write_field(out, &table->fields[i], (const char *)object + table->fields[i].offset, object);
	json_end(out);
}
