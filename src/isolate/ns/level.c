/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs; those that are the cgroup's own work stand here whole. */
#include "isolate/ns/level.h"

#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/cgroup_stats.h"
#include "isolate/ns/ns.h"

#include <poll.h>
#include <sched.h>

static int ns_probe(struct err *err)
{
	/* Namespaces are what the kernel was built with; openat2 (5.6) is what mounts stand on. */
	autoclose int fd = sys_openat2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, RESOLVE_IN_ROOT);

	return fd < 0 ? err_sys(err, "this kernel lacks openat2 (Linux 5.6 or later is needed)") : 0;
}

static int ns_signal(const struct sandbox *s, int sig, bool all, struct err *err)
{
	if (all)
		return cgroup_signal_all(s->cgroup, sig, err);
	autoclose int fd = sys_pidfd_open(s->pid, 0);
	if (fd < 0 || !proc_alive(s->pid, s->start_time))
		return err_set(err, ESRCH, "container not running");
	if (sys_pidfd_send_signal(fd, sig) < 0)
		return err_sys(err, "cannot send signal %d to the container's init", sig);
	return 0;
}

static int ns_processes(const struct sandbox *s, pid_t **ret, size_t *ret_n, struct err *err)
{
	return cgroup_pids(s->cgroup, ret, ret_n, err);
}

static int ns_pause(const struct sandbox *s, struct err *err)
{
	return cgroup_freeze(s->cgroup, true, err);
}

static int ns_resume(const struct sandbox *s, struct err *err)
{
	return cgroup_freeze(s->cgroup, false, err);
}

static int ns_paused(const struct sandbox *s, struct err *err)
{
	return s->cgroup->none ? 0 : cgroup_is_frozen(s->cgroup, err);
}

static int ns_update(const struct sandbox *s, const struct oci_resources *r, struct err *err)
{
	return cgroup_update(s->cgroup, r, err);
}

static int ns_stats(const struct sandbox *s, struct cgroup_stats *ret, struct err *err)
{
	return cgroup_stats_read(s->cgroup, ret, err);
}

/* Waits for the end of a process that may be nobody's child here. */
static int wait_gone(int pidfd, struct err *err)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;

	do {
		n = poll(&p, 1, 10000);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot wait for the container's init");
	return n == 0 ? err_set(err, ETIMEDOUT, "the container's init did not end within 10 s of SIGKILL")
		      : 0;
}

/* A container without a mount namespace has left its mounts in the host's. */
static int undo_mounts(const struct sandbox *s, struct err *err)
{
	const char *path = s->config->root_path;

	if (!path || s->config->linux.ns[OCI_NS_MOUNT].wanted)
		return 0;
	autofree char *rootfs = path[0] == '/' ? strdup(path) : str_format("%s/%s", s->bundle, path);
	return rootfs ? ns_rootfs_undo(s->config, rootfs, err) : err_oom(err);
}

static int ns_destroy(const struct sandbox *s, struct err *err)
{
	autoclose int fd = s->pid > 0 ? sys_pidfd_open(s->pid, 0) : -1;
	bool alive = fd >= 0 && proc_alive(s->pid, s->start_time);
	int r = 0;

	if (alive && sys_pidfd_send_signal(fd, SIGKILL) < 0 && errno != ESRCH)
		return err_sys(err, "cannot kill the container's init");
	/* Its pid namespace dies with the init; without one, or with a paused group, the cgroup knows the
	 * rest. */
	if (!s->cgroup->none)
		r = cgroup_kill(s->cgroup, err);
	if (r == 0 && alive)
		r = wait_gone(fd, err);
	return r < 0 ? r : undo_mounts(s, err);
}

const struct isolate_level ns_level = {
	.name = "ns",
	.summary = "Linux namespaces, cgroups, capabilities, seccomp, LSM: as runc and crun",
	.lacks = {[ISOLATE_MACHINE] = "its kernel is the host's"},
	.probe = ns_probe,
	.create = ns_create,
	.start = ns_start,
	.exec = ns_exec,
	.signal = ns_signal,
	.processes = ns_processes,
	.pause = ns_pause,
	.resume = ns_resume,
	.paused = ns_paused,
	.update = ns_update,
	.stats = ns_stats,
	.destroy = ns_destroy,
};
