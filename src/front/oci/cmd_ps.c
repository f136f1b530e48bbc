/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ps`: the container's processes as the host's ps shows them, or their
 * numbers as JSON.  Where the host sees none (a virtual machine) the guest's
 * kernel is asked, and the numbers are those of the container's own.
 */
#include "front/oci/front.h"

#include "base/proc.h"
#include "base/str.h"
#include "isolate/isolate.h"

#include <sys/wait.h>
#include <time.h>

struct ps_args {
	const char *format;
};
static const struct ps_args ps_defaults = {.format = "table"};
static const struct arg ps_args[] = {
	{"format", 'f', ARG_STRING, offsetof(struct ps_args, format),
	 "select one of: table or json (default: \"table\")"},
};

enum { PS_OUTPUT_MAX = 64 << 20 };

static int print_json(const pid_t *pids, size_t n, struct err *err)
{
	struct str b autostr = {0};

	str_put(&b, n ? "[" : "null");
	for (size_t i = 0; i < n; i++)
		str_putf(&b, "%s%d", i ? "," : "", pids[i]);
	str_put(&b, n ? "]\n" : "\n");
	return b.failed ? err_oom(err) : front_print(b.s, err);
}

/* The word number `index` of a line; its length is 0 where there is none. */
static size_t word_at(const char *line, size_t index, const char **ret)
{
	size_t len = 0;

	for (size_t i = 0; i <= index; i++) {
		line += len;
		line += strspn(line, " \t");
		len = strcspn(line, " \t");
	}
	*ret = line;
	return len;
}

static int pid_column(const char *title, size_t *ret)
{
	const char *word;
	size_t len;

	for (size_t i = 0; (len = word_at(title, i, &word)) > 0; i++) {
		if (len == 3 && memcmp(word, "PID", 3) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

static bool is_listed(const char *line, size_t column, const pid_t *pids, size_t n)
{
	const char *word;
	size_t len = word_at(line, column, &word);
	char *end;

	if (len == 0)
		return false;
	long pid = strtol(word, &end, 10);
	if (end != word + len)
		return false;
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Keeps the title and the lines of the container's processes. */
static int print_table(char *output, const pid_t *pids, size_t n, struct err *err)
{
	struct str b autostr = {0};
	size_t column = 0;
	char *line = output, *next;

	for (size_t i = 0; line && *line; i++, line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (i == 0 && pid_column(line, &column) < 0)
			return err_set(err, EINVAL, "couldn't find PID field in ps output");
		if (i == 0 || is_listed(line, column, pids, n))
			str_putf(&b, "%s\n", line);
	}
	return b.failed ? err_oom(err) : front_print(b.s ? b.s : "", err);
}

static const char *find_ps(void)
{
	static const char *const places[] = {"/bin/ps", "/usr/bin/ps", "/usr/local/bin/ps"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static int run_ps(const struct call *call, char **ret, struct err *err)
{
	size_t n = (size_t)call->nargs;
	autofree const char **argv = calloc(n + 2, sizeof(*argv));
	autofree char *output = NULL;

	if (!argv)
		return err_oom(err);
	argv[0] = find_ps();
	if (!argv[0])
		return err_set(err, ENOENT, "exec: \"ps\": executable file not found in $PATH");
	for (size_t i = 1; i < n; i++)
		argv[i] = call->args[i];
	if (n == 1)
		argv[1] = "-ef";
	struct proc_run run = {
		.argv = argv, .envp = (const char *const *)environ, .output_max = PS_OUTPUT_MAX};
	int status = proc_run(&run, &output, err);
	if (status < 0)
		return status;
	if (status != 0)
		return err_set(err, EINVAL, "exit status %d: %s", proc_exit_code(status), output);
	*ret = take_ptr(&output);
	return 0;
}

/* "10:42" of today, "Jan31" of before, as ps(1). */
static void inner_start_text(int64_t started, char *ret, size_t size)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t at = (time_t)started;
	struct tm tm;

	if (!gmtime_r(&at, &tm))
		(void)snprintf(ret, size, "?"); /* fits */
	else if (time(NULL) - at < 86400)
		(void)snprintf(ret, size, "%02d:%02d", tm.tm_hour, tm.tm_min); /* fits */
	else
		(void)snprintf(ret, size, "%.3s%02d", months + 3 * tm.tm_mon, tm.tm_mday); /* fits */
}

/* As `ps -ef`.  Users go by number: their names are the container's own affair. */
static int print_inner(const struct isolate_process *v, size_t n, struct err *err)
{
	struct str b autostr = {0};

	str_put(&b, "UID          PID    PPID  C STIME TTY          TIME CMD\n");
	for (size_t i = 0; i < n; i++) {
		const struct isolate_process *p = &v[i];
		uint64_t s = p->cpu_ns / 1000000000;
		int64_t age = (int64_t)time(NULL) - p->started;
		char start[16];
		inner_start_text(p->started, start, sizeof(start));
		str_putf(&b, "%-8u %7d %7d %2d %-5s %-8s %02d:%02d:%02d %s\n", p->uid, p->pid, p->parent,
			 age > 0 ? (int)MIN_OF(s * 100 / (uint64_t)age, 99U) : 0, start,
			 p->terminal[0] ? p->terminal : "?", (int)(s / 3600 % 10000), (int)(s / 60 % 60),
			 (int)(s % 60), p->command);
	}
	return b.failed ? err_oom(err) : front_print(b.s, err);
}

static int ps_inner(const struct call *call, const char *format, struct err *err)
{
	autofree struct isolate_process *v = NULL;
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = runtime_inner_processes(&call->front->rt, call->args[0], &v, &n, err);

	if (r < 0)
		return r;
	if (streq(format, "table"))
		return call->nargs > 1
			       ? err_set(err, ENOTSUP,
					 "ps options are not known for a container whose processes the "
					 "host does not see: `ps %s` alone lists them",
					 call->args[0])
			       : print_inner(v, n, err);
	pids = calloc(n + 1, sizeof(*pids));
	if (!pids)
		return err_oom(err);
	for (size_t i = 0; i < n; i++)
		pids[i] = v[i].pid;
	return print_json(pids, n, err);
}

static int ps(struct call *call, struct err *err)
{
	const struct ps_args *o = call->options;
	autofree pid_t *pids = NULL;
	autofree char *output = NULL;
	size_t n = 0;

	if (!streq(o->format, "table") && !streq(o->format, "json"))
		return err_set(err, EINVAL, "invalid format option");
	int r = ps_inner(call, o->format, err);
	if (r != -ENOTSUP || err->code)
		return r;
	r = runtime_processes(&call->front->rt, call->args[0], &pids, &n, err);
	if (r < 0)
		return r;
	if (streq(o->format, "json"))
		return print_json(pids, n, err);
	r = run_ps(call, &output, err);
	return r < 0 ? r : print_table(output, pids, n, err);
}

const struct command command_ps = {
	.name = "ps",
	.summary = "ps displays the processes running inside a container",
	.usage = "<container-id> [ps options]",
	.examples = "# coffer-oci ps web\n# coffer-oci ps --format json web\n# coffer-oci ps web -e -x",
	.options = ARG_TABLE(ps_args),
	.options_size = sizeof(struct ps_args),
	.defaults = &ps_defaults,
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.run = ps,
};
