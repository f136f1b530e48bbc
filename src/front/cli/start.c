/* SPDX-License-Identifier: Apache-2.0 */
/* From main's arguments to a command, and what commands ask of the program around them. */
#include "front/cli/cli.h"
#include "front/cli/places.h"

#include "base/file.h"
#include "base/nearest.h"
#include "host/sealed_exe.h"
#include "host/userns_self.h"

#include <sys/mman.h>

static const char *const cgroup_managers[] = {"cgroupfs", "systemd"};

static const struct opt global_options[] = {
	O_STR(struct cli_globals, root, "root", 0,
	      "Directory of images, containers and volumes (default /var/lib/coffer)", .value = "dir",
	      .words = "@dir"),
	O_STR(struct cli_globals, state, "state", 0,
	      "Directory of what runs, on a tmpfs (default /run/coffer)", .value = "dir", .words = "@dir"),
	O_STR(struct cli_globals, config, "config", 0, "Configuration file (default /etc/coffer/coffer.toml)",
	      .value = "file", .words = "@file"),
	O_STR(struct cli_globals, cgroup_manager, "cgroup-manager", 0,
	      "Who makes cgroups: cgroupfs (default) or systemd", .words = "cgroupfs systemd"),
	O_BOOL(struct cli_globals, version, "version", 'v', "Print the version and leave"),
};
const struct opt_table cli_global_options = OPT_TABLE(global_options);

/* Names of files, images and programs are in it: nothing of them may drive a terminal. */
static void make_plain(struct str *s)
{
	for (size_t i = 0; i < s->len; i++)
		if (char_is_control(s->s[i]) && s->s[i] != '\n' && s->s[i] != '\t')
			s->s[i] = '?';
}

void cli_warn(const char *fmt, ...)
{
	struct str line autostr = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	str_putf(&line, "WARNING: %s\n", text);
	make_plain(&line);
	if (!line.failed)
		ignore_result(fd_write_all(STDERR_FILENO, line.s, line.len)); /* nobody there to be told */
}

static void cli_error(const char *text, const char *see)
{
	struct str line autostr = {0};

	str_putf(&line, "coffer: %s\n", text);
	make_plain(&line);
	if (see)
		str_putf(&line, "See 'coffer%s%s --help'.\n", *see ? " " : "", see);
	if (!line.failed)
		ignore_result(fd_write_all(STDERR_FILENO, line.s, line.len)); /* nobody there to be told */
}

void cli_complain(struct call *call, const struct err *err)
{
	cli_error(err->msg, NULL);
	call->status = 1;
}

int cli_misused(struct call *call, struct err *err, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	call->misused = true;
	return err_set(err, EINVAL, "%s", text);
}

/* ---- services ---- */

int cli_config(struct call *call, const struct config **ret, struct err *err)
{
	struct cli *cli = call->cli;

	if (!cli->config_loaded) {
		int r = config_load(cli->globals.config, &cli->config, err);
		if (r < 0)
			return r;
		cli->config_loaded = true;
		/* Level vm reads its own table of the file, here and in programs that are started. */
		if (cli->globals.config && setenv("COFFER_CONFIG", cli->globals.config, 1) < 0)
			return err_sys(err, "cannot hand the configuration on");
	}
	*ret = &cli->config;
	return 0;
}

/* The default places of who is not root. */
static const char *rootless_dir(struct cli *cli, const char *variable, const char *below_home,
				const char *last)
{
	const char *base = getenv(variable), *home = getenv("HOME");
	struct str path autostr = {0};

	if (base && *base == '/')
		str_putf(&path, "%s/%s", base, last);
	else
		str_putf(&path, "%s/%s%s", home && *home == '/' ? home : "/tmp", below_home, last);
	return memory_take(&cli->memory, &path);
}

/* The engine starts this program again, from another directory. */
static const char *made_absolute(struct cli *cli, const char *path)
{
	struct str whole autostr = {0};
	char cwd[PATH_MAX];

	if (!path || *path == '/' || !getcwd(cwd, sizeof(cwd)))
		return path;
	str_putf(&whole, "%s/%s", cwd, path);
	return memory_take(&cli->memory, &whole);
}

static void fill_argv(struct cli *cli)
{
	const struct cli_globals *g = &cli->globals;
	const struct {
		const char *flag, *value;
	} flags[] = {{"--root", g->root},
		     {"--state", g->state},
		     {"--config", g->config},
		     {"--cgroup-manager", g->cgroup_manager}};
	size_t n = 0;

	cli->argv_globals[n++] = cli->program;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (!flags[i].value)
			continue;
		cli->argv_globals[n++] = flags[i].flag;
		cli->argv_globals[n++] = flags[i].value;
	}
}

/* A descriptor that coffer-fetch reads its settings from, by path; NULL where there are none. */
static int settings_path(struct cli *cli, const char **ret, struct err *err)
{
	autofree char *json = NULL;
	int r = config_fetch_settings(&cli->config, &json, err);

	*ret = NULL;
	if (r < 0 || !json)
		return r;
	autoclose int fd = memfd_create("coffer-settings", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot hand the configuration on");
	r = fd_write_all(fd, json, strlen(json));
	if (r < 0)
		return err_num(err, r, "cannot hand the configuration on");
	*ret = memory_text(&cli->memory, fd_path(fd).s);
	cli->settings_fd = take_fd(&fd);
	return 0;
}

static void engine_warning(void *data, const char *text)
{
	struct str line autostr = {0};

	(void)data;
	if (!str_starts(text, "Unable to find image")) {
		cli_warn("%s", text);
		return;
	}
	str_putf(&line, "%s\n", text); /* no warning: what Docker says before it pulls */
	if (!line.failed)
		ignore_result(fd_write_all(STDERR_FILENO, line.s, line.len)); /* nobody there to be told */
}

static enum image_layers layers_of(const struct config *c)
{
	if (c->layers && streq(c->layers, "directory"))
		return IMAGE_LAYERS_DIRECTORY;
	return c->layers && streq(c->layers, "erofs") ? IMAGE_LAYERS_EROFS : IMAGE_LAYERS_AUTO;
}

const char *cli_data_root(struct cli *cli)
{
	if (cli->globals.root || cli->config.root)
		return cli->globals.root ? cli->globals.root : cli->config.root;
	return cli->rootless ? rootless_dir(cli, "XDG_DATA_HOME", ".local/share/", "coffer")
			     : "/var/lib/coffer";
}

const char *cli_run_root(struct cli *cli)
{
	if (cli->globals.state || cli->config.state)
		return cli->globals.state ? cli->globals.state : cli->config.state;
	return cli->rootless ? places_run_root(&cli->memory, cli->uid) : "/run/coffer";
}

int cli_engine(struct call *call, struct engine **ret, struct err *err)
{
	struct cli *cli = call->cli;
	struct cli_globals *g = &cli->globals;
	const struct config *c;

	if (cli->engine) {
		*ret = cli->engine;
		return 0;
	}
	int r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	g->root = made_absolute(cli, g->root);
	g->state = made_absolute(cli, g->state);
	g->config = made_absolute(cli, g->config);
	if (!g->cgroup_manager && !c->cgroup_manager && cli->rootless && places_user_manager())
		g->cgroup_manager = cgroup_managers[1];
	fill_argv(cli);
	const char *manager = g->cgroup_manager ? g->cgroup_manager : c->cgroup_manager;
	if (manager && !streq(manager, "cgroupfs") && !streq(manager, "systemd"))
		return cli_misused(call, err, "--cgroup-manager is \"%s\" or \"%s\", not \"%s\"",
				   cgroup_managers[0], cgroup_managers[1], manager);
	struct engine_options o = {
		.data_root = cli_data_root(cli),
		.run_root = cli_run_root(cli),
		.layers = layers_of(c),
		.sync = call->command->writes_images,
		.systemd_cgroup = manager && streq(manager, "systemd"),
		.rootless = cli->rootless,
		.running_only = call->command->running_only,
		.isolation = c->containers.isolation,
		.userns_host = c->containers.userns && streq(c->containers.userns, "host"),
		.main_argv = cli->main_argv,
		.argv_globals = cli->argv_globals,
		.cni_config_dirs = c->network.cni_config_dirs,
		.cni_plugin_dirs = c->network.cni_plugin_dirs,
		.address_pools = c->network.address_pools,
		.log_driver = c->containers.log_driver,
		.warn = engine_warning,
	};
	r = o.rootless && !g->state && !c->state ? places_check(o.run_root, err) : 0;
	if (r == 0)
		r = settings_path(cli, &o.fetch_config, err);
	if (r == 0)
		r = engine_open(&o, &cli->engine, err);
	if (r < 0)
		return r;
	*ret = cli->engine;
	return 0;
}

int cli_list(struct call *call, const struct engine_list *q, struct engine **ret,
	     struct engine_rows *ret_rows, struct err *err)
{
	int r = cli_engine(call, ret, err);

	return r < 0 ? r : engine_list(*ret, q, ret_rows, err);
}

int cli_container(struct call *call, const char *name, char **ret_id, struct err *err)
{
	struct engine *e;
	int r = cli_engine(call, &e, err);

	return r < 0 ? r : engine_resolve(e, name, ret_id, err);
}

enum { WORDS_OF_ENGINE = 1, WORDS_CONTAINERS = 2, WORDS_PRINTED = 4 };

static int each_word(struct call *call, cli_each each, unsigned how, struct err *err)
{
	struct engine *e = NULL;
	int r = how & WORDS_OF_ENGINE ? cli_engine(call, &e, err) : 0;

	for (int i = 0; r == 0 && i < call->nargs; i++) {
		struct err one = {0};
		autofree char *id = NULL;
		int k = how & WORDS_CONTAINERS ? engine_resolve(e, call->args[i], &id, &one) : 0;
		if (k == 0)
			k = each(call, e, id ? id : call->args[i], &one);
		if (k < 0)
			cli_complain(call, &one);
		else if (k == 0 && (how & WORDS_PRINTED))
			r = cli_println(call->args[i], err);
	}
	return r;
}

int cli_each_container(struct call *call, cli_each each, struct err *err)
{
	return each_word(call, each, WORDS_OF_ENGINE | WORDS_CONTAINERS, err);
}

int cli_each_named(struct call *call, cli_each each, struct err *err)
{
	return each_word(call, each, WORDS_OF_ENGINE | WORDS_CONTAINERS | WORDS_PRINTED, err);
}

int cli_each_word(struct call *call, cli_each each, struct err *err)
{
	return each_word(call, each, WORDS_OF_ENGINE | WORDS_PRINTED, err);
}

int cli_each_plain(struct call *call, cli_each each, struct err *err)
{
	return each_word(call, each, WORDS_PRINTED, err);
}

/* ---- the program ---- */

int cli_requires(struct call *call, int least, struct err *err)
{
	if (call->nargs >= least)
		return 0;
	err->exit_status = 1;
	return cli_misused(call, err, "'coffer %s' requires at least %d argument%s", call->path, least,
			   least == 1 ? "" : "s");
}

static int count_args(struct call *call, struct err *err)
{
	const struct command *c = call->command;
	int n = call->nargs;

	if (c->min_args == c->max_args && n != c->min_args)
		return c->min_args == 0
			       ? cli_misused(call, err, "'coffer %s' accepts no arguments, got \"%s\"",
					     call->path, call->args[0])
			       : cli_misused(call, err, "'coffer %s' requires exactly %d argument%s, got %d",
					     call->path, c->min_args, c->min_args == 1 ? "" : "s", n);
	int r = cli_requires(call, c->min_args, err);
	if (r < 0)
		return r;
	if (c->max_args >= 0 && n > c->max_args)
		return cli_misused(call, err, "'coffer %s' requires at most %d argument%s, got %d",
				   call->path, c->max_args, c->max_args == 1 ? "" : "s", n);
	return 0;
}

/* Before /proc/self/exe becomes a sealed copy of us. */
static const char *program_path(struct cli *cli)
{
	static const char memfd[] = "/memfd:", deleted[] = " (deleted)";
	char link[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	const char *path = link;

	if (n <= 1)
		return "/usr/bin/coffer";
	link[n] = '\0';
	if (str_ends(link, deleted))
		link[n - (ssize_t)strlen(deleted)] = '\0';
	if (str_starts(link, memfd))
		path += strlen(memfd);
	return *path == '/' ? memory_text(&cli->memory, path) : "/usr/bin/coffer";
}

/* The configuration is found by who called: before that is root. */
static int enter_users(struct call *call, struct err *err)
{
	struct userns_self own;
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	userns_self_maps(&own);
	if (call->command->users == USERS_UNPACK && own.uids.n < 2)
		cli_warn("%s", USERNS_SELF_LACK);
	return userns_self_enter(err);
}

/* Room for the container of --latest before the words: the option was one of argv. */
static void word_of_latest(struct call *call)
{
	static char none[] = "";

	memmove(call->args + 1, call->args, ((size_t)call->nargs + 1) * sizeof(*call->args));
	call->args[0] = none;
	call->nargs++;
}

static int settle_latest(struct call *call, struct err *err)
{
	const struct engine_list q = {.all = true, .last = 1};
	struct engine_rows rows;
	struct engine *e;
	int r = cli_list(call, &q, &e, &rows, err);

	if (r < 0)
		return r;
	if (rows.rows.n == 0)
		r = err_set(err, ENOENT, "there is no container that --latest could name");
	else if (!(call->args[0] = (char *)(uintptr_t)memory_text(&call->memory, rows.rows.v[0].id)))
		r = err_oom(err);
	engine_rows_free(&rows);
	return r;
}

static int command_status(const struct call *call, const struct err *err)
{
	if (err->exit_status)
		return err->exit_status;
	return call->command->error_status ? call->command->error_status : 1;
}

/* `argv` behind the command's name. */
static int call_command(struct cli *cli, const struct command *c, const char *path, int argc, char **argv)
{
	struct err err = {0};
	autofree void *options = calloc(1, c->options_size + 1);
	autofree char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	struct call call = {.cli = cli, .command = c, .path = path, .options = options, .args = rest};
	struct options_in in = {.argc = argc,
				.argv = argv,
				.stop_first = c->stop_first,
				.rest = rest,
				.memory = &call.memory,
				.absent = option_absent,
				.of = c};
	int status = 0;

	if (!options || !rest) {
		cli_error("out of memory", NULL);
		return 1;
	}
	if (c->defaults)
		memcpy(options, c->defaults, c->options_size);
	memcpy(in.tables, c->options, sizeof(in.tables));
	int r = options_parse(&in, options, &err);
	if (r == OPTIONS_HELP) {
		help_command(stdout, c, path);
		return 0;
	}
	if (r < 0) {
		cli_error(err.msg, path);
		json_doc_free(&call.memory);
		return 125;
	}
	call.nargs = in.nrest;
	bool latest = c->latest && *((bool *)options + (c->latest - 1));
	if (latest)
		word_of_latest(&call);
	r = count_args(&call, &err);
	cli->program = r == 0 ? program_path(cli) : NULL;
	if (r == 0 &&
	    (c->enters_container || (c->guards_itself && (cli->rootless || !sealed_exe_is_roots()))))
		r = sealed_exe_ensure(cli->main_argv, &err);
	if (r == 0 && cli->rootless && c->users != USERS_NONE)
		r = enter_users(&call, &err);
	if (r == 0 && latest)
		r = settle_latest(&call, &err);
	if (r == 0)
		r = c->run(&call, &err);
	if (r < 0)
		cli_error(err.msg, call.misused ? path : NULL);
	status = r < 0 ? command_status(&call, &err) : call.status;
	json_doc_free(&call.memory);
	return status;
}

static int not_a_command(const struct command_group *g, const char *name)
{
	struct str text autostr = {0};
	const char *absent = command_absent(g, name);
	const char *near = absent ? NULL : command_nearest(g, name);

	str_putf(&text, "'%s%s%s' is not a coffer command", g ? g->name : "", g ? " " : "", name);
	if (absent)
		str_putf(&text, ": %s", absent);
	if (near)
		str_putf(&text, "; did you mean 'coffer %s%s%s'?", g ? g->name : "", g ? " " : "", near);
	cli_error(text.failed ? "not a command" : text.s, g ? g->name : "");
	return 1;
}

static int group_help(const struct command_group *g)
{
	help_group(stdout, g);
	return 0;
}

static int dispatch_group(struct cli *cli, const struct command_group *g, int argc, char **argv)
{
	char path[80];

	if (argc == 0 || streq(argv[0], "--help") || streq(argv[0], "-h"))
		return group_help(g);
	const struct command *c = command_find(g->entries, argv[0]);
	if (!c && streq(g->name, "system")) /* what monitors call */
		c = command_find(command_find_group("system-internal")->entries, argv[0]);
	if (!c)
		return not_a_command(g, argv[0]);
	(void)snprintf(path, sizeof(path), "%s %s", g->name, argv[0]); /* fits: names are ours */
	return call_command(cli, c, path, argc - 1, argv + 1);
}

/* `coffer help [GROUP] [COMMAND]` */
static int dispatch_help(int argc, char **argv)
{
	const struct command_group *g = argc > 0 ? command_find_group(argv[0]) : NULL;
	const struct command *c = argc > 0 ? command_find_top(argv[0]) : NULL;
	char path[80];

	if (argc == 0) {
		help_program(stdout);
		return 0;
	}
	if (g && argc > 1) {
		c = command_find(g->entries, argv[1]);
		if (!c)
			return not_a_command(g, argv[1]);
		(void)snprintf(path, sizeof(path), "%s %s", g->name, argv[1]); /* fits: names are ours */
		help_command(stdout, c, path);
		return 0;
	}
	if (!g && !c)
		return not_a_command(NULL, argv[0]);
	if (g)
		help_group(stdout, g);
	else
		help_command(stdout, c, argv[0]);
	return 0;
}

static int dispatch_cli(struct cli *cli, int argc, char **argv)
{
	if (cli->globals.version) {
		printf("coffer version %s\n", COFFER_VERSION);
		return 0;
	}
	if (argc == 0 || streq(argv[0], "help"))
		return dispatch_help(argc ? argc - 1 : 0, argv + 1);
	const struct command_group *g = command_find_group(argv[0]);
	if (g)
		return dispatch_group(cli, g, argc - 1, argv + 1);
	const struct command *c = command_find_top(argv[0]);
	if (!c)
		return not_a_command(NULL, argv[0]);
	return call_command(cli, c, argv[0], argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {.settings_fd = -1, .rootless = geteuid() != 0, .uid = geteuid(), .main_argv = argv};
	struct err err = {0};

	if (fd_fill_standard() < 0)
		return 1;
	autofree char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	if (!rest || argc < 1)
		return 1;
	struct options_in in = {.tables = {cli_global_options},
				.argc = argc - 1,
				.argv = argv + 1,
				.stop_first = true,
				.rest = rest,
				.memory = &cli.memory};
	int r = options_parse(&in, &cli.globals, &err), status;
	if (r == OPTIONS_HELP) {
		help_program(stdout);
		status = 0;
	} else if (r < 0) {
		cli_error(err.msg, "");
		status = 125;
	} else {
		status = dispatch_cli(&cli, in.nrest, rest);
	}
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	if (cli.engine)
		engine_close(cli.engine);
	config_free(&cli.config);
	json_doc_free(&cli.memory);
	return status;
}
