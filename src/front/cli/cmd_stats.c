/* SPDX-License-Identifier: Apache-2.0 */
/* stats: once, or again and again over the same lines of a terminal. */
#include "front/cli/cli.h"
#include "front/cli/units.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

struct stats_flags {
	bool all, no_stream, no_trunc, latest;
	const char *format;
};
#define STATS struct stats_flags
static const struct opt stats_options[] = {
	O_BOOL(STATS, all, "all", 'a', "Show all containers (default: those that run)"),
	O_STR(STATS, format, "format", 0, HELP_FORMAT),
	O_LATEST(STATS, 'l'),
	O_BOOL(STATS, no_stream, "no-stream", 0, "Print once and leave"),
	O_BOOL(STATS, no_trunc, "no-trunc", 0, "Do not cut ids"),
};
static const struct row_column stats_columns[] = {
	{"BlockIO", "BLOCK I/O"}, {"CPUPerc", "CPU %"}, {"Container", "CONTAINER"},
	{"ID", "CONTAINER ID"},	  {"MemPerc", "MEM %"}, {"MemUsage", "MEM USAGE / LIMIT"},
	{"Name", "NAME"},	  {"NetIO", "NET I/O"}, {"PIDs", "PIDS"},
};

enum { STATS_INTERVAL_MS = 1000, STATS_FIRST_MS = 500 };

/* One container's last figures. */
struct stats_seen {
	const char *id, *word; /* word: as it was named */
	struct engine_stats last;
	bool known, fresh;
};

struct stats {
	struct call *call;
	struct engine *engine;
	LIST_OF(struct stats_seen) seen;
	str_list ids; /* named on the command line, resolved; empty = those that run */
	bool live;    /* a terminal */
	bool first;
};

/* `word`: what it was called by; NULL: by nobody. */
static struct stats_seen *seen_find(struct stats *s, const char *id, const char *word, struct err *err)
{
	for (size_t i = 0; i < s->seen.n; i++)
		if (streq(s->seen.v[i].id, id))
			return &s->seen.v[i];
	struct stats_seen *fresh = memory_push(&s->call->memory, &s->seen, sizeof(*fresh));
	if (!fresh) {
		(void)err_oom(err);
		return NULL;
	}
	*fresh = (struct stats_seen){.id = memory_text(&s->call->memory, id),
				     .word = word ? memory_text(&s->call->memory, word)
						  : cli_short_id(&s->call->memory, id, false)};
	return fresh;
}

static const char *two_sizes(struct json_doc *m, uint64_t a, uint64_t b, bool binary)
{
	struct str text autostr = {0};

	str_putf(&text, "%s / %s", binary ? size_binary((double)a).s : size_decimal((double)a, 3).s,
		 binary ? size_binary((double)b).s : size_decimal((double)b, 3).s);
	return memory_take(m, &text);
}

static struct value *stats_row(struct json_doc *m, const struct stats_seen *seen,
			       const struct engine_stats *now, bool ok, bool full)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	double cpu = 0;
	char cpu_text[32], mem_text[32], pids[24];

	if (ok && seen->known && now->system_ns > seen->last.system_ns && now->cpu_ns >= seen->last.cpu_ns)
		cpu = (double)(now->cpu_ns - seen->last.cpu_ns) /
		      (double)(now->system_ns - seen->last.system_ns) * now->cpus * 100;
	(void)snprintf(cpu_text, sizeof(cpu_text), "%.2f%%", cpu); /* fits */
	(void)snprintf(mem_text, sizeof(mem_text), "%.2f%%",
		       ok && now->memory_limit ? (double)now->memory / (double)now->memory_limit * 100
					       : 0.0);				   /* fits */
	(void)snprintf(pids, sizeof(pids), "%llu", (unsigned long long)now->pids); /* fits */
	value_put(m, v, "Container", seen->word);
	value_put(m, v, "ID", cli_short_id(m, seen->id, full));
	value_put(m, v, "Name", *now->name ? memory_text(m, now->name) : "--");
	value_put(m, v, "CPUPerc", ok ? memory_text(m, cpu_text) : "--");
	value_put(m, v, "MemUsage", ok ? two_sizes(m, now->memory, now->memory_limit, true) : "-- / --");
	value_put(m, v, "MemPerc", ok ? memory_text(m, mem_text) : "--");
	value_put(m, v, "NetIO", ok ? two_sizes(m, now->net_rx, now->net_tx, false) : "-- / --");
	value_put(m, v, "BlockIO", ok ? two_sizes(m, now->block_read, now->block_write, false) : "-- / --");
	value_put(m, v, "PIDs", ok ? memory_text(m, pids) : "--");
	return v;
}

static int stats_one(struct stats *s, const char *id, const char *name, struct row_printer *p,
		     struct err *err)
{
	const struct stats_flags *f = s->call->options;
	struct json_doc m autojson = {0};
	struct engine_stats now = {0};
	struct err why = {0};
	struct stats_seen *seen = seen_find(s, id, NULL, err);

	if (!seen)
		return -err->code;
	bool ok = engine_stats(s->engine, id, &now, &why) == 0;
	if (!*now.name && name)
		(void)snprintf(now.name, sizeof(now.name), "%s", name); /* cut is fine */
	int r = p ? rows_add(p, &m, stats_row(&m, seen, &now, ok, f->no_trunc), err) : 0;
	if (ok) {
		seen->last = now;
		seen->known = true;
	}
	return r;
}

/* One look at all of them; `p` NULL: for the figures to start from. */
static int stats_round(struct stats *s, struct row_printer *p, struct err *err)
{
	const struct stats_flags *f = s->call->options;
	const struct engine_list q = {.all = f->all};
	struct engine_rows rows;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->ids.n; i++)
		r = stats_one(s, s->ids.v[i], NULL, p, err);
	if (r < 0 || s->ids.n)
		return r;
	r = engine_list(s->engine, &q, &rows, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < rows.rows.n; i++)
		r = stats_one(s, rows.rows.v[i].id, rows.rows.v[i].name, p, err);
	engine_rows_free(&rows);
	return r;
}

static int stats_print(struct stats *s, struct err *err)
{
	const struct stats_flags *f = s->call->options;
	const struct config *c;
	struct json_doc m autojson = {0};
	struct str out autostr = {0}, screen autostr = {0};
	struct row_printer p;
	int r = cli_config(s->call, &c, err);

	if (r < 0)
		return r;
	struct row_format format = {.format = f->format ? f->format : c->formats.stats,
				    .table = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}"
					     "\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
				    .columns = stats_columns,
				    .ncolumns = ARRAY_LEN(stats_columns)};
	r = rows_begin(&p, &m, &format, &out, err);
	if (r == 0)
		r = stats_round(s, &p, err);
	if (r < 0)
		return r;
	rows_end(&p);
	if (!s->live)
		return cli_print_str(&out, err);
	/* Line by line over what stands there; then what is left below goes. */
	str_put(&screen, s->first ? "\033[2J\033[H" : "\033[H");
	for (const char *line = out.s; line && *line; line += strcspn(line, "\n") + 1)
		str_putf(&screen, "%.*s\033[K\n", (int)strcspn(line, "\n"), line);
	str_put(&screen, "\033[J");
	s->first = false;
	return cli_print_str(&screen, err);
}

/* 1: the time is over; 0: somebody wants an end. */
static int stats_pause(int signals, int ms)
{
	struct pollfd p = {.fd = signals, .events = POLLIN};

	return poll(&p, 1, ms) == 0;
}

static int run_stats(struct call *call, struct err *err)
{
	const struct stats_flags *f = call->options;
	struct stats s = {
		.call = call, .first = true, .live = !f->no_stream && !f->format && isatty(STDOUT_FILENO)};
	sigset_t ends;
	int r = cli_engine(call, &s.engine, err);

	for (int i = 0; r == 0 && i < call->nargs; i++) {
		autofree char *id = NULL;
		r = engine_resolve(s.engine, call->args[i], &id, err);
		if (r == 0 && !seen_find(&s, id, call->args[i], err))
			r = -err->code;
		const char **item = r == 0 ? memory_push(&call->memory, &s.ids, sizeof(*item)) : NULL;
		if (item)
			*item = memory_text(&call->memory, id);
		else if (r == 0)
			r = err_oom(err);
	}
	if (r < 0)
		return r;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
		return err_sys(err, "cannot wait for signals");
	autoclose int signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signals < 0)
		return err_sys(err, "cannot wait for signals");
	/* A share of processors needs two looks. */
	r = stats_round(&s, NULL, err);
	int wait = STATS_FIRST_MS;
	while (r == 0 && stats_pause(signals, wait)) {
		r = stats_print(&s, err);
		if (f->no_stream)
			break;
		wait = STATS_INTERVAL_MS;
	}
	return r;
}

const struct command command_stats = {
	.name = "stats",
	.summary = "Show what containers use, as it changes",
	.usage = "[OPTIONS] [CONTAINER...]",
	.examples = "coffer stats\ncoffer stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}}' "
		    "web\n",
	.options = {OPT_TABLE(stats_options)},
	.options_size = sizeof(struct stats_flags),
	.latest = OPT_GIVEN(STATS, latest),
	.max_args = -1,
	.words = "@running",
	.run = run_stats,
};
