/* SPDX-License-Identifier: Apache-2.0 */
/* vm snapshot, snapshot-ls, snapshot-inspect, snapshot-rm. */
#include "front/cli/cli.h"
#include "front/cli/create_flags.h"
#include "front/cli/units.h"

#include "base/json_write.h"
#include "isolate/machine.h"

struct vm_snapshot_flags {
	const char *format;
	bool quiet;
};
#define SNAP struct vm_snapshot_flags

struct vm_keep_flags {
	struct create_flags create;
	bool template;
};
#define KEEP struct vm_keep_flags
static const struct vm_keep_flags keep_defaults = {
	.create = {.q = {.memory_swappiness = -1, .stop_timeout = -1}},
};
static const struct opt keep_options[] = {
	O_BOOL(KEEP, template, "template", 0, "A booted machine without a container, for any image"),
	O_SIZE(KEEP, create.q.memory, "memory", 'm', "With --template: its containers' memory limit"),
	O_CPUS(KEEP, create.q.nano_cpus, "cpus", 0, "With --template: its containers' processors, as 2"),
	O_LIST(KEEP, create.networks, "network", 0, "With --template: a network for each card, or none",
	       .value = "network", .words = "@network"),
};

/* The container that makes it has nothing to run. */
static int keep_template(struct call *call, struct err *err)
{
	struct vm_keep_flags *f = call->options;
	struct create_flags *flags = &f->create;
	char image[] = "none", *words[] = {image, NULL};
	const struct config *c;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	const struct create_settle s = {
		.flags = flags, .config = c, .words = words, .detach = true, .memory = &call->memory};
	r = create_settle(&s, err);
	call->misused = r == -EINVAL;
	if (r == 0 && flags->q.network_mode && !streq(flags->q.network_mode, "none"))
		r = err_set(err, EINVAL, "a template has cards of its own, not the network \"%s\"",
			    flags->q.network_mode);
	if (r == 0)
		r = engine_machine_template(e, &flags->q, call->args[0], err);
	return r < 0 ? r : cli_println(call->args[0], err);
}

static int run_vm_snapshot(struct call *call, struct err *err)
{
	const struct vm_keep_flags *f = call->options;

	if (call->nargs != (f->template ? 1 : 2))
		return cli_misused(call, err,
				   f->template ? "--template takes a NAME, and no container"
					       : "a CONTAINER and a NAME are needed");
	if (f->template)
		return keep_template(call, err);
	if (f->create.q.memory || f->create.q.nano_cpus || f->create.networks.n)
		return cli_misused(call, err, "--memory, --cpus and --network go with --template");
	autofree char *id = NULL;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = engine_resolve(e, call->args[0], &id, err);
	if (r == 0)
		r = engine_machine_save(e, id, call->args[1], err);
	return r < 0 ? r : cli_println(call->args[1], err);
}

/* ---- ls ---- */

static const struct opt snapshot_ls_options[] = {
	O_STR(SNAP, format, "format", 0, HELP_FORMAT),
	O_BOOL(SNAP, quiet, "quiet", 'q', "Print names alone"),
};
static const struct row_column snapshot_columns[] = {
	{"Command", "COMMAND"}, {"Container", "CONTAINER"}, {"Created", "CREATED"},
	{"Image", "IMAGE"},	{"Kind", "KIND"},	    {"Name", "NAME"},
};

struct snapshot_rows {
	struct call *call;
	struct row_printer p;
};

static int add_snapshot_row(void *data, const char *name, const char *info, size_t len, struct err *err)
{
	struct snapshot_rows *rows = data;
	struct json_doc *m = &rows->call->memory;
	struct engine_machine machine;
	struct str created autostr = {0}, command autostr = {0};
	struct err broken = {0};
	struct value *v = value_new(m, VALUE_OBJECT);

	if (engine_machine_describe(name, info, len, m, &machine, &broken) < 0) {
		cli_complain(rows->call, &broken);
		return 0;
	}
	str_putf(&created, "%s ago", duration_text(moment_now() - machine.created).s);
	str_put(&command, "");
	for (size_t i = 0; i < machine.command.n && !machine.template; i++)
		str_putf(&command, "%s%s", i ? " " : "", machine.command.v[i]);
	value_put(m, v, "Name", memory_text(m, name));
	value_put(m, v, "Kind", memory_text(m, machine.template ? "template" : "container"));
	value_put(m, v, "Container", memory_text(m, machine.container));
	value_put(m, v, "Image",
		  memory_text(m, machine.image_ref && !machine.template ? machine.image_ref : ""));
	value_put(m, v, "Command", memory_take(m, &command));
	value_put(m, v, "Created", memory_take(m, &created));
	return rows_add(&rows->p, m, v, err);
}

static int run_vm_snapshot_ls(struct call *call, struct err *err)
{
	const struct vm_snapshot_flags *f = call->options;
	struct str out autostr = {0};
	struct snapshot_rows rows = {.call = call};
	struct row_format format = {
		.format = f->format,
		.table = "{{.Name}}\t{{.Kind}}\t{{.Container}}\t{{.Image}}\t{{.Created}}\t{{.Command}}",
		.quiet = f->quiet && !f->format ? "{{.Name}}" : NULL,
		.columns = snapshot_columns,
		.ncolumns = ARRAY_LEN(snapshot_columns)};
	int r = rows_begin(&rows.p, &call->memory, &format, &out, err);

	if (r == 0)
		r = guest_snapshots_each(add_snapshot_row, &rows, err);
	if (r < 0)
		return r;
	rows_end(&rows.p);
	return cli_print_str(&out, err);
}

/* ---- inspect, rm ---- */

static int run_vm_snapshot_inspect(struct call *call, struct err *err)
{
	struct json_out out autojsonout = {0};
	autofree char *info = NULL;
	struct engine_machine m;
	size_t len = 0;
	int r = guest_snapshot_info(call->args[0], &info, &len, err);

	if (r == 0)
		r = engine_machine_describe(call->args[0], info, len, &call->memory, &m, err);
	if (r < 0)
		return r;
	json_begin_object(&out, NULL);
	json_put_str(&out, "Name", call->args[0]);
	json_put_str(&out, "Kind", m.template ? "template" : "container");
	if (!m.template) {
		json_put_str(&out, "Container", m.container);
		json_put_str(&out, "Files", m.image);
		json_put_opt_str(&out, "Image", m.image_ref);
		json_put_strs(&out, "Command", m.command.v, m.command.n);
	}
	json_put_i64(&out, "Memory", m.memory);
	json_put_i64(&out, "CreatedNs", m.created);
	json_end(&out);
	autofree char *text = json_take(&out);
	return text ? cli_println(text, err) : err_oom(err);
}

static int remove_snapshot(struct call *call unused, struct engine *e, const char *name, struct err *err)
{
	return engine_machine_remove(e, name, err);
}

static int run_vm_snapshot_rm(struct call *call, struct err *err)
{
	return cli_each_word(call, remove_snapshot, err);
}

const struct command command_vm_snapshot = {
	.name = "snapshot",
	.summary = "Keep a container's machine with all that runs in it",
	.usage = "CONTAINER NAME | --template [OPTIONS] NAME",
	.description =
		"The container (--isolation vm, running) goes on; 'coffer run --from-snapshot NAME' "
		"begins where it\n"
		"stood: its processes go on in the copy, with the files as they were.  Clock, random "
		"numbers, host\n"
		"name, addresses and hardware addresses are new; what a program has drawn or read of "
		"them before\n"
		"is not, and its connections are gone.  Containers with volumes are refused.  "
		"Whatever is in the\n"
		"machine's memory is in the snapshot: keep it as you would keep that.\n"
		"\n"
		"With --template a machine is booted up to its agent and kept before it has heard of any "
		"container:\n"
		"'coffer run --from-snapshot NAME IMAGE' begins any image there, in a machine of the same "
		"size and\n"
		"number of network cards.",
	.examples = "coffer run -d --isolation vm --name warm python:3 python3 -m http.server\n"
		    "coffer vm snapshot warm server\n"
		    "coffer run -d --from-snapshot server -p 8000:8000\n"
		    "coffer vm snapshot --template -m 256m ready\n"
		    "coffer run --rm --from-snapshot ready alpine uname -r\n",
	.options = {OPT_TABLE(keep_options)},
	.options_size = sizeof(struct vm_keep_flags),
	.defaults = &keep_defaults,
	.min_args = 1,
	.max_args = 2,
	.words = "@running",
	.run = run_vm_snapshot,
};
const struct command command_vm_snapshot_ls = {
	.name = "snapshot-ls",
	.summary = "List the snapshots of machines",
	.usage = "[OPTIONS]",
	.examples = "coffer vm snapshot-ls --format '{{.Name}} {{.Image}}'\n",
	.options = {OPT_TABLE(snapshot_ls_options)},
	.options_size = sizeof(struct vm_snapshot_flags),
	.max_args = 0,
	.run = run_vm_snapshot_ls,
};
const struct command command_vm_snapshot_inspect = {
	.name = "snapshot-inspect",
	.summary = "Tell of what a snapshot was made",
	.usage = "SNAPSHOT",
	.examples = "coffer vm snapshot-inspect server\n",
	.min_args = 1,
	.max_args = 1,
	.words = "@vm-snapshot",
	.run = run_vm_snapshot_inspect,
};
const struct command command_vm_snapshot_rm = {
	.name = "snapshot-rm",
	.summary = "Remove snapshots of machines",
	.usage = "SNAPSHOT [SNAPSHOT...]",
	.description = "With the image that has its files.  Containers that began with it are not touched.",
	.examples = "coffer vm snapshot-rm server\n",
	.min_args = 1,
	.max_args = -1,
	.words = "@vm-snapshot",
	.run = run_vm_snapshot_rm,
};
