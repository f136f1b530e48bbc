/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-sdbus: asks systemd over D-Bus for what a container's cgroup needs.
 *
 * Theory of operation.  It is a program of its own so that no other start of
 * a container pays for the D-Bus library.  One request comes on stdin, as
 * lines; the verb is the argument:
 *
 *	coffer-sdbus start|set|stop|attach|group
 *
 *	bus system|user
 *	unit NAME
 *	prop MIN NAME VALUE	a property; VALUE as in variant.h
 *	sec MIN NAME VALUE	the same, VALUE in seconds for a property in us
 *	pid NUMBER [PATH]	for `attach`: the process, and the group below the unit's
 *
 * MIN is the oldest version of systemd that knows the property (0: all that
 * matter); on an older one the line is left out.  `start` makes a transient
 * unit and waits until systemd says that its job is done.  `stop` is content
 * with a unit that is not there.  `attach` moves a process into the unit's group.  `group` prints the
 *manager's own cgroup. Exit status 0, or 1 and one line that says why.
 *
 * The program forks nothing and has no threads.
 */
#include "host/sdbus/variant.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"

#define SERVICE "org.freedesktop.systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define OBJECT	"/org/freedesktop/systemd1"

enum {
	REQUEST_MAX = 1 << 20,
	JOB_TIMEOUT_S = 30,
};

struct request {
	bool user;
	const char *unit;
	char **props; /* lines, from "MIN NAME VALUE" on; seconds marked by a first letter 's', others 'p' */
	size_t nprops;
	uint32_t pid;
	const char *below; /* the group in the unit's that the process goes to; "" = the unit's own */
};

struct job {
	char *path;   /* of the job that is waited for; NULL = not known yet */
	char *result; /* "done", "failed", … */
};

static void cleanup_bus(sd_bus **b)
{
	sd_bus_flush_close_unref(*b);
}

static void cleanup_message(sd_bus_message **m)
{
	sd_bus_message_unref(*m);
}

static void cleanup_error(sd_bus_error *e)
{
	sd_bus_error_free(e);
}

#define autobus	    __attribute__((cleanup(cleanup_bus)))
#define automessage __attribute__((cleanup(cleanup_message)))
#define autoerror   __attribute__((cleanup(cleanup_error)))

static int bus_err(struct err *err, int r, const sd_bus_error *e, const char *what)
{
	if (e && sd_bus_error_is_set(e))
		return err_set(err, r < 0 ? -r : EIO, "%s: %s", what, e->message ? e->message : e->name);
	return err_num(err, r, "%s", what);
}

/* --- the request --- */

static char *next_line(char **s)
{
	char *start = *s, *end = strchr(start, '\n');

	if (!*start)
		return NULL;
	*s = end ? end + 1 : start + strlen(start);
	if (end)
		*end = '\0';
	return start;
}

static int parse_pid(const char *words, struct request *q, struct err *err)
{
	char *end;
	unsigned long pid = strtoul(words, &end, 10);

	if (end == words || (*end && *end != ' ') || pid == 0 || pid > INT_MAX)
		return err_set(err, EINVAL, "bad pid in the request: \"%s\"", words);
	q->pid = (uint32_t)pid;
	q->below = *end ? end + 1 : end;
	return 0;
}

static int parse_request(char *text, struct request *q, struct err *err)
{
	char *line;

	while ((line = next_line(&text))) {
		if (streq(line, "bus user")) {
			q->user = true;
		} else if (str_starts(line, "unit ")) {
			q->unit = line + strlen("unit ");
		} else if (str_starts(line, "prop ") || str_starts(line, "sec ")) {
			char **v = reallocarray(q->props, q->nprops + 1, sizeof(*v));
			if (!v)
				return err_oom(err);
			v[q->nprops++] = line;
			q->props = v;
		} else if (str_starts(line, "pid ")) {
			int r = parse_pid(line + strlen("pid "), q, err);
			if (r < 0)
				return r;
		} else if (!streq(line, "bus system")) {
			return err_set(err, EINVAL, "unknown line in the request: \"%s\"", line);
		}
	}
	return 0;
}

/* --- the bus --- */

/* systemd's own socket: there before, and without, any message bus. */
static int open_private(bool user, sd_bus **ret)
{
	const char *dir = user ? getenv("XDG_RUNTIME_DIR") : "/run";
	autofree char *address = dir ? str_format("unix:path=%s/systemd/private", dir) : NULL;
	autobus sd_bus *b = NULL;
	int r = address ? sd_bus_new(&b) : -ENOENT;

	if (r >= 0)
		r = sd_bus_set_address(b, address);
	if (r >= 0)
		r = sd_bus_start(b);
	if (r < 0)
		return r;
	*ret = b;
	b = NULL;
	return 0;
}

static int open_bus(bool user, sd_bus **ret, struct err *err)
{
	int r = user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);

	if (r < 0 && open_private(user, ret) < 0) {
		const char *which = user ? "user" : "system";
		return err_num(err, r, "cannot connect to the %s bus", which);
	}
	return 0;
}

static unsigned systemd_version(sd_bus *bus)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	autofree char *text = NULL;
	const char *s;

	if (sd_bus_get_property_string(bus, SERVICE, OBJECT, MANAGER, "Version", &e, &text) < 0)
		return 0;
	s = text + strspn(text, "\"v"); /* "v245.4-1.fc32", "252 (252.39-1)" */
	return (unsigned)strtoul(s, NULL, 10);
}

/* --- properties --- */

static int append_property(sd_bus_message *m, sd_bus *bus, const char *line, unsigned *version,
			   struct err *err)
{
	bool seconds = *line == 's';
	char *end;
	const char *s = strchr(line, ' ') + 1;
	unsigned long min = strtoul(s, &end, 10);
	uint64_t us;
	int r;

	if (end == s || *end != ' ')
		return err_set(err, EINVAL, "bad line in the request: \"%s\"", line);
	s = end + 1;
	size_t n = strcspn(s, " ");
	autofree char *name = strndup(s, n);
	if (!name || !*name || !s[n])
		return err_set(err, EINVAL, "bad line in the request: \"%s\"", line);
	if (min > 0) {
		if (*version == 0)
			*version = systemd_version(bus);
		if (*version < min)
			return 0;
	}
	r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', name);
	if (r < 0)
		return err_num(err, r, "cannot build the message");
	if (seconds) {
		r = variant_seconds(s + n + 1, &us, err);
		if (r == 0 && sd_bus_message_append(m, "v", "t", us) < 0)
			r = err_oom(err);
	} else {
		r = variant_append(m, s + n + 1, err);
	}
	if (r < 0)
		return err_prefix(err, "property %s", name);
	r = sd_bus_message_close_container(m);
	return r < 0 ? err_num(err, r, "cannot build the message") : 0;
}

static int append_properties(sd_bus_message *m, sd_bus *bus, const struct request *q, struct err *err)
{
	unsigned version = 0;
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	if (r < 0)
		return err_num(err, r, "cannot build the message");
	for (size_t i = 0; i < q->nprops; i++) {
		r = append_property(m, bus, q->props[i], &version, err);
		if (r < 0)
			return r;
	}
	r = sd_bus_message_close_container(m);
	return r < 0 ? err_num(err, r, "cannot build the message") : 0;
}

/* --- jobs --- */

static int on_job_removed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct job *job = data;
	const char *path, *unit, *result;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	/* The signal of our job comes after the reply that names it, which is read first. */
	if (job->path && streq(path, job->path) && !job->result)
		job->result = strdup(result);
	return 0;
}

static int watch_jobs(sd_bus *bus, struct job *job, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	bool direct = sd_bus_is_bus_client(bus) == 0;
	int r = sd_bus_match_signal(bus, NULL, direct ? NULL : SERVICE, OBJECT, MANAGER, "JobRemoved",
				    on_job_removed, job);

	if (r < 0)
		return err_num(err, r, "cannot listen to systemd's signals");
	/* Refused where we are subscribed already; what really fails shows as a time-out. */
	ignore_result(sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER, "Subscribe", &e, NULL, NULL));
	return 0;
}

static int wait_job(sd_bus *bus, struct job *job, const char *unit, struct err *err)
{
	int64_t deadline = clock_ms() + JOB_TIMEOUT_S * 1000;

	while (!job->result) {
		int r = sd_bus_process(bus, NULL);
		if (r < 0)
			return err_num(err, r, "lost the connection to systemd");
		if (r > 0)
			continue;
		if (clock_ms() >= deadline)
			return err_set(err, ETIMEDOUT, "Timeout waiting for systemd to create %s", unit);
		r = sd_bus_wait(bus, 1000000);
		if (r < 0 && r != -EINTR)
			return err_num(err, r, "lost the connection to systemd");
	}
	return 0;
}

static int keep_job_path(sd_bus_message *reply, struct job *job, struct err *err)
{
	const char *path;
	int r = sd_bus_message_read(reply, "o", &path);

	if (r < 0)
		return err_num(err, r, "systemd's answer makes no sense");
	job->path = strdup(path);
	return job->path ? 0 : err_oom(err);
}

/* A failed unit stays in systemd's memory, and its name is taken, until this. */
static void reset_failed(sd_bus *bus, const char *unit)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;

	/* One that has not failed is an error here, and fine. */
	ignore_result(
		sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER, "ResetFailedUnit", &e, NULL, "s", unit));
}

/* --- verbs --- */

static int try_start(sd_bus *bus, const struct request *q, struct job *job, bool *ret_exists, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	automessage sd_bus_message *m = NULL, *reply = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SERVICE, OBJECT, MANAGER, "StartTransientUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", q->unit, "replace");
	if (r < 0)
		return err_num(err, r, "cannot build the message");
	r = append_properties(m, bus, q, err);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r < 0)
		return err_num(err, r, "cannot build the message");
	r = sd_bus_call(bus, m, 0, &e, &reply);
	if (r < 0) {
		*ret_exists = sd_bus_error_has_name(&e, "org.freedesktop.systemd1.UnitExists");
		return bus_err(err, r, &e, "StartTransientUnit");
	}
	return keep_job_path(reply, job, err);
}

static int do_start(sd_bus *bus, const struct request *q, struct err *err)
{
	struct job job = {0};
	bool exists = false;
	int r = watch_jobs(bus, &job, err);

	if (r < 0)
		return r;
	r = try_start(bus, q, &job, &exists, err);
	if (r < 0 && exists) {
		/* A slice that is there is what was asked for. */
		if (str_ends(q->unit, ".slice"))
			return 0;
		reset_failed(bus, q->unit);
		r = try_start(bus, q, &job, &exists, err);
	}
	if (r == 0)
		r = wait_job(bus, &job, q->unit, err);
	if (r == 0 && !streq(job.result, "done"))
		r = err_set(err, EIO, "error creating systemd unit `%s`: got `%s`", q->unit, job.result);
	if (r < 0 && job.path)
		reset_failed(bus, q->unit);
	free(job.path);
	free(job.result);
	return r;
}

static int do_stop(sd_bus *bus, const struct request *q, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	automessage sd_bus_message *reply = NULL;
	struct job job = {0};
	int r = watch_jobs(bus, &job, err);

	if (r < 0)
		return r;
	r = sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER, "StopUnit", &e, &reply, "ss", q->unit,
			       "replace");
	if (r < 0 && sd_bus_error_has_name(&e, "org.freedesktop.systemd1.NoSuchUnit"))
		return 0;
	r = r < 0 ? bus_err(err, r, &e, "StopUnit") : keep_job_path(reply, &job, err);
	/* A result that is not "done" leaves the group to be removed by files: not an error. */
	if (r == 0)
		r = wait_job(bus, &job, q->unit, err);
	reset_failed(bus, q->unit);
	free(job.path);
	free(job.result);
	return r;
}

static int do_set(sd_bus *bus, const struct request *q, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	automessage sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SERVICE, OBJECT, MANAGER, "SetUnitProperties");

	if (r >= 0)
		r = sd_bus_message_append(m, "sb", q->unit, 1); /* until the next boot, as the unit itself */
	if (r < 0)
		return err_num(err, r, "cannot build the message");
	r = append_properties(m, bus, q, err);
	if (r < 0)
		return r;
	r = sd_bus_call(bus, m, 0, &e, NULL);
	return r < 0 ? bus_err(err, r, &e, "SetUnitProperties") : 0;
}

static int do_attach(sd_bus *bus, const struct request *q, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = q->pid ? sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER, "AttachProcessesToUnit", &e, NULL,
					    "ssau", q->unit, q->below, 1, q->pid)
		       : -EINVAL;

	return r < 0 ? bus_err(err, r, &e, "AttachProcessesToUnit") : 0;
}

static int do_group(sd_bus *bus, const struct request *q, struct err *err)
{
	autoerror sd_bus_error e = SD_BUS_ERROR_NULL;
	autofree char *group = NULL;
	int r = sd_bus_get_property_string(bus, SERVICE, OBJECT, MANAGER, "ControlGroup", &e, &group);

	(void)q;
	if (r < 0)
		return bus_err(err, r, &e, "ControlGroup");
	return puts(group) < 0 || fflush(stdout) != 0 ? err_sys(err, "cannot write the answer") : 0;
}

static int run_verb(const char *verb, struct err *err)
{
	static const struct {
		const char *name;
		int (*run)(sd_bus *bus, const struct request *q, struct err *err);
	} verbs[] = {{"start", do_start},
		     {"stop", do_stop},
		     {"set", do_set},
		     {"attach", do_attach},
		     {"group", do_group}};
	autobus sd_bus *bus = NULL;
	autofree char *text = NULL;
	struct request q = {0};
	size_t len, i = 0;
	int r = fd_read_all(STDIN_FILENO, REQUEST_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read the request");
	while (i < ARRAY_LEN(verbs) && !streq(verb, verbs[i].name))
		i++;
	if (i == ARRAY_LEN(verbs))
		return err_set(err, EINVAL, "unknown verb \"%s\"", verb);
	r = parse_request(text, &q, err);
	if (r == 0 && !q.unit && verbs[i].run != do_group)
		r = err_set(err, EINVAL, "the request names no unit");
	if (r == 0)
		r = open_bus(q.user, &bus, err);
	if (r == 0)
		r = verbs[i].run(bus, &q, err);
	free(q.props);
	return r;
}

int main(int argc, char **argv)
{
	struct err err = {0};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: coffer-sdbus start|set|stop|attach|group < request\n");
		return 2;
	}
	if (run_verb(argv[1], &err) == 0)
		return 0;
	(void)fprintf(stderr, "%s\n", err.msg);
	return 1;
}
