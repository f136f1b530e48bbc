/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/plan.h"

#include "base/fd.h"
#include "base/json_write.h"
#include "base/str.h"
#include "monitor/journal.h"

/* Enumerations travel as numbers: both ends are built from the same source. */
struct plan_doc {
	struct monitor_plan p;
	uint32_t log, restart;
};

#define P struct plan_doc
static const struct json_field plan_fields[] = {
	F_STR(P, p.id, "id", .required = true),
	F_STR(P, p.name, "name"),
	F_STR(P, p.image, "image"),
	F_STR(P, p.run_dir, "run_dir", .required = true),
	F_STR(P, p.runtime_root, "runtime_root"),
	F_STR(P, p.isolation, "isolation"),
	F_BOOL(P, p.rootless, "rootless"),
	F_BOOL(P, p.systemd_cgroup, "systemd_cgroup"),
	F_BOOL(P, p.tty, "tty"),
	F_BOOL(P, p.open_stdin, "open_stdin"),
	F_BOOL(P, p.stdin_once, "stdin_once"),
	F_U32(P, log, "log", .max = MONITOR_LOG_JOURNALD),
	F_STR(P, p.log_path, "log_path"),
	F_U64(P, p.log_max_size, "log_max_size"),
	F_U32(P, p.log_max_files, "log_max_files"),
	F_STRS(P, p.log_labels, "log_labels"),
	F_U32(P, restart, "restart", .max = MONITOR_RESTART_UNLESS_STOPPED),
	F_U32(P, p.restart_max, "restart_max"),
	F_STRS(P, p.health_test, "health_test"),
	F_I64(P, p.health_interval, "health_interval"),
	F_I64(P, p.health_timeout, "health_timeout"),
	F_I64(P, p.health_start_period, "health_start_period"),
	F_I64(P, p.health_start_interval, "health_start_interval"),
	F_U32(P, p.health_retries, "health_retries"),
	F_I32(P, p.stop_signal, "stop_signal"),
	F_I32(P, p.stop_timeout, "stop_timeout"),
	F_STRS(P, p.dns_networks, "dns_networks"),
	F_STRS(P, p.dns_servers, "dns_servers"),
	F_STR(P, p.events_path, "events_path"),
	F_STR(P, p.trash, "trash"),
	F_STRS(P, p.maker, "maker"),
	F_STRS(P, p.finish, "finish"),
};
static const struct json_table plan_table = JSON_TABLE(P, plan_fields);
#undef P

static void put_strings(struct json_out *out, const char *key, const str_list *l)
{
	if (l->n)
		json_put_strs(out, key, l->v, l->n);
}

static void put_flag(struct json_out *out, const char *key, bool v)
{
	if (v)
		json_put_bool(out, key, v);
}

static void put_number(struct json_out *out, const char *key, int64_t v)
{
	if (v)
		json_put_i64(out, key, v);
}

char *plan_encode(const struct monitor_plan *p)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_str(&out, "id", p->id);
	json_put_opt_str(&out, "name", p->name);
	json_put_opt_str(&out, "image", p->image);
	json_put_str(&out, "run_dir", p->run_dir);
	json_put_opt_str(&out, "runtime_root", p->runtime_root);
	json_put_opt_str(&out, "isolation", p->isolation);
	put_flag(&out, "rootless", p->rootless);
	put_flag(&out, "systemd_cgroup", p->systemd_cgroup);
	put_flag(&out, "tty", p->tty);
	put_flag(&out, "open_stdin", p->open_stdin);
	put_flag(&out, "stdin_once", p->stdin_once);
	put_number(&out, "log", (int64_t)p->log);
	json_put_opt_str(&out, "log_path", p->log_path);
	json_put_u64(&out, "log_max_size", p->log_max_size);
	put_number(&out, "log_max_files", p->log_max_files);
	put_strings(&out, "log_labels", &p->log_labels);
	put_number(&out, "restart", (int64_t)p->restart);
	put_number(&out, "restart_max", p->restart_max);
	put_strings(&out, "health_test", &p->health_test);
	put_number(&out, "health_interval", p->health_interval);
	put_number(&out, "health_timeout", p->health_timeout);
	put_number(&out, "health_start_period", p->health_start_period);
	put_number(&out, "health_start_interval", p->health_start_interval);
	put_number(&out, "health_retries", p->health_retries);
	put_number(&out, "stop_signal", p->stop_signal);
	put_number(&out, "stop_timeout", p->stop_timeout);
	put_strings(&out, "dns_networks", &p->dns_networks);
	put_strings(&out, "dns_servers", &p->dns_servers);
	json_put_opt_str(&out, "events_path", p->events_path);
	json_put_opt_str(&out, "trash", p->trash);
	put_strings(&out, "maker", &p->maker);
	put_strings(&out, "finish", &p->finish);
	json_end(&out);
	return json_take(&out);
}

int plan_decode(const char *text, size_t len, struct json_doc *doc, struct monitor_plan *ret, struct err *err)
{
	struct plan_doc d = {0};
	int r = json_decode(doc, text, len, "plan", &plan_table, &d, err);

	if (r < 0)
		return r;
	d.p.log = (enum monitor_log)d.log;
	d.p.restart = (enum monitor_restart)d.restart;
	*ret = d.p;
	return 0;
}

int plan_open_log(const struct monitor_plan *p, struct err *err)
{
	int fd;

	switch (p->log) {
	case MONITOR_LOG_NONE:
		return -1;
	case MONITOR_LOG_JOURNALD:
		return journal_open(err);
	case MONITOR_LOG_JSON_FILE:
		break;
	}
	if (!p->log_path)
		return err_set(err, EINVAL, "cannot log to a file: no path was given");
	fd = open(p->log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	return fd < 0 ? err_sys(err, "cannot open the log \"%s\"", p->log_path) : fd;
}

void plan_close_stdio(struct plan_stdio *s)
{
	for (int i = 0; i < 3; i++)
		fd_drop(&s->theirs[i]);
	fd_drop(&s->to_in);
	fd_drop(&s->from_out);
	fd_drop(&s->from_err);
}

/* Our end does not block: that flag is of the end, not of the pipe. */
static int make_pipe(int *ret_read, int *ret_write, int *ours, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for the container");
	*ret_read = p[0];
	*ret_write = p[1];
	int r = fd_set_nonblock(*ours, true);
	return r < 0 ? err_num(err, r, "cannot set up a pipe for the container") : 0;
}

int plan_open_stdio(const struct monitor_plan *p, struct plan_stdio *ret, struct err *err)
{
	struct plan_stdio s = {{-1, -1, -1}, -1, -1, -1};
	int r = 0;

	if (p->open_stdin && !p->tty)
		r = make_pipe(&s.theirs[0], &s.to_in, &s.to_in, err);
	if (r == 0 && !p->tty)
		r = make_pipe(&s.from_out, &s.theirs[1], &s.from_out, err);
	if (r == 0 && !p->tty)
		r = make_pipe(&s.from_err, &s.theirs[2], &s.from_err, err);
	for (int i = 0; r == 0 && i < 3; i++) {
		if (s.theirs[i] >= 0)
			continue;
		s.theirs[i] = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
		if (s.theirs[i] < 0)
			r = err_sys(err, "cannot open /dev/null");
	}
	if (r < 0) {
		plan_close_stdio(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int plan_become_maker(const struct plan_stdio *s, int report, bool cloexec, struct err *err)
{
	if (report == MONITOR_REPORT_FD ? fd_set_cloexec(report, cloexec) < 0
					: dup3(report, MONITOR_REPORT_FD, cloexec ? O_CLOEXEC : 0) < 0)
		return err_sys(err, "cannot make the report descriptor %d (limit of open files?)",
			       MONITOR_REPORT_FD);
	/* None of them is below 3: the caller has 0, 1 and 2 open. */
	for (int i = 0; i < 3; i++)
		if (dup2(s->theirs[i], i) < 0)
			return err_sys(err, "cannot make the container's descriptor %d", i);
	return 0;
}
