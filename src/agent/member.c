/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Further containers, where the machine is a pod.
 *
 * Each has an agent of its own: a child of pid 1, which stands in new pid and
 * mount namespaces, and behind two ports of its own (wire/guest.h).  It is in
 * all else what the first agent is, so that nothing of what one keeper says
 * can be about another one's container.
 *
 * As pid 1 of its namespace its end is the end of all that it ran, its file
 * share's relay included, and its mounts go with it: what is left to the
 * first agent is an empty cgroup.  It has the network of the machine, and
 * host name and IPC of the first container, /dev/shm too: who makes a
 * container of a pod need not say so.
 *
 * One that shares the first container's processes (GUEST_SHARES_PIDS) joins
 * its pid namespace, which only who stands in one above may: so its agent is
 * in the first agent's, and what has to end with it is what is in two groups,
 * its own and the container's.  A child of the first agent sees to that,
 * since it may take a while.
 */
#include "agent/agent.h"

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

enum { PORTS_MS = 30000 };

#define MEMBER_SHM "/run/coffer/shm"
#define POD_SHM	   "/run/coffer/pod-shm" /* of the first agent */

struct member {
	struct member *next;
	uint32_t number;
	pid_t pid; /* of its agent; or, in the end, of who sweeps up behind it */
	bool shares_pids, sweeping;
};

/* Of the first container's process; owned. */
struct joined {
	int ipc, uts, mnt, pid; /* pid: -1 = not shared */
};

enum { MEMBER_ID_SIZE = sizeof(((struct agent *)NULL)->id) };

/* Of its container, and of its group. */
static void member_id(uint32_t number, char ret[static MEMBER_ID_SIZE])
{
	(void)snprintf(ret, MEMBER_ID_SIZE, "guest-%u", number); /* fits */
}

/* Of the group of the agent itself, where it has one. */
static void agent_id(uint32_t number, char ret[static MEMBER_ID_SIZE])
{
	(void)snprintf(ret, MEMBER_ID_SIZE, "agent-%u", number); /* fits */
}

static void joined_close(struct joined *j)
{
	fd_drop(&j->ipc);
	fd_drop(&j->uts);
	fd_drop(&j->mnt);
	fd_drop(&j->pid);
}

static int open_namespaces(pid_t pid, bool pids, struct joined *ret, struct err *err)
{
	const struct {
		const char *name;
		int *fd;
	} all[] = {{"ipc", &ret->ipc}, {"uts", &ret->uts}, {"mnt", &ret->mnt}, {"pid", &ret->pid}};

	*ret = (struct joined){-1, -1, -1, -1};
	for (size_t i = 0; i < ARRAY_LEN(all) - !pids; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, all[i].name); /* fits */
		*all[i].fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*all[i].fd < 0) {
			int r = err_sys(err, "cannot open the first container's %s namespace", all[i].name);
			joined_close(ret);
			return r;
		}
	}
	return 0;
}

/* ---- in the child ---- */

/* The first container's /dev/shm, as a mount of nowhere yet; -1: there is none.  Its links are its own. */
static int clone_shm(int mnt)
{
	autoclose int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	autoclose int at = -1;
	int tree = -1;

	if (own < 0 || setns(mnt, CLONE_NEWNS) < 0)
		return -1;
	at = sys_openat2(AT_FDCWD, "/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	if (at >= 0)
		tree = sys_open_tree(at, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (setns(own, CLONE_NEWNS) < 0)
		_exit(1); /* nobody may be served out of another one's files */
	return tree;
}

/* Kubernetes' sandbox containers have theirs read-only: then the others have one of their own in common. */
static int clone_pod_shm(int mnt)
{
	autoclose int first = clone_shm(mnt);
	struct statvfs fs;

	if (first >= 0 && fstatvfs(first, &fs) == 0 && !(fs.f_flag & ST_RDONLY))
		return take_fd(&first);
	return sys_open_tree(AT_FDCWD, POD_SHM, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int place_shm(int tree, struct err *err)
{
	int r = file_mkdir_all(MEMBER_SHM, 0755);

	if (r < 0)
		return err_num(err, r, "cannot make " MEMBER_SHM);
	return sys_move_mount(tree, "", AT_FDCWD, MEMBER_SHM, MOVE_MOUNT_F_EMPTY_PATH) < 0
		       ? err_sys(err, "cannot mount " MEMBER_SHM)
		       : 0;
}

/* A namespace is kept by a file that it is mounted on: the runtime takes a path. */
static int place_pids(int pid, struct err *err)
{
	autoclose int file = open(GUEST_PIDS_AT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return file < 0 || mount(fd_path(pid).s, GUEST_PIDS_AT, NULL, MS_BIND, NULL) < 0
		       ? err_sys(err, "cannot mount the first container's pid namespace")
		       : 0;
}

/* What the first agent has below /run, its container's root above all, is not ours to see. */
static int own_mounts(const struct joined *j, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || chdir("/") < 0)
		return err_sys(err, "cannot have mounts of its own");
	autoclose int shm = clone_pod_shm(j->mnt);
	if (shm < 0)
		return err_sys(err, "cannot find the pod's /dev/shm");
	while (umount2("/run", MNT_DETACH) == 0)
		;
	if (mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(err, "cannot mount /run and /proc of its own");
	int r = place_shm(shm, err);
	return r < 0 || j->pid < 0 ? r : place_pids(j->pid, err);
}

/* All descriptors but the log and these. */
static int shed_descriptors(int log, const struct joined *j, struct err *err)
{
	int keep[] = {log, j->ipc, j->uts, j->mnt, j->pid};
	size_t n = ARRAY_LEN(keep) - (j->pid < 0);

	/* In the order that they have. */
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			if (keep[k] < keep[i]) {
				int other = keep[i];
				keep[i] = keep[k];
				keep[k] = other;
			}
	int r = fd_close_from(3, keep, n, false);
	return r < 0 ? err_num(err, r, "cannot close descriptors") : 0;
}

static int become_member(struct agent *a, struct joined *j, struct err *err)
{
	char agent[64], share[64];
	int r = shed_descriptors(a->log, j, err);

	if (r < 0)
		return r;
	(void)prctl(PR_SET_NAME, a->id, 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "cannot ask to end with the first agent");
	/* What pid 1 of a namespace need not ask for. */
	if (j->pid >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_sys(err, "cannot ask for orphans");
	r = own_mounts(j, err);
	if (r == 0 && (setns(j->uts, CLONE_NEWUTS) < 0 || setns(j->ipc, CLONE_NEWIPC) < 0))
		r = err_sys(err, "cannot join the first container's host name and IPC");
	joined_close(j);
	(void)snprintf(agent, sizeof(agent), GUEST_PORT_AGENT ".%u", a->member); /* fits */
	(void)snprintf(share, sizeof(share), GUEST_PORT_SHARE ".%u", a->member);
	return r < 0 ? r : boot_ports(a, agent, share, PORTS_MS, err);
}

static _Noreturn void member_main(const struct agent *first, uint32_t number, struct joined *j)
{
	struct agent a = {.guest = first->guest,
			  .ports = first->ports,
			  .member = number,
			  .share_port = -1,
			  .log = first->log,
			  .port = {.fd = -1},
			  .in = {.max_payload = GUEST_PAYLOAD_MAX}};
	struct err err = {0};

	member_id(number, a.id);
	int r = become_member(&a, j, &err);
	if (r == 0)
		r = agent_serve(&a, &err);
	if (r < 0)
		agent_warn(&a, err.msg);
	/* What was written by mapping; a keeper that has gone has nobody to take it. */
	if (a.shut_down && a.guest)
		sync();
	_exit(r < 0);
}

/* ---- in the first agent ---- */

/* As agents' groups are: directories beside one another. */
static int plan_group(const char *id, struct cgroup *ret, struct err *err)
{
	const struct cgroup_request q = {.id = id};

	return cgroup_plan(&q, ret, err);
}

/* Into a group of its own, if it is to have one.  Only a test's agent may stand where there is no unified
 * tree. */
static pid_t fork_into(const char *id, struct clone_args *args, struct err *err)
{
	const struct cgroup_request q = {.id = id};
	const struct oci_resources none = {0};
	struct cgroup group = {0};
	pid_t pid = -1;
	int fd = -1;

	int r = plan_group(id, &group, err);
	if (r == 0 && group.v2)
		r = cgroup_create(&group, &none, &q, 0, err);
	if (r == 0 && group.v2) {
		r = fd = cgroup_open_dir(&group, NULL, err);
		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)fd;
	}
	if (r >= 0)
		pid = sys_clone3(args);
	if (r >= 0 && pid < 0)
		(void)err_sys(err, "cannot start the container's agent"); /* the caller tells */
	if (pid == 0)
		return 0;
	fd_drop(&fd);
	if (pid < 0)
		cgroup_remove_empty(&group);
	cgroup_free(&group);
	return pid;
}

static pid_t fork_member(uint32_t number, bool shares_pids, struct err *err)
{
	struct clone_args args = {.flags = CLONE_NEWNS | (shares_pids ? 0 : CLONE_NEWPID),
				  .exit_signal = SIGCHLD};
	char id[MEMBER_ID_SIZE];

	agent_id(number, id);
	if (shares_pids)
		return fork_into(id, &args, err);
	pid_t pid = sys_clone3(&args);
	if (pid < 0)
		(void)err_sys(err, "cannot start the container's agent"); /* the caller tells */
	return pid;
}

static int make_pod_shm(struct agent *a, struct err *err)
{
	if (a->pod_shm)
		return 0;
	int r = file_mkdir_all(POD_SHM, 0755);
	if (r < 0)
		return err_num(err, r, "cannot make " POD_SHM);
	a->pod_shm = mount("shm", POD_SHM, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777") == 0;
	return a->pod_shm ? 0 : err_sys(err, "cannot mount " POD_SHM);
}

int member_start(struct agent *a, const struct guest_admission *ask, struct err *err)
{
	const struct live *l = a->main_there ? live_find(a, a->main_id) : NULL;
	bool shares_pids = ask->flags & GUEST_SHARES_PIDS;
	struct joined j;

	if (a->member)
		return err_set(err, EPERM, "a container of a pod has no containers of its own");
	if (!l || l->pid <= 0)
		return err_set(err, ESRCH, "the pod's first container has ended");
	if (ask->flags & ~(uint32_t)GUEST_SHARES_PIDS)
		return err_set(err, EINVAL, "the agent knows no flags %#x of a further container",
			       ask->flags);
	for (const struct member *m = a->members; m; m = m->next)
		if (m->number == ask->number || ask->number == 0)
			return err_set(err, EEXIST, "number %u is taken", ask->number);
	int r = make_pod_shm(a, err);
	if (r == 0)
		r = open_namespaces(l->pid, shares_pids, &j, err);
	struct member *m = r < 0 ? NULL : calloc(1, sizeof(*m));
	if (r < 0)
		return r;
	pid_t pid = m ? fork_member(ask->number, shares_pids, err) : -1;
	if (pid == 0)
		member_main(a, ask->number, &j);
	joined_close(&j);
	if (pid < 0) {
		free(m);
		return m ? -err->code : err_oom(err);
	}
	*m = (struct member){
		.next = a->members, .number = ask->number, .pid = pid, .shares_pids = shares_pids};
	a->members = m;
	return 0;
}

/* Nobody is in it any more; or who is, is to end. */
static void remove_group(const struct agent *a, const char *id, bool kill_first)
{
	struct cgroup group = {0};
	struct err err = {0};
	int r = plan_group(id, &group, &err);

	if (r == 0 && kill_first && cgroup_exists(&group))
		r = cgroup_kill(&group, &err);
	if (r == 0)
		r = cgroup_remove(&group, &err);
	if (r < 0)
		agent_warn(a, err.msg);
	cgroup_free(&group);
}

/* The agent's first: nothing comes into the container's any more then. */
static void end_groups(const struct agent *a, const struct member *m)
{
	char id[MEMBER_ID_SIZE];

	agent_id(m->number, id);
	if (m->shares_pids)
		remove_group(a, id, true);
	member_id(m->number, id);
	remove_group(a, id, m->shares_pids);
}

void members_end(struct agent *a)
{
	for (struct member *m; (m = a->members);) {
		a->members = m->next;
		(void)kill(m->pid, SIGKILL); /* our child, not reaped */
		ignore_result(waitpid(m->pid, NULL, 0));
		end_groups(a, m);
		free(m);
	}
}

/* false: there is nothing to be swept up, or nobody to do it, so it is done here and now. */
static bool sweep_behind(struct agent *a, struct member *m)
{
	pid_t pid = m->shares_pids && !m->sweeping ? fork() : -1;

	if (pid == 0) {
		end_groups(a, m);
		_exit(0);
	}
	if (pid < 0)
		return false;
	m->pid = pid;
	m->sweeping = true;
	return true;
}

bool member_reaped(struct agent *a, pid_t pid)
{
	struct member **at = &a->members;

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	struct member *m = *at;
	if (!m)
		return false;
	if (sweep_behind(a, m))
		return true;
	const struct guest_frame f = {.type = GUEST_LEFT, .len = sizeof(struct guest_member)};
	const struct guest_member left = {.number = m->number};
	*at = m->next;
	end_groups(a, m);
	channel_send(a, &f, &left, NULL, 0);
	free(m);
	return true;
}
