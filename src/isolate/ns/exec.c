/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process in a running container.
 *
 * All namespaces are joined by one setns() on the pidfd of the container's
 * first process: what is joined is that very process's, whatever its pid may
 * name by now.  The pid namespace can be joined only by a process yet to be
 * born: where we are privileged over it the parent enters it for its children
 * and one clone does; otherwise (rootless) a helper joins all of them and
 * clones a second time.
 *
 * Until the program is executed the container's processes can see this one.
 * It is not dumpable (so /proc/PID of it is closed to them), it holds no
 * descriptor of the host that outlives the exec, and its executable cannot be
 * written through /proc/PID/exe (host/sealed_exe.h).
 */
#include "isolate/ns/ns.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/procattr.h"
#include "host/procfs.h"
#include "host/sealed_exe.h"
#include "host/tty.h"
#include "isolate/ns/sync.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

struct ns_joiner {
	const struct isolate_exec *x;
	struct ns_program program;
	struct cgroup_join join; /* the v1 hierarchies, entered by the child itself */
	int cgroup_fd;		 /* the unified tree's group, cloned into; -1 = none */
	bool cloned_into;	 /* was to be cloned into it */
	bool via_helper;	 /* join_helper() clones it; it begins with waiting for NS_MSG_GO */
	int init;		 /* pidfd of the container's first process */
	int flags;		 /* CLONE_NEW* to join, the pid namespace included */
	int procfs, sync_parent, sync_child, console;
};

static void joiner_free(struct ns_joiner *j)
{
	ns_program_free(&j->program);
	cgroup_join_close(&j->join);
	fd_drop(&j->cgroup_fd);
	fd_drop(&j->init);
	fd_drop(&j->procfs);
	fd_drop(&j->sync_parent);
	fd_drop(&j->sync_child);
	fd_drop(&j->console);
}
#define autojoiner __attribute__((cleanup(joiner_free)))

static int open_init(const struct sandbox *s, struct err *err)
{
	autoclose int fd = sys_pidfd_open(s->pid, 0);

	if (fd < 0)
		return err_sys(err, "cannot open the container's first process");
	/* The pidfd is taken first: if the process is the right one now, the pidfd is its. */
	if (!proc_alive(s->pid, s->start_time))
		return err_set(err, ESRCH, "cannot exec in a stopped container");
	return take_fd(&fd);
}

static int join_flags(const struct oci_config *config)
{
	int flags = 0;

	for (int i = 0; i < OCI_NS_COUNT; i++)
		if (config->linux.ns[i].wanted)
			flags |= oci_ns_flag((enum oci_ns)i);
	return flags;
}

static int join_cgroup(struct ns_joiner *j, struct err *err)
{
	const struct sandbox *s = &j->x->sandbox;
	int fd = cgroup_open_dir(s->cgroup, j->x->sub_cgroup, err);

	if (fd < 0 && fd != -ENOTSUP)
		return fd;
	j->cgroup_fd = fd < 0 ? -1 : fd;
	j->cloned_into = fd >= 0;
	return cgroup_join_open(s->cgroup, j->x->sub_cgroup, fd >= 0, &j->join, err);
}

static int join_prepare(const struct isolate_exec *x, struct ns_joiner *j, int *ret_relay, struct err *err)
{
	const struct oci_config *config = x->sandbox.config;
	int r;

	j->procfs = procfs_open(err);
	if (j->procfs < 0)
		return j->procfs;
	j->init = open_init(&x->sandbox, err);
	if (j->init < 0)
		return j->init;
	j->flags = join_flags(config);
	r = ns_program_prepare(&x->sandbox, x->process, &j->program, err);
	if (r < 0)
		return r;
	j->program.procfs = j->procfs;
	j->program.rootless = x->rootless;
	j->program.preserve_fds = x->stdio.preserve_fds;
	j->program.listen_fds = x->stdio.listen_fds;
	j->program.supervisor = x->supervisor;
	r = join_cgroup(j, err);
	if (r < 0)
		return r;
	r = ns_console_prepare(&x->stdio, x->process, &j->console, ret_relay, err);
	if (r < 0)
		return r;
	return ns_sync_pair(&j->sync_parent, &j->sync_child, err);
}

static int open_terminal(const struct ns_joiner *j, struct err *err)
{
	const struct oci_process *process = j->x->process;
	int fd = -1;

	/* The path is the container's to forge: tty_open() insists on a devpts root. */
	autoclose int pts = open("/dev/pts", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pts < 0)
		return err_sys(err, "cannot open /dev/pts in the container");
	int r = ns_console_open(pts, process, &j->x->stdio, j->console, &fd, err);
	autoclose int slave = fd;
	if (r < 0)
		return r;
	if (fchown(slave, process->user.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
		return err_sys(err, "cannot give the terminal to the user");
	return tty_take(slave, err);
}

static int join_setup(struct ns_joiner *j, struct err *err)
{
	const struct oci_cpu_affinity *affinity = j->x->process->exec_cpu_affinity;
	int r;

	if (!j->via_helper && setns(j->init, j->flags & ~CLONE_NEWPID) < 0)
		return err_sys(err, "cannot join the container's namespaces");
	if ((j->flags & CLONE_NEWUSER) && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_sys(err, "cannot become root of the container's user namespace");
	r = cgroup_join_self(&j->join, err);
	if (r < 0)
		return r;
	ns_program_all_cpus();
	if (affinity)
		r = procattr_affinity(0, affinity->final, err);
	if (r < 0)
		return r;
	r = ns_program_session(j->x->sandbox.id, !j->x->no_new_keyring, err);
	if (r < 0)
		return r;
	if (j->x->process->terminal) {
		r = open_terminal(j, err);
		if (r < 0)
			return r;
	}
	r = ns_program_schedule(&j->x->sandbox.config->linux, j->x->process, err);
	if (r < 0)
		return r;
	r = ns_program_drop_fds(&j->program, j->sync_child, -1, err);
	if (r < 0)
		return r;
	r = ns_program_settle(&j->program, err);
	if (r < 0)
		return r;
	r = ns_send(j->sync_child, NS_MSG_CREATED, r, -1, err);
	return r < 0 ? r : ns_expect(j->sync_child, NS_MSG_GO, err);
}

static _Noreturn void join_main(struct ns_joiner *j)
{
	struct err err = {0};
	int r = 0;

	const struct oci_cpu_affinity *affinity = j->x->process->exec_cpu_affinity;

	fd_drop(&j->sync_parent);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		r = err_sys(&err, "cannot tie the process's life to its maker's");
	/* Nothing of ours may come before the word of the helper that cloned us. */
	if (r == 0 && j->via_helper)
		r = ns_expect(j->sync_child, NS_MSG_GO, &err);
	/* "initial" rules until the process is in the container's cgroup. */
	if (r == 0 && affinity)
		r = procattr_affinity(0, affinity->initial, &err);
	if (r == 0)
		r = join_setup(j, &err);
	if (r == 0 && prctl(PR_SET_PDEATHSIG, 0) < 0)
		r = err_sys(&err, "cannot untie the process's life from its maker's");
	if (r == 0)
		r = ns_program_exec(&j->program, j->sync_child, &err);
	ns_send_failure(j->sync_child, &err);
	_exit(err.exit_status ? err.exit_status : 1);
}

/* The unprivileged way: join everything, clone once more, tell the pid, go. */
static _Noreturn void join_helper(struct ns_joiner *j)
{
	struct err err = {0};
	int pidfd = -1;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setns(j->init, j->flags) < 0) {
		(void)err_sys(&err, "cannot join the container's namespaces"); /* told below */
		ns_send_failure(j->sync_child, &err);
		_exit(1);
	}
	pid_t pid = ns_clone(CLONE_PARENT, NULL, &pidfd);
	if (pid == 0)
		join_main(j);
	if (pid < 0) {
		(void)err_sys(&err, "cannot clone in the container"); /* told below */
		ns_send_failure(j->sync_child, &err);
	} else if (ns_send(j->sync_child, NS_MSG_SPAWNED, pid, pidfd, &err) < 0) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL); /* the parent is gone: so must the child be */
	}
	_exit(0);
}

static int spawn(struct ns_joiner *j, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	/* Copied to the child, which the container's processes may see: shut them out of its /proc files. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(err, "cannot make the process undumpable");
	j->via_helper = (j->flags & CLONE_NEWPID) && setns(j->init, CLONE_NEWPID) < 0;
	int fd = -1;
	pid_t pid = ns_clone(0, &j->cgroup_fd, &fd);
	autoclose int cloned = fd;

	if (pid < 0)
		return err_sys(err, "cannot clone the process");
	if (pid == 0) {
		if (j->via_helper)
			join_helper(j);
		join_main(j);
	}
	if (!j->via_helper) {
		*ret_pid = pid;
		*ret_pidfd = take_fd(&cloned);
		return 0;
	}
	struct ns_packet packet;
	int r = ns_receive(j->sync_parent, &packet, ret_pidfd, err);
	ignore_result(proc_wait(pid)); /* the helper has said all that it had to say */
	if (r < 0)
		return r;
	if (packet.type != NS_MSG_SPAWNED)
		return err_set(err, EBADMSG, "the helper process sent message %d", (int)packet.type);
	*ret_pid = packet.number;
	return 0;
}

/*
 * The kernel would not clone into the group: it is old, or the group takes no
 * processes since the container made sub-groups of its own.  Then the process
 * goes where the container's init is.
 */
static int attach(const struct ns_joiner *j, pid_t pid, struct err *err)
{
	const struct sandbox *s = &j->x->sandbox;

	if (!j->cloned_into || j->cgroup_fd >= 0)
		return 0;
	return j->x->sub_cgroup ? cgroup_attach(s->cgroup, j->x->sub_cgroup, pid, false, err)
				: cgroup_attach_beside(s->cgroup, s->pid, pid, err);
}

static int join_drive(struct ns_joiner *j, pid_t pid, int pidfd, int relay, struct err *err)
{
	const struct isolate_exec *x = j->x;
	int r = j->via_helper ? ns_send(j->sync_parent, NS_MSG_GO, 0, -1, err) : 0;

	if (r == 0)
		r = attach(j, pid, err);
	if (r == 0 && x->spawned)
		r = x->spawned(x->data, pid, err);
	bool told = ns_program_is_free(x->process, &x->stdio);
	if (r == 0 && told) { /* before it asks: it need not come back for the word */
		r = ns_program_limit(&j->program, pid, false, err);
		if (r == 0)
			r = ns_send(j->sync_parent, NS_MSG_GO, 0, -1, err);
	}
	if (r == 0)
		r = ns_expect(j->sync_parent, NS_MSG_CREATED, err);
	if (r >= 0 && !told) {
		r = ns_program_limit(&j->program, pid, r > 0, err);
		if (r == 0)
			r = ns_send(j->sync_parent, NS_MSG_GO, 0, -1, err);
	}
	if (r == 0)
		r = ns_wait_started(j->sync_parent, &x->sandbox, x->seccomp, pid, err);
	if (r < 0)
		return r;
	r = ns_console_receive(relay, x->stdio.ret_master, err);
	if (r < 0)
		return r;
	if (x->stdio.pidfd_socket >= 0) {
		r = fd_send(x->stdio.pidfd_socket, "pidfd", 5, &pidfd, 1);
		if (r < 0)
			return err_num(err, r, "cannot send the pidfd to the pidfd socket");
	}
	return 0;
}

int ns_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err)
{
	autojoiner struct ns_joiner j = {.x = x,
					 .init = -1,
					 .procfs = -1,
					 .sync_parent = -1,
					 .sync_child = -1,
					 .console = -1,
					 .cgroup_fd = -1};
	autoclose int relay = -1;
	pid_t pid = -1;
	int pidfd = -1, r;

	r = join_prepare(x, &j, &relay, err);
	if (r == 0)
		r = sealed_exe_settle(err);
	if (r < 0)
		return r;
	r = spawn(&j, &pid, &pidfd, err);
	autoclose int process = pidfd;
	fd_drop(&j.sync_child);
	if (r < 0)
		return r;
	r = join_drive(&j, pid, process, relay, err);
	if (r < 0) {
		(void)sys_pidfd_send_signal(process, SIGKILL); /* gone already is as good */
		int status = proc_wait(pid);
		if (err->code == ECONNRESET)
			return err_set(err, ECONNRESET,
				       "the process died while it was set up (exit status %d)",
				       status < 0 ? 255 : proc_exit_code(status));
		return r;
	}
	*ret_pid = pid;
	return 0;
}
