/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  The processes of a container are those of its group
 * and of all groups below.  Where there is a unified tree of kernel 5.14 or
 * newer, one write to cgroup.kill ends them all at once, against which no
 * fork can race.  Elsewhere the group is frozen first, so that nothing forks
 * between the list and the signals; thawing delivers them.  (Only SIGKILL
 * needs that: other signals go to who is there now, as with runc.)
 */
#include "host/cgroup_int.h"

#include <poll.h>
#include <signal.h>

const char *cgroup_procs_dir(const struct cgroup *cg)
{
	static const enum cgroup_v1 order[] = {CG_DEVICES, CG_FREEZER, CG_PIDS, CG_MEMORY, CG_CPU};

	if (cg->none)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(order) && !cg->v2; i++)
		if (cg->v1_dir[order[i]])
			return cg->v1_dir[order[i]];
	for (int c = 0; c < CG_V1_COUNT && !cg->v2; c++)
		if (cg->v1_dir[c])
			return cg->v1_dir[c];
	return cg->v2_dir;
}

struct pid_list {
	pid_t *v;
	size_t n, cap;
};

static int add_pid(struct pid_list *l, pid_t pid)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		pid_t *v = reallocarray(l->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = pid;
	return 0;
}

static int collect(const struct cgroup_dir *d, void *data)
{
	autofree char *text = NULL;
	char *s, *line;
	int r = cgroup_get_all(d, "cgroup.procs", &text);

	if (r == -EOPNOTSUPP) /* a threaded group */
		r = cgroup_get_all(d, "cgroup.threads", &text);
	for (s = text; r >= 0 && (line = cgroup_next(&s, '\n'));) {
		uint64_t pid;
		r = str_to_u64(line, 10, &pid);
		/* 0 is a process outside of our pid namespace */
		if (r == 0 && pid > 0 && pid <= INT_MAX)
			r = add_pid(data, (pid_t)pid);
	}
	return r < 0 ? r : 0;
}

int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n, struct err *err)
{
	const char *dir = cgroup_procs_dir(cg);
	struct pid_list l = {0};
	int r = dir ? cgroup_walk(dir, collect, &l) : 0;

	if (r < 0 && r != -ENOENT && r != -ENODEV) {
		free(l.v);
		return err_num(err, r, "cannot list the processes of \"%s\"", dir);
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

int cgroup_signal_all(const struct cgroup *cg, int sig, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n;
	int r = cgroup_pids(cg, &pids, &n, err);

	for (size_t i = 0; i < n && r == 0; i++)
		if (kill(pids[i], sig) < 0 && errno != ESRCH)
			r = err_sys(err, "cannot send signal %d to process %d", sig, pids[i]);
	return r;
}

/* --- SIGKILL --- */

/* 1: no process is left (zombies count as gone); 0 at the end of the time. */
static int wait_empty(const char *dir, int64_t deadline)
{
	autodir struct cgroup_dir d = {.fd = -1};
	struct err ignored = {0};

	if (cgroup_dir_open(dir, &d, &ignored) < 0)
		return 1;
	autoclose int fd = openat(d.fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 1 : -errno;
	for (;;) {
		char buf[256];
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
		if (n < 0)
			return errno == ENODEV ? 1 : -errno;
		buf[n] = '\0';
		if (strstr(buf, "populated 0"))
			return 1;
		int64_t left = deadline - cgroup_now_us() / 1000;
		if (left <= 0)
			return 0;
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		(void)poll(&p, 1, (int)MIN_OF(left, 100)); /* the next read tells */
	}
}

/* 1 when it is empty, 0 at the end of the time, or -errno. */
static int kill_at_once(const struct cgroup *cg, int64_t deadline)
{
	autodir struct cgroup_dir d = {.fd = -1};
	struct err ignored = {0};
	int r = cgroup_dir_open(cg->v2_dir, &d, &ignored);

	if (r < 0)
		return r == -ENOENT ? 1 : r;
	r = cgroup_try_put(&d, "cgroup.kill", "1");
	if (r < 0)
		return r == -ENODEV ? 1 : r;
	/* What the v1 freezer holds cannot even die. */
	if (!cg->v2 && cg->v1_dir[CG_FREEZER])
		ignore_result(cgroup_freeze(cg, false, &ignored)); /* who stays frozen shows in the wait */
	return wait_empty(cg->v2_dir, deadline);
}

static int kill_each(const struct cgroup *cg, int64_t deadline, struct err *err)
{
	int64_t delay = 200;

	for (;;) {
		autofree pid_t *pids = NULL, *first = NULL;
		struct err ignored = {0};
		size_t n;
		int r = cgroup_pids(cg, &first, &n, err);
		if (r < 0 || n == 0)
			return r;
		/* Without a freezer, or one that does not get there, we are left with repeating. */
		bool frozen = cgroup_freeze(cg, true, &ignored) == 0;
		r = cgroup_pids(cg, &pids, &n, err);
		for (size_t i = 0; i < n && r == 0; i++)
			if (kill(pids[i], SIGKILL) < 0 && errno != ESRCH)
				r = err_sys(err, "cannot kill process %d", pids[i]);
		if (frozen)
			ignore_result(cgroup_freeze(cg, false,
						    &ignored)); /* a frozen rest shows in the next round */
		if (r < 0 || n == 0)
			return r;
		if (cgroup_now_us() / 1000 > deadline)
			return err_set(err, EBUSY, "%zu processes survive in \"%s\"", n,
				       cgroup_procs_dir(cg));
		cgroup_pause_us(delay);
		delay = MIN_OF(delay * 2, 20000);
	}
}

int cgroup_kill(const struct cgroup *cg, struct err *err)
{
	enum { WAIT_MS = 10000 };
	int64_t deadline = cgroup_now_us() / 1000 + WAIT_MS;

	if (cg->none)
		return 0;
	if (cg->v2_dir) {
		int r = kill_at_once(cg, deadline);
		if (r == 0)
			return err_set(err, EBUSY, "processes survive in \"%s\"", cg->v2_dir);
		if (r == 1 && cg->v2)
			return 0;
	}
	/* v1 hierarchies may hold processes that are not in the unified one. */
	return kill_each(cg, deadline, err);
}
