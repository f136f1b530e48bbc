/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lack of memory, as the kernel tells it of the container's group.  Which
 * group that is stands in the runtime's state.  The watch begins a moment after
 * the start: a container that is over by then has only its own end to go by.
 */
#include "monitor/program/mon.h"

#include "host/cgroup.h"
#include "runtime/record.h"
#include "runtime/store.h"

#include <signal.h>

struct oom_watch {
	struct record record; /* what it says stays: the group's strings are its */
	struct cgroup cgroup;
	int fd;
	short events;
	uint64_t kills;
};

static int load_group(const struct mon *m, struct record *record, struct cgroup *ret)
{
	struct err none = {0};
	autoclose int dirfd = m->plan.runtime_root ? store_open(m->plan.runtime_root, m->plan.id, &none) : -1;

	if (dirfd < 0)
		return -ENOENT;
	int r = record_read(dirfd, record, &none);
	if (r == 0)
		record_cgroup(record, ret);
	return r;
}

void oom_free(struct mon *m)
{
	if (!m->oom)
		return;
	fd_drop(&m->oom->fd);
	record_free(&m->oom->record);
	free(m->oom);
	m->oom = NULL;
}

void oom_begin(struct mon *m)
{
	struct err none = {0};

	if (m->phase != RUNNING || m->oom || !(m->oom = calloc(1, sizeof(*m->oom))))
		return;
	m->oom->fd = -1;
	if (load_group(m, &m->oom->record, &m->oom->cgroup) == 0)
		m->oom->fd = cgroup_oom_watch(&m->oom->cgroup, &m->oom->events, &none);
	if (m->oom->fd < 0) /* no memory group: nothing to be told */
		oom_free(m);
}

/* Told once. */
static void oom_happened(struct mon *m)
{
	if (!m->oom_killed)
		mon_event(m, "oom", -1);
	m->oom_killed = true;
}

static void oom_read(struct mon *m)
{
	int r = cgroup_oom_seen(&m->oom->cgroup, m->oom->fd, &m->oom->kills);

	if (r > 0)
		oom_happened(m);
	else if (r < 0)
		oom_free(m);
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

void oom_look(struct mon *m)
{
	struct record record = {0};
	struct cgroup group;

	if (m->oom) {
		struct pollfd p = {.fd = m->oom->fd, .events = m->oom->events};
		if (poll(&p, 1, 0) > 0)
			oom_read(m);
		/* On v1 the word may come before the kill is counted, and not again. */
		if (m->oom && cgroup_oom_kills(&m->oom->cgroup) > m->oom->kills)
			oom_happened(m);
	} else if (m->code == 128 + SIGKILL && !m->oom_killed) {
		if (load_group(m, &record, &group) == 0 && cgroup_oom_kills(&group) > 0)
			oom_happened(m);
		record_free(&record);
	}
}
