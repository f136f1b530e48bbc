/* SPDX-License-Identifier: Apache-2.0 */
/* stop, kill, restart, pause, unpause, wait, rm, rename, update. */
#include "front/cli/choose.h"

struct life_flags {
	const char *signal, *condition, *interval;
	int timeout;
	bool timeout_given, force, volumes, ignore, latest;
	struct choice choice;
};
#define LIFE struct life_flags
static const struct life_flags life_defaults = {.timeout = -1};

/* With --all, behind it. */
#define NAMING O_CHOICE_FILTER(LIFE, 'f'), O_CHOICE_CIDFILE(LIFE), O_LATEST(LIFE, 'l')

static const struct opt stop_options[] = {
	O_STR(LIFE, signal, "signal", 's', "Signal to send instead of the container's stop signal",
	      .words = "@signal"),
	O_INT(LIFE, timeout, "time", 't',
	      "Seconds to wait before killing the container (default 10, -1 = for ever)",
	      .given = OPT_GIVEN(LIFE, timeout_given)),
	O_INT(LIFE, timeout, "timeout", 0, NULL, .given = OPT_GIVEN(LIFE, timeout_given)),
};
static const struct opt stop_more_options[] = {
	O_BOOL(LIFE, choice.all, "all", 'a', "Every container that runs"),
	O_BOOL(LIFE, ignore, "ignore", 'i', "No failure where there is no such container"),
	NAMING,
};
static const struct opt running_options[] = {
	O_BOOL(LIFE, choice.all, "all", 'a', "Every container that runs"),
	NAMING,
};
static const struct opt paused_options[] = {
	O_BOOL(LIFE, choice.all, "all", 'a', "Every container that is paused"),
	NAMING,
};
static const struct opt kill_options[] = {
	O_STR(LIFE, signal, "signal", 's', "Signal to send (default KILL)", .words = "@signal"),
};
static const struct opt rm_options[] = {
	O_BOOL(LIFE, choice.all, "all", 'a', "Every container"),
	O_BOOL(LIFE, ignore, "ignore", 'i', "Not a word where there is no such container"),
	O_BOOL(LIFE, force, "force", 'f', "Kill the container if it runs"),
	O_BOOL(LIFE, volumes, "volumes", 'v', "Remove the container's anonymous volumes too"),
	O_INT(LIFE, timeout, "time", 't',
	      "With --force: seconds from the stop signal to the kill (default 0)",
	      .given = OPT_GIVEN(LIFE, timeout_given)),
	O_CHOICE_FILTER(LIFE, 0),
	O_CHOICE_CIDFILE(LIFE),
	O_LATEST(LIFE, 0), /* -l is --link to Docker */
};
static const struct opt wait_options[] = {
	O_STR(LIFE, condition, "condition", 0, "not-running (default), next-exit or removed",
	      .words = "not-running next-exit removed"),
	O_STR(LIFE, interval, "interval", 'i', NULL), /* of asking: an end is told at once here */
	O_LATEST(LIFE, 'l'),
};

static int settle_words(struct call *call, const str_list *states, struct err *err)
{
	struct life_flags *f = call->options;

	f->choice.ignore = f->ignore;
	return choice_settle(call, &f->choice, states, err);
}

static const char *running_words[] = {"status=running", "status=restarting", "status=paused"};
static const char *paused_words[] = {"status=paused"};
static const str_list every_state, running = {running_words, 3}, alone_running = {running_words, 1},
				   paused = {paused_words, 1};

/* CLI_EACH_SILENT: there is none, which --ignore means. */
static int find_unless_ignored(struct call *call, struct engine *e, const char *name, char **ret_id,
			       struct err *err)
{
	const struct life_flags *f = call->options;
	int r = engine_resolve(e, name, ret_id, err);

	return r == -ENOENT && f->ignore ? CLI_EACH_SILENT : r;
}

/* To the engine a negative one is the container's own, and INT_MAX has no end. */
static int stop_timeout(const struct life_flags *f)
{
	return f->timeout_given && f->timeout < 0 ? INT_MAX : f->timeout;
}

static int stop_one(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct life_flags *f = call->options;
	autofree char *id = NULL;
	int r = find_unless_ignored(call, e, name, &id, err);

	return r != 0 ? r : engine_stop(e, id, f->signal, stop_timeout(f), err);
}

static int run_stop(struct call *call, struct err *err)
{
	int r = settle_words(call, &running, err);

	return r < 0 ? r : cli_each_word(call, stop_one, err);
}

static int kill_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	const struct life_flags *f = call->options;

	return engine_kill(e, id, f->signal ? f->signal : "KILL", err);
}

static int run_kill(struct call *call, struct err *err)
{
	int r = settle_words(call, &running, err);

	return r < 0 ? r : cli_each_named(call, kill_one, err);
}

static int restart_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	const struct life_flags *f = call->options;

	return engine_restart(e, id, f->signal, stop_timeout(f), err);
}

static int run_restart(struct call *call, struct err *err)
{
	int r = settle_words(call, &running, err);

	return r < 0 ? r : cli_each_named(call, restart_one, err);
}

static int pause_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	(void)call;
	return engine_pause(e, id, err);
}

static int run_pause(struct call *call, struct err *err)
{
	int r = settle_words(call, &alone_running, err);

	return r < 0 ? r : cli_each_named(call, pause_one, err);
}

static int unpause_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	(void)call;
	return engine_unpause(e, id, err);
}

static int run_unpause(struct call *call, struct err *err)
{
	int r = settle_words(call, &paused, err);

	return r < 0 ? r : cli_each_named(call, unpause_one, err);
}

static int wait_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	const struct life_flags *f = call->options;
	char text[16];
	int status;
	int r = engine_wait(e, id, f->condition, &status, err);

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", status); /* fits */
	return cli_println(text, err);
}

static int run_wait(struct call *call, struct err *err)
{
	return cli_each_container(call, wait_one, err);
}

static int rm_one(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct life_flags *f = call->options;
	autofree char *id = NULL;
	int status = call->status, r = find_unless_ignored(call, e, name, &id, err);

	if (r == -ENOENT && f->force) {
		/* `rm -f` of what is not there is no failure, as with Docker and with rm(1). */
		cli_complain(call, err);
		call->status = status;
		return CLI_EACH_SILENT;
	}
	if (r == 0 && f->timeout_given)
		r = engine_stop(e, id, NULL, stop_timeout(f), err);
	return r != 0 ? r : engine_remove(e, id, f->force, f->volumes, err);
}

static int run_rm(struct call *call, struct err *err)
{
	const struct life_flags *f = call->options;

	if (f->timeout_given && !f->force)
		return cli_misused(call, err, "--time is of the stop that --force does: give that too");
	int r = settle_words(call, &every_state, err);
	return r < 0 ? r : cli_each_word(call, rm_one, err);
}

static int run_rename(struct call *call, struct err *err)
{
	autofree char *id = NULL;
	int r = cli_container(call, call->args[0], &id, err);
	const char *name = call->args[1] + (call->args[1][0] == '/');

	return r < 0 ? r : engine_rename(call->cli->engine, id, name, err);
}

/* ---- update ---- */

struct update_flags {
	struct engine_update q;
	bool swap_given, pids_given;
};
#define UPDATE struct update_flags
static const struct update_flags update_defaults = {
	.q = {.memory = -1,
	      .memory_reservation = -1,
	      .memory_swap = -1,
	      .nano_cpus = -1,
	      .cpu_period = -1,
	      .cpu_quota = -1,
	      .cpu_shares = -1,
	      .pids_limit = -1,
	      .blkio_weight = -1},
};
static const struct opt update_options[] = {
	O_INT(UPDATE, q.blkio_weight, "blkio-weight", 0, "Block I/O beside others (10 to 1000)"),
	O_I64(UPDATE, q.cpu_period, "cpu-period", 0, "CPU CFS period, in microseconds"),
	O_I64(UPDATE, q.cpu_quota, "cpu-quota", 0, "CPU CFS quota, in microseconds"),
	O_I64(UPDATE, q.cpu_shares, "cpu-shares", 'c', "Processors' time beside others (relative weight)"),
	O_CPUS(UPDATE, q.nano_cpus, "cpus", 0, "Processors' time that it may use, as 1.5"),
	O_STR(UPDATE, q.cpuset_cpus, "cpuset-cpus", 0, "Processors to run on (0-3, 0,1)"),
	O_STR(UPDATE, q.cpuset_mems, "cpuset-mems", 0, "Memory nodes to use (0-3, 0,1)"),
	O_SIZE(UPDATE, q.memory, "memory", 'm', "Memory limit"),
	O_SIZE(UPDATE, q.memory_reservation, "memory-reservation", 0, "Memory that reclaim leaves it"),
	O_SIZE_ANY(UPDATE, q.memory_swap, "memory-swap", 0,
		   "Memory and swap together; -1 = swap without limit",
		   .given = OPT_GIVEN(UPDATE, swap_given)),
	O_I64(UPDATE, q.pids_limit, "pids-limit", 0, "Number of processes and threads; -1 = no limit",
	      .given = OPT_GIVEN(UPDATE, pids_given)),
	O_STR(UPDATE, q.restart, "restart", 0, "Restart policy: no, on-failure[:N], always, unless-stopped",
	      .words = "no always unless-stopped on-failure"),
};

static int update_one(struct call *call, struct engine *e, const char *id, struct err *err)
{
	const struct update_flags *f = call->options;

	return engine_update(e, id, &f->q, err);
}

static int run_update(struct call *call, struct err *err)
{
	struct update_flags *f = call->options;

	if (memcmp(call->options, &update_defaults, sizeof(update_defaults)) == 0)
		return cli_misused(call, err, "you must provide one or more flags when using this command");
	/* -1 is "unchanged" to the engine, and INT64_MIN what -1 means on the command line. */
	if (f->swap_given && f->q.memory_swap == -1)
		f->q.memory_swap = INT64_MIN;
	if (f->pids_given && f->q.pids_limit == -1)
		f->q.pids_limit = INT64_MIN;
	return cli_each_named(call, update_one, err);
}

#define MANY	    .min_args = 1, .max_args = -1
#define MANY_OR_ALL .max_args = -1 /* settle_words() wants one, or --all */
#define LIFE_SIZE                                                                                            \
	.options_size = sizeof(struct life_flags), .defaults = &life_defaults,                               \
	.latest = OPT_GIVEN(LIFE, latest)
#define CONTAINERS "[OPTIONS] CONTAINER [CONTAINER...]"

const struct command command_stop = {
	.name = "stop",
	.summary = "Stop one or more running containers",
	.usage = CONTAINERS,
	.description = "Sends the stop signal, waits, then kills.",
	.examples = "coffer stop web\ncoffer stop -t 2 web db\n",
	.options = {OPT_TABLE(stop_options), OPT_TABLE(stop_more_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.words = "@running",
	.run = run_stop,
};
const struct command command_kill = {
	.name = "kill",
	.summary = "Kill one or more running containers",
	.usage = CONTAINERS,
	.examples = "coffer kill web\ncoffer kill -s HUP web\n",
	.options = {OPT_TABLE(kill_options), OPT_TABLE(running_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.words = "@running",
	.run = run_kill,
};
const struct command command_restart = {
	.name = "restart",
	.summary = "Restart one or more containers",
	.usage = CONTAINERS,
	.examples = "coffer restart web\ncoffer restart -t 2 web\n",
	.options = {OPT_TABLE(stop_options), OPT_TABLE(running_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.enters_container = true,
	.words = "@container",
	.run = run_restart,
};
const struct command command_pause = {
	.name = "pause",
	.summary = "Pause all processes within one or more containers",
	.usage = CONTAINERS,
	.examples = "coffer pause web\n",
	.options = {OPT_TABLE(running_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.words = "@running",
	.run = run_pause,
};
const struct command command_unpause = {
	.name = "unpause",
	.summary = "Unpause all processes within one or more containers",
	.usage = CONTAINERS,
	.examples = "coffer unpause web\n",
	.options = {OPT_TABLE(paused_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.words = "@running",
	.run = run_unpause,
};
const struct command command_wait = {
	.name = "wait",
	.summary = "Block until one or more containers stop, then print their exit codes",
	.usage = CONTAINERS,
	.examples = "coffer wait job && coffer logs job\n",
	.options = {OPT_TABLE(wait_options)},
	LIFE_SIZE,
	MANY,
	.words = "@container",
	.run = run_wait,
};
const struct command command_rm = {
	.name = "rm",
	.summary = "Remove one or more containers",
	.usage = CONTAINERS,
	.examples = "coffer rm web\ncoffer rm -f web\ncoffer rm $(coffer ps -aq -f status=exited)\n",
	.options = {OPT_TABLE(rm_options)},
	LIFE_SIZE,
	MANY_OR_ALL,
	.words = "@container",
	.run = run_rm,
};
const struct command command_rename = {
	.name = "rename",
	.summary = "Rename a container",
	.usage = "CONTAINER NEW_NAME",
	.examples = "coffer rename brave_turing web\n",
	.min_args = 2,
	.max_args = 2,
	.words = "@container",
	.run = run_rename,
};
const struct command command_update = {
	.name = "update",
	.summary = "Update the limits of one or more containers",
	.usage = CONTAINERS,
	.examples = "coffer update --memory 1g --cpus 2 web\ncoffer update --restart unless-stopped web\n",
	.options = {OPT_TABLE(update_options)},
	.options_size = sizeof(struct update_flags),
	.defaults = &update_defaults,
	MANY,
	.words = "@container",
	.run = run_update,
};
