/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks.
 *
 * Entering a container needs the whole runtime, which the monitor does not
 * carry about: coffer-probe does.  That runner starts the test in the
 * container, detached, and ends; the test's process becomes the monitor's
 * child, which can then kill it without fear of hitting another.
 */
#include "monitor/program/mon.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/helper.h"
#include "monitor/program/probe_args.h"
#include "monitor/run_dir.h"

#include <signal.h>

enum { READS_MAX = 64 }; /* a turn: who never stops writing must not hold the monitor */

static bool has_test(const struct mon *m)
{
	const str_list *t = &m->plan.health_test;

	return t->n > 1 && (streq(t->v[0], "CMD") || streq(t->v[0], "CMD-SHELL"));
}

static void write_health(struct mon *m)
{
	autofree char *json = health_json(&m->health);

	if (json)
		ignore_result(run_dir_write_health(m->dirfd, json) < 0); /* the next one may succeed */
}

static void plan_next(struct mon *m)
{
	int64_t now = mon_clock();

	m->probe_at = now + health_wait(&m->health, now - m->started_mono);
}

void probe_begin(struct mon *m)
{
	if (!has_test(m))
		return;
	health_begin(&m->health);
	write_health(m);
	plan_next(m);
}

static void forget_probe(struct mon *m)
{
	fd_drop(&m->probe.output);
	free(m->probe.text);
	m->probe = (struct probe){.output = -1};
}

static _Noreturn void be_runner(const struct mon *m, int output)
{
	const struct monitor_plan *p = &m->plan;
	autofree char *pid_file = str_format("%s/probe.pid", p->run_dir);
	const str_list *t = &p->health_test;
	const char **argv = calloc(PROBE_ARGS + t->n + 3, sizeof(*argv));
	char flags[3] = {p->rootless ? 'r' : '-', p->systemd_cgroup ? 's' : '-', '\0'};
	autofree char *program = NULL;
	struct err err = {0};
	size_t n = 0;

	if (!argv || !pid_file || setsid() < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(EXIT_OWN_FAILURE);
	argv[n++] = "coffer-probe";
	argv[n++] = p->runtime_root ? p->runtime_root : "";
	argv[n++] = p->id;
	argv[n++] = p->isolation ? p->isolation : "";
	argv[n++] = flags;
	argv[n++] = pid_file;
	if (streq(t->v[0], "CMD-SHELL")) {
		argv[n++] = "/bin/sh";
		argv[n++] = "-c";
	}
	for (size_t i = 1; i < t->n; i++)
		argv[n++] = t->v[i];
	if (helper_path("coffer-probe", &program, &err) < 0) {
		dprintf(2, "%s\n", err.msg);
		_exit(EXIT_OWN_FAILURE);
	}
	child_prepare(m, 3);
	(void)execve(program, (char **)(uintptr_t)argv, environ);
	dprintf(2, "cannot execute \"%s\": %s\n", program, err_text(errno));
	_exit(EXIT_OWN_FAILURE);
}

/* This time there is none. */
static void no_check(struct mon *m)
{
	plan_next(m);
	clients_tell_checked(m, 0, "the container's monitor cannot run the health check now");
}

void probe_start(struct mon *m)
{
	int p[2];

	if (m->phase != RUNNING || m->ended || m->probe.runner)
		return;
	ignore_result(unlinkat(m->dirfd, "probe.pid", 0) < 0); /* of the last one */
	if (pipe2(p, O_CLOEXEC) < 0) {
		no_check(m);
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		be_runner(m, p[1]);
	(void)close(p[1]); /* the runner's */
	if (pid < 0 || fd_set_nonblock(p[0], true) < 0) {
		(void)close(p[0]);
		no_check(m);
		return;
	}
	m->probe = (struct probe){.runner = pid,
				  .output = p[0],
				  .start = mon_wall(),
				  .deadline = mon_clock() + m->health.timeout};
}

bool probe_now(struct mon *m)
{
	if (!has_test(m) || m->phase != RUNNING || m->ended)
		return false;
	if (!m->probe.runner)
		m->probe_at = mon_clock();
	return true;
}

/* What the test has to say, as much as is kept.  NULs cannot be kept in JSON: they come out as U+FFFD. */
static void read_output(struct mon *m)
{
	struct probe *p = &m->probe;
	char rest[4096];
	unsigned reads = 0;
	ssize_t n;

	if (!p->text && !(p->text = malloc(HEALTH_OUTPUT_MAX + 1)))
		return;
	do {
		size_t room = HEALTH_OUTPUT_MAX - p->len;
		n = room ? read(p->output, p->text + p->len, room) : read(p->output, rest, sizeof(rest));
		for (ssize_t i = 0; room && i < n; i++)
			if (p->text[p->len + (size_t)i] == '\0')
				p->text[p->len + (size_t)i] = '\xff';
		if (room && n > 0)
			p->len += (size_t)n;
	} while (n > 0 && ++reads < READS_MAX);
	if (n == 0)
		fd_drop(&p->output);
}

static void on_probe_output(struct mon *m, unused void *arg, int fd, unused short revents)
{
	if (m->probe.output == fd)
		read_output(m);
}

void probe_watch(struct mon *m)
{
	mon_watch(m, m->probe.output, POLLIN, on_probe_output, NULL);
}

/* `why` stands for the output where it is not NULL. */
static void settle_probe(struct mon *m, int code, const char *why)
{
	struct probe *p = &m->probe;
	struct health_result result = {.start = p->start, .end = mon_wall(), .exit_code = code};
	char action[64];

	if (p->output >= 0)
		read_output(m);
	if (p->text) {
		p->text[p->len] = '\0';
		result.output = take_ptr(&p->text);
	}
	if (why) {
		free(result.output);
		result.output = strdup(why);
	}
	forget_probe(m);
	bool changed = health_result(&m->health, &result, mon_clock() - m->started_mono);
	write_health(m);
	clients_tell_checked(m, code, NULL);
	if (changed) {
		(void)snprintf(action, sizeof(action), "health_status: %s",
			       health_status_name(m->health.status)); /* fits */
		mon_event(m, action, -1);
	}
	plan_next(m);
}

/* The runner has written it before it ended. */
static pid_t read_pid(struct mon *m)
{
	autofree char *text = NULL;
	uint64_t pid;

	if (file_read_at(m->dirfd, "probe.pid", 64, &text, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, 10, &pid) == 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

void probe_child(struct mon *m, pid_t pid, int status)
{
	struct probe *p = &m->probe;

	if (!p->runner)
		return;
	if (!p->process)
		p->process = read_pid(m);
	if (pid == p->process) {
		settle_probe(m, proc_exit_code(status), NULL);
	} else if (pid == p->runner && status != 0) {
		if (proc_exit_code(status) == PROBE_PAUSED) { /* nothing to be learned from a paused one */
			forget_probe(m);
			plan_next(m);
			clients_tell_checked(m, 0, "the container is paused");
		} else {
			settle_probe(m, -1, NULL);
		}
	}
}

void probe_cancel(struct mon *m)
{
	struct probe *p = &m->probe;

	if (!p->runner)
		return;
	if (!p->process)
		p->process = read_pid(m);
	if (p->process)
		(void)kill(p->process, SIGKILL); /* ours, or the runner's, which is not reaped */
	else
		(void)kill(p->runner, SIGKILL); /* as above */
	forget_probe(m);
}

void probe_timeout(struct mon *m)
{
	char why[96];
	int64_t start = m->probe.start;

	probe_cancel(m);
	m->probe.start = start;
	(void)snprintf(why, sizeof(why), "Health check exceeded timeout (%gs)",
		       (double)m->health.timeout / 1e9); /* fits */
	settle_probe(m, -1, why);
}
