/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `events`: statistics at an interval, and a line whenever the kernel has
 * killed for want of memory, until the container stops.
 */
#include "runtime/runtime.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "host/cgroup_stats.h"
#include "runtime/container.h"
#include "runtime/lacks.h"
#include "runtime/memory_watch.h"
#include "runtime/stats_json.h"

#include <poll.h>

static int emit_stats(const struct container *c, const struct events_options *o, struct err *err)
{
	__attribute__((cleanup(cgroup_stats_free))) struct cgroup_stats stats = {0};
	int r = c->level->stats(&c->sandbox, &stats, err);

	if (r < 0)
		return err_prefix(err, "unable to get container cgroup stats");
	autofree char *json = stats_event_json(c->id, &stats);
	return json ? o->emit(o->data, json) : err_oom(err);
}

struct watch {
	const struct container *c;
	const struct events_options *o;
	struct pollfd fds[2]; /* init's pidfd; the memory watch's, or -1 */
	struct memory_watch memory;
	int64_t next; /* when statistics are due */
};

static int on_memory(struct watch *w, struct err *err)
{
	int seen = memory_watch_seen(&w->memory);

	if (seen < 0) { /* the group is gone: init's end will be told by its pidfd */
		w->fds[1].fd = -1;
		return 0;
	}
	for (int i = 0; i < seen; i++) {
		autofree char *json = oom_event_json(w->c->id);
		int r = json ? w->o->emit(w->o->data, json) : err_oom(err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1 where the container has stopped. */
static int watch_step(struct watch *w, struct err *err)
{
	struct err skipped;
	int64_t left = w->next - clock_ms();

	int n = poll(w->fds, ARRAY_LEN(w->fds), (int)MAX_OF(left, 0));
	if (n < 0 && errno != EINTR)
		return err_sys(err, "cannot wait for events");
	if (n > 0 && w->fds[1].revents) {
		int r = on_memory(w, err);
		if (r < 0)
			return r;
	}
	if (n > 0 && w->fds[0].revents)
		return 1;
	if (clock_ms() < w->next)
		return 0;
	w->next += w->o->interval_ms;
	int r = emit_stats(w->c, w->o, &skipped);
	if (r == -EPIPE)
		return err_set(err, EPIPE, "%s", skipped.msg);
	if (r < 0)
		runtime_warn(w->c->rt, "%s", skipped.msg);
	return 0;
}

static int watch(const struct container *c, const struct events_options *o, struct err *err)
{
	struct watch w = {.c = c, .o = o};
	struct err no_notice = {0};
	int r;

	autoclose int pidfd = sys_pidfd_open(c->init.pid, 0);
	if (pidfd < 0)
		return err_set(err, ESRCH, "container with id %s is not running", c->id);
	if (memory_watch_begin(&w.memory, c->dirfd, &c->cgroup, &no_notice) < 0 && !c->cgroup.none)
		runtime_warn(c->rt, "%s", no_notice.msg);
	w.fds[0] = (struct pollfd){.fd = pidfd, .events = POLLIN};
	w.fds[1] = (struct pollfd){.fd = w.memory.fd, .events = POLLIN};
	w.next = clock_ms() + o->interval_ms;
	do {
		r = watch_step(&w, err);
	} while (r == 0);
	memory_watch_end(&w.memory);
	return MIN_OF(r, 0);
}

int runtime_events(const struct runtime *rt, const struct events_options *o, struct err *err)
{
	autocontainer struct container c;
	int r = container_load(rt, o->id, CONTAINER_CONFIG, &c, err);

	if (r < 0)
		return r;
	if (o->interval_ms <= 0)
		return err_set(err, EINVAL, "duration interval must be greater than 0");
	r = lacks_feature(c.level, ISOLATE_STATS, err);
	if (r == 0)
		r = container_may(&c, LIFE_EVENTS, NULL, err);
	if (r < 0)
		return r;
	return o->stats || !c.has_init ? emit_stats(&c, o, err) : watch(&c, o, err);
}
