/* SPDX-License-Identifier: Apache-2.0 */
#include "front/oci/front.h"

#include "base/str.h"

struct list_args {
	const char *format;
	bool quiet;
};
static const struct list_args list_defaults = {.format = "table"};
static const struct arg list_args[] = {
	{"format", 'f', ARG_STRING, offsetof(struct list_args, format),
	 "select one of: table or json (default: \"table\")"},
	{"quiet", 'q', ARG_BOOL, offsetof(struct list_args, quiet), "display only container IDs"},
};

enum { COLUMNS = 6, CELL_MIN = 12, CELL_GAP = 3 };

/* A cell is as wide as its column's longest text and the gap, 12 at least; the last one is not filled up. */
static void put_row(struct str *b, const char *const cells[COLUMNS], const size_t widths[COLUMNS])
{
	for (size_t i = 0; i < COLUMNS; i++)
		str_putf(b, i + 1 < COLUMNS ? "%-*s" : "%.0d%s", i + 1 < COLUMNS ? (int)widths[i] : 0,
			 cells[i]);
	str_put(b, "\n");
}

static void row_cells(const struct list_row *row, char pid[static 16], const char *cells[COLUMNS])
{
	(void)snprintf(pid, 16, "%d", row->pid); /* always fits */
	cells[0] = row->id;
	cells[1] = pid;
	cells[2] = row->status;
	cells[3] = row->bundle;
	cells[4] = row->created;
	cells[5] = row->owner;
}

static void put_table(struct str *b, const struct list_rows *rows)
{
	static const char *const heads[COLUMNS] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
	const char *cells[COLUMNS];
	size_t widths[COLUMNS];
	char pid[16];

	for (size_t i = 0; i < COLUMNS; i++)
		widths[i] = MAX_OF(strlen(heads[i]) + CELL_GAP, (size_t)CELL_MIN);
	for (size_t r = 0; r < rows->n; r++) {
		row_cells(&rows->v[r], pid, cells);
		for (size_t i = 0; i < COLUMNS; i++)
			widths[i] = MAX_OF(strlen(cells[i]) + CELL_GAP, widths[i]);
	}
	put_row(b, heads, widths);
	for (size_t r = 0; r < rows->n; r++) {
		row_cells(&rows->v[r], pid, cells);
		put_row(b, cells, widths);
	}
}

static void put_json(struct str *b, const struct list_rows *rows)
{
	/* Nothing at all is null, as a nil slice is in Go. */
	if (rows->n == 0) {
		str_put(b, "null\n");
		return;
	}
	for (size_t r = 0; r < rows->n; r++)
		str_putf(b, "%s%s", r ? "," : "[", rows->v[r].json);
	str_put(b, "]\n");
}

static int list(struct call *call, struct err *err)
{
	const struct list_args *o = call->options;
	__attribute__((cleanup(runtime_list_free))) struct list_rows rows = {0};
	struct str b autostr = {0};

	if (!streq(o->format, "table") && !streq(o->format, "json"))
		return err_set(err, EINVAL, "invalid format option");
	int r = runtime_list(&call->front->rt, &rows, err);
	if (r < 0)
		return r;
	if (o->quiet) {
		for (size_t i = 0; i < rows.n; i++)
			str_putf(&b, "%s\n", rows.v[i].id);
	} else if (streq(o->format, "json")) {
		put_json(&b, &rows);
	} else {
		put_table(&b, &rows);
	}
	if (b.failed)
		return err_oom(err);
	return front_print(b.s ? b.s : "", err);
}

const struct command command_list = {
	.name = "list",
	.summary = "lists containers started by coffer-oci with the given root",
	.usage = "\n\nWhere the given root is specified via the global option \"--root\".",
	.examples = "# coffer-oci list\n# coffer-oci --root /run/mine list --format json",
	.options = ARG_TABLE(list_args),
	.options_size = sizeof(struct list_args),
	.defaults = &list_defaults,
	.max_args = 0,
	.run = list,
};
