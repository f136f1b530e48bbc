/* SPDX-License-Identifier: Apache-2.0 */
/* `state`, `kill`, `delete`, `pause` and `resume`. */
#include "front/oci/front.h"

struct kill_args {
	bool all;
};
static const struct arg kill_args[] = {
	{"all", 'a', ARG_BOOL, offsetof(struct kill_args, all),
	 "send the signal to all processes of the container; no error where it has stopped"},
};

struct delete_args {
	bool force;
};
static const struct arg delete_args[] = {
	{"force", 'f', ARG_BOOL, offsetof(struct delete_args, force),
	 "Forcibly deletes the container if it is still running (uses SIGKILL)"},
};

static int state(struct call *call, struct err *err)
{
	autofree char *json = NULL;
	int r = runtime_state(&call->front->rt, call->args[0], &json, err);

	return r < 0 ? r : front_print(json, err);
}

static int kill_container(struct call *call, struct err *err)
{
	const struct kill_args *o = call->options;

	return runtime_kill(&call->front->rt, call->args[0], call->args[1], o->all, err);
}

static int delete (struct call *call, struct err *err)
{
	const struct delete_args *o = call->options;

	return runtime_delete(&call->front->rt, call->args[0], o->force, err);
}

static int pause_container(struct call *call, struct err *err)
{
	return runtime_pause(&call->front->rt, call->args[0], err);
}

static int resume(struct call *call, struct err *err)
{
	return runtime_resume(&call->front->rt, call->args[0], err);
}

const struct command command_state = {
	.name = "state",
	.summary = "output the state of a container",
	.usage = TEXT_ID,
	.description = "The state command outputs current state information for the instance of a\n"
		       "container, as JSON.",
	.examples = "# coffer-oci state web",
	.min_args = 1,
	.max_args = 1,
	.run = state,
};

const struct command command_kill = {
	.name = "kill",
	.summary = "kill sends the specified signal (default: SIGTERM) to the container's init process",
	.usage = "<container-id> [signal]\n\n"
		 "Where \"<container-id>\" is the name of the container and \"[signal]\" is the name or\n"
		 "the number of the signal to be sent to the init process.",
	.examples = "# coffer-oci kill web\n# coffer-oci kill web KILL\n# coffer-oci kill web 10",
	.options = ARG_TABLE(kill_args),
	.options_size = sizeof(struct kill_args),
	.min_args = 1,
	.max_args = 2,
	.stop_first = true,
	.run = kill_container,
};

const struct command command_delete = {
	.name = "delete",
	.summary = "delete any resources held by the container often used with detached container",
	.usage = TEXT_ID,
	.description = "A container must have stopped, or not yet been started, to be deleted without\n"
		       "--force.  What an interrupted command left behind is removed as well.",
	.examples = "# coffer-oci delete web\n# coffer-oci delete --force web",
	.options = ARG_TABLE(delete_args),
	.options_size = sizeof(struct delete_args),
	.min_args = 1,
	.max_args = 1,
	.run = delete,
};

const struct command command_pause = {
	.name = "pause",
	.summary = "pause suspends all processes inside the container",
	.usage = TEXT_ID,
	.description = "The pause command suspends all processes in the instance of the container.\n\n"
		       "Use coffer-oci list to identify instances of containers and their current status.",
	.examples = "# coffer-oci pause web",
	.min_args = 1,
	.max_args = 1,
	.run = pause_container,
};

const struct command command_resume = {
	.name = "resume",
	.summary = "resumes all processes that have been previously paused",
	.usage = TEXT_ID,
	.description = "The resume command resumes all processes in the instance of the container.\n\n"
		       "Use coffer-oci list to identify instances of containers and their current status.",
	.examples = "# coffer-oci resume web",
	.min_args = 1,
	.max_args = 1,
	.run = resume,
};
