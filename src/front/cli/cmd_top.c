/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: the processes of a container, as ps(1) would list them, read from
 * /proc; those of a virtual machine, which stand in no /proc of ours, as its
 * own kernel tells them.
 */
#include "front/cli/cli.h"

#include "base/file.h"
#include "isolate/isolate.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

struct top_process {
	pid_t pid, ppid;
	uid_t uid;
	char state;
	int tty;
	uint64_t ticks, start; /* of processors used, since boot */
	uint64_t rss_pages, size;
	long nice, threads;
	const char *name, *command;
	const char *terminal; /* where `tty` is of another kernel */
};

struct top_machine {
	long hz;
	int64_t boot; /* seconds since 1970 */
	int64_t now;
	const char *passwd; /* of this machine, for names of users */
	uint64_t memory;    /* kB */
};

/* What stands behind "pid (name) " in /proc/PID/stat, by its number there. */
static bool stat_fields(const char *text, uint64_t *v, size_t n, char *ret_state)
{
	const char *p = strrchr(text, ')');

	if (!p || p[1] != ' ')
		return false;
	p += 2;
	*ret_state = *p++;
	for (size_t i = 0; i < n; i++) {
		char *end;
		v[i] = strtoull(p, &end, 10);
		if (end == p)
			return false;
		p = end;
	}
	return true;
}

enum { PROC_TEXT_MAX = 1 << 20 };

static const char *read_proc(struct json_doc *m, pid_t pid, const char *name, size_t *ret_len)
{
	char path[64];
	autofree char *text = NULL;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name); /* fits */
	if (file_read_at(AT_FDCWD, path, PROC_TEXT_MAX, &text, &len) < 0)
		return NULL;
	*ret_len = len;
	return memory_text_n(m, text, len);
}

/* What a container's process calls itself must not reach the terminal as commands. */
static const char *plain_name(struct json_doc *m, const char *text, size_t len)
{
	struct str name autostr = {0};

	for (size_t i = 0; i < len; i++)
		str_put_n(&name, char_is_control(text[i]) ? "?" : &text[i], 1);
	return memory_take(m, &name);
}

/* The arguments with blanks between them, or [name] of who has none. */
static const char *process_line(struct json_doc *m, pid_t pid, const char *name)
{
	size_t len = 0;
	const char *text = read_proc(m, pid, "cmdline", &len);
	struct str line autostr = {0};

	for (size_t i = 0; text && i < len; i++) {
		char c = text[i] ? text[i] : ' ';
		bool last = i + 1 == len;
		/* What a container's process calls itself must not reach the terminal as commands. */
		if (!(last && c == ' '))
			str_put_n(&line, char_is_control(c) ? "?" : &c, 1);
	}
	if (!line.len)
		str_putf(&line, "[%s]", name);
	return memory_take(m, &line);
}

static bool read_process(struct json_doc *m, pid_t pid, struct top_process *ret)
{
	struct top_process p = {.pid = pid};
	size_t len;
	uint64_t v[21];
	char path[32];
	struct stat st;
	const char *text = read_proc(m, pid, "stat", &len);

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid); /* fits */
	if (!text || stat(path, &st) < 0 || !stat_fields(text, v, ARRAY_LEN(v), &p.state))
		return false;
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	p.name = plain_name(m, open + 1, (size_t)(close - open - 1));
	p.ppid = (pid_t)v[0];
	p.uid = st.st_uid;
	p.tty = (int)v[3];
	p.ticks = v[10] + v[11];
	p.nice = (long)v[15];
	p.threads = (long)v[16];
	p.start = v[18];
	p.size = v[19];
	p.rss_pages = v[20];
	p.command = process_line(m, pid, p.name);
	*ret = p;
	return true;
}

/* A user's name by /etc/passwd itself: the C library's look-up would load other programs' code. */
static const char *owner_name(struct json_doc *m, const struct top_machine *machine, uid_t uid)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%u", uid); /* fits */
	for (const char *p = machine->passwd; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t name = strcspn(p, ":\n");
		if (p[name] != ':')
			continue;
		const char *number = p + name + 1 + strcspn(p + name + 1, ":\n");
		if (*number != ':')
			continue;
		size_t len = strcspn(++number, ":\n");
		if (len == strlen(id) && memcmp(number, id, len) == 0)
			return name <= 8 ? memory_text_n(m, p, name) : memory_text(m, id);
	}
	return memory_text(m, id);
}

static const char *clock_text(struct json_doc *m, uint64_t s)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60,
		       s % 60); /* fits */
	return memory_text(m, text);
}

/* "10:42" of today, "Jan31" of before. */
static const char *start_text(struct json_doc *m, const struct top_machine *machine,
			      const struct top_process *p)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t at = (time_t)(machine->boot + (int64_t)(p->start / (uint64_t)machine->hz));
	struct tm tm;
	char text[32];

	if (!gmtime_r(&at, &tm))
		return "?";
	if (machine->now - at < 86400)
		(void)snprintf(text, sizeof(text), "%02d:%02d", tm.tm_hour, tm.tm_min); /* fits */
	else
		(void)snprintf(text, sizeof(text), "%.3s%02d", months + 3 * tm.tm_mon, tm.tm_mday); /* fits */
	return memory_text(m, text);
}

static const char *tty_text(struct json_doc *m, int tty)
{
	unsigned major = (unsigned)tty >> 8 & 0xfff,
		 minor = ((unsigned)tty & 0xff) | ((unsigned)tty >> 12 & 0xfff00);
	char text[24];

	if (!tty)
		return "?";
	(void)snprintf(text, sizeof(text), major >= 136 && major <= 143 ? "pts/%u" : "tty%u",
		       major >= 136 && major <= 143 ? (major - 136) * 256 + minor : minor); /* fits */
	return memory_text(m, text);
}

static const char *number_text(struct json_doc *m, int64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, n); /* fits */
	return memory_text(m, text);
}

/* Processors' time beside the time since its start, in hundredths. */
static int64_t cpu_percent(const struct top_machine *machine, const struct top_process *p)
{
	int64_t age = machine->now - machine->boot - (int64_t)(p->start / (uint64_t)machine->hz);

	return age > 0 ? (int64_t)(p->ticks * 100 / (uint64_t)machine->hz) / age : 0;
}

enum top_column {
	TOP_UID,
	TOP_USER,
	TOP_PID,
	TOP_PPID,
	TOP_C,
	TOP_PCPU,
	TOP_PMEM,
	TOP_VSZ,
	TOP_RSS,
	TOP_NICE,
	TOP_NLWP,
	TOP_STIME,
	TOP_TTY,
	TOP_STAT,
	TOP_TIME,
	TOP_COMM,
	TOP_CMD,
	TOP_COLUMNS
};

static const struct {
	const char *header, *words; /* what `-o` calls it */
} top_columns[TOP_COLUMNS] = {
	[TOP_UID] = {"UID", "uid euid"},
	[TOP_USER] = {"USER", "user euser uname"},
	[TOP_PID] = {"PID", "pid tgid"},
	[TOP_PPID] = {"PPID", "ppid"},
	[TOP_C] = {"C", "c"},
	[TOP_PCPU] = {"%CPU", "pcpu %cpu"},
	[TOP_PMEM] = {"%MEM", "pmem %mem"},
	[TOP_VSZ] = {"VSZ", "vsz vsize"},
	[TOP_RSS] = {"RSS", "rss rssize"},
	[TOP_NICE] = {"NI", "ni nice"},
	[TOP_NLWP] = {"NLWP", "nlwp thcount"},
	[TOP_STIME] = {"STIME", "stime start_time"},
	[TOP_TTY] = {"TTY", "tty tname tt"},
	[TOP_STAT] = {"STAT", "stat state s"},
	[TOP_TIME] = {"TIME", "time cputime"},
	[TOP_COMM] = {"COMMAND", "comm ucmd"},
	[TOP_CMD] = {"CMD", "cmd args command"},
};

static const char *top_cell(struct json_doc *m, const struct top_machine *machine,
			    const struct top_process *p, enum top_column c)
{
	char text[32];

	switch (c) {
	case TOP_UID:
	case TOP_USER:
		return owner_name(m, machine, p->uid);
	case TOP_PID:
		return number_text(m, p->pid);
	case TOP_PPID:
		return number_text(m, p->ppid);
	case TOP_C:
		return number_text(m, cpu_percent(machine, p));
	case TOP_PCPU:
		(void)snprintf(text, sizeof(text), "%" PRId64 ".0", cpu_percent(machine, p)); /* fits */
		return memory_text(m, text);
	case TOP_PMEM:
		(void)snprintf(text, sizeof(text), "%.1f",
			       machine->memory ? 100.0 * (double)(p->rss_pages * 4) / (double)machine->memory
					       : 0.0); /* fits */
		return memory_text(m, text);
	case TOP_VSZ:
		return number_text(m, (int64_t)(p->size / 1024));
	case TOP_RSS:
		return number_text(m, (int64_t)(p->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024));
	case TOP_NICE:
		return number_text(m, p->nice);
	case TOP_NLWP:
		return number_text(m, p->threads);
	case TOP_STIME:
		return start_text(m, machine, p);
	case TOP_TTY:
		return p->terminal ? p->terminal : tty_text(m, p->tty);
	case TOP_STAT:
		return memory_text_n(m, &p->state, 1);
	case TOP_TIME:
		return clock_text(m, p->ticks / (uint64_t)machine->hz);
	case TOP_COMM:
		return p->name;
	case TOP_CMD:
	case TOP_COLUMNS:
		break;
	}
	return p->command;
}

struct top_layout {
	enum top_column v[32];
	size_t n;
};

static bool has_word(const char *words, const char *word, size_t len)
{
	for (; *words; words += strcspn(words, " "), words += *words == ' ')
		if (strcspn(words, " ") == len && memcmp(words, word, len) == 0)
			return true;
	return false;
}

static int add_columns(struct call *call, struct top_layout *l, const char *list, struct err *err)
{
	for (; *list; list += *list == ',') {
		size_t len = strcspn(list, ","), c = 0;
		while (c < TOP_COLUMNS && !has_word(top_columns[c].words, list, len))
			c++;
		if (c == TOP_COLUMNS)
			return cli_misused(call, err,
					   "unknown column \"%.*s\" (pid, ppid, uid, user, c, pcpu, pmem, "
					   "vsz, rss, ni, nlwp, "
					   "stime, tty, stat, time, comm, args)",
					   (int)MIN_OF(len, 64U), list);
		if (l->n == ARRAY_LEN(l->v))
			return cli_misused(call, err, "too many columns");
		l->v[l->n++] = (enum top_column)c;
		list += len;
	}
	return 0;
}

/* The options of ps(1) that say which columns: -ef (default), aux, -o. */
static int top_layout(struct call *call, struct top_layout *l, struct err *err)
{
	int r = 0;

	*l = (struct top_layout){0};
	for (int i = 1; r == 0 && i < call->nargs; i++) {
		const char *word = call->args[i];
		if (streq(word, "aux") || streq(word, "-aux"))
			r = add_columns(call, l, "user,pid,pcpu,pmem,vsz,rss,tty,stat,stime,time,args", err);
		else if (streq(word, "-o") && i + 1 < call->nargs)
			r = add_columns(call, l, call->args[++i], err);
		else if (str_starts(word, "-o"))
			r = add_columns(call, l, word + 2, err);
		else if (str_starts(word, "-eo") && (word[3] || i + 1 < call->nargs))
			r = add_columns(call, l, word[3] ? word + 3 : call->args[++i], err);
		else if (!streq(word, "-ef") && !streq(word, "-e") && !streq(word, "-f"))
			r = cli_misused(call, err,
					"ps option \"%s\" is not known here: -ef, aux, -o COLUMN,…", word);
	}
	if (r == 0 && l->n == 0)
		r = add_columns(call, l, "uid,pid,ppid,c,stime,tty,time,args", err);
	return r;
}

static void top_machine(struct json_doc *m, struct top_machine *ret)
{
	autofree char *passwd = NULL, *stat = NULL, *memory = NULL;
	size_t len;

	*ret = (struct top_machine){.hz = sysconf(_SC_CLK_TCK), .now = time(NULL)};
	ret->hz = ret->hz > 0 ? ret->hz : 100;
	if (file_read_at(AT_FDCWD, "/etc/passwd", PROC_TEXT_MAX, &passwd, &len) == 0)
		ret->passwd = memory_text(m, passwd);
	if (file_read_at(AT_FDCWD, "/proc/stat", PROC_TEXT_MAX, &stat, &len) == 0) {
		const char *boot = strstr(stat, "\nbtime ");
		ret->boot = boot ? strtoll(boot + strlen("\nbtime "), NULL, 10) : 0;
	}
	if (file_read_at(AT_FDCWD, "/proc/meminfo", PROC_TEXT_MAX, &memory, &len) == 0 &&
	    str_starts(memory, "MemTotal:"))
		ret->memory = strtoull(memory + strlen("MemTotal:"), NULL, 10);
}

static void print_row(struct json_doc *m, const struct top_layout *layout, const struct top_machine *machine,
		      const struct top_process *p, struct str *out)
{
	for (size_t c = 0; c < layout->n; c++)
		str_putf(out, "%s%s", c ? "\t" : "", top_cell(m, machine, p, layout->v[c]));
	str_put(out, "\n");
}

/* What the guest does not tell (threads, priority, size) stays 0. */
static void take_inner(struct json_doc *m, const struct top_machine *machine,
		       const struct isolate_process *from, struct top_process *ret)
{
	int64_t since = from->started > machine->boot ? from->started - machine->boot : 0;
	const char *end = from->command + strcspn(from->command, " ");

	*ret = (struct top_process){.pid = from->pid,
				    .ppid = from->parent,
				    .uid = from->uid,
				    .state = '?',
				    .ticks = from->cpu_ns / (1000000000U / (uint64_t)machine->hz),
				    .start = (uint64_t)since * (uint64_t)machine->hz,
				    .rss_pages = from->resident / (uint64_t)sysconf(_SC_PAGESIZE),
				    .name = plain_name(m, from->command, (size_t)(end - from->command)),
				    .command = plain_name(m, from->command, strlen(from->command)),
				    .terminal = from->terminal[0] ? memory_text(m, from->terminal) : "?"};
}

/* -ENOTSUP, with no error set: the host sees them. */
static int print_inner_rows(struct call *call, const char *id, const struct top_layout *layout,
			    const struct top_machine *machine, struct str *out, struct err *err)
{
	autofree struct isolate_process *v = NULL;
	size_t n = 0;
	int r = engine_inner_processes(call->cli->engine, id, &v, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct top_process p;
		take_inner(&call->memory, machine, &v[i], &p);
		print_row(&call->memory, layout, machine, &p, out);
	}
	return r;
}

static int print_host_rows(struct call *call, const char *id, const struct top_layout *layout,
			   const struct top_machine *machine, struct str *out, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = engine_processes(call->cli->engine, id, &pids, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct top_process p;
		if (read_process(&call->memory, pids[i], &p)) /* else it has ended meanwhile */
			print_row(&call->memory, layout, machine, &p, out);
	}
	return r;
}

static int run_top(struct call *call, struct err *err)
{
	struct top_layout layout;
	struct top_machine machine;
	struct str out autostr = {0};
	autofree char *id = NULL;
	int r = top_layout(call, &layout, err);

	if (r == 0)
		r = cli_container(call, call->args[0], &id, err);
	if (r < 0)
		return r;
	top_machine(&call->memory, &machine);
	for (size_t c = 0; c < layout.n; c++)
		str_putf(&out, "%s%s", c ? "\t" : "", top_columns[layout.v[c]].header);
	str_put(&out, "\n");
	r = print_inner_rows(call, id, &layout, &machine, &out, err);
	if (r == -ENOTSUP && !err->code)
		r = print_host_rows(call, id, &layout, &machine, &out, err);
	if (r < 0)
		return r;
	rows_align(&out);
	return cli_print_str(&out, err);
}

const struct command command_top = {
	.name = "top",
	.summary = "Show the running processes of a container",
	.usage = "CONTAINER [PS OPTIONS]",
	.description = "The pids are this machine's.  PS OPTIONS: -ef (default), aux, -o pid,user,args,…",
	.examples = "coffer top web\ncoffer top web -o pid,rss,args\n",
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.words = "@running",
	.run = run_top,
};
