/* SPDX-License-Identifier: Apache-2.0 */
/* run, create, start, attach. */
#include "front/cli/choose.h"
#include "front/cli/create_flags.h"

#include "isolate/machine.h"

struct run_flags {
	struct create_flags create; /* first: its table's offsets are this struct's */
	bool detach, sig_proxy, trace;
	const char *detach_keys, *snapshot;
};

#define RUN struct run_flags
static const struct opt run_options[] = {
	O_BOOL(RUN, detach, "detach", 'd', "Run the container in the background and print its id"),
	O_BOOL(RUN, sig_proxy, "sig-proxy", 0, "Hand signals on to the process (default true)"),
	O_STR(RUN, detach_keys, "detach-keys", 0, "Keys that detach (default ctrl-p,ctrl-q)"),
	O_BOOL(RUN, trace, "trace", 0, "Print its system calls to standard error (--isolation=kernel)"),
	O_STR(RUN, snapshot, "from-snapshot", 0,
	      "Begin where 'coffer vm snapshot' kept a machine; IMAGE only with a template", .value = "name",
	      .words = "@vm-snapshot"),
};

static const struct run_flags run_defaults = {
	.create = {.q = {.memory_swappiness = -1, .stop_timeout = -1}},
	.sig_proxy = true,
};

enum { START_TRIES = 10 };

static int check_tty(bool tty, bool stdin_attached, struct err *err)
{
	if (tty && stdin_attached && !isatty(STDIN_FILENO)) {
		err->exit_status = 1;
		return err_set(
			err, ENOTTY,
			"the input device is not a TTY; without -t the container gets a pipe for its input");
	}
	return 0;
}

struct following {
	struct call *call;
	struct engine *engine;
	const char *id;
	bool finishes;	   /* this program cleans up at the end */
	bool leaving_told; /* by the detach keys: with status 1, as `docker attach` has it */
};

/* Relays until the end (or the detach keys) and cleans up. */
static int relay_container(const struct following *f, struct monitor_conn *conn,
			   const struct monitor_relay *q, struct err *err)
{
	int detached = 0, status = 0;
	struct monitor_relay relay = *q;

	relay.ret_detached = &detached;
	int r = monitor_relay(conn, &relay, &status, err);
	if (r == 0 && !detached && f->finishes && !conn->another_follows) {
		r = engine_finish(f->engine, f->id, err);
		if (r == 0)
			monitor_finished(conn); /* it goes on when this program has ended */
	} else {
		monitor_close(conn);
	}
	if (r == 0 && detached && f->leaving_told) {
		err->exit_status = 1;
		return err_set(err, ECANCELED, "read escape sequence");
	}
	if (r == 0)
		f->call->status = detached ? 0 : status;
	return r;
}

static int snapshot_is_template(struct call *call, const char *name, bool *ret, struct err *err)
{
	autofree char *info = NULL;
	struct engine_machine m = {0};
	size_t len = 0;
	int r = guest_snapshot_info(name, &info, &len, err);

	if (r == 0)
		r = engine_machine_describe(name, info, len, &call->memory, &m, err);
	*ret = m.template;
	if (r < 0)
		err->exit_status = 125;
	return r;
}

/* Of a machine with a container only what is around it can be chosen. */
static int check_from_container(struct call *call, const struct run_flags *f, struct err *err)
{
	struct create_flags given = f->create;
	struct engine_create *q = &given.q;

	if (call->nargs)
		return cli_misused(
			call, err,
			"--from-snapshot takes image and command from the snapshot: \"%s\" is one too many",
			call->args[0]);
	if (q->isolation && !streq(q->isolation, "vm"))
		return cli_misused(call, err, "--from-snapshot needs --isolation=vm");
	q->isolation = q->name = q->cidfile = q->hostname = q->cgroup_parent = NULL;
	q->auto_remove = q->quiet = q->replace = q->publish_all = q->interactive = q->tty = false;
	given.publish = given.labels = given.label_files = given.attach = (str_list){0};
	/* Both were filled from the same bytes: what differs was given. */
	if (memcmp(&given, &run_defaults.create, sizeof(given)) != 0)
		return cli_misused(
			call, err,
			"--from-snapshot has the saved container's settings: it goes with --name, --rm, "
			"--publish, --publish-all, --hostname, --label, --cidfile, --cgroup-parent, --quiet, "
			"--attach, -d, -i and -t alone");
	return 0;
}

static int check_from_snapshot(struct call *call, const struct run_flags *f, struct err *err)
{
	const char *level = f->create.q.isolation;
	bool template;
	int r = snapshot_is_template(call, f->snapshot, &template, err);

	if (r < 0 || !template)
		return r < 0 ? r : check_from_container(call, f, err);
	if (level && !streq(level, "vm"))
		return cli_misused(call, err, "--from-snapshot needs --isolation=vm");
	if (f->create.q.pod)
		return cli_misused(call, err,
				   "--from-snapshot does not go with --pod: that is another's machine");
	return call->nargs ? 0
			   : cli_misused(call, err,
					 "snapshot %s is a template: --from-snapshot %s needs an IMAGE",
					 f->snapshot, f->snapshot);
}

static int settle_from_snapshot(struct run_flags *f, struct call *call, struct err *err)
{
	struct engine_create *q = &f->create.q;
	bool tty = q->tty, interactive = q->interactive;
	int r = engine_machine_create(f->snapshot, &call->memory, q, err);

	if (r == 0 && ((tty && !q->tty) || (interactive && !q->interactive)))
		r = err_set(err, EINVAL, "the snapshot's container was run without %s",
			    tty && !q->tty ? "-t" : "-i");
	if (r < 0)
		err->exit_status = 125;
	return r;
}

static int run_settle(struct call *call, struct create_flags *flags, bool detach, struct err *err)
{
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	static char unused_image[] = "none";
	static char *no_words[] = {unused_image, NULL};
	struct create_settle s = {.flags = flags,
				  .config = c,
				  .words = call->nargs ? call->args : no_words,
				  .detach = detach,
				  .memory = &call->memory};
	r = create_settle(&s, err);
	call->misused = r == -EINVAL;
	return r;
}

/*
 * The level opens what the environment names (docs/kernel.md); who makes the
 * container is a fork of ours, and we outlive its opening.
 */
static int settle_trace(const struct run_flags *f, const struct config *c, struct err *err)
{
	const char *given = f->create.q.isolation, *level = given && *given ? given : c->containers.isolation;
	char path[40];

	if (!f->trace)
		return 0;
	err->exit_status = 125;
	if (!level || !streq(level, "kernel"))
		return err_set(err, EINVAL,
			       "--trace needs --isolation=kernel: other levels' system calls are the host's");
	if (f->detach)
		return err_set(err, EINVAL, "--trace prints to standard error: it does not go with --detach");
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/2", (int)getpid()); /* fits */
	return setenv("COFFER_SENTRY_TRACE", path, 1) < 0 ? err_sys(err, "cannot set the environment") : 0;
}

static int run_run(struct call *call, struct err *err)
{
	struct run_flags *f = call->options;
	struct engine_create *q = &f->create.q;
	struct monitor_conn conn = {.fd = -1};
	autofree char *id = NULL;
	struct engine *e;
	const char *keys = NULL;
	const struct config *config;
	int r = 0;

	if (f->snapshot)
		r = check_from_snapshot(call, f, err);
	else
		r = cli_requires(call, 1, err);
	if (r == 0)
		r = run_settle(call, &f->create, f->detach, err);
	if (r == 0 && f->snapshot)
		r = settle_from_snapshot(f, call, err);
	if (r == 0)
		r = cli_config(call, &config, err);
	if (r == 0)
		r = settle_trace(f, config, err);
	if (r == 0)
		r = check_tty(q->tty, q->attach_stdin, err);
	if (r == 0)
		r = cli_detach_keys(call, f->detach_keys, &keys, err);
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_guard(e, q, err);
	if (r == 0)
		r = engine_create(e, q, &id, err);
	if (r < 0)
		return r;
	struct engine_start start = {.attach_stdin = q->attach_stdin,
				     .attach_stdout = q->attach_stdout,
				     .attach_stderr = q->attach_stderr,
				     .client_finishes = !f->detach};
	r = engine_start(e, id, &start, f->detach ? NULL : &conn, err);
	if (r < 0) {
		struct err ignored = {0};
		if (q->auto_remove)
			ignore_result(
				engine_remove(e, id, true, true, &ignored)); /* the failure is what counts */
		return r;
	}
	if (f->detach)
		return cli_println(id, err);
	struct monitor_relay relay = {
		.tty = q->tty, .stdin_open = q->attach_stdin, .sig_proxy = f->sig_proxy, .detach_keys = keys};
	struct following following = {call, e, id, true};
	return relay_container(&following, &conn, &relay, err);
}

static int run_create(struct call *call, struct err *err)
{
	struct create_flags *f = call->options;
	autofree char *id = NULL;
	struct engine *e;
	int r = run_settle(call, f, false, err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_create(e, &f->q, &id, err);
	return r < 0 ? r : cli_println(id, err);
}

/* ---- start, attach ---- */

struct start_flags {
	bool attach, interactive, no_stdin, sig_proxy, latest;
	const char *detach_keys;
	struct choice choice;
};
static const struct start_flags start_defaults = {.sig_proxy = true};

#define START struct start_flags
static const struct opt start_options[] = {
	O_BOOL(START, attach, "attach", 'a', "Attach STDOUT and STDERR, and hand signals on"),
	O_BOOL(START, interactive, "interactive", 'i', "Attach the container's STDIN"),
	O_BOOL(START, choice.all, "all", 0, "Every container that does not run"),
	O_CHOICE_FILTER(START, 'f'),
	O_LATEST(START, 'l'),
	O_BOOL(START, sig_proxy, "sig-proxy", 0, NULL),
	O_STR(START, detach_keys, "detach-keys", 0, "Keys that detach (default ctrl-p,ctrl-q)"),
};
static const struct opt attach_options[] = {
	O_BOOL(START, no_stdin, "no-stdin", 0, "Do not attach STDIN"),
	O_LATEST(START, 'l'),
	O_BOOL(START, sig_proxy, "sig-proxy", 0, "Hand signals on to the process (default true)"),
	O_STR(START, detach_keys, "detach-keys", 0, "Keys that detach (default ctrl-p,ctrl-q)"),
};

static int inspect_flags(struct call *call, struct engine *e, const char *id, bool *ret_tty, bool *ret_stdin,
			 struct err *err)
{
	autofree char *json = NULL;
	struct value *doc;
	int r = engine_inspect(e, id, false, &json, err);

	if (r == 0)
		r = value_read(&call->memory, json, strlen(json), "the container's description", &doc, err);
	if (r < 0)
		return r;
	const struct value *tty = value_path(doc, "Config.Tty"), *in = value_path(doc, "Config.OpenStdin");
	*ret_tty = tty && tty->truth;
	*ret_stdin = in && in->truth;
	return 0;
}

static int start_attached(struct call *call, struct engine *e, const char *id, struct err *err)
{
	struct start_flags *f = call->options;
	struct monitor_conn conn = {.fd = -1};
	bool tty = false, open = false;
	const char *keys = NULL;
	int r = inspect_flags(call, e, id, &tty, &open, err);

	if (r == 0)
		r = check_tty(tty, f->interactive && open, err);
	if (r == 0)
		r = cli_detach_keys(call, f->detach_keys, &keys, err);
	if (r < 0)
		return r;
	struct engine_start start = {.attach_stdin = f->interactive && open,
				     .attach_stdout = true,
				     .attach_stderr = true,
				     .client_finishes = true};
	/* One that runs already is attached to; it may end meanwhile, and is started then. */
	for (int tries = 0; tries < START_TRIES; tries++) {
		*err = (struct err){0};
		r = engine_start(e, id, &start, &conn, err);
		if (r < 0 || conn.fd >= 0)
			break;
		r = engine_attach(e, id, !start.attach_stdin, &conn, &tty, err);
		if (r != -ENOENT && r != -EINVAL)
			break;
	}
	if (r < 0)
		return r;
	struct monitor_relay relay = {
		.tty = tty, .stdin_open = start.attach_stdin, .sig_proxy = f->sig_proxy, .detach_keys = keys};
	struct following following = {call, e, id, true};
	return relay_container(&following, &conn, &relay, err);
}

static int start_plain(struct call *call, struct engine *e, const char *id, struct err *err)
{
	const struct engine_start start = {0};
	int r = engine_start(e, id, &start, NULL, err);

	(void)call;
	return r;
}

static int run_start(struct call *call, struct err *err)
{
	struct start_flags *f = call->options;
	static const char *words[] = {"status=created", "status=exited"};
	static const str_list idle = {words, ARRAY_LEN(words)};
	struct engine *e;
	int r = choice_settle(call, &f->choice, &idle, err);

	if (r < 0)
		return r;
	if (f->attach || f->interactive) {
		autofree char *id = NULL;
		if (call->nargs > 1)
			return cli_misused(call, err,
					   "you cannot start and attach multiple containers at once");
		r = cli_engine(call, &e, err);
		if (r == 0)
			r = engine_resolve(e, call->args[0], &id, err);
		return r < 0 ? r : start_attached(call, e, id, err);
	}
	return cli_each_named(call, start_plain, err);
}

static int run_attach(struct call *call, struct err *err)
{
	struct start_flags *f = call->options;
	struct monitor_conn conn = {.fd = -1};
	autofree char *id = NULL;
	struct engine *e;
	const char *keys = NULL;
	bool tty = false, shown_tty = false, open = false;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = engine_resolve(e, call->args[0], &id, err);
	if (r == 0)
		r = inspect_flags(call, e, id, &shown_tty, &open, err);
	if (r == 0)
		r = check_tty(shown_tty, open && !f->no_stdin, err);
	if (r == 0)
		r = cli_detach_keys(call, f->detach_keys, &keys, err);
	if (r == 0)
		r = engine_attach(e, id, f->no_stdin || !open, &conn, &tty, err);
	if (r < 0)
		return r;
	struct monitor_relay relay = {.tty = tty,
				      .stdin_open = open && !f->no_stdin,
				      .sig_proxy = f->sig_proxy,
				      .detach_keys = keys};
	struct following following = {call, e, id, false, .leaving_told = true};
	return relay_container(&following, &conn, &relay, err);
}

#define RUN_EXAMPLES                                                                                         \
	"coffer run --rm alpine echo hello\n"                                                                \
	"coffer run -it --rm debian bash\n"                                                                  \
	"coffer run -d --name web -p 8080:80 --restart unless-stopped nginx\n"                               \
	"coffer run --rm -v \"$PWD\":/src:ro -w /src debian ls\n"                                            \
	"coffer run -d -e POSTGRES_PASSWORD=x -v db:/var/lib/postgresql/data --memory 512m postgres\n"       \
	"coffer run -d --from-snapshot server --name second -p 8081:80\n"                                    \
	"coffer run --rm --network none --read-only --cap-drop ALL --landlock rules.json alpine true\n"

const struct command command_run = {
	.name = "run",
	.summary = "Create and run a new container from an image",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.description =
		"The exit status is the command's; 125: coffer itself failed, 126: the command cannot be\n"
		"executed, 127: it was not found.  Options stand before the image; what follows it is the\n"
		"container's.",
	.examples = RUN_EXAMPLES,
	.options = {{run_options, ARRAY_LEN(run_options)}, CREATE_FLAGS_TABLE},
	.options_size = sizeof(struct run_flags),
	.defaults = &run_defaults,
	.max_args = -1,
	.stop_first = true,
	.guards_itself = true,
	.error_status = 125,
	.words = "@image",
	.run = run_run,
};

const struct command command_create = {
	.name = "create",
	.summary = "Create a new container without starting it",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.examples = "coffer create --name web -p 8080:80 nginx && coffer start web\n",
	.options = {CREATE_FLAGS_TABLE},
	.options_size = sizeof(struct create_flags),
	.defaults = &create_flags_defaults,
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.error_status = 125,
	.words = "@image",
	.run = run_create,
};

const struct command command_start = {
	.name = "start",
	.summary = "Start one or more stopped containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.examples = "coffer start web\ncoffer start -ai shell\n",
	.options = {OPT_TABLE(start_options)},
	.options_size = sizeof(struct start_flags),
	.defaults = &start_defaults,
	.latest = OPT_GIVEN(START, latest),
	.max_args = -1, /* choice_settle() wants one, or an option that names them */
	.enters_container = true,
	.words = "@stopped",
	.run = run_start,
};

const struct command command_attach = {
	.name = "attach",
	.summary = "Attach this terminal to a running container",
	.usage = "[OPTIONS] CONTAINER",
	.description =
		"Several terminals may be attached at once.  The detach keys leave the container running.",
	.examples = "coffer attach shell\ncoffer attach --no-stdin web\n",
	.options = {OPT_TABLE(attach_options)},
	.options_size = sizeof(struct start_flags),
	.defaults = &start_defaults,
	.latest = OPT_GIVEN(START, latest),
	.min_args = 1,
	.max_args = 1,
	.words = "@running",
	.run = run_attach,
};
