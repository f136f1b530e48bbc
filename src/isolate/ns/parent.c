/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maker's side of a container's creation; child.c is the other.
 *
 * Nothing exists in the kernel until prepare() has succeeded: parsing,
 * compiling the filter, opening mount sources and namespaces come first.
 * From the clone on, whatever fails ends with the child killed and reaped;
 * the cgroup and the state directory are the caller's to remove.
 */
#include "isolate/ns/ns.h"

#include "base/proc.h"
#include "base/sys.h"
#include "host/netlink.h"
#include "host/procfs.h"
#include "host/sealed_exe.h"
#include "host/sysctl.h"
#include "host/userns.h"
#include "isolate/ns/sync.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void container_free(struct ns_container *n)
{
	ns_spawn_close(&n->spawn);
	fd_drop(&n->spawn.sync_parent);
	fd_drop(&n->spawn.sync_child);
	ns_mounts_free(&n->mounts);
	ns_program_free(&n->program);
	cgroup_join_close(&n->join);
	fd_drop(&n->procfs);
	fd_drop(&n->start_listener);
	fd_drop(&n->console);
}
#define autocontainer __attribute__((cleanup(container_free)))

/* A socket file in the state directory, which may lie deeper than sun_path reaches. */
static int listen_for_start(int state_dirfd, struct err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/start.sock",
		       state_dirfd); /* fits */
	/* Before bind(), so that the file is never open to others; fchmod() of a socket sets the file's mode.
	 */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0)
		return err_sys(err, "cannot listen on start.sock in the container's state directory");
	return take_fd(&fd);
}

static void plan_host_turn(struct ns_container *n)
{
	const struct isolate_create *c = n->c;

	for (size_t i = 0; i < n->mounts.n; i++) {
		const struct ns_mount *m = &n->mounts.v[i];
		n->devices_late |=
			m->kind == NS_MOUNT_OTHER && m->config->source && m->config->source[0] == '/';
	}
	/* The rules of v1 come into force one by one, and "deny all" is the first: nobody may be in there
	 * yet. */
	if (!c->cgroup->v2 && !n->devices_late) {
		n->devices_first = !c->cgroup->systemd;
		n->devices_late = c->cgroup->systemd;
	}
	n->host_turn = n->devices_late || c->events.create_runtime || c->config->linux.net_devices.n > 0;
	n->plugged = c->events.network && (n->spawn.create & CLONE_NEWNET);
}

static int prepare(const struct isolate_create *c, struct ns_container *n, int *ret_relay, struct err *err)
{
	int r;

	if (c->rootless && !c->config->linux.ns[OCI_NS_USER].wanted)
		return err_set(err, EPERM, "rootless container requires user namespaces");
	n->procfs = procfs_open(err);
	if (n->procfs < 0)
		return n->procfs;
	r = ns_spawn_plan(c->config, &n->spawn, err);
	if (r < 0)
		return r;
	r = sysctl_check(c->config, err);
	if (r == 0)
		r = net_devices_check(c->config, c->rootless, err);
	if (r < 0)
		return r;
	if (c->config->process) {
		r = ns_program_prepare(&c->sandbox, c->config->process, &n->program, err);
		if (r < 0)
			return r;
	}
	n->program.procfs = n->procfs;
	n->program.rootless = c->rootless;
	n->program.start_hooks = &c->events;
	n->program.listen_fds = c->stdio.listen_fds;
	n->program.preserve_fds = c->stdio.preserve_fds;
	n->program.supervisor = c->supervisor;
	r = ns_mounts_plan(c, &n->mounts, err);
	if (r < 0)
		return r;
	plan_host_turn(n);
	r = ns_console_prepare(&c->stdio, c->config->process, &n->console, ret_relay, err);
	if (r < 0)
		return r;
	if (c->detached_start) {
		n->start_listener = listen_for_start(c->sandbox.state_dirfd, err);
		if (n->start_listener < 0)
			return n->start_listener;
	}
	return ns_sync_pair(&n->spawn.sync_parent, &n->spawn.sync_child, err);
}

static int set_devices(const struct isolate_create *c, struct err *err)
{
	return c->cgroup->none ? 0
			       : cgroup_set_devices(c->cgroup, &c->config->linux.resources, c->rootless, err);
}

/* The directory of a cgroup by the file system exists before the clone; a systemd scope needs the process
 * first. */
static int prepare_cgroup(const struct isolate_create *c, struct ns_container *n, struct err *err)
{
	int r;

	if (c->cgroup->systemd || c->cgroup->none)
		return 0;
	r = cgroup_create(c->cgroup, &c->config->linux.resources, c->cgroup_request, 0, err);
	if (r < 0)
		return r;
	n->spawn.cgroup_fd = cgroup_open_dir(c->cgroup, NULL, err);
	if (n->spawn.cgroup_fd < 0 && n->spawn.cgroup_fd != -ENOTSUP)
		return n->spawn.cgroup_fd;
	n->cloned_into = n->spawn.cgroup_fd >= 0;
	r = n->devices_first ? set_devices(c, err) : 0;
	if (r < 0)
		return r;
	return cgroup_join_open(c->cgroup, NULL, n->cloned_into, &n->join, err);
}

/* Neither a group nor a namespace holds them together. */
static void warn_of_strays(const struct isolate_create *c)
{
	const struct oci_namespace *pid = &c->config->linux.ns[OCI_NS_PID];

	if (c->rootless && c->cgroup->none && c->sandbox.warn && (!pid->wanted || pid->path))
		c->sandbox.warn(c->sandbox.warn_data,
				"a rootless container with no cgroup and no private pid namespace cannot be "
				"killed as a whole. Such configuration is strongly discouraged");
}

/* via_helper: both talk over one socket, and the helper's word about its child has to be the first. */
bool ns_child_waits(const struct ns_container *n)
{
	bool refused = n->cloned_into && n->spawn.cgroup_fd < 0;

	return (n->spawn.create & CLONE_NEWUSER) || n->spawn.via_helper || n->c->cgroup->systemd || refused;
}

/* A cgroup that the child cannot enter by itself. */
static int admit(const struct ns_container *n, const struct sandbox *s, struct err *err)
{
	const struct isolate_create *c = n->c;
	int r = 0;

	if (c->cgroup->systemd && !c->cgroup->none) {
		r = cgroup_create(c->cgroup, &c->config->linux.resources, c->cgroup_request, s->pid, err);
		/* systemd moves it in the hierarchies that it knows; the rest of v1 is ours. */
		if (r == 0 && !c->cgroup->v2)
			r = cgroup_attach(c->cgroup, NULL, s->pid, true, err);
	} else if (n->cloned_into && n->spawn.cgroup_fd < 0) /* the kernel would not */
		r = cgroup_attach(c->cgroup, NULL, s->pid, false, err);
	return r;
}

/*
 * What the child may be waiting for (identity, a cgroup), and a place in the
 * books.  The latter comes first where that makes something that must be found
 * again; else the child need not wait for it, as it dies with us.
 */
static int introduce(struct ns_container *n, struct sandbox *s, struct err *err)
{
	const struct isolate_create *c = n->c;
	bool late = c->cgroup->systemd || (n->cloned_into && n->spawn.cgroup_fd < 0);
	struct proc_stat st;
	int r = 0;

	if (n->spawn.create & CLONE_NEWUSER)
		r = userns_write_maps(n->procfs, s->pid, &c->config->linux.uid_mappings,
				      &c->config->linux.gid_mappings, c->rootless, NULL, err);
	if (r == 0 && !late && ns_child_waits(n))
		r = ns_send(n->spawn.sync_parent, NS_MSG_GO, 0, -1, err);
	if (r < 0)
		return r;
	r = proc_stat(s->pid, &st);
	if (r < 0)
		return err_num(err, r, "cannot read the state of the container's first process");
	s->start_time = st.start_time;
	r = c->events.spawned ? c->events.spawned(c->events.data, s, err) : 0;
	if (r == 0 && late)
		r = admit(n, s, err);
	if (r == 0 && late && ns_child_waits(n))
		r = ns_send(n->spawn.sync_parent, NS_MSG_GO, 0, -1, err);
	/* The child has its own; closing these is dear, and now we have the time. */
	cgroup_join_close(&n->join);
	return r;
}

static int move_net_devices(const struct oci_config *config, pid_t pid, struct err *err)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid); /* fits */
	autoclose int netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(err, "cannot open %s", path);
	for (size_t i = 0; i < config->linux.net_devices.n; i++) {
		const struct oci_net_device *d = &config->linux.net_devices.v[i];
		int r = net_move_device(d->host_name, d->name, netns, path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The mounts are there: the host's turn. */
static int equip(const struct ns_container *n, const struct sandbox *s, struct err *err)
{
	const struct isolate_create *c = n->c;
	int r = 0;

	if (n->devices_late)
		r = set_devices(c, err);
	if (r == 0 && c->config->linux.net_devices.n > 0)
		r = move_net_devices(c->config, s->pid, err);
	if (r == 0 && c->events.create_runtime)
		r = c->events.create_runtime(c->events.data, s, err);
	return r;
}

/* `r`, of what failed on this side; but for the child's own word, where it has ended over something else. */
static int child_said(int sync, int r, struct err *err)
{
	struct pollfd p = {.fd = sync, .events = POLLIN};
	struct err own = {0};
	struct ns_packet said;

	/* Behind what it said as long as all went well. */
	while (poll(&p, 1, 0) == 1 && p.revents & POLLIN)
		if (ns_receive(sync, &said, NULL, &own) < 0)
			break;
	if (own.code == 0 || own.code == ECONNRESET)
		return r;
	*err = own;
	return -own.code;
}

/* What the host has to do before the child goes on behind its mounts. */
static int host_turn(const struct ns_container *n, const struct sandbox *s, struct err *err)
{
	const struct isolate_events *events = &n->c->events;
	int sync = n->spawn.sync_parent, r = 0;

	if (n->plugged) {
		r = ns_expect(sync, NS_MSG_NETWORK, err);
		if (r == 0)
			r = events->network(events->data, s, err);
	}
	if (r == 0 && n->host_turn)
		r = ns_expect(sync, NS_MSG_MOUNTED, err);
	if (r == 0 && n->host_turn)
		r = equip(n, s, err);
	if (r < 0 || !(n->plugged || n->host_turn))
		return r;
	return ns_send(sync, NS_MSG_GO, 0, -1, err);
}

static int drive(struct ns_container *n, struct sandbox *s, int pidfd, int relay, struct err *err)
{
	const struct isolate_create *c = n->c;
	int sync = n->spawn.sync_parent;
	int r;

	r = introduce(n, s, err);
	/* The child is mounting meanwhile; loading the device program is the dearest thing that we have to
	 * do. */
	if (r == 0 && !n->devices_late && !n->devices_first)
		r = set_devices(c, err);
	if (r == 0)
		r = host_turn(n, s, err);
	if (r < 0)
		return r;
	/* Of `run`: all is done that the host has to do, and the child need not come back for the word. */
	s->told = !c->detached_start && ns_program_is_free(c->config->process, &c->stdio);
	if (s->told)
		r = ns_program_limit(&n->program, s->pid, false, err);
	if (s->told && r == 0)
		r = ns_send(sync, NS_MSG_START, 0, -1, err);
	if (r == 0)
		r = ns_expect(sync, NS_MSG_CREATED, err);
	/* Not earlier: they are meant for the program, and its making may need more. */
	if (r >= 0 && c->config->process && !s->told)
		r = ns_program_limit(&n->program, s->pid, r > 0, err);
	if (r < 0)
		return r;
	r = ns_console_receive(relay, c->stdio.ret_master, err);
	if (r < 0)
		return r;
	if (c->stdio.pidfd_socket >= 0) {
		r = fd_send(c->stdio.pidfd_socket, "pidfd", 5, &pidfd, 1);
		if (r < 0)
			return err_num(err, r, "cannot send the pidfd to the pidfd socket");
	}
	return 0;
}

/* Says what the child could not say itself: that it was killed, and by whom as far as can be told. */
static void explain_death(const struct isolate_create *c, int status, struct err *err)
{
	if (err->code != ECONNRESET)
		return;
	if (cgroup_oom_kills(c->cgroup) > 0)
		(void)err_set(
			err, ENOMEM,
			"container init was OOM-killed (memory limit too low?)"); /* the caller returns */
	else if (status >= 0)
		(void)err_set(err, ECONNRESET, "container init died while it was set up (exit status %d)",
			      proc_exit_code(status)); /* as above */
}

/*
 * Copied to the child, which other containers see from its first instant
 * where a pid namespace is shared.  Undumpable, its /proc files (exe, fd, mem)
 * and ptrace(2) are closed to them as long as it is ours; execve opens them
 * again.  Without these two privileges they would be closed to us as well,
 * who have its maps and scores to write; but then nobody has more rights over
 * the host's files than the containers' user had anyway (host/sealed_exe.c).
 */
static int shut_out(struct err *err)
{
	if (geteuid() != 0 || !(caps_permitted() & CAP_BIT(CAP_NR_SYS_PTRACE)))
		return 0;
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? err_sys(err, "cannot make the process undumpable") : 0;
}

int ns_create(const struct isolate_create *c, struct sandbox *ret, struct err *err)
{
	autocontainer struct ns_container n = {
		.c = c,
		.procfs = -1,
		.start_listener = -1,
		.console = -1,
		.spawn = {.sync_parent = -1, .sync_child = -1, .cgroup_fd = -1}};
	autoclose int relay = -1, pidfd = -1;
	struct sandbox s = c->sandbox;
	pid_t pid = -1;
	int r;

	for (int i = 0; i < OCI_NS_COUNT; i++)
		n.spawn.join[i] = -1;
	r = prepare(c, &n, &relay, err);
	if (r < 0)
		return r;
	r = prepare_cgroup(c, &n, err);
	if (r < 0)
		return r;
	warn_of_strays(c);
	r = shut_out(err);
	if (r == 0)
		r = sealed_exe_settle(err);
	if (r < 0)
		return r;
	r = ns_spawn(&n.spawn, &pid, &pidfd, err);
	if (pid == 0)
		ns_child_main(&n, r, err);
	if (r < 0)
		return r;
	fd_drop(&n.spawn.sync_child);
	s.pid = pid;
	r = drive(&n, &s, pidfd, relay, err);
	if (r < 0)
		r = child_said(n.spawn.sync_parent, r, err);
	if (r < 0) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL); /* gone already is as good */
		explain_death(c, proc_wait(pid), err);
		return -err->code;
	}
	s.start_fd = c->detached_start ? -1 : take_fd(&n.spawn.sync_parent);
	*ret = s;
	return 0;
}
