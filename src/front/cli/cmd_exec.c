/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/cli.h"
#include "front/cli/create_flags.h"

struct exec_flags {
	struct engine_exec q;
	str_list env, env_files;
};

#define ST struct exec_flags
static const struct opt exec_flag_options[] = {
	O_BOOL(ST, q.detach, "detach", 'd', "Run the command in the background"),
	O_STR(ST, q.detach_keys, "detach-keys", 0, "Keys that detach (default ctrl-p,ctrl-q)"),
	O_BOOL(ST, q.interactive, "interactive", 'i', "Keep STDIN open"),
	O_BOOL(ST, q.tty, "tty", 't', "Allocate a pseudo-TTY"),
	O_BOOL(ST, q.privileged, "privileged", 0, "Give the command all capabilities"),
	O_BOOL(ST, q.machine, "vm", 0,
	       "In its virtual machine, outside of the container (isolation level vm); no COMMAND: sh"),
	O_STR(ST, q.user, "user", 'u', "User name or UID (format: <name|uid>[:<group|gid>])"),
	O_STR(ST, q.workdir, "workdir", 'w', "Working directory in the container", .value = "path"),
	O_LIST(ST, env, "env", 'e', "Environment variable KEY=VALUE; KEY alone takes the caller's"),
	O_LIST(ST, env_files, "env-file", 0, "File of environment variables", .value = "file",
	       .words = "@file"),
};

/* "K" alone is the caller's value, and nothing where the caller has none. */
static int add_env(struct call *call, struct exec_flags *f, const char *text, struct err *err)
{
	struct str whole autostr = {0};

	if (*text == '\0' || *text == '=') {
		err->exit_status = 125; /* as of a flag that is not known */
		return cli_misused(call, err,
				   "invalid environment variable: \"%s\" (write KEY=VALUE, or KEY)", text);
	}
	if (!strchr(text, '=')) {
		const char *value = getenv(text);
		if (!value)
			return 0;
		str_putf(&whole, "%s=%s", text, value);
		text = memory_take(&call->memory, &whole);
	}
	const char **item = memory_push(&call->memory, &f->q.env, sizeof(*item));
	if (!item)
		return err_oom(err);
	*item = text;
	return 0;
}

int cli_detach_keys(struct call *call, const char *given, const char **ret, struct err *err)
{
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	*ret = given ? given : c->containers.detach_keys ? c->containers.detach_keys : "ctrl-p,ctrl-q";
	return monitor_detach_check(*ret, err);
}

static int run_exec(struct call *call, struct err *err)
{
	struct exec_flags *f = call->options;
	static char sh[] = "sh", *shell[] = {sh, NULL};
	str_list lines = {0};
	struct engine *e;
	int r = 0;

	r = f->q.machine ? 0 : cli_requires(call, 2, err);
	for (size_t i = 0; r == 0 && i < f->env_files.n; i++)
		r = env_file_read(&call->memory, f->env_files.v[i], true, &lines, err);
	for (size_t i = 0; r == 0 && i < lines.n; i++)
		r = add_env(call, f, lines.v[i], err);
	for (size_t i = 0; r == 0 && i < f->env.n; i++)
		r = add_env(call, f, f->env.v[i], err);
	if (r == 0 && f->q.tty && f->q.interactive && !f->q.detach && !isatty(STDIN_FILENO))
		r = err_set(
			err, ENOTTY,
			"the input device is not a TTY; leave -t out where the input is a pipe or a file");
	for (char **word = call->nargs > 1 ? call->args + 1 : shell; r == 0 && *word; word++) {
		const char **item = memory_push(&call->memory, &f->q.command, sizeof(*item));
		if (item)
			*item = *word;
		else
			r = err_oom(err);
	}
	if (r == 0)
		r = cli_detach_keys(call, f->q.detach_keys, &f->q.detach_keys, err);
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_exec(e, call->args[0], &f->q, &call->status, err);
	return r;
}

const struct command command_exec = {
	.name = "exec",
	.summary = "Execute a command in a running container",
	.usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
	.description =
		"The exit status is the command's; 126: it cannot be executed, 127: it was not found.  With "
		"--vm the\ncommand is of the container's root file system, but runs as root of the virtual "
		"machine: "
		"with its\nprocesses, network, /proc, /sys and /dev, and all of its rights.\n",
	.examples = "coffer exec -it web sh\ncoffer exec -u nobody -w /tmp web id\n"
		    "coffer exec -e LANG=C.UTF-8 web env\n"
		    "coffer exec --vm -it web\n",
	.options = {OPT_TABLE(exec_flag_options)},
	.options_size = sizeof(struct exec_flags),
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.guards_itself = true,
	.running_only = true,
	.words = "@running",
	.run = run_exec,
};
