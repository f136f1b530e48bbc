/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lack of memory, as the kernel tells it of the container's group.  Which
 * group that is stands in the runtime's state.  The watch begins a moment after
 * the start: a container that is over by then has only its own end to go by.
 */
#include "monitor/program/mon.h"

#include "base/fd.h"
#include "runtime/memory_watch.h"
#include "runtime/record.h"
#include "runtime/store.h"

#include <signal.h>

struct oom_watch {
	struct record record; /* what it says stays: the group's strings are its */
	struct cgroup cgroup;
	struct memory_watch memory;
};

/* The container's state directory, which the caller closes; -errno where it has gone. */
static int load_group(const struct mon *m, struct record *record, struct cgroup *ret)
{
	struct err none = {0};
	autoclose int dirfd = m->plan.runtime_root ? store_open(m->plan.runtime_root, m->plan.id, &none) : -1;

	if (dirfd < 0)
		return -ENOENT;
	int r = record_read(dirfd, record, &none);
	if (r < 0)
		return r;
	record_cgroup(record, ret);
	return take_fd(&dirfd);
}

void oom_free(struct mon *m)
{
	if (!m->oom)
		return;
	memory_watch_end(&m->oom->memory);
	record_free(&m->oom->record);
	free(m->oom);
	m->oom = NULL;
}

/* Told once. */
static void oom_happened(struct mon *m)
{
	if (!m->oom_killed)
		mon_event(m, "oom", -1);
	m->oom_killed = true;
}

void oom_begin(struct mon *m)
{
	struct err none = {0};

	if (m->phase != RUNNING || m->oom || !(m->oom = calloc(1, sizeof(*m->oom))))
		return;
	m->oom->memory = (struct memory_watch){.fd = -1, .group = -1, .file = -1, .changes = -1};
	autoclose int dirfd = load_group(m, &m->oom->record, &m->oom->cgroup);
	if (dirfd < 0 || memory_watch_begin(&m->oom->memory, dirfd, &m->oom->cgroup, &none) < 0)
		oom_free(m); /* no memory group: nothing to be told */
	if (!m->oom)
		return;
	/* The container is a moment old: what was killed in it by now is news. */
	m->oom->memory.kills = m->oom->memory.inner = 0;
	if (memory_watch_missed(&m->oom->memory))
		oom_happened(m);
}

static void oom_read(struct mon *m)
{
	int r = memory_watch_seen(&m->oom->memory);

	if (r > 0)
		oom_happened(m);
	else if (r < 0)
		oom_free(m);
}

static void on_oom(struct mon *m, unused void *arg, int fd, unused short revents)
{
	if (m->oom && m->oom->memory.fd == fd)
		oom_read(m);
}

void oom_watch(struct mon *m)
{
	if (m->oom)
		mon_watch(m, m->oom->memory.fd, POLLIN, on_oom, NULL);
}

void oom_look(struct mon *m)
{
	struct record record = {0};
	struct cgroup group;

	if (m->oom) {
		struct pollfd p = {.fd = m->oom->memory.fd, .events = POLLIN};
		if (poll(&p, 1, 0) > 0)
			oom_read(m);
		/* On v1 the word may come before the kill is counted, and not again. */
		if (m->oom && memory_watch_missed(&m->oom->memory))
			oom_happened(m);
	} else if (m->code == 128 + SIGKILL && !m->oom_killed) {
		autoclose int dirfd = load_group(m, &record, &group);
		if (dirfd >= 0 && memory_kills(dirfd, &group) > 0)
			oom_happened(m);
		record_free(&record);
	}
}
