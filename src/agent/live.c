/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that the keeper knows, from RUN or EXEC to their ends. */
#include "agent/agent.h"
#include "agent/job.h"

#include <sys/epoll.h>
#include <sys/wait.h>

struct live *live_find(const struct agent *a, uint32_t id)
{
	struct live *l = a->live[id % LIVE_BUCKETS];

	while (l && l->id != id)
		l = l->next;
	return l;
}

struct live *live_add(struct agent *a, uint32_t id, struct err *err)
{
	int r = 0;

	if (id == 0 || live_find(a, id))
		r = err_set(err, EEXIST, "process %u is there, or is no process", id);
	else if (a->nlive >= GUEST_LIVE_MAX)
		r = err_set(err, EAGAIN, "at most %d processes at once can be executed in a virtual machine",
			    GUEST_LIVE_MAX);
	struct live *l = r < 0 ? NULL : calloc(1, sizeof(*l));
	if (!l) {
		if (r == 0)
			r = err_oom(err);
		return NULL;
	}
	l->id = id;
	l->in = (struct stream_in){.source = {.fd = -1}, .live = l};
	for (uint16_t i = 0; i < 2; i++)
		l->out[i] = (struct stream_out){
			.source = {.fd = -1}, .live = l, .number = i + 1, .window = GUEST_WINDOW};
	l->next = a->live[id % LIVE_BUCKETS];
	a->live[id % LIVE_BUCKETS] = l;
	a->nlive++;
	return l;
}

static bool is_over(const struct live *l)
{
	return l->exited && l->out[0].ended && l->out[1].ended;
}

void live_settle(struct agent *a, struct live *l)
{
	a->ended += is_over(l);
}

void live_sweep(struct agent *a)
{
	for (size_t i = 0; i < LIVE_BUCKETS && a->ended > 0; i++) {
		for (struct live **p = &a->live[i]; *p;) {
			struct live *l = *p;
			if (!is_over(l)) {
				p = &l->next;
				continue;
			}
			*p = l->next;
			streams_drop(a, l);
			free(l);
			a->nlive--;
			a->ended--;
		}
	}
}

void live_forget(struct agent *a, struct live *l)
{
	streams_drop(a, l);
	l->exited = l->out[0].ended = l->out[1].ended = true;
	live_settle(a, l);
}

static struct live *find_pid(const struct agent *a, pid_t pid)
{
	for (size_t i = 0; i < LIVE_BUCKETS; i++)
		for (struct live *l = a->live[i]; l; l = l->next)
			if (l->pid == pid)
				return l;
	return NULL;
}

static void exited(struct agent *a, struct live *l, int status)
{
	const struct guest_frame f = {
		.type = GUEST_EXITED, .process = l->id, .len = sizeof(struct guest_exited)};
	const struct guest_exited e = {.status = status};

	l->pid = 0;
	/* Of what killed it is told before its end is. */
	if (l->id == a->main_id && a->oom.fd >= 0)
		live_oom(a, &a->oom);
	/* The terminal's last words first: a keeper may let go of it with the process. */
	streams_process_ended(a, l);
	l->exited = true;
	channel_send(a, &f, &e, NULL, 0);
	live_settle(a, l);
}

void live_reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct live *l = find_pid(a, pid);
		if (pid == a->relay && a->guest)
			agent_leave(a, "the file share's relay has ended (wait status %d)", status);
		/* Made and ended already: its job has told of it before it ended itself (job.h). */
		while (!l && job_collect(a))
			l = find_pid(a, pid);
		if (l)
			exited(a, l, status);
		else
			ignore_result(member_reaped(a, pid)); /* else an orphan */
	}
}

/* ---- want of memory ---- */

void live_watch_memory(struct agent *a)
{
	struct err err = {0};
	short events = 0;

	int r = container_load(&a->rt, a->id, 0, &a->container, &err);
	if (r == 0) {
		a->oom_kills = cgroup_oom_kills(&a->container.cgroup);
		a->oom.fd = cgroup_oom_watch(&a->container.cgroup, &events, &err);
		r = MIN_OF(a->oom.fd, 0);
	}
	/* POLLPRI and POLLIN are epoll's bits too. */
	if (r == 0 && watch_add(a, a->epoll, &a->oom, (uint32_t)events) < 0)
		r = err_sys(&err, "cannot watch the container's memory");
	if (r == 0)
		return;
	fd_drop(&a->oom.fd);
	container_close(&a->container);
	agent_warn(a, err.msg);
}

void live_oom(struct agent *a, struct source *s)
{
	const struct guest_frame f = {.type = GUEST_OOM, .process = a->main_id};
	int r = cgroup_oom_seen(&a->container.cgroup, s->fd, &a->oom_kills);

	if (r > 0)
		channel_send(a, &f, NULL, NULL, 0);
	if (r >= 0)
		return;
	watch_drop(a->epoll, s);
	container_close(&a->container);
}
