/* SPDX-License-Identifier: Apache-2.0 */
/* `create`, `run` and `start`. */
#include "front/oci/front.h"

#define NEW_ID                                                                                               \
	"<container-id>\n\n"                                                                                 \
	"Where \"<container-id>\" is your name for the instance of the container that you\n"                 \
	"are starting. The name must be unique on your host."

#define ABOUT_BUNDLE                                                                                         \
	"The bundle is a directory with a specification file named \"config.json\" and a\n"                  \
	"root filesystem. Its process.args name the command that the container runs; see\n"                  \
	"\"coffer-oci spec --help\"."

#define AT(member) offsetof(struct create_options, member)

#define CREATE_ARGS                                                                                          \
	{"bundle", 'b', ARG_STRING, AT(bundle),                                                              \
	 "path to the root of the bundle directory, defaults to the current directory"},                     \
		{"config", 0, ARG_STRING, AT(config), NULL},                                                 \
		{"console-socket", 0, ARG_STRING, AT(console_socket), HELP_CONSOLE_SOCKET},                  \
		{"pidfd-socket", 0, ARG_STRING, AT(pidfd_socket), HELP_PIDFD_SOCKET},                        \
		{"pid-file", 0, ARG_STRING, AT(pid_file), HELP_PID_FILE},                                    \
		{"no-pivot", 0, ARG_BOOL, AT(no_pivot),                                                      \
		 "do not use pivot root to jail process inside rootfs.  This should be used whenever the "   \
		 "rootfs is on top of a ramdisk"},                                                           \
		{"no-new-keyring", 0, ARG_BOOL, AT(no_new_keyring),                                          \
		 "do not create a new session keyring for the container.  This will cause the container to " \
		 "inherit the calling processes session key"},                                               \
	{                                                                                                    \
		"preserve-fds", 0, ARG_INT, AT(preserve_fds), HELP_PRESERVE_FDS                              \
	}

static const struct arg create_args[] = {CREATE_ARGS};
static const struct arg run_args[] = {
	CREATE_ARGS,
	{"detach", 'd', ARG_BOOL, AT(detach), "detach from the container's process"},
	{"keep", 0, ARG_BOOL, AT(keep), "do not delete the container after it exits"},
	{"no-subreaper", 0, ARG_BOOL, AT(no_subreaper),
	 "disable the use of the subreaper used to reap reparented processes"},
};

static int call_create(struct call *call, struct err *err)
{
	struct create_options *o = call->options;

	o->id = call->args[0];
	return runtime_create(&call->front->rt, o, err);
}

static int call_run(struct call *call, struct err *err)
{
	struct create_options *o = call->options;

	o->id = call->args[0];
	return runtime_run(&call->front->rt, o, &call->status, err);
}

static int call_start(struct call *call, struct err *err)
{
	return runtime_start(&call->front->rt, call->args[0], err);
}

const struct command command_create = {
	.name = "create",
	.summary = "create a container",
	.usage = NEW_ID,
	.description = "The create command makes a container of a bundle, up to the point where only\n"
		       "\"start\" is missing.\n" ABOUT_BUNDLE,
	.examples = "# cd /containers/web && coffer-oci create web\n"
		    "# coffer-oci create --bundle /containers/web --pid-file /run/web.pid web",
	.options = ARG_TABLE(create_args),
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.error_prefix = "coffer-oci create failed",
	.enters_container = true,
	.run = call_create,
};

const struct command command_run = {
	.name = "run",
	.summary = "create and run a container",
	.usage = NEW_ID,
	.description = "The run command creates a container of a bundle and starts it.  Without --detach\n"
		       "it stays in the foreground, passes signals on, ends as the container does, and\n"
		       "deletes it.\n" ABOUT_BUNDLE,
	.examples = "# coffer-oci run --bundle /containers/web web\n"
		    "# coffer-oci run --detach --bundle /containers/web web",
	.options = ARG_TABLE(run_args),
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.error_prefix = "coffer-oci run failed",
	.enters_container = true,
	.run = call_run,
};

const struct command command_start = {
	.name = "start",
	.summary = "executes the user defined process in a created container",
	.usage = TEXT_ID,
	.description = "The start command executes the user defined process in a created container.",
	.examples = "# coffer-oci start web",
	.min_args = 1,
	.max_args = 1,
	.run = call_start,
};
