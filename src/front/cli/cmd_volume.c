/* SPDX-License-Identifier: Apache-2.0 */
/* volume create, ls, rm, prune. */
#include "front/cli/cli.h"
#include "front/cli/units.h"

#include <fnmatch.h>

struct volume_flags {
	const char *driver, *name, *format;
	pair_list labels, options;
	str_list filters;
	bool quiet, force, all, no_header;
};
#define VOL struct volume_flags

static const struct opt volume_create_options[] = {
	O_STR(VOL, driver, "driver", 'd', "Driver: local", .words = "local"),
	O_PAIRS(VOL, labels, "label", 'l', "Label KEY=VALUE"),
	O_STR(VOL, name, "name", 0, NULL),
	O_PAIRS(VOL, options, "opt", 'o', "Option of the driver: type, device and o, as mount(8) takes them",
		.value = "map"),
};

static int run_volume_create(struct call *call, struct err *err)
{
	const struct volume_flags *f = call->options;
	autofree char *name = NULL;
	struct engine_volume q = {.name = call->nargs ? call->args[0] : f->name, .driver = f->driver};
	struct engine *e;

	if (call->nargs && f->name && !streq(call->args[0], f->name))
		return cli_misused(
			call, err,
			"conflicting options: cannot specify a volume-name through both --name and as a "
			"positional arg");
	q.labels = f->labels;
	q.options = f->options;
	q.anonymous = !q.name;
	int r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_volume_create(e, &q, &name, err);
	return r < 0 ? r : cli_println(name, err);
}

/* ---- ls ---- */

static const struct opt volume_ls_options[] = {
	O_LIST(VOL, filters, "filter", 'f', "Filter: name, label, driver, dangling", .value = "filter"),
	O_STR(VOL, format, "format", 0, HELP_FORMAT),
	O_BOOL(VOL, no_header, "noheading", 0, "Print no line of headings"),
	O_BOOL(VOL, quiet, "quiet", 'q', "Print names alone"),
};
static const struct row_column volume_columns[] = {
	{"Availability", "AVAILABILITY"},
	{"Driver", "DRIVER"},
	{"Group", "GROUP"},
	{"Labels", "LABELS"},
	{"Links", "LINKS"},
	{"Mountpoint", "MOUNTPOINT"},
	{"Name", "VOLUME NAME"},
	{"Scope", "SCOPE"},
	{"Size", "SIZE"},
	{"Status", "STATUS"},
};

/* What is filtered here holds for any of several values of one key, and all keys. */
static bool volume_passes(const str_list *filters, const struct engine_volume *v, bool *ret_bad)
{
	bool names = false, named = false;

	for (size_t i = 0; i < filters->n; i++) {
		const char *f = filters->v[i], *value;
		bool yes;
		if ((value = filter_value(f, "name"))) {
			names = true;
			named |= engine_name_matches(value, v->name);
		} else if ((value = filter_value(f, "label"))) {
			if (!labels_match(&v->labels, value))
				return false;
		} else if ((value = filter_value(f, "driver"))) {
			if (!streq(value, v->driver ? v->driver : "local"))
				return false;
		} else if ((value = filter_value(f, "dangling"))) {
			*ret_bad |= bool_parse(value, &yes) < 0;
			if (!*ret_bad && yes != (v->users == 0))
				return false;
		}
	}
	return !names || named;
}

static struct value *volume_row(struct json_doc *m, const struct engine_volume *x, bool sizes)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	char links[16];

	(void)snprintf(links, sizeof(links), "%u", x->users); /* fits */
	value_put(m, v, "Availability", "N/A");
	value_put(m, v, "Driver", x->driver ? x->driver : "local");
	value_put(m, v, "Group", "N/A");
	value_put(m, v, "Labels", cli_join_labels(m, &x->labels));
	value_put(m, v, "Links", sizes ? memory_text(m, links) : "N/A");
	value_put(m, v, "Mountpoint", x->mountpoint);
	value_put(m, v, "Name", x->name);
	value_put(m, v, "Scope", "local");
	value_put(m, v, "Size", sizes ? memory_text(m, size_decimal((double)x->size, 3).s) : "N/A");
	value_put(m, v, "Status", "N/A");
	value_add(v, "\1Label", cli_labels_value(m, &x->labels));
	return v;
}

static int by_volume_name(const void *a, const void *b)
{
	return strcmp(((const struct engine_volume *)a)->name, ((const struct engine_volume *)b)->name);
}

static int run_volume_ls(struct call *call, struct err *err)
{
	const struct volume_flags *f = call->options;
	const struct config *c;
	struct row_printer p;
	struct str out autostr = {0};
	volume_list list = {0};
	struct engine *e;
	bool bad = false;
	int r = filters_check(&f->filters, "name label driver dangling", err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	struct row_format format = {.format = f->format ? f->format : c->formats.volumes,
				    .table = "{{.Driver}}\t{{.Name}}",
				    .no_header = f->no_header,
				    .quiet = f->quiet && !f->format ? "{{.Name}}" : NULL,
				    .columns = volume_columns,
				    .ncolumns = ARRAY_LEN(volume_columns)};
	bool sizes = f->format && (strstr(f->format, ".Size") || strstr(f->format, ".Links"));
	r = rows_begin(&p, &call->memory, &format, &out, err);
	if (r == 0)
		r = engine_volume_list(e, sizes, &list, err);
	if (r < 0)
		return r;
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_volume_name);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct json_doc m autojson = {0};
		if (volume_passes(&f->filters, &list.v[i], &bad))
			r = rows_add(&p, &m, volume_row(&m, &list.v[i], sizes), err);
	}
	engine_volume_list_free(&list);
	if (r == 0 && bad)
		r = cli_misused(call, err, "invalid filter 'dangling': true or false");
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

/* ---- rm ---- */

static const struct opt volume_rm_options[] = {
	O_BOOL(VOL, all, "all", 'a', "Every volume"),
	O_BOOL(VOL, force, "force", 'f', "No failure where there is no such volume"),
};

static int remove_volume(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct volume_flags *f = call->options;
	int r = engine_volume_remove(e, name, f->force, err);

	return r == -ENOENT && f->force ? 0 : r;
}

/* For --all. */
static int words_of_all_volumes(struct call *call, struct err *err)
{
	volume_list list = {0};
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = engine_volume_list(e, false, &list, err);
	if (r < 0)
		return r;
	char **names = json_doc_alloc(&call->memory, (list.n + 1) * sizeof(*names));
	for (size_t i = 0; names && i < list.n; i++) {
		names[i] = (char *)(uintptr_t)memory_text(&call->memory, list.v[i].name);
		r = names[i] ? r : err_oom(err);
	}
	if (names && r == 0) {
		names[list.n] = NULL;
		call->args = names;
		call->nargs = (int)list.n;
	}
	engine_volume_list_free(&list);
	return names ? r : err_oom(err);
}

static int run_volume_rm(struct call *call, struct err *err)
{
	const struct volume_flags *f = call->options;

	if (f->all && call->nargs)
		return cli_misused(call, err, "--all names every volume: \"%s\" is one too many",
				   call->args[0]);
	int r = f->all ? words_of_all_volumes(call, err) : cli_requires(call, 1, err);
	if (r < 0)
		return r;
	return cli_each_word(call, remove_volume, err);
}

#define VOL_SIZE .options_size = sizeof(struct volume_flags)

const struct command command_volume_create = {
	.name = "create",
	.summary = "Create a volume",
	.usage = "[OPTIONS] [VOLUME]",
	.examples =
		"coffer volume create db\ncoffer volume create --label app=web\n"
		"coffer volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=64m scratch\n"
		"coffer volume create --opt type=nfs --opt device=:/export --opt o=addr=10.0.0.5,rw shared\n"
		"coffer volume create --opt type=none --opt device=/srv/data --opt o=bind data\n",
	.options = {OPT_TABLE(volume_create_options)},
	VOL_SIZE,
	.max_args = 1,
	.run = run_volume_create,
};
const struct command command_volume_ls = {
	.name = "ls",
	.summary = "List volumes",
	.usage = "[OPTIONS]",
	.examples = "coffer volume ls -f dangling=true\n",
	.options = {OPT_TABLE(volume_ls_options)},
	VOL_SIZE,
	.max_args = 0,
	.run = run_volume_ls,
};
const struct command command_volume_rm = {
	.name = "rm",
	.summary = "Remove one or more volumes",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.examples = "coffer volume rm db\n",
	.options = {OPT_TABLE(volume_rm_options)},
	VOL_SIZE,
	.max_args = -1,
	.words = "@volume",
	.run = run_volume_rm,
	.users = USERS_ENTER,
};
