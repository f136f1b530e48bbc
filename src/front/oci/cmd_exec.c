/* SPDX-License-Identifier: Apache-2.0 */
#include "front/oci/front.h"

#define AT(member) offsetof(struct exec_options, member)

static const struct arg exec_args[] = {
	{"console-socket", 0, ARG_STRING, AT(console_socket), HELP_CONSOLE_SOCKET},
	{"pidfd-socket", 0, ARG_STRING, AT(pidfd_socket), HELP_PIDFD_SOCKET},
	{"cwd", 0, ARG_STRING, AT(cwd), "current working directory in the container"},
	{"env", 'e', ARG_LIST, AT(env), "set environment variables"},
	{"tty", 't', ARG_BOOL, AT(tty), "allocate a pseudo-TTY"},
	{"user", 'u', ARG_STRING, AT(user), "UID (format: <uid>[:<gid>])"},
	{"additional-gids", 'g', ARG_LIST, AT(additional_gids), "additional gids"},
	{"process", 'p', ARG_STRING, AT(process), "path to the process.json"},
	{"detach", 'd', ARG_BOOL, AT(detach), "detach from the container's process"},
	{"pid-file", 0, ARG_STRING, AT(pid_file), HELP_PID_FILE},
	{"process-label", 0, ARG_STRING, AT(process_label),
	 "set the asm process label for the process commonly used with selinux"},
	{"apparmor", 0, ARG_STRING, AT(apparmor), "set the apparmor profile for the process"},
	{"no-new-privs", 0, ARG_OPT_BOOL, AT(no_new_privs),
	 "set the no new privileges value for the process"},
	{"cap", 'c', ARG_LIST, AT(caps), "add a capability to the bounding set for the process"},
	{"preserve-fds", 0, ARG_INT, AT(preserve_fds), HELP_PRESERVE_FDS},
	{"cgroup", 0, ARG_LIST, AT(cgroups),
	 "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>."},
	{"vm", 0, ARG_BOOL, AT(machine),
	 "execute it in the container's virtual machine, outside of the container (isolation level vm)"},
	{"ignore-paused", 0, ARG_BOOL, AT(ignore_paused), "allow exec in a paused container"},
};

static int exec(struct call *call, struct err *err)
{
	struct exec_options *o = call->options;

	o->id = call->args[0];
	o->argv = call->args + 1;
	return runtime_exec(&call->front->rt, o, &call->status, err);
}

const struct command command_exec = {
	.name = "exec",
	.summary = "execute new process inside the container",
	.usage = "<container-id> <command> [command options]  || -p process.json <container-id>\n\n"
		 "Where \"<container-id>\" is the name of the container and \"<command>\" is the\n"
		 "command to be executed in it. \"<command>\" can't be empty unless a \"-p\" flag is\n"
		 "provided.",
	.examples = "# coffer-oci exec web ps\n"
		    "# coffer-oci exec --tty --user 1000:1000 --cwd /srv web sh -l",
	.options = ARG_TABLE(exec_args),
	.options_size = sizeof(struct exec_options),
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.error_prefix = "exec failed",
	.error_status = 255,
	.enters_container = true,
	.run = exec,
};
