/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * clone3 gives the child new mount, pid, network, IPC and UTS namespaces.  It
 * makes a tmpfs, puts the host's /usr into it (a clone of the detached mount
 * that the runtime made before it went into the container, read-only, without
 * devices and set-id programs) and pivots there: the container's root, which
 * is the caller's, goes with the old root.  Of procfs only one folder comes
 * along, the child's own /proc/PID/fd as /fd: QEMU opens kernel, initramfs and
 * memory by path, and has no other way to take a descriptor.  A folder of
 * descriptors shows nobody but its own process anything.
 *
 * Then the identity.  The highest id that the user namespace maps owns
 * nothing: files of the host and of containers have low ones.  Where only one
 * is mapped (a user without subordinate ids) it stays, without capabilities.
 *
 * The child tells of failure through a pipe that a successful exec closes.
 * The order at its end matters: a change of identity clears the parent-death
 * signal, and what the parent did before that is found by a write into the
 * pipe, whose reading end dies with it (getppid() is 0 in a new pid namespace).
 */
#include "vm/jail.h"

#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum {
	JAIL_FDS_MAX = 192,
	JAIL_ID_MAX = 0x7ffeffff, /* some file systems and programs take ids as signed */
	ALL_NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
};

/* ---- The root ---- */

static int attach_usr(const struct jail *j, struct err *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID};
	static const struct {
		const char *to, *name;
	} links[] = {{"usr/bin", "bin"}, {"usr/lib", "lib"}, {"usr/lib64", "lib64"}, {"usr/sbin", "sbin"}};

	if (j->usr_tree < 0)
		return 0;
	/* A tree can be attached once. The kernel copies what is attached nowhere only where that was made in
	 * our mount namespace: then a copy serves, and else the caller has a tree for each start. */
	autoclose int copy = sys_open_tree(
		j->usr_tree, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	int tree = copy >= 0 ? copy : j->usr_tree;
	if (sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr) < 0)
		return err_sys(err, "cannot make the host's /usr read-only for the hypervisor");
	if (mkdir("usr", 0755) < 0 || sys_move_mount(tree, "", AT_FDCWD, "usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "cannot put the host's /usr into the hypervisor's root");
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlink(links[i].to, links[i].name) < 0)
			return err_sys(err, "cannot make /%s in the hypervisor's root", links[i].name);
	return 0;
}

/* What is mounted nowhere cannot be copied everywhere: a procfs of the child's own pid namespace then. */
static int new_own_fds(struct err *err)
{
	autoclose int fs = sys_fsopen("proc", FSOPEN_CLOEXEC);

	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "cannot make a procfs for the hypervisor");
	autoclose int proc =
		sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (proc < 0 || sys_move_mount(proc, "", AT_FDCWD, "fd", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "cannot mount a procfs for the hypervisor");
	autoclose int tree = sys_open_tree(proc, "self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || umount2("fd", MNT_DETACH) < 0)
		return err_sys(err, "cannot copy the mount of the hypervisor's own descriptors");
	return take_fd(&tree);
}

static int attach_own_fds(const struct jail *j, struct err *err)
{
	if (j->proc_fd < 0 || j->bare)
		return 0;
	if (mkdir("fd", 0555) < 0)
		return err_sys(err, "cannot make /fd in the hypervisor's root");
	/* "self" is a link to the pid's folder in the procfs's own pid namespace: the copy stays with that.
	 */
	autoclose int tree = sys_open_tree(j->proc_fd, "self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		tree = new_own_fds(err);
	if (tree < 0)
		return tree;
	if (sys_move_mount(tree, "", AT_FDCWD, "fd", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "cannot put its descriptors into the hypervisor's root");
	return 0;
}

static int make_jail_root(const struct jail *j, struct err *err)
{
	autoclose int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "cannot make the hypervisor's mounts private");
	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", "64k", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "cannot make a tmpfs for the hypervisor's root");
	autoclose int root = sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	/* On top of "/", whatever the image has there: a path of its could be anything. */
	if (root < 0 || sys_move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(root) < 0)
		return err_sys(err, "cannot mount the hypervisor's root");
	int r = attach_usr(j, err);
	if (r == 0)
		r = attach_own_fds(j, err);
	if (r < 0)
		return r;
	if (j->kvm) {
		char to[32];
		(void)snprintf(to, sizeof(to), "/fd/%d", j->kvm_fd); /* fits */
		if (mkdir("dev", 0755) < 0 || symlink(to, "dev/kvm") < 0)
			return err_sys(err, "cannot make /dev/kvm in the hypervisor's root");
	}
	if (sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "cannot change into the hypervisor's root");
	if (sys_mount_setattr(AT_FDCWD, "/", 0, &attr) < 0)
		return err_sys(err, "cannot make the hypervisor's root read-only");
	return 0;
}

/* ---- The identity ---- */

/* The highest id of a map ("inside outside count" a line). */
static int highest_id(const struct jail *j, const char *map, uint32_t *ret, struct err *err)
{
	char text[4096];
	uint64_t best = 0;

	autoclose int fd = j->proc_fd < 0 ? open(map, O_RDONLY | O_CLOEXEC)
					  : openat(j->proc_fd, map, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : fd_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_num(err, (int)n, "cannot read the user namespace's %s", map);
	text[n] = '\0';
	for (const char *p = text; *p;) {
		unsigned long long inside, count;
		if (sscanf(p, "%llu %*u %llu", &inside, &count) == 2 && count > 0)
			best = MAX_OF(best, inside <= JAIL_ID_MAX ? MIN_OF(inside + count - 1,
									   (unsigned long long)JAIL_ID_MAX)
								  : 0ULL);
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	*ret = (uint32_t)best;
	return 0;
}

static int drop_bounding(struct err *err)
{
	for (int cap = 0; cap < 64; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (r < 0)
			break; /* the kernel knows no more */
		if (r && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "cannot drop capability %d for the hypervisor", cap);
	}
	return 0;
}

static int become_nobody(const struct jail *j, uint32_t uid, uint32_t gid, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};
	struct stat kvm;
	gid_t more = 0;
	size_t nmore = 0;

	if (j->kvm && fstat(j->kvm_fd, &kvm) == 0) {
		more = kvm.st_gid;
		nmore = 1;
	}
	/* Denied where a user without rights made the user namespace: then there are none that give any. */
	if (setgroups(nmore, &more) < 0 && setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(err, "cannot drop the hypervisor's groups");
	int r = drop_bounding(err);
	if (r < 0)
		return r;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "cannot become user %u for the hypervisor", uid);
	ignore_result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0); /* before 4.3: none */
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "cannot drop the hypervisor's capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot set no_new_privs for the hypervisor");
	return 0;
}

/* ---- Descriptors, and the program ---- */

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Nothing stays open beyond exec but the standard three and what was listed. */
static int set_fds(const struct jail *j, struct err *err)
{
	int keep[JAIL_FDS_MAX], null[2];

	if (j->nfds > JAIL_FDS_MAX)
		return err_set(err, E2BIG, "%zu descriptors are too many for a hypervisor", j->nfds);
	memcpy(keep, j->fds, j->nfds * sizeof(*keep));
	qsort(keep, j->nfds, sizeof(*keep), compare_fds);
	/* There is no /dev/null here: a pipe that nobody writes into is as empty. */
	if (pipe2(null, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make the hypervisor's standard input");
	if (dup2(null[0], 0) < 0 || dup2(j->out_fd < 0 ? j->log_fd : j->out_fd, 1) < 0 ||
	    dup2(j->log_fd, 2) < 0)
		return err_sys(err, "cannot set the hypervisor's standard streams");
	int r = fd_close_from(3, NULL, 0, true);
	for (size_t i = 0; r == 0 && i < j->nfds; i++)
		r = fd_set_cloexec(keep[i], false);
	return r < 0 ? err_num(err, r, "cannot keep the hypervisor's descriptors") : 0;
}

static int forget_signals(struct err *err)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		ignore_result(signal(sig, SIG_DFL) == SIG_ERR); /* some cannot be */
	(void)sigemptyset(&none);				/* cannot fail */
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_sys(err, "cannot unblock signals") : 0;
}

static int enter_jail(const struct jail *j, int report, struct err *err)
{
	uint32_t uid, gid;

	int r = highest_id(j, j->proc_fd < 0 ? "/proc/self/uid_map" : "self/uid_map", &uid, err);
	if (r == 0)
		r = highest_id(j, j->proc_fd < 0 ? "/proc/self/gid_map" : "self/gid_map", &gid, err);
	if (r == 0)
		r = make_jail_root(j, err);
	if (r == 0)
		r = set_fds(j, err);
	if (r == 0)
		r = become_nobody(j, uid, gid, err);
	if (r == 0)
		r = forget_signals(err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "cannot tie the hypervisor's life to its keeper's");
	/* The parent may be gone already; SIGPIPE ends us then. */
	if (write(report, "", 1) != 1)
		return err_sys(err, "the keeper is gone");
	if (j->exe >= 0)
		(void)syscall(SYS_execveat, j->exe, "", j->argv, j->envp,
			      AT_EMPTY_PATH); /* on failure alone */
	else
		(void)execve(j->path, j->argv, j->envp); /* likewise */
	return err_sys(err, "cannot execute the hypervisor %s", j->path ? j->path : j->argv[0]);
}

_Noreturn static void run_jailed(const struct jail *j, int report)
{
	struct err err = {0};

	(void)enter_jail(j, report, &err);			    /* only failing it comes back */
	ignore_result(fd_write_all(report, &err, sizeof(err)) < 0); /* who does not hear it sees the status */
	_exit(127);
}

int jail_start(const struct jail *j, pid_t *ret_pid, struct err *err)
{
	struct clone_args args = {.flags = ALL_NAMESPACES, .exit_signal = SIGCHLD};
	struct {
		char alive;
		char text[sizeof(struct err)];
	} __attribute__((packed)) answer;
	struct err why;
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for the hypervisor's start");
	autoclose int from = report[0], to = report[1];
	pid_t pid = sys_clone3(&args);
	if (pid < 0)
		return err_sys(err, "cannot make a process in namespaces of its own for the hypervisor");
	if (pid == 0) {
		fd_drop(&from);
		run_jailed(j, to);
	}
	fd_drop(&to);
	ssize_t n = fd_read_full(from, &answer, sizeof(answer));
	if (n == 1) {
		*ret_pid = pid;
		return 0;
	}
	(void)kill(pid, SIGKILL);      /* it is going anyway */
	ignore_result(proc_wait(pid)); /* ours, so it can be waited for */
	/* Before the sign of life the error comes alone. */
	size_t at = n == (ssize_t)sizeof(answer) ? 1 : 0;
	if (n != (ssize_t)(sizeof(why) + at))
		return err_set(err, EIO, "the hypervisor's process died while it was set up");
	memcpy(&why, (char *)&answer + at, sizeof(why));
	why.msg[sizeof(why.msg) - 1] = '\0';
	*err = why;
	return why.code > 0 ? -why.code : -EIO;
}
