/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process, from its birth to the user's program.
 *
 * It is a copy of the parent in new namespaces.  The order below is dictated
 * by privileges and by what a later step could spoil:
 *
 *   1. wait until the parent has written the identity maps, or has moved us
 *      into a cgroup that we cannot enter ourselves;
 *   2. enter the cgroup, then make the cgroup and network namespaces;
 *   3. session, keyring, names, loopback;                -> NS_MSG_NETWORK
 *   4. mounts and devices below the root file system;   -> NS_MSG_MOUNTED
 *      (the host runs its hooks and sets device rules and limits)
 *   5. createContainer hooks, pivot_root, masks, sysctls;
 *   6. identity, capabilities, working directory, program look-up;
 *                                                       -> NS_MSG_CREATED
 *   7. wait for NS_MSG_START, from the parent or over start.sock;
 *   8. Landlock, seccomp, startContainer hooks, execve.
 *
 * Every wait ends when the other side dies, and until 6 is done the kernel
 * kills us with the parent, which has recorded our pid before it hears of 6:
 * no container that nobody knows survives its maker.
 */
#include "isolate/ns/ns.h"

#include "base/str.h"
#include "base/sys.h"
#include "host/mount.h"
#include "host/netlink.h"
#include "host/procattr.h"
#include "host/procfs.h"
#include "host/sysctl.h"
#include "host/tty.h"
#include "isolate/ns/sync.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/*
 * The offsets can be set only while nobody is inside, not even we: setns()
 * takes us in after.  Comes before the change of user, which would make our
 * own files in /proc root's.
 */
static int enter_time_namespace(const struct ns_container *n, struct err *err)
{
	const struct oci_linux *linux = &n->c->config->linux;
	const struct oci_time_offset *mono = &linux->offset_monotonic, *boot = &linux->offset_boottime;
	char text[128];
	int len = 0;

	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "cannot make the time namespace");
	if (mono->set)
		len += snprintf(text, sizeof(text), "monotonic %lld %u\n", (long long)mono->secs,
				mono->nanosecs);
	if (boot->set)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "boottime %lld %u\n",
				(long long)boot->secs, boot->nanosecs);
	int r = len ? procfs_write(n->procfs, "self/timens_offsets", text, err) : 0;
	if (r < 0)
		return r;
	autoclose int fd = openat(n->procfs, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open the new time namespace");
	return setns(fd, CLONE_NEWTIME) < 0 ? err_sys(err, "cannot enter the new time namespace") : 0;
}

static int enter_namespaces(struct ns_container *n, struct err *err)
{
	int r = n->spawn.create & CLONE_NEWTIME ? enter_time_namespace(n, err) : 0;

	if (r < 0)
		return r;
	if ((n->spawn.create & CLONE_NEWUSER) && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_sys(err, "cannot become root of the new user namespace");
	r = cgroup_join_self(&n->join, err);
	if (r < 0)
		return r;
	ns_program_all_cpus();
	return ns_spawn_late(&n->spawn, err);
}

static int set_names(const struct ns_container *n, struct err *err)
{
	const struct oci_config *config = n->c->config;

	if (config->hostname && config->hostname[0] &&
	    sethostname(config->hostname, strlen(config->hostname)) < 0)
		return err_sys(err, "cannot set the host name \"%s\"", config->hostname);
	if (config->domainname && config->domainname[0] &&
	    setdomainname(config->domainname, strlen(config->domainname)) < 0)
		return err_sys(err, "cannot set the domain name \"%s\"", config->domainname);
	return 0;
}

/* The terminal comes from the container's own devpts, by descriptor all the way (CVE-2025-52565). */
static int open_console(const struct ns_container *n, struct ns_rootfs *root, struct err *err)
{
	int fd = -1;
	int r = ns_console_open(root->dev_pts_fd, n->program.process, &n->c->stdio, n->console, &fd, err);
	autoclose int slave = fd;

	if (r == 0)
		r = ns_rootfs_console(root, slave, err);
	return r < 0 ? r : tty_take(slave, err);
}

/* For a supervisor: of the container's pid namespace, and in nobody's tree. */
static int mount_procfs(int at, struct err *err)
{
	static const struct mount_request proc = {.type = "proc", .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC};
	autoclose int fd = mount_new(&proc, err);

	if (fd == -EOPNOTSUPP)
		return err_set(err, EOPNOTSUPP, "this kernel lacks fsopen (Linux 5.2 or later is needed)");
	if (fd < 0)
		return fd;
	return dup3(fd, at, O_CLOEXEC) < 0 ? err_sys(err, "cannot keep the container's procfs") : 0;
}

static int make_root(struct ns_container *n, int sync, struct err *err)
{
	const struct isolate_create *c = n->c;
	struct ns_rootfs root;
	int r;

	r = ns_rootfs_setup(c, &n->mounts, &root, err);
	if (r == 0 && c->supervisor && c->supervisor->proc_fd >= 0)
		r = mount_procfs(c->supervisor->proc_fd, err);
	if (r < 0)
		return r;
	if (n->program.process && n->program.process->terminal) {
		r = open_console(n, &root, err);
		if (r < 0)
			return r;
	}
	r = n->host_turn ? ns_send(sync, NS_MSG_MOUNTED, 0, -1, err) : 0;
	if (r == 0 && (n->host_turn || n->plugged))
		r = ns_expect(sync, NS_MSG_GO, err);
	if (r < 0)
		return r;
	r = c->events.create_container_inside
		    ? c->events.create_container_inside(c->events.data, getpid(), err)
		    : 0;
	if (r < 0)
		return r;
	r = ns_rootfs_pivot(c, &root, err);
	if (r < 0)
		return r;
	/* Images name working directories that they lack; now, for the root may become read-only next. */
	r = ns_program_make_cwd(&n->program, err);
	if (r < 0)
		return r;
	r = sysctl_apply(c->config, n->procfs, err);
	if (r < 0)
		return r;
	return ns_rootfs_finish(c, &root, err);
}

/* start.sock: only who looks like our maker may start us. */
static int accept_starter(int listener, int sync, struct err *err)
{
	struct ucred maker, peer;
	socklen_t len = sizeof(maker);

	if (getsockopt(sync, SOL_SOCKET, SO_PEERCRED, &maker, &len) < 0)
		return err_sys(err, "cannot tell who made the container");
	for (;;) {
		autoclose int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return err_sys(err, "cannot wait for the start");
		len = sizeof(peer);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != maker.uid)
			continue;
		/* One who connects and goes away has not started anything. */
		struct err ignored;
		if (ns_expect(fd, NS_MSG_START, &ignored) == 0)
			return take_fd(&fd);
	}
}

static void on_deadly_signal(int sig)
{
	_exit(128 + sig);
}

/*
 * Waiting for days, a created container must be killable by more than
 * SIGKILL; but the kernel drops what its own pid 1 has no handler for.
 */
static void die_of_signals(void)
{
	static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
	struct sigaction action = {.sa_handler = on_deadly_signal};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		(void)sigaction(deadly[i], &action, NULL); /* real signals: cannot fail */
		sigaddset(&set, deadly[i]);
	}
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* cannot fail */
}

static int wait_for_start(const struct ns_container *n, int *sync, struct err *err)
{
	if (n->start_listener < 0)
		return ns_expect(*sync, NS_MSG_START, err);
	die_of_signals();
	int fd = accept_starter(n->start_listener, *sync, err);
	if (fd < 0)
		return fd;
	(void)close(*sync); /* the maker is long gone */
	*sync = fd;
	return 0;
}

static int child_setup(struct ns_container *n, int sync, struct err *err)
{
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "cannot tie the container's life to its maker's");
	r = ns_child_waits(n) ? ns_expect(sync, NS_MSG_GO, err) : 0;
	if (r < 0)
		return r;
	r = enter_namespaces(n, err);
	if (r < 0)
		return r;
	r = ns_program_session(n->c->sandbox.id, !n->c->no_new_keyring, err);
	if (r < 0)
		return r;
	r = set_names(n, err);
	if (r < 0)
		return r;
	if (n->spawn.create & CLONE_NEWNET) {
		r = net_lo_up(err);
		if (r < 0)
			return r;
	}
	if (n->plugged) {
		r = ns_send(sync, NS_MSG_NETWORK, 0, -1, err);
		if (r < 0)
			return r;
	}
	r = make_root(n, sync, err);
	if (r < 0)
		return r;
	r = ns_program_schedule(&n->c->config->linux, n->program.process, err);
	if (r < 0)
		return r;
	r = ns_program_drop_fds(&n->program, sync, n->start_listener, err);
	if (r < 0)
		return r;
	int left = n->program.process ? ns_program_settle(&n->program, err) : 0;
	if (left < 0)
		return left;
	/* A created container may wait for days: it keeps nothing of the host's open but the ways to its
	 * start. */
	fd_drop(&n->procfs);
	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		return err_sys(err, "cannot untie the container's life from its maker's");
	return ns_send(sync, NS_MSG_CREATED, left, -1, err);
}

_Noreturn void ns_child_main(struct ns_container *n, int spawned, struct err *spawn_err)
{
	struct err err = *spawn_err;
	int sync = n->spawn.sync_child;
	int r = spawned;

	/* The parent's end must be the parent's alone, or its death would go unnoticed. */
	fd_drop(&n->spawn.sync_parent);
	if (r == 0)
		r = child_setup(n, sync, &err);
	if (r == 0)
		r = wait_for_start(n, &sync, &err);
	if (r == 0 && !n->program.process)
		_exit(0); /* nothing to run: as runtimes do, it starts and ends */
	if (r == 0)
		r = ns_program_exec(&n->program, sync, &err);
	ns_send_failure(sync, &err);
	_exit(err.exit_status ? err.exit_status : 1);
}
