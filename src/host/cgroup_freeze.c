/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  v2 freezes reliably and says when it is done in
 * cgroup.events, which can be polled.  The v1 freezer can stay in FREEZING
 * while processes fork; the kernel's advice is to write again, and now and
 * then to thaw and to wait.  A group is never left half frozen: what fails is
 * thawed.
 */
#include "host/cgroup_int.h"

#include <poll.h>

enum {
	V2_WAIT_MS = 10000,
	V1_TRIES = 1000,
};

/* --- v2 --- */

static int wait_frozen_v2(const struct cgroup_dir *d, struct err *err)
{
	autoclose int fd = openat(d->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot open \"%s/cgroup.events\"", d->path);
	for (int left = V2_WAIT_MS; left > 0; left -= 10) {
		char buf[256];
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
		if (n < 0)
			return err_sys(err, "cannot read \"%s/cgroup.events\"", d->path);
		buf[n] = '\0';
		if (strstr(buf, "frozen 1"))
			return 0;
		(void)poll(&p, 1, 10); /* the next read tells */
	}
	return err_set(err, ETIMEDOUT, "timeout of 10s reached waiting for the cgroup to freeze");
}

static int freeze_v2(const char *dir, bool frozen, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int r = cgroup_dir_open(dir, &d, err);

	if (r < 0)
		return r;
	r = cgroup_put(&d, "cgroup.freeze", frozen ? "1" : "0", err);
	if (r == -ENOENT)
		return frozen ? err_prefix(err, "freezer not supported") : 0;
	if (r == 0 && frozen) {
		r = wait_frozen_v2(&d, err);
		if (r < 0)
			ignore_result(cgroup_try_put(&d, "cgroup.freeze",
						     "0")); /* the time-out is the error to tell */
	}
	return r;
}

/* --- v1 --- */

static int freeze_v1(const struct cgroup_dir *d, struct err *err)
{
	char state[16];

	for (int i = 0; i < V1_TRIES; i++) {
		int r;
		if (i % 50 == 49) {
			ignore_result(
				cgroup_try_put(d, "freezer.state", "THAWED")); /* the write below tells */
			cgroup_pause_us(10000);
		}
		r = cgroup_put(d, "freezer.state", "FROZEN", err);
		if (r < 0)
			return r;
		if (i % 25 == 24)
			cgroup_pause_us(10);
		r = cgroup_get(d, "freezer.state", state, sizeof(state));
		if (r < 0)
			return err_num(err, r, "cannot read \"%s/freezer.state\"", d->path);
		if (streq(state, "FROZEN"))
			return 0;
		if (!streq(state, "FREEZING"))
			return err_set(err, EIO, "unexpected state %s while freezing", state);
	}
	return err_set(err, EBUSY, "unable to freeze");
}

int cgroup_freeze(const struct cgroup *cg, bool frozen, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int r;

	if (!cg->none && cg->v2)
		return freeze_v2(cg->v2_dir, frozen, err);
	if (cg->none || !cg->v1_dir[CG_FREEZER]) {
		/* A hybrid machine may have it in the unified tree only. */
		if (!cg->none && cg->v2_dir)
			return freeze_v2(cg->v2_dir, frozen, err);
		return err_set(err, ENOTSUP, "cannot toggle freezer: cgroups not configured for container");
	}
	r = cgroup_dir_open(cg->v1_dir[CG_FREEZER], &d, err);
	if (r < 0)
		return r;
	if (!frozen)
		return cgroup_put(&d, "freezer.state", "THAWED", err);
	r = freeze_v1(&d, err);
	if (r < 0)
		ignore_result(cgroup_try_put(&d, "freezer.state",
					     "THAWED")); /* the first error is the one to tell */
	return r;
}

/* --- asking --- */

static int frozen_v1(const struct cgroup_dir *d)
{
	char state[16], self[8];

	for (int i = 0; i < V1_TRIES; i++) {
		int r = cgroup_get(d, "freezer.state", state, sizeof(state));
		if (r < 0)
			return r;
		if (streq(state, "THAWED"))
			return 0;
		/* By its own state, or only because a group above is frozen? */
		if (streq(state, "FROZEN"))
			return cgroup_get(d, "freezer.self_freezing", self, sizeof(self)) < 0 ||
			       streq(self, "1");
		cgroup_pause_us(1000);
	}
	return 1; /* for a second in FREEZING: it does not run */
}

int cgroup_is_frozen(const struct cgroup *cg, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	bool v1 = !cg->v2 && cg->v1_dir[CG_FREEZER];
	const char *dir = cg->none ? NULL : v1 ? cg->v1_dir[CG_FREEZER] : cg->v2_dir;
	char state[8];
	int r;

	if (!dir)
		return 0;
	r = cgroup_dir_open(dir, &d, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = v1 ? frozen_v1(&d) : cgroup_get(&d, "cgroup.freeze", state, sizeof(state));
	if (r == -ENOENT || r == -ENODEV) /* the group is gone, or the kernel has no freezer */
		return 0;
	if (r < 0)
		return err_num(err, r, "cannot read the freezer's state of \"%s\"", dir);
	return v1 ? r : streq(state, "1");
}
