/* SPDX-License-Identifier: Apache-2.0 */
/* ps, port, rows of containers. */
#include "front/cli/cli.h"
#include "front/cli/units.h"

struct ps_flags {
	bool all, no_trunc, quiet, size, latest, no_header, sync;
	int last;
	str_list filters;
	const char *format, *sort;
};
#define PS    struct ps_flags
#define SORTS "command created id image names runningfor size status"
static const struct opt ps_options[] = {
	O_BOOL(PS, all, "all", 'a', "Show all containers (default: those that run)"),
	O_LIST(PS, filters, "filter", 'f',
	       "Filter: id, name, label, status, ancestor, network, volume, health, exited, before, since, "
	       "publish",
	       .value = "filter"),
	O_STR(PS, format, "format", 0, HELP_FORMAT),
	O_INT(PS, last, "last", 'n', "Show the n last created containers, in all states"),
	O_BOOL(PS, latest, "latest", 'l', "Show the last created container, in any state"),
	O_BOOL(PS, no_header, "noheading", 0, "Print no line of headings"),
	O_BOOL(PS, no_trunc, "no-trunc", 0, "Do not cut ids and commands"),
	O_BOOL(PS, quiet, "quiet", 'q', "Print ids alone"),
	O_STR(PS, sort, "sort", 0, "Order by command, created, id, image, names, runningfor, size or status",
	      .words = SORTS),
	O_BOOL(PS, sync, "sync", 0, NULL), /* the state shown is always that of the kernel */
	O_BOOL(PS, size, "size", 's', "Show what the container has written"),
};

static const struct row_column ps_columns[] = {
	{"Command", "COMMAND"},
	{"CreatedAt", "CREATED AT"},
	{"ID", "CONTAINER ID"},
	{"Image", "IMAGE"},
	{"Isolation", "ISOLATION"},
	{"Labels", "LABELS"},
	{"LocalVolumes", "LOCAL VOLUMES"},
	{"Mounts", "MOUNTS"},
	{"Names", "NAMES"},
	{"Networks", "NETWORKS"},
	{"Ports", "PORTS"},
	{"RunningFor", "CREATED"},
	{"Size", "SIZE"},
	{"State", "STATE"},
	{"Status", "STATUS"},
};

/* In quotes, as Go writes strings; what is cut ends in "…". */
static const char *ps_command(struct json_doc *memory, const char *command, bool full)
{
	struct str text autostr = {0};

	json_quote(&text, full ? command : rows_ellipsis(memory, command, 20));
	return memory_take(memory, &text);
}

static const char *ps_size(struct json_doc *memory, const struct engine_row *r)
{
	struct str text autostr = {0};

	str_put(&text, size_decimal((double)r->size_rw, 3).s);
	if (r->size_root)
		str_putf(&text, " (virtual %s)", size_decimal((double)r->size_root, 3).s);
	return memory_take(memory, &text);
}

static const char *ps_volumes(struct json_doc *memory, const char *mounts)
{
	size_t n = 0;
	char text[16];

	/* Volumes are the mounts whose source is no path. */
	for (const char *p = mounts; *p; p += strcspn(p, ","), p += *p == ',')
		n += *p != '/';
	(void)snprintf(text, sizeof(text), "%zu", n); /* fits */
	return memory_text(memory, text);
}

static struct value *ps_row(struct json_doc *m, const struct engine_row *r, bool full, int64_t now)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	struct str ago autostr = {0};

	str_putf(&ago, "%s ago", duration_text(now - r->created_at).s);
	value_put(m, v, "ID", cli_short_id(m, r->id, full));
	value_put(m, v, "Names", r->name);
	value_put(m, v, "Image",
		  full || !str_starts(r->image, "sha256:") ? r->image : cli_short_id(m, r->image, false));
	value_put(m, v, "Command", ps_command(m, r->command, full));
	value_put(m, v, "CreatedAt", memory_text(m, moment_text(r->created_at).s));
	value_put(m, v, "RunningFor", memory_take(m, &ago));
	value_put(m, v, "Ports", r->ports);
	value_put(m, v, "State", r->state);
	value_put(m, v, "Status", r->status);
	value_put(m, v, "Size", ps_size(m, r));
	value_put(m, v, "Labels", cli_join_labels(m, &r->labels));
	value_put(m, v, "Mounts", full ? r->mounts : rows_ellipsis(m, r->mounts, 15));
	value_put(m, v, "LocalVolumes", ps_volumes(m, r->mounts));
	value_put(m, v, "Networks", r->networks);
	value_put(m, v, "Isolation", r->isolation);
	value_add(v, "\1Label", cli_labels_value(m, &r->labels));
	return v;
}

static int ps_print(struct call *call, const struct engine_rows *rows, struct err *err)
{
	const struct ps_flags *f = call->options;
	const struct config *c;
	struct row_printer p;
	struct str out autostr = {0};
	int64_t now = moment_now();
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	struct row_format format = {.format = f->format ? f->format : c->formats.ps,
				    .table = f->size ? "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{"
						       "{.Status}}\t{{.Ports}}\t"
						       "{{.Names}}\t{{.Size}}"
						     : "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{"
						       "{.Status}}\t{{.Ports}}\t"
						       "{{.Names}}",
				    .no_header = f->no_header,
				    .quiet = f->quiet && !f->format ? "{{.ID}}" : NULL,
				    .columns = ps_columns,
				    .ncolumns = ARRAY_LEN(ps_columns)};
	r = rows_begin(&p, &call->memory, &format, &out, err);
	for (size_t i = 0; r == 0 && i < rows->rows.n; i++) {
		struct json_doc memory autojson = {0};
		r = rows_add(&p, &memory, ps_row(&memory, &rows->rows.v[i], f->no_trunc, now), err);
	}
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

/* The members of a row that are text, by the words of --sort; the others are numbers. */
static const struct {
	const char *word;
	size_t offset;
} ps_texts[] = {
	{"command", offsetof(struct engine_row, command)}, {"id", offsetof(struct engine_row, id)},
	{"image", offsetof(struct engine_row, image)},	   {"names", offsetof(struct engine_row, name)},
	{"status", offsetof(struct engine_row, status)},
};

static int by_word(const void *a, const void *b, void *word)
{
	const struct engine_row *x = a, *y = b;

	for (size_t i = 0; i < ARRAY_LEN(ps_texts); i++)
		if (streq(word, ps_texts[i].word))
			return strcmp(*(const char *const *)((const char *)a + ps_texts[i].offset),
				      *(const char *const *)((const char *)b + ps_texts[i].offset));
	if (streq(word, "size"))
		return (x->size_rw > y->size_rw) - (x->size_rw < y->size_rw);
	if (streq(word, "created"))
		return (x->created_at > y->created_at) - (x->created_at < y->created_at);
	return (x->started_at > y->started_at) - (x->started_at < y->started_at);
}

static int ps_sort(struct call *call, struct engine_rows *rows, struct err *err)
{
	static const char sorts[] = " " SORTS " ";
	const struct ps_flags *f = call->options;
	struct str word autostr = {0};

	if (!f->sort)
		return 0;
	str_putf(&word, " %s ", f->sort);
	if (word.failed || strchr(f->sort, ' ') || !strstr(sorts, word.s))
		return cli_misused(call, err, "--sort \"%s\" is none of: %s", f->sort, SORTS);
	if (rows->rows.n)
		qsort_r(rows->rows.v, rows->rows.n, sizeof(*rows->rows.v), by_word,
			(void *)(uintptr_t)f->sort);
	return 0;
}

static int run_ps_list(struct call *call, struct err *err)
{
	const struct ps_flags *f = call->options;
	struct engine_list q = {.all = f->all,
				.sizes = f->size,
				.last = f->latest ? 1 : MAX_OF(f->last, 0),
				.filters = f->filters};
	struct engine_rows rows;
	struct engine *e;
	int r = filters_check(
		&f->filters,
		"id name label label! status ancestor network volume health exited before since publish "
		"expose isolation is-task",
		err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0 && f->format && strstr(f->format, ".Size"))
		q.sizes = true;
	if (f->sort && streq(f->sort, "size"))
		q.sizes = true;
	if (r == 0)
		r = engine_list(e, &q, &rows, err);
	if (r < 0)
		return r;
	r = ps_sort(call, &rows, err);
	if (r == 0)
		r = ps_print(call, &rows, err);
	engine_rows_free(&rows);
	return r;
}

/* ---- port ---- */

struct port_flags {
	bool all, latest;
};
#define PORT struct port_flags
static const struct opt port_options[] = {
	O_BOOL(PORT, all, "all", 'a', "Of every container that runs, with its id"),
	O_LATEST(PORT, 'l'),
};

/* One binding of "80/tcp"; with `wanted` NULL the container's side is printed too, behind `start`. */
static void port_lines(struct str *out, const struct value *ports, const char *wanted, const char *start)
{
	for (const struct value *p = ports ? ports->first : NULL; p; p = p->next) {
		if (wanted && !streq(p->key, wanted))
			continue;
		for (const struct value *b = p->first; b; b = b->next) {
			const char *ip = value_text(value_member(b, "HostIp")),
				   *port = value_text(value_member(b, "HostPort"));
			bool v6 = strchr(ip, ':') != NULL;
			if (!wanted)
				str_putf(out, "%s%s -> ", start, p->key);
			str_putf(out, "%s%s%s:%s\n", v6 ? "[" : "", ip, v6 ? "]" : "", port);
		}
	}
}

/* One line "ID\tPORT" a binding, of all that run. */
static int port_of_all(struct call *call, struct err *err)
{
	const struct engine_list q = {0};
	struct str out autostr = {0};
	struct engine_rows rows;
	struct engine *e;
	int r = cli_list(call, &q, &e, &rows, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < rows.rows.n; i++) {
		autofree char *json = NULL;
		struct value *doc;
		struct str start autostr = {0};
		r = engine_inspect(e, rows.rows.v[i].id, false, &json, err);
		if (r == 0)
			r = value_read(&call->memory, json, strlen(json), "the container's description", &doc,
				       err);
		str_putf(&start, "%s\t", cli_short_id(&call->memory, rows.rows.v[i].id, false));
		if (r == 0)
			port_lines(&out, value_path(doc, "NetworkSettings.Ports"), NULL, start.s);
	}
	engine_rows_free(&rows);
	return r < 0 ? r : cli_print_str(&out, err);
}

static int run_port(struct call *call, struct err *err)
{
	const struct port_flags *f = call->options;

	if (f->all && call->nargs)
		return cli_misused(call, err, "--all names every container: \"%s\" is one too many",
				   call->args[0]);
	if (f->all)
		return port_of_all(call, err);
	int k = cli_requires(call, 1, err);
	if (k < 0)
		return k;
	struct str wanted autostr = {0}, out autostr = {0};
	autofree char *id = NULL, *json = NULL;
	struct value *doc;
	int r = cli_container(call, call->args[0], &id, err);

	if (r == 0)
		r = engine_inspect(call->cli->engine, id, false, &json, err);
	if (r == 0)
		r = value_read(&call->memory, json, strlen(json), "the container's description", &doc, err);
	if (r < 0)
		return r;
	if (call->nargs > 1)
		str_putf(&wanted, "%s%s", call->args[1], strchr(call->args[1], '/') ? "" : "/tcp");
	port_lines(&out, value_path(doc, "NetworkSettings.Ports"), wanted.s, "");
	if (call->nargs > 1 && !out.len)
		return err_set(err, ENOENT, "no public port '%s' published for %s", wanted.s, call->args[0]);
	return cli_print_str(&out, err);
}

const struct command command_ps = {
	.name = "ps",
	.summary = "List containers",
	.usage = "[OPTIONS]",
	.examples = "coffer ps -a\ncoffer ps -f status=exited -f label=app=web\n"
		    "coffer ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'\n",
	.options = {OPT_TABLE(ps_options)},
	.options_size = sizeof(struct ps_flags),
	.max_args = 0,
	.run = run_ps_list,
};
const struct command command_port = {
	.name = "port",
	.summary = "List port mappings of a container",
	.usage = "[OPTIONS] CONTAINER [PRIVATE_PORT[/PROTO]]",
	.examples = "coffer port web\ncoffer port web 80/tcp\ncoffer port --all\n",
	.options = {OPT_TABLE(port_options)},
	.options_size = sizeof(struct port_flags),
	.latest = OPT_GIVEN(PORT, latest),
	.max_args = 2, /* run_port() wants one, or --all */
	.words = "@running",
	.run = run_port,
};
