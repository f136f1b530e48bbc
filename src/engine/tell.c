/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: told and listened to.
 *
 * The file (monitor/events.h) is RUN_ROOT/events; when it has grown it becomes
 * events.1 and a new one is begun, so that there are always the last
 * EVENTS_BYTES at least.  Who follows waits for changes with inotify and reads
 * on; a reader whose file was set aside reads that to its end first.
 */
#include "engine/engine_int.h"

#include "base/proc.h"
#include "monitor/events.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { EVENTS_BYTES = 8 << 20, EVENTS_CHUNK = 64 << 10 };

char *engine_events_path(const struct engine *e, const char *suffix)
{
	return str_format("%s/events%s", e->run_root, suffix);
}

static void rotate_events(const char *path, const char *old)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > EVENTS_BYTES)
		(void)rename(path, old); /* somebody else did it, at worst twice */
}

void engine_tell(struct engine *e, const struct engine_event *ev)
{
	struct err err = {0};
	autofree char *path = engine_events_path(e, ""), *old = engine_events_path(e, ".1");
	const struct event_line line = {.time = ev->time ? ev->time : engine_now(),
					.type = ev->type,
					.action = ev->action,
					.id = ev->id,
					.attributes = ev->attributes};

	if (!path || !old)
		return;
	rotate_events(path, old);
	/* What happened has happened, told or not. */
	if (event_append(path, &line, &err) < 0)
		engine_warn(e, "%s", err.msg);
}

void engine_tell_of(struct engine *e, const struct engine_container *c, const char *action,
		    const struct oci_pair *pairs, size_t n_pairs)
{
	const pair_list *labels = &c->record.config.labels;
	autofree struct oci_pair *v = calloc(labels->n + n_pairs + 2, sizeof(*v));
	size_t n = 0;

	if (!v)
		return;
	for (size_t i = 0; i < labels->n; i++)
		v[n++] = labels->v[i];
	for (size_t i = 0; i < n_pairs; i++)
		v[n++] = pairs[i];
	v[n++] = (struct oci_pair){.key = "image", .value = c->image};
	v[n++] = (struct oci_pair){.key = "name", .value = c->name};
	engine_tell(e, &(struct engine_event){.type = "container",
					      .action = action,
					      .id = c->id,
					      .attributes = {.v = v, .n = n}});
}

void engine_tell_container(struct engine *e, const struct engine_container *c, const char *action,
			   const char *key, const char *value)
{
	engine_tell_of(e, c, action, &(struct oci_pair){key, value}, key != NULL);
}

void engine_tell_volumes(struct engine *e, const struct engine_container *c, bool mounted)
{
	for (size_t i = 0; i < c->record.mounts.n; i++) {
		const struct engine_record_mount *m = &c->record.mounts.v[i];
		/* The driver's name is all that an unmount has beside the container. */
		const struct oci_pair pairs[] = {{"container", c->id},
						 {"driver", "local"},
						 {"destination", m->target},
						 {"propagation", m->propagation ? m->propagation : ""},
						 {"read/write", m->read_only ? "false" : "true"}};
		if (!streq(m->type, "volume"))
			continue;
		engine_tell(e, &(struct engine_event){.type = "volume",
						      .action = mounted ? "mount" : "unmount",
						      .id = m->name,
						      .attributes = {.v = (struct oci_pair *)(uintptr_t)pairs,
								     .n = mounted ? ARRAY_LEN(pairs) : 2}});
	}
}

void engine_tell_network(struct engine *e, const struct net_told *network, const char *action)
{
	struct oci_pair pairs[] = {
		{"container", network->container}, {"name", network->name}, {"type", network->driver}};

	engine_tell(e, &(struct engine_event){.type = "network",
					      .action = action,
					      .id = network->id,
					      .attributes = {.v = pairs, .n = ARRAY_LEN(pairs)}});
}

/* ---- listening ---- */

struct events_reader {
	const struct engine_events *q;
	struct engine_filters filters;
	char *rest; /* the begin of a line whose end was not there yet */
	size_t rest_len;
	bool done;
};

static const char *event_attribute(const struct event_line *l, const char *key)
{
	return pair_find(&l->attributes, key);
}

/* By name, id or the begin of an id, as Docker does. */
static bool event_is_of(const struct engine_filters *f, const char *key, const struct event_line *l)
{
	const char *name = event_attribute(l, "name");
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		const char *wanted = f->v[i].value;
		if (!streq(f->v[i].key, key))
			continue;
		any = true;
		if (streq(l->type, key) &&
		    ((name && streq(name, wanted)) || (l->id && *wanted && str_starts(l->id, wanted))))
			return true;
		const char *other = event_attribute(l, key);
		if (other && str_starts(other, wanted))
			return true;
	}
	return !any;
}

static bool event_action_matches(const struct engine_filters *f, const char *action)
{
	char first[64];
	size_t n = strcspn(action, ":");

	/* "health_status" for all of "health_status: healthy". */
	if (n < sizeof(first) && action[n]) {
		memcpy(first, action, n);
		first[n] = '\0';
		if (engine_filter_first(f, "event") && engine_filter_match(f, "event", first))
			return true;
	}
	return engine_filter_match(f, "event", action);
}

static bool event_wanted(const struct events_reader *r, const struct event_line *l)
{
	const struct engine_filters *f = &r->filters;
	const char *image = event_attribute(l, "image");

	if (l->time < r->q->since || !event_action_matches(f, l->action) ||
	    !engine_filter_match(f, "type", l->type))
		return false;
	if (engine_filter_first(f, "image") && !(image && engine_filter_match(f, "image", image)))
		return false;
	return event_is_of(f, "container", l) && event_is_of(f, "network", l) &&
	       event_is_of(f, "volume", l) && engine_filter_labels(f, l->attributes.v, l->attributes.n);
}

static int take_event(struct events_reader *r, const char *line, size_t len, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct event_line l;
	struct err broken = {0};

	/* A line that is not one: a full disk cut it. */
	if (len == 0 || event_parse(line, len, &doc, &l, &broken) < 0)
		return 0;
	if (r->q->until && l.time > r->q->until) {
		r->done = true;
		return 0;
	}
	if (!event_wanted(r, &l))
		return 0;
	struct engine_event ev = {.time = l.time,
				  .type = l.type,
				  .action = l.action,
				  .id = l.id ? l.id : "",
				  .attributes = l.attributes};
	return r->q->each(r->q->data, &ev, err);
}

static int take_bytes(struct events_reader *r, const char *bytes, size_t len, struct err *err)
{
	char *all = realloc(r->rest, r->rest_len + len);
	size_t begin = 0;
	int e = 0;

	if (!all)
		return err_oom(err);
	r->rest = all;
	memcpy(all + r->rest_len, bytes, len);
	r->rest_len += len;
	for (char *nl; e == 0 && !r->done && (nl = memchr(all + begin, '\n', r->rest_len - begin));) {
		e = take_event(r, all + begin, (size_t)(nl - all) - begin, err);
		begin = (size_t)(nl - all) + 1;
	}
	memmove(all, all + begin, r->rest_len - begin);
	r->rest_len -= begin;
	return e;
}

static int read_events(struct events_reader *r, int fd, struct err *err)
{
	autofree char *buf = malloc(EVENTS_CHUNK);
	ssize_t n = 1;
	int e = 0;

	if (!buf)
		return err_oom(err);
	while (e == 0 && !r->done && (n = read(fd, buf, EVENTS_CHUNK)) > 0)
		e = take_bytes(r, buf, (size_t)n, err);
	return n < 0 ? err_sys(err, "cannot read the events") : e;
}

static int until_timeout(const struct engine_events *q)
{
	if (!q->until)
		return -1;
	int64_t ms = (q->until - engine_now()) / 1000000;
	return ms <= 0 ? 0 : (int)MIN_OF(ms + 1, 3600 * 1000);
}

static int follow_events(struct engine *e, struct events_reader *r, const char *path, int *fd,
			 struct err *err)
{
	char buf[4096] __attribute__((aligned(8)));
	autoclose int watch = inotify_init1(IN_CLOEXEC);
	int s = 0;

	if (watch < 0 || inotify_add_watch(watch, e->run_root, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
		return err_sys(err, "cannot watch \"%s\"", e->run_root);
	while (s == 0 && !r->done) {
		struct stat own, now;
		struct pollfd p = {.fd = watch, .events = POLLIN};
		if (*fd >= 0)
			s = read_events(r, *fd, err);
		if (s < 0 || r->done)
			break;
		bool other = stat(path, &now) == 0 &&
			     (*fd < 0 || (fstat(*fd, &own) == 0 && own.st_ino != now.st_ino));
		if (other) {
			fd_drop(fd);
			*fd = open(path, O_RDONLY | O_CLOEXEC);
			if (*fd >= 0)
				continue;
		}
		int timeout = until_timeout(r->q);
		if (timeout == 0)
			break;
		int n = poll(&p, 1, timeout);
		if (n < 0 && errno != EINTR)
			s = err_sys(err, "cannot wait for events");
		if (n > 0 && read(watch, buf, sizeof(buf)) < 0)
			s = err_sys(err, "cannot wait for events");
	}
	return s;
}

int engine_events(struct engine *e, const struct engine_events *q, struct err *err)
{
	static const char *const known[] = {"type",    "event",	 "container", "image", "label", "label!",
					    "network", "volume", "daemon",    "scope", NULL};
	struct engine_events own = *q;
	struct events_reader r = {.q = &own};
	autofree char *path = engine_events_path(e, ""), *old = engine_events_path(e, ".1");
	int s;

	if (!path || !old)
		return err_oom(err);
	if (!own.since && !own.until)
		own.since = engine_now();
	s = engine_filters_parse(&q->filters, known, &r.filters, err);
	if (s < 0)
		return s;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC), before = -1;
	if (own.since < engine_now())
		before = open(old, O_RDONLY | O_CLOEXEC);
	if (before >= 0)
		s = read_events(&r, before, err);
	if (s == 0 && fd >= 0)
		s = read_events(&r, fd, err);
	if (s == 0 && !r.done && (!own.until || own.until > engine_now()))
		s = follow_events(e, &r, path, &fd, err);
	engine_filters_free(&r.filters);
	free(r.rest);
	return s;
}
