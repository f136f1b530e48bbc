/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/rows.h"

/* Docker's: "\t" and "\n" in a format are a tab and a line break. */
static const char *unescape_format(struct json_doc *memory, const char *text)
{
	struct str s autostr = {0};

	for (; *text; text++) {
		bool tab = str_starts(text, "\\t"), line = str_starts(text, "\\n");
		str_put_n(&s, tab ? "\t" : line ? "\n" : text, 1);
		text += tab || line;
	}
	return memory_take(memory, &s);
}

static const char *trim_blanks(struct json_doc *memory, const char *text)
{
	text += strspn(text, " ");
	size_t len = strlen(text);
	while (len && text[len - 1] == ' ')
		len--;
	return memory_text_n(memory, text, len);
}

static struct value *header_row(struct json_doc *memory, const struct row_format *f)
{
	struct value *row = value_new(memory, VALUE_OBJECT);

	for (size_t i = 0; i < f->ncolumns; i++)
		value_put(memory, row, f->columns[i].name, f->columns[i].header);
	value_add(row, "\1Label", value_new(memory, VALUE_NULL));
	return row;
}

int rows_begin(struct row_printer *p, struct json_doc *memory, const struct row_format *f, struct str *out,
	       struct err *err)
{
	const char *text = f->table, *format = f->format;

	*p = (struct row_printer){.memory = memory, .out = out, .table = true};
	if (f->quiet) {
		p->table = false;
		text = f->quiet;
	} else if (format && streq(format, "json")) {
		p->table = false;
		p->json = true;
		return 0;
	} else if (format && str_starts(format, "table") &&
		   (format[5] == ' ' || format[5] == '\\' || !format[5])) {
		text = *trim_blanks(memory, format + 5) ? trim_blanks(memory, format + 5) : f->table;
	} else if (format && *format) {
		p->table = false;
		text = trim_blanks(memory, format);
	}
	int r = template_parse(memory, unescape_format(memory, text), &p->template, err);
	if (r < 0 || !p->table || f->no_header)
		return r;
	struct value *header = header_row(memory, f);
	if (!header)
		return err_oom(err);
	r = template_run(memory, p->template, header, TEMPLATE_HEADER | TEMPLATE_STRICT_ROW, out, err);
	str_put(out, "\n");
	return r;
}

/* Members by name, as Go writes maps. */
static int sort_members(struct json_doc *memory, struct value *row)
{
	const size_t n = row->n;
	struct value **v = json_doc_alloc(memory, (n + 1) * sizeof(*v));
	size_t k = 0;

	if (!v)
		return -ENOMEM;
	for (struct value *m = row->first; m; m = m->next) {
		size_t at = k++;
		for (; at > 0 && strcmp(v[at - 1]->key, m->key) > 0; at--)
			v[at] = v[at - 1];
		v[at] = m;
	}
	row->first = row->last = NULL;
	row->n = 0;
	for (size_t i = 0; i < n; i++)
		value_add(row, v[i]->key, v[i]);
	return 0;
}

int rows_add(struct row_printer *p, struct json_doc *memory, struct value *row, struct err *err)
{
	struct json_out json autojsonout = {0};

	if (!row || sort_members(memory, row) < 0)
		return err_oom(err);
	if (!p->json) {
		int r = template_run(memory, p->template, row, TEMPLATE_STRICT_ROW, p->out, err);
		str_put(p->out, "\n");
		return r;
	}
	value_write(&json, NULL, row);
	autofree char *text = json_take(&json);
	if (!text)
		return err_oom(err);
	str_put(p->out, text);
	str_put(p->out, "\n");
	return 0;
}

void rows_end(struct row_printer *p)
{
	if (p->table)
		rows_align(p->out);
}

/* ---- columns ---- */

enum { CELLS_MAX = 40, CELL_MIN = 10, CELL_GAP = 3 };

struct cell_line {
	const char *cell[CELLS_MAX];
	size_t len[CELLS_MAX], width[CELLS_MAX], n;
};

/* Characters, not bytes. */
static size_t width_of(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static void cut_line(struct cell_line *l, const char *text, size_t len)
{
	for (l->n = 0;;) {
		const char *tab = l->n + 1 < CELLS_MAX ? memchr(text, '\t', len) : NULL;
		size_t cell = tab ? (size_t)(tab - text) : len;
		l->cell[l->n] = text;
		l->len[l->n++] = cell;
		if (!tab)
			return;
		text += cell + 1;
		len -= cell + 1;
	}
}

/* A column is as wide as its widest cell among neighbouring lines that have one; the last cell of a line is
 * in no column. */
static void measure(struct cell_line *lines, size_t n, size_t column)
{
	for (size_t i = 0; i < n;) {
		size_t end = i, width = CELL_MIN;
		for (; end < n && lines[end].n > column + 1; end++)
			width = MAX_OF(width,
				       width_of(lines[end].cell[column], lines[end].len[column]) + CELL_GAP);
		for (size_t k = i; k < end; k++)
			lines[k].width[column] = width;
		i = end > i ? end : i + 1;
	}
}

void rows_align(struct str *text)
{
	struct str out = {0};
	size_t n = 0, k = 0;

	for (size_t i = 0; i < text->len; i++)
		n += text->s[i] == '\n';
	autofree struct cell_line *lines = calloc(n ? n : 1, sizeof(*lines));
	if (!lines) {
		text->failed = true;
		return;
	}
	for (const char *p = text->s; k < n; k++) {
		size_t len = strcspn(p, "\n");
		cut_line(&lines[k], p, len);
		p += len + 1;
	}
	for (size_t c = 0; c + 1 < CELLS_MAX; c++)
		measure(lines, n, c);
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < lines[i].n; c++) {
			size_t have = width_of(lines[i].cell[c], lines[i].len[c]);
			size_t pad = c + 1 < lines[i].n ? lines[i].width[c] - have : 0;
			str_putf(&out, "%.*s%*s", (int)lines[i].len[c], lines[i].cell[c], (int)pad, "");
		}
		str_put(&out, "\n");
	}
	bool failed = text->failed;
	str_free(text);
	*text = out;
	text->failed |= failed;
}

const char *rows_ellipsis(struct json_doc *memory, const char *text, size_t max)
{
	struct str s autostr = {0};
	size_t n = 0, i = 0;

	if (width_of(text, strlen(text)) <= max)
		return text;
	for (; text[i]; i++) {
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
		if (n == max)
			break;
	}
	str_put_n(&s, text, i);
	str_put(&s, "…");
	return memory_take(memory, &s);
}
