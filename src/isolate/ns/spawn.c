/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * The common case, new namespaces only, is one clone3().  Three things are
 * left to the child, each for a reason:
 *   - the cgroup namespace, whose root is the cgroup that its maker is in at
 *     that moment: it must have entered the container's;
 *   - the network namespace, the dearest by far (half of what the kernel
 *     takes for all of them): the parent works on meanwhile;
 *   - the time namespace, which a process enters only by a second step.
 *
 * Joining by path is done by the child as well, but for the pid namespace,
 * which only a process yet to be born can enter: the parent enters it for its
 * children, clones, and goes back.
 *
 * A user namespace changes the order.  To join another namespace one needs
 * privileges over its owner, which a process loses by entering a new user
 * namespace; and what is to be owned by a joined user namespace must be made
 * after joining it.  So a helper joins first (what it cannot yet join, after
 * the user namespace), then clones the child with CLONE_PARENT, tells its pid
 * and goes.
 */
#include "isolate/ns/spawn.h"

#include "base/proc.h"
#include "base/sys.h"
#include "isolate/ns/sync.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LATE_FLAGS ((uint64_t)(CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_NEWTIME))

int ns_spawn_plan(const struct oci_config *config, struct ns_spawn *ret, struct err *err)
{
	struct ns_spawn s = {.cgroup_fd = -1, .sync_parent = -1, .sync_child = -1};
	bool joins = false;

	for (int i = 0; i < OCI_NS_COUNT; i++)
		s.join[i] = -1;
	for (int i = 0; i < OCI_NS_COUNT; i++) {
		const struct oci_namespace *ns = &config->linux.ns[i];
		if (!ns->wanted)
			continue;
		if (!ns->path) {
			s.create |= (uint64_t)oci_ns_flag((enum oci_ns)i);
			continue;
		}
		s.join[i] = open(ns->path, O_RDONLY | O_CLOEXEC);
		if (s.join[i] < 0) {
			int r = err_sys(err, "cannot open the %s namespace at \"%s\"",
					oci_ns_name((enum oci_ns)i), ns->path);
			ns_spawn_close(&s);
			return r;
		}
		joins = true;
	}
	s.via_helper = joins && ((s.create & CLONE_NEWUSER) || s.join[OCI_NS_USER] >= 0);
	*ret = s;
	return 0;
}

void ns_spawn_close(struct ns_spawn *s)
{
	for (int i = 0; i < OCI_NS_COUNT; i++)
		fd_drop(&s->join[i]);
	fd_drop(&s->cgroup_fd);
}

pid_t ns_clone(uint64_t flags, int *cgroup_fd, int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (cgroup_fd && *cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)*cgroup_fd;
	}
	pid_t pid = sys_clone3(&args);
	/* An older kernel, or a v2 group that takes no processes. */
	if (pid < 0 && args.cgroup &&
	    (errno == EINVAL || errno == EOPNOTSUPP || errno == EACCES || errno == EBUSY)) {
		fd_drop(cgroup_fd);
		args.flags &= ~CLONE_INTO_CGROUP;
		args.cgroup = 0;
		pid = sys_clone3(&args);
	}
	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid;
}

static int join_one(const struct ns_spawn *s, enum oci_ns i, struct err *err)
{
	if (setns(s->join[i], oci_ns_flag(i)) < 0)
		return err_sys(err, "cannot join the %s namespace", oci_ns_name(i));
	return 0;
}

/* All but user and pid; the mount namespace last, since it changes root and cwd. */
static int join_in_child(const struct ns_spawn *s, struct err *err)
{
	static const enum oci_ns order[] = {OCI_NS_NETWORK, OCI_NS_IPC,	 OCI_NS_UTS,
					    OCI_NS_CGROUP,  OCI_NS_TIME, OCI_NS_MOUNT};

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (s->join[order[i]] < 0)
			continue;
		int r = join_one(s, order[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int join_in_helper(const struct ns_spawn *s, struct err *err)
{
	bool joined[OCI_NS_COUNT] = {false};
	int r;

	for (int i = OCI_NS_USER + 1; i < OCI_NS_COUNT; i++)
		joined[i] = s->join[i] < 0 || setns(s->join[i], oci_ns_flag((enum oci_ns)i)) == 0;
	if (s->join[OCI_NS_USER] >= 0) {
		r = join_one(s, OCI_NS_USER, err);
		if (r < 0)
			return r;
		if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
			return err_sys(err, "cannot become root of the joined user namespace");
	}
	for (int i = OCI_NS_USER + 1; i < OCI_NS_COUNT; i++) {
		r = joined[i] ? 0 : join_one(s, (enum oci_ns)i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Runs in the helper process: ends as the helper (never returns) or returns as the child. */
static void helper_main(const struct ns_spawn *s)
{
	struct err err = {0};
	int pidfd = -1;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || join_in_helper(s, &err) < 0) {
		ns_send_failure(s->sync_child, &err);
		_exit(1);
	}
	pid_t pid = ns_clone((s->create & ~LATE_FLAGS) | CLONE_PARENT, NULL, &pidfd);
	if (pid == 0)
		return;
	if (pid < 0) {
		(void)err_sys(&err, "cannot clone the container's first process"); /* told below */
		ns_send_failure(s->sync_child, &err);
		_exit(1);
	}
	if (ns_send(s->sync_child, NS_MSG_SPAWNED, pid, pidfd, &err) < 0)
		(void)sys_pidfd_send_signal(pidfd, SIGKILL); /* the parent is gone: so must the child be */
	_exit(0);
}

static int spawn_via_helper(struct ns_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	int helper_fd = -1;
	struct ns_packet packet;
	pid_t helper = ns_clone(0, &s->cgroup_fd, &helper_fd);

	if (helper < 0)
		return err_sys(err, "cannot clone a helper process");
	if (helper == 0) {
		helper_main(s);
		*ret_pid = 0;
		return 0;
	}
	autoclose int helper_pidfd = helper_fd;
	int pidfd = -1;
	int r = ns_receive(s->sync_parent, &packet, &pidfd, err);
	int status = proc_wait(helper);
	autoclose int child_fd = pidfd;
	if (r < 0)
		return r;
	if (status < 0)
		return err_num(err, status, "cannot wait for the helper process");
	if (packet.type != NS_MSG_SPAWNED || child_fd < 0)
		return err_set(err, EBADMSG, "the helper process sent message %d", (int)packet.type);
	*ret_pid = packet.number;
	*ret_pidfd = take_fd(&child_fd);
	return 0;
}

static int spawn_direct(struct ns_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	autoclose int own_pid_ns = -1;

	if (s->join[OCI_NS_PID] >= 0) {
		own_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		if (own_pid_ns < 0)
			return err_sys(err, "cannot open /proc/self/ns/pid");
		int r = join_one(s, OCI_NS_PID, err);
		if (r < 0)
			return r;
	}
	int r = 0, pidfd = -1;
	pid_t pid = ns_clone(s->create & ~LATE_FLAGS, &s->cgroup_fd, &pidfd);
	autoclose int child_fd = pidfd;
	if (pid == 0) {
		*ret_pid = 0;
		return join_in_child(s, err);
	}
	if (pid < 0)
		r = err_sys(err, "cannot clone the container's first process");
	/* Hooks must be born where we are. */
	if (own_pid_ns >= 0 && setns(own_pid_ns, CLONE_NEWPID) < 0 && r == 0) {
		r = err_sys(err, "cannot return to the own pid namespace");
		(void)kill(pid, SIGKILL); /* ours, unreaped */
		ignore_result(proc_wait(pid));
	}
	if (r < 0)
		return r;
	*ret_pid = pid;
	*ret_pidfd = take_fd(&child_fd);
	return 0;
}

int ns_spawn(struct ns_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	return s->via_helper ? spawn_via_helper(s, ret_pid, ret_pidfd, err)
			     : spawn_direct(s, ret_pid, ret_pidfd, err);
}

int ns_spawn_late(const struct ns_spawn *s, struct err *err)
{
	int flags = (int)(s->create & (CLONE_NEWCGROUP | CLONE_NEWNET));

	if (flags && unshare(flags) < 0)
		return err_sys(err, "cannot make the %s namespace",
			       flags & CLONE_NEWNET ? "network" : "cgroup");
	return 0;
}
