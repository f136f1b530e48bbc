/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lack of memory, as the kernel tells it of the container's group.  Which
 * group that is stands in the runtime's state.  The watch begins a moment after
 * the start: a container that is over by then has only its own end to go by.
 */
#include "monitor/program/mon.h"

#include "host/cgroup.h"
#include "runtime/container.h"

#include <signal.h>

struct oom_watch {
	struct container c;
	int fd;
	short events;
	uint64_t kills;
};

static struct runtime runtime_of(const struct mon *m)
{
	return (struct runtime){.root = (char *)(uintptr_t)m->plan.runtime_root,
				.rootless = m->plan.rootless,
				.rootless_cgroup = m->plan.rootless};
}

void oom_free(struct mon *m)
{
	if (!m->oom)
		return;
	fd_drop(&m->oom->fd);
	container_close(&m->oom->c);
	free(take_ptr(&m->oom));
}

void oom_begin(struct mon *m)
{
	struct runtime rt = runtime_of(m);
	struct err none = {0};

	if (m->phase != RUNNING || m->oom || !m->plan.runtime_root || !(m->oom = calloc(1, sizeof(*m->oom))))
		return;
	m->oom->fd = -1;
	if (container_load(&rt, m->plan.id, CONTAINER_SALVAGE, &m->oom->c, &none) == 0) {
		m->oom->kills = 0;
		m->oom->fd = cgroup_oom_watch(&m->oom->c.cgroup, &m->oom->events, &none);
	}
	if (m->oom->fd < 0) /* no memory group: nothing to be told */
		oom_free(m);
}

static void oom_read(struct mon *m)
{
	int r = cgroup_oom_seen(&m->oom->c.cgroup, m->oom->fd, &m->oom->kills);

	if (r > 0) {
		if (!m->oom_killed)
			mon_event(m, "oom", -1);
		m->oom_killed = true;
	} else if (r < 0) {
		oom_free(m);
	}
}

static void on_oom(struct mon *m, unused void *arg, int fd, unused short revents)
{
	if (m->oom && m->oom->fd == fd)
		oom_read(m);
}

void oom_watch(struct mon *m)
{
	if (m->oom)
		mon_watch(m, m->oom->fd, m->oom->events, on_oom, NULL);
}

bool oom_look(struct mon *m)
{
	struct runtime rt = runtime_of(m);
	struct err none = {0};

	if (m->oom) {
		struct pollfd p = {.fd = m->oom->fd, .events = m->oom->events};
		if (poll(&p, 1, 0) > 0)
			oom_read(m);
		return m->oom_killed;
	}
	if (m->code != 128 + SIGKILL || !m->plan.runtime_root || m->oom_killed)
		return m->oom_killed;
	autocontainer struct container c;
	if (container_load(&rt, m->plan.id, CONTAINER_SALVAGE, &c, &none) < 0 ||
	    cgroup_oom_kills(&c.cgroup) == 0)
		return false;
	mon_event(m, "oom", -1);
	return true;
}
