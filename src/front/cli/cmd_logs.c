/* SPDX-License-Identifier: Apache-2.0 */
/* logs, events. */
#include "front/cli/cli.h"
#include "front/cli/units.h"

static int log_moment(struct call *call, const char *flag, const char *text, int64_t *ret, struct err *err)
{
	if (!text || !*text)
		return 0;
	if (moment_parse(text, moment_now(), ret) == 0)
		return 0;
	return cli_misused(call, err,
			   "invalid value for --%s: \"%s\": write a time (2024-01-31T10:00:00Z), seconds "
			   "since 1970, or a "
			   "duration (10m)",
			   flag, text);
}

/* ---- logs ---- */

struct logs_flags {
	bool follow, timestamps, details, machine, latest;
	const char *since, *until, *tail;
};
#define LOGS struct logs_flags
static const struct opt logs_options[] = {
	O_BOOL(LOGS, follow, "follow", 'f', "Go on with what comes"),
	O_BOOL(LOGS, timestamps, "timestamps", 't', "Show when each line came"),
	O_BOOL(LOGS, details, "details", 0, "Show what --log-opt labels and env added"),
	O_STR(LOGS, since, "since", 0, "From then on (a time, or a duration as 42m)"),
	O_STR(LOGS, until, "until", 0, "Up to then (a time, or a duration as 42m)"),
	O_BOOL(LOGS, machine, "vm", 0, "The console of its virtual machine instead (isolation level vm)"),
	O_LATEST(LOGS, 'l'),
	O_STR(LOGS, tail, "tail", 'n', "Number of lines from the end, or \"all\" (default all)"),
};

static int run_logs(struct call *call, struct err *err)
{
	const struct logs_flags *f = call->options;
	struct monitor_log_query q = {.follow = f->follow,
				      .timestamps = f->timestamps,
				      .details = f->details,
				      .out = true,
				      .err_too = true,
				      .tail = -1,
				      .out_fd = STDOUT_FILENO,
				      .err_fd = STDERR_FILENO};
	autofree char *id = NULL;
	int r = log_moment(call, "since", f->since, &q.since, err);

	if (r == 0)
		r = log_moment(call, "until", f->until, &q.until, err);
	if (r == 0 && f->tail && !streq(f->tail, "all")) {
		/* Docker takes what is no number for "all". */
		if (str_to_i64(f->tail, &q.tail) < 0 || q.tail < 0)
			q.tail = -1;
	}
	if (r == 0 && f->machine && (q.since || q.until || f->timestamps || f->details))
		r = cli_misused(call, err, "--vm takes --follow and --tail alone: a console has no times");
	if (r == 0)
		r = cli_container(call, call->args[0], &id, err);
	if (r == 0 && f->machine)
		return engine_console(call->cli->engine, id, &q, err);
	return r < 0 ? r : engine_logs(call->cli->engine, id, &q, err);
}

/* ---- events ---- */

struct events_flags {
	const char *since, *until, *format;
	str_list filters;
	bool stream, no_trunc;
};
#define EVENTS struct events_flags
static const struct events_flags events_defaults = {.stream = true};
static const struct opt events_options[] = {
	O_LIST(EVENTS, filters, "filter", 'f',
	       "Filter: type, event, container, image, network, volume, label", .value = "filter"),
	O_STR(EVENTS, format, "format", 0, "Format output: json, or a Go TEMPLATE"),
	O_BOOL(EVENTS, no_trunc, "no-trunc", 0, NULL), /* nothing is cut */
	O_STR(EVENTS, since, "since", 0, "Show what was since then (a time, or a duration)"),
	O_BOOL(EVENTS, stream, "stream", 0, "Wait for what comes (default true)"),
	O_STR(EVENTS, until, "until", 0, "Stop there (a time, or a duration)"),
};

struct events_print {
	struct row_printer p;
	const char *format;
	struct str line;
};

/* 2024-01-31T10:00:00.123456789Z container start ID (image=nginx, name=web) */
static void event_line(struct str *out, const struct engine_event *ev)
{
	str_putf(out, "%s %s %s %s", moment_rfc3339(ev->time).s, ev->type, ev->action, ev->id ? ev->id : "");
	for (size_t i = 0; i < ev->attributes.n; i++)
		str_putf(out, "%s%s=%s", i ? ", " : " (", ev->attributes.v[i].key, ev->attributes.v[i].value);
	str_put(out, ev->attributes.n ? ")\n" : "\n");
}

static struct value *event_value(struct json_doc *m, const struct engine_event *ev)
{
	struct value *v = value_new(m, VALUE_OBJECT), *actor = value_new(m, VALUE_OBJECT);

	value_put(m, actor, "ID", ev->id);
	value_add(actor, "Attributes", cli_labels_value(m, &ev->attributes));
	if (streq(ev->type, "container")) {
		value_put(m, v, "status", ev->action);
		value_put(m, v, "id", ev->id);
		for (size_t i = 0; i < ev->attributes.n; i++)
			if (streq(ev->attributes.v[i].key, "image"))
				value_put(m, v, "from", ev->attributes.v[i].value);
	}
	const struct value *from = value_member(v, "from");
	value_put(m, v, "From", from ? from->text : "");
	value_put(m, v, "Scope", "local");
	value_put(m, v, "ID", ev->id);
	value_put(m, v, "Status", ev->action);
	value_put(m, v, "Type", ev->type);
	value_put(m, v, "Action", ev->action);
	value_add(v, "Actor", actor);
	value_put(m, v, "scope", "local");
	value_add(v, "time", value_number(m, ev->time / 1000000000));
	value_add(v, "timeNano", value_number(m, ev->time));
	value_add(v, "Time", value_number(m, ev->time / 1000000000));
	value_add(v, "TimeNano", value_number(m, ev->time));
	return v;
}

/* What Docker's JSON has; the other names are for templates alone. */
static void event_json(struct str *out, const struct value *v)
{
	static const char *const members[] = {"status", "id",	 "from", "Type",    "Action",
					      "Actor",	"scope", "time", "timeNano"};
	struct json_out json autojsonout = {0};

	json_begin_object(&json, NULL);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct value *m = value_member(v, members[i]);
		if (m)
			value_write(&json, members[i], m);
	}
	json_end(&json);
	autofree char *text = json_take(&json);
	str_putf(out, "%s\n", text ? text : "");
}

static int events_each(void *data, const struct engine_event *ev, struct err *err)
{
	struct events_print *e = data;
	struct json_doc memory autojson = {0};
	int r = 0;

	if (!e->format)
		event_line(&e->line, ev);
	else if (streq(e->format, "json") || streq(e->format, "{{json .}}"))
		event_json(&e->line, event_value(&memory, ev));
	else
		r = rows_add(&e->p, &memory, event_value(&memory, ev), err);
	if (r == 0)
		r = cli_print_str(&e->line, err);
	e->line.len = 0;
	return r;
}

static int run_events(struct call *call, struct err *err)
{
	const struct events_flags *f = call->options;
	const struct config *c;
	struct events_print print = {0};
	struct engine_events q = {.filters = f->filters, .each = events_each, .data = &print};
	struct engine *e;
	int r = filters_check(&f->filters,
			      "type event container image network volume label label! daemon scope", err);

	if (r == 0)
		r = log_moment(call, "since", f->since, &q.since, err);
	if (r == 0)
		r = log_moment(call, "until", f->until ? f->until : f->stream ? NULL : "0s", &q.until, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	print.format = f->format && *f->format ? f->format : c->formats.events;
	if (print.format && str_starts(print.format, "table"))
		return cli_misused(call, err,
				   "events come one by one: --format takes json or a template, not a table");
	if (print.format) {
		struct row_format format = {.format = print.format, .table = ""};
		r = rows_begin(&print.p, &call->memory, &format, &print.line, err);
	}
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_events(e, &q, err);
	str_free(&print.line);
	return r;
}

const struct command command_logs = {
	.name = "logs",
	.summary = "Fetch the logs of a container",
	.usage = "[OPTIONS] CONTAINER",
	.examples = "coffer logs -f web\ncoffer logs --since 10m --timestamps web\ncoffer logs -n 100 web\n"
		    "coffer logs --vm web\n",
	.options = {OPT_TABLE(logs_options)},
	.options_size = sizeof(struct logs_flags),
	.latest = OPT_GIVEN(LOGS, latest),
	.min_args = 1,
	.max_args = 1,
	.words = "@container",
	.run = run_logs,
};
const struct command command_events = {
	.name = "events",
	.summary = "Show what happens, as it happens",
	.usage = "[OPTIONS]",
	.examples = "coffer events --since 1h\ncoffer events -f type=container -f event=die --format json\n",
	.options = {OPT_TABLE(events_options)},
	.options_size = sizeof(struct events_flags),
	.defaults = &events_defaults,
	.max_args = 0,
	.run = run_events,
};
