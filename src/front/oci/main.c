/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-oci: the OCI runtime's command line.  A forker: it has one thread,
 * always, because it forks into namespaces.
 */
#include "front/oci/front.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/sealed_exe.h"

struct globals {
	struct runtime_flags runtime;
	const char *log, *log_format;
	const char *cgroup_manager; /* crun's name for --systemd-cgroup */
	const char *criu;	    /* obsolete: criu is looked for in $PATH */
	bool debug, version;
};
#define AT(member) offsetof(struct globals, member)

static const struct arg global_args[] = {
	{"debug", 0, ARG_BOOL, AT(debug), "enable debug logging"},
	{"log", 0, ARG_STRING, AT(log), "set the log file to write logs to (default is '/dev/stderr')"},
	{"log-format", 0, ARG_STRING, AT(log_format),
	 "set the log format ('text' (default), or 'json') (default: \"text\")"},
	{"root", 0, ARG_STRING, AT(runtime.root),
	 "root directory for storage of container state (this should be located in tmpfs) (default: "
	 "\"/run/coffer-oci\")"},
	{"criu", 0, ARG_STRING, AT(criu), NULL},
	{"systemd-cgroup", 0, ARG_BOOL, AT(runtime.systemd_cgroup),
	 "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\" for e.g. "
	 "\"system.slice:coffer:434234\""},
	{"cgroup-manager", 0, ARG_STRING, AT(cgroup_manager), NULL},
	{"rootless", 0, ARG_STRING, AT(runtime.rootless),
	 "ignore cgroup permission errors ('true', 'false', or 'auto') (default: \"auto\")"},
	{"isolation", 0, ARG_STRING, AT(runtime.isolation),
	 "isolation level of new containers; see the features command (default: annotation "
	 "dev.coffer.isolation, or \"ns\")"},
	{"version", 'v', ARG_BOOL, AT(version), NULL},
};
const struct arg_table front_globals = ARG_TABLE(global_args);

int front_print(const char *text, struct err *err)
{
	int r = fd_write_all(STDOUT_FILENO, text, strlen(text));

	return r < 0 ? err_num(err, r, "cannot write to standard output") : 0;
}

static void log_warning(void *data, const char *text)
{
	log_write(data, LOG_WARN, text);
}

static int fail_with(const struct front *f, const struct command *c, const struct err *err)
{
	struct str text autostr = {0};

	if (c && c->error_prefix)
		str_putf(&text, "%s: ", c->error_prefix);
	str_put(&text, err->msg);
	log_fatal(&f->log, text.failed ? err->msg : text.s);
	/* Not err->exit_status: that is what engines answer, and runc's clients take 126 and 127 for the
	 * program's own. */
	return c && c->error_status ? c->error_status : 1;
}

/* Wrong usage: the help goes to standard output, the reason to the log. */
static int misused(const struct front *f, const struct command *c, const struct err *err, bool counted)
{
	if (counted)
		printf("Incorrect Usage.\n\n");
	else
		printf("Incorrect Usage: %s\n\n", err->msg);
	if (c)
		help_command(stdout, c);
	else
		help_program(stdout);
	(void)fflush(stdout); /* the message on stderr follows in any case */
	log_fatal(&f->log, err->msg);
	return c && c->error_status ? c->error_status : 1;
}

static int check_count(const char *program, const struct command *c, int n, struct err *err)
{
	if (c->min_args == c->max_args && n != c->min_args)
		return err_set(err, EINVAL, "%s: \"%s\" requires exactly %d argument(s)", program, c->name,
			       c->min_args);
	if (n < c->min_args)
		return err_set(err, EINVAL, "%s: \"%s\" requires a minimum of %d argument(s)", program,
			       c->name, c->min_args);
	if (c->max_args >= 0 && n > c->max_args)
		return err_set(err, EINVAL, "%s: \"%s\" requires a maximum of %d argument(s)", program,
			       c->name, c->max_args);
	return 0;
}

/* argv[0] is the command's name; `all` is the program's own argument vector. */
static int run_command(struct front *f, const struct command *c, int argc, char **argv, char **all)
{
	struct err err = {0};
	autofree void *options = calloc(1, c->options_size + 1);
	autofree char **rest = calloc((size_t)argc + 2, sizeof(*rest));
	struct args_in in = {.argc = argc - 1, .argv = argv + 1, .stop_first = c->stop_first, .rest = rest};
	int status = 0;

	if (!options || !rest)
		return fail_with(f, c, (err_oom(&err), &err));
	if (c->defaults)
		memcpy(options, c->defaults, c->options_size);
	int r = args_parse(c->options, &in, options, &err);
	if (r == ARGS_HELP) {
		help_command(stdout, c);
	} else if (r < 0) {
		status = misused(f, c, &err, false);
	} else if (check_count(all[0], c, in.nrest, &err) < 0) {
		status = misused(f, c, &err, true);
	} else {
		struct call call = {.front = f, .options = options, .args = rest, .nargs = in.nrest};
		r = c->enters_container ? sealed_exe_ensure(all, &err) : 0;
		if (r == 0)
			r = c->run(&call, &err);
		status = r < 0 ? fail_with(f, c, &err) : call.status;
	}
	args_free(c->options, options);
	return status;
}

static int help(struct front *f, int argc, char **argv)
{
	const struct command *c = argc > 0 ? command_find(argv[0]) : NULL;

	if (argc > 0 && !c) {
		struct str text autostr = {0};
		str_putf(&text, "No help topic for '%s'", argv[0]);
		log_fatal(&f->log, text.failed ? "No help topic" : text.s);
		return 3;
	}
	if (c)
		help_command(stdout, c);
	else
		help_program(stdout);
	return 0;
}

/* --debug: what was asked, what came of it. */
static void log_debug(const struct front *f, const char *what, char **words, int status)
{
	struct str text autostr = {0};

	if (!f->log.debug)
		return;
	str_putf(&text, "%s:", what);
	for (size_t i = 0; words[i]; i++)
		str_putf(&text, " %s", words[i]);
	if (status >= 0)
		str_putf(&text, ": exit status %d", status);
	if (!text.failed)
		log_write(&f->log, LOG_DEBUG, text.s);
}

static int dispatch(struct front *f, struct globals *g, struct args_in *in, char **all)
{
	struct err err = {0};

	if (g->version) {
		help_version(stdout);
		return 0;
	}
	if (in->nrest == 0 || streq(in->rest[0], "help") || streq(in->rest[0], "h"))
		return help(f, in->nrest ? in->nrest - 1 : 0, in->rest + 1);
	const struct command *c = command_find(in->rest[0]);
	if (!c)
		return help(f, 1, in->rest);
	if (g->cgroup_manager)
		g->runtime.systemd_cgroup = streq(g->cgroup_manager, "systemd");
	if (runtime_setup(&g->runtime, &f->rt, &err) < 0)
		return fail_with(f, NULL, &err);
	f->rt.warn = log_warning;
	f->rt.warn_data = &f->log;
	log_debug(f, "coffer-oci " COFFER_VERSION " begins", in->rest, -1);
	int status = run_command(f, c, in->nrest, in->rest, all);
	log_debug(f, "coffer-oci ends", in->rest, status);
	runtime_close(&f->rt);
	return status;
}

int main(int argc, char **argv)
{
	struct front f = {.log.fd = -1};
	struct globals g = {0};
	struct err err = {0};
	int status;

	if (fd_fill_standard() < 0)
		return 1;
	autofree char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	if (!rest || argc < 1)
		return 1;
	struct args_in in = {.argc = argc - 1, .argv = argv + 1, .stop_first = true, .rest = rest};
	int r = args_parse(front_globals, &in, &g, &err);
	if (r < 0)
		return misused(&f, NULL, &err, false);
	if (r == ARGS_HELP) {
		help_program(stdout);
		return 0;
	}
	if (log_open(&f.log, g.log, g.log_format, g.debug, &err) < 0)
		return fail_with(&f, NULL, &err);
	status = dispatch(&f, &g, &in, argv);
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	log_close(&f.log);
	return status;
}
