/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the commands, in the order of the help text. */
#include "front/cli/commands.h"

#define E(n, c)                                                                                              \
	{                                                                                                    \
		n, &command_##c                                                                              \
	}
#define END                                                                                                  \
	{                                                                                                    \
		NULL, NULL                                                                                   \
	}

const struct command_section command_sections[] = {
	{"Run containers",
	 (const struct command_entry[]){E("run", run), E("create", create), E("start", start),
					E("stop", stop), E("restart", restart), E("kill", kill),
					E("pause", pause), E("unpause", unpause), E("wait", wait),
					E("update", update), E("rename", rename), E("rm", rm), END}},
	{"Look at them", (const struct command_entry[]){E("ps", ps), E("logs", logs), E("inspect", inspect),
							E("top", top), E("stats", stats), E("port", port),
							E("events", events), E("diff", diff), END}},
	{"Work in them", (const struct command_entry[]){E("exec", exec), E("attach", attach), E("cp", cp),
							E("commit", commit), E("export", export), END}},
	{"Images",
	 (const struct command_entry[]){E("images", images), E("pull", pull), E("push", push), E("tag", tag),
					E("rmi", rmi), E("history", history), E("save", save),
					E("load", load), E("import", import), E("login", login),
					E("logout", logout), E("search", search), END}},
	{"This machine",
	 (const struct command_entry[]){E("info", info), E("doctor", doctor), E("version", version),
					E("completion", completion), END}},
	{"Hidden", (const struct command_entry[]){E("man-page", man), END}, .hidden = true},
	{NULL, NULL},
};

const struct command_group command_groups[] = {
	{"container", "Work with containers",
	 (const struct command_entry[]){E("attach", attach),
					E("commit", commit),
					E("cp", cp),
					E("create", create),
					E("diff", diff),
					E("exec", exec),
					E("exists", exists_container),
					E("export", export),
					E("inspect", inspect_container),
					E("kill", kill),
					E("logs", logs),
					E("ls", ps),
					E("list", ps),
					E("ps", ps),
					E("pause", pause),
					E("port", port),
					E("prune", container_prune),
					E("rename", rename),
					E("restart", restart),
					E("rm", rm),
					E("remove", rm),
					E("run", run),
					E("start", start),
					E("stats", stats),
					E("stop", stop),
					E("top", top),
					E("unpause", unpause),
					E("update", update),
					E("wait", wait),
					END}},
	{"image", "Work with images",
	 (const struct command_entry[]){
		 E("build-base", build_base), E("exists", exists_image), E("history", history),
		 E("import", import), E("inspect", inspect_image), E("load", load), E("ls", images),
		 E("list", images), E("prune", image_prune), E("pull", pull), E("push", push), E("rm", rmi),
		 E("remove", rmi), E("save", save), E("tag", tag), END}},
	{"volume", "Work with volumes",
	 (const struct command_entry[]){E("create", volume_create), E("exists", exists_volume),
					E("inspect", inspect_volume), E("ls", volume_ls),
					E("list", volume_ls), E("prune", volume_prune), E("rm", volume_rm),
					E("remove", volume_rm), END}},
	{"network", "Work with networks",
	 (const struct command_entry[]){E("connect", network_connect), E("create", network_create),
					E("disconnect", network_disconnect), E("exists", exists_network),
					E("inspect", inspect_network), E("ls", network_ls),
					E("list", network_ls), E("prune", network_prune), E("rm", network_rm),
					E("remove", network_rm), END}},
	{"healthcheck", "Check containers' health",
	 (const struct command_entry[]){E("run", healthcheck_run), END}},
	{"pod", "Work with pods: containers in one virtual machine (--isolation vm)",
	 (const struct command_entry[]){E("create", pod_create), E("inspect", pod_inspect), E("ls", pod_ls),
					E("list", pod_ls), E("ps", pod_ls), E("rm", pod_rm),
					E("remove", pod_rm), E("start", pod_start), E("stop", pod_stop),
					END}},
	{"vm", "Kernels and snapshots of virtual machines (--isolation vm)",
	 (const struct command_entry[]){
		 E("build-initramfs", vm_build_initramfs), E("build-kernel", vm_build_kernel),
		 E("fetch-kernel", vm_fetch_kernel), E("ls", vm_ls), E("list", vm_ls), E("rm", vm_rm),
		 E("remove", vm_rm), E("snapshot", vm_snapshot), E("snapshot-inspect", vm_snapshot_inspect),
		 E("snapshot-ls", vm_snapshot_ls), E("snapshot-rm", vm_snapshot_rm), END}},
	{"system", "Work with the whole",
	 (const struct command_entry[]){E("check", check), E("df", df), E("events", events), E("info", info),
					E("prune", system_prune), END}},
	/* What monitors call: `coffer system finish ID` is found, and shown nowhere. */
	{"system-internal", "",
	 (const struct command_entry[]){E("make-again", make_again), E("finish", finish),
					E("start-all", start_all), END},
	 .hidden = true},
	{NULL, NULL, NULL},
};
