/* SPDX-License-Identifier: Apache-2.0 */
/* Being told when a group runs out of memory, and how often that killed. */
#include "host/cgroup_int.h"

#include <poll.h>
#include <sys/eventfd.h>

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
	const char *dir = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_MEMORY];
	autodir struct cgroup_dir d = {.fd = -1};
	struct err ignored = {0};
	uint64_t n;

	if (!dir || cgroup_dir_open(dir, &d, &ignored) < 0)
		return 0;
	return cgroup_get_key(&d, cg->v2 ? "memory.events" : "memory.oom_control", "oom_kill", &n) < 0 ? 0
												       : n;
}

static int watch_v1(const struct cgroup_dir *d, struct err *err)
{
	autoclose int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	autoclose int control = openat(d->fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	char text[64];

	if (event < 0 || control < 0)
		return err_sys(err, "cannot open \"%s/memory.oom_control\"", d->path);
	(void)snprintf(text, sizeof(text), "%d %d", event, control); /* fits */
	int r = cgroup_put(d, "cgroup.event_control", text, err);
	return r < 0 ? r : take_fd(&event);
}

static int watch_v2(const struct cgroup_dir *d, struct err *err)
{
	char buf[512];
	autoclose int fd = openat(d->fd, "memory.events", O_RDONLY | O_CLOEXEC);

	/* What happened before the first read is not news. */
	if (fd < 0 || pread(fd, buf, sizeof(buf), 0) < 0)
		return err_sys(err, "cannot watch \"%s/memory.events\"", d->path);
	return take_fd(&fd);
}

int cgroup_oom_watch(const struct cgroup *cg, short *ret_poll_events, struct err *err)
{
	const char *dir = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_MEMORY];
	autodir struct cgroup_dir d = {.fd = -1};
	int r;

	if (!dir)
		return err_set(err, ENOTSUP,
			       "cannot watch for lack of memory: the container has no memory cgroup");
	r = cgroup_dir_open(dir, &d, err);
	if (r < 0)
		return r;
	r = cg->v2 ? watch_v2(&d, err) : watch_v1(&d, err);
	if (r >= 0)
		*ret_poll_events = cg->v2 ? POLLPRI : POLLIN;
	return r;
}

static int seen_v1(const struct cgroup *cg, int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* The kernel also wakes us when the group is removed. */
	return cgroup_exists(cg) && access(cg->v1_dir[CG_MEMORY], F_OK) == 0 ? 1 : -ENODEV;
}

static int seen_v2(int fd, uint64_t *kills_before)
{
	char buf[512], *s = buf, *line;
	ssize_t len = pread(fd, buf, sizeof(buf) - 1, 0); /* arms the poll again */

	if (len < 0)
		return -errno;
	buf[len] = '\0';
	while ((line = cgroup_next(&s, '\n'))) {
		uint64_t kills;
		if (!str_starts(line, "oom_kill ") || str_to_u64(line + strlen("oom_kill "), 10, &kills) < 0)
			continue;
		/* Other events, reaching memory.high for one, wake us too. */
		bool more = kills > *kills_before;
		*kills_before = kills;
		return more;
	}
	return 0;
}

int cgroup_oom_seen(const struct cgroup *cg, int fd, uint64_t *kills_before)
{
	return cg->v2 ? seen_v2(fd, kills_before) : seen_v1(cg, fd);
}
