/* SPDX-License-Identifier: Apache-2.0 */
/* `checkpoint` and `restore`. */
#include "front/oci/front.h"

#define CP(member) offsetof(struct checkpoint_options, member)
#define RE(member) offsetof(struct restore_options, create.member)
#define RC(member) offsetof(struct restore_options, criu.member)

#define HELP_CGROUPS_MODE "cgroups mode: soft|full|strict|ignore (default: soft)"
#define HELP_EMPTY_NS	  "create a namespace, but don't restore its properties"

static const struct checkpoint_options checkpoint_defaults = {.status_fd = -1};
static const struct arg checkpoint_args[] = {
	{"image-path", 0, ARG_STRING, CP(image_path), "path for saving criu image files"},
	{"work-path", 0, ARG_STRING, CP(work_path), "path for saving work files and logs"},
	{"parent-path", 0, ARG_STRING, CP(parent_path), "path for previous criu image files in pre-dump"},
	{"leave-running", 0, ARG_BOOL, CP(leave_running), "leave the process running after checkpointing"},
	{"tcp-established", 0, ARG_BOOL, CP(tcp_established), "allow open tcp connections"},
	{"tcp-skip-in-flight", 0, ARG_BOOL, CP(tcp_skip_in_flight), "skip in-flight tcp connections"},
	{"link-remap", 0, ARG_BOOL, CP(link_remap), "allow one to link unlinked files back when possible"},
	{"ext-unix-sk", 0, ARG_BOOL, CP(ext_unix_sk), "allow external unix sockets"},
	{"shell-job", 0, ARG_BOOL, CP(shell_job), "allow shell jobs"},
	{"lazy-pages", 0, ARG_BOOL, CP(lazy_pages), "use userfaultfd to lazily restore memory pages"},
	{"status-fd", 0, ARG_INT, CP(status_fd),
	 "criu writes \\0 to this FD once lazy-pages is ready (default: -1)"},
	{"page-server", 0, ARG_STRING, CP(page_server), "ADDRESS:PORT of the page server"},
	{"file-locks", 0, ARG_BOOL, CP(file_locks), "handle file locks, for safety"},
	{"pre-dump", 0, ARG_BOOL, CP(pre_dump),
	 "dump container's memory information only, leave the container running after this"},
	{"manage-cgroups-mode", 0, ARG_STRING, CP(manage_cgroups_mode), HELP_CGROUPS_MODE},
	{"empty-ns", 0, ARG_LIST, CP(empty_ns), HELP_EMPTY_NS},
	{"auto-dedup", 0, ARG_BOOL, CP(auto_dedup), "enable auto deduplication of memory images"},
};

static const struct restore_options restore_defaults = {.criu.status_fd = -1};
static const struct arg restore_args[] = {
	{"console-socket", 0, ARG_STRING, RE(console_socket), HELP_CONSOLE_SOCKET},
	{"image-path", 0, ARG_STRING, RC(image_path), "path to criu image files for restoring"},
	{"work-path", 0, ARG_STRING, RC(work_path), "path for saving work files and logs"},
	{"tcp-established", 0, ARG_BOOL, RC(tcp_established), "allow open tcp connections"},
	{"ext-unix-sk", 0, ARG_BOOL, RC(ext_unix_sk), "allow external unix sockets"},
	{"shell-job", 0, ARG_BOOL, RC(shell_job), "allow shell jobs"},
	{"file-locks", 0, ARG_BOOL, RC(file_locks), "handle file locks, for safety"},
	{"manage-cgroups-mode", 0, ARG_STRING, RC(manage_cgroups_mode), HELP_CGROUPS_MODE},
	{"bundle", 'b', ARG_STRING, RE(bundle), "path to the root of the bundle directory"},
	{"detach", 'd', ARG_BOOL, RE(detach), "detach from the container's process"},
	{"keep", 0, ARG_BOOL, RE(keep), "do not delete the container after it exits"},
	{"pid-file", 0, ARG_STRING, RE(pid_file), HELP_PID_FILE},
	{"no-subreaper", 0, ARG_BOOL, RE(no_subreaper),
	 "disable the use of the subreaper used to reap reparented processes"},
	{"no-pivot", 0, ARG_BOOL, RE(no_pivot),
	 "do not use pivot root to jail process inside rootfs.  This should be used whenever the rootfs is "
	 "on top of a ramdisk"},
	{"empty-ns", 0, ARG_LIST, RC(empty_ns), HELP_EMPTY_NS},
	{"auto-dedup", 0, ARG_BOOL, RC(auto_dedup), "enable auto deduplication of memory images"},
	{"lazy-pages", 0, ARG_BOOL, RC(lazy_pages), "use userfaultfd to lazily restore memory pages"},
	{"lsm-profile", 0, ARG_STRING, RC(lsm_profile),
	 "Specify an LSM profile to be used during restore in the form of TYPE:NAME."},
	{"lsm-mount-context", 0, ARG_STRING, RC(lsm_mount_context),
	 "Specify an LSM mount context to be used during restore."},
};

static int call_checkpoint(struct call *call, struct err *err)
{
	struct checkpoint_options *o = call->options;

	o->id = call->args[0];
	return runtime_checkpoint(&call->front->rt, o, err);
}

static int call_restore(struct call *call, struct err *err)
{
	struct restore_options *o = call->options;

	o->create.id = o->criu.id = call->args[0];
	return runtime_restore(&call->front->rt, o, &call->status, err);
}

const struct command command_checkpoint = {
	.name = "checkpoint",
	.summary = "checkpoint a running container",
	.usage = TEXT_ID,
	.description = "The checkpoint command saves the state of the container instance, through criu(8).",
	.examples = "# coffer-oci checkpoint --image-path /var/tmp/web web",
	.options = ARG_TABLE(checkpoint_args),
	.options_size = sizeof(struct checkpoint_options),
	.defaults = &checkpoint_defaults,
	.min_args = 1,
	.max_args = 1,
	.run = call_checkpoint,
};

const struct command command_restore = {
	.name = "restore",
	.summary = "restore a container from a previous checkpoint",
	.usage = TEXT_ID,
	.description = "Restores the saved state of the container instance that was previously saved\n"
		       "using the coffer-oci checkpoint command.",
	.examples = "# coffer-oci restore --detach --image-path /var/tmp/web --bundle /containers/web web",
	.options = ARG_TABLE(restore_args),
	.options_size = sizeof(struct restore_options),
	.defaults = &restore_defaults,
	.min_args = 1,
	.max_args = 1,
	.enters_container = true,
	.run = call_restore,
};
