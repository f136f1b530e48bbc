/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a container's log from systemd's journal.
 *
 * journalctl reads the journal's files for us: it is there where the journal
 * is, and this program stays static.  It is asked for the entries that bear
 * the container's id and that the kernel says our own user sent: anybody may
 * write any field into the journal but that one.
 *
 * Following, a first journalctl (-f) runs as long as the container does, which
 * a connection to its monitor tells.  The journal takes its messages when it
 * comes to it, so that at the end `--sync` makes it take all that were sent,
 * and a second journalctl shows what came behind the last entry seen (its
 * cursor).
 */
#include "monitor/logs_journal.h"

#include "base/proc.h"
#include "monitor/conn.h"
#include "monitor/journal_export.h"
#include "monitor/log_print.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define JOURNALCTL "/usr/bin/journalctl"

enum { JOURNAL_BLOCK = 65536, CURSOR_MAX = 512, SYNC_MS = 10000 };

struct journal_reader {
	const struct monitor_log_query *q;
	struct log_print print;
	struct str in;		 /* read, and not decoded yet */
	char cursor[CURSOR_MAX]; /* of the last whole entry; "" = none was seen */
	int64_t since;		 /* ns; 0 = from the start on */

	/* The entry that is being put together. */
	struct str message, details; /* the latter "NAME=value\0" one behind the other */
	char its_cursor[CURSOR_MAX];
	bool is_err, partial;
	int64_t time;

	pid_t pid; /* journalctl; 0 = none */
	int fd;	   /* its output */
};

/* ---- journalctl ---- */

static void entry_begin(struct journal_reader *r)
{
	r->message.len = r->details.len = 0;
	r->its_cursor[0] = '\0';
	r->is_err = r->partial = false;
	r->time = 0;
}

static _Noreturn void exec_journalctl(const char *const *argv, int out)
{
	static const char *const env[] = {"LC_ALL=C", NULL};
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(126);
	/* What it complains of is the user's to read. */
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execve(JOURNALCTL, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
	_exit(127);
}

static int journal_start(struct journal_reader *r, bool follow, struct err *err)
{
	const struct monitor_log_query *q = r->q;
	const char *argv[16] = {"journalctl", "--quiet", "--no-pager", "--output=export"};
	char since[64], lines[64], after[CURSOR_MAX + 32], id[160], uid[64];
	size_t n = 4;
	int out[2];

	if (snprintf(id, sizeof(id), "CONTAINER_ID_FULL=%s", q->journal_id) >= (int)sizeof(id) ||
	    snprintf(uid, sizeof(uid), "_UID=%u", geteuid()) < 0)
		return err_set(err, EINVAL, "the id of a container is too long");
	argv[n++] = id;
	argv[n++] = uid;
	if (follow)
		argv[n++] = "--follow";
	if (r->cursor[0]) {
		if (snprintf(after, sizeof(after), "--after-cursor=%s", r->cursor) > 0)
			argv[n++] = after;
	} else if (q->tail > 0) { /* counted from the end; what is older than `since` is left out here */
		if (snprintf(lines, sizeof(lines), "--lines=%lld", (long long)q->tail) > 0)
			argv[n++] = lines;
	} else if (r->since > 0) {
		if (snprintf(since, sizeof(since), "--since=@%lld.%06d", (long long)(r->since / 1000000000),
			     (int)(r->since % 1000000000 / 1000)) > 0)
			argv[n++] = since;
	}
	if (follow && (r->cursor[0] || q->tail <= 0))
		argv[n++] = "--lines=all"; /* --follow alone shows the last ten */
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for journalctl");
	r->pid = fork();
	if (r->pid == 0)
		exec_journalctl(argv, out[1]);
	(void)close(out[1]); /* the child's */
	r->fd = out[0];
	if (r->pid < 0) {
		r->pid = 0;
		return err_sys(err, "cannot fork for journalctl");
	}
	return 0;
}

/* Its end, or (`now`) its end by us. */
static int journal_stop(struct journal_reader *r, bool now, struct err *err)
{
	fd_drop(&r->fd);
	r->in.len = 0;
	entry_begin(r); /* what is there of it now comes again, if it is wanted */
	if (r->pid == 0)
		return 0;
	if (now)
		(void)kill(r->pid, SIGKILL); /* ours, unreaped: cannot be another's */
	int status = proc_wait(r->pid);
	r->pid = 0;
	if (now || status < 0 || proc_exit_code(status) == 0)
		return 0;
	if (proc_exit_code(status) == 127)
		return err_set(err, ENOENT,
			       "cannot read the journal: there is no " JOURNALCTL
			       " (the container logs to journald)");
	return err_set(err, EIO, "cannot read the journal: journalctl ended with %d", proc_exit_code(status));
}

/* Who may not ask for that reads what is there. */
static void journal_sync(void)
{
	const char *const argv[] = {JOURNALCTL, "--sync", NULL};
	struct proc_run run = {.argv = argv, .timeout_ms = SYNC_MS};
	struct err none = {0};

	ignore_result(proc_run(&run, NULL, &none) < 0);
}

/* ---- entries ---- */

static bool export_field_is(const struct journal_field *f, const char *name)
{
	return f->name_len == strlen(name) && memcmp(f->name, name, f->name_len) == 0;
}

static bool export_field_starts(const struct journal_field *f, const char *prefix)
{
	return f->name_len >= strlen(prefix) && memcmp(f->name, prefix, strlen(prefix)) == 0;
}

/* A label or a variable that --log-opt named: all that is neither the journal's nor its sender's own. */
static bool is_detail(const struct journal_field *f)
{
	return !export_field_starts(f, "_") && !export_field_starts(f, "CONTAINER_") &&
	       !export_field_starts(f, "SYSLOG_") && !export_field_is(f, "IMAGE_NAME");
}

static int64_t export_field_number(const struct journal_field *f)
{
	char text[32];
	int64_t n;

	if (f->len >= sizeof(text))
		return 0;
	memcpy(text, f->value, f->len);
	text[f->len] = '\0';
	return str_to_i64(text, &n) == 0 && n >= 0 && n < INT64_MAX / 1000 ? n : 0;
}

static void entry_field(struct journal_reader *r, const struct journal_field *f)
{
	if (export_field_is(f, "MESSAGE")) {
		str_put_n(&r->message, f->value, f->len);
	} else if (export_field_is(f, "PRIORITY")) {
		r->is_err = f->len == 1 && f->value[0] == '3';
	} else if (export_field_is(f, "CONTAINER_PARTIAL_MESSAGE")) {
		r->partial = true;
	} else if (export_field_is(f, "__REALTIME_TIMESTAMP")) {
		r->time = export_field_number(f) * 1000;
	} else if (export_field_is(f, "__CURSOR") && f->len < CURSOR_MAX) {
		memcpy(r->its_cursor, f->value, f->len);
		r->its_cursor[f->len] = '\0';
	} else if (r->q->details && is_detail(f)) {
		str_put_n(&r->details, f->name, f->name_len);
		str_put(&r->details, "=");
		str_put_n(&r->details, f->value, strnlen(f->value, f->len));
		str_put_n(&r->details, "", 1);
	}
}

/* The object that put_details() of log_print.c reads; "" of none. */
static char *entry_attrs(const struct journal_reader *r)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < r->details.len; i++)
		n += r->details.s[i] == '\0';
	autofree const char **all = calloc(n + 1, sizeof(*all));
	if (!all)
		return NULL;
	for (const char *p = r->details.s; k < n; p += strlen(p) + 1)
		all[k++] = p;
	return log_attrs(&(str_list){all, n});
}

static int entry_end(struct journal_reader *r, struct err *err)
{
	struct log_entry e = {.is_err = r->is_err, .time = r->time};

	if (!r->partial)
		str_put(&r->message, "\n");
	autofree char *attrs = entry_attrs(r); /* "attrs":{…}, */
	if (r->message.failed || r->details.failed || !attrs)
		return err_oom(err);
	e.attrs = strchr(attrs, '{');
	e.attrs_len = e.attrs ? strlen(e.attrs) - 1 : 0;
	e.text = r->message.s;
	e.len = r->message.len;
	int s = e.len ? log_print_entry(&r->print, &e, err) : 0;
	memcpy(r->cursor, r->its_cursor, sizeof(r->cursor));
	entry_begin(r);
	return s;
}

static int each_field(struct journal_reader *r, struct err *err)
{
	size_t at = 0;
	ssize_t n = 0;
	int s = 0;

	while (s == 0 && !r->print.done && at < r->in.len) {
		struct journal_field f;
		n = journal_export_field(r->in.s + at, r->in.len - at, &f);
		if (n <= 0)
			break;
		if (f.name_len)
			entry_field(r, &f);
		else
			s = entry_end(r, err);
		at += (size_t)n;
	}
	if (n < 0)
		return err_set(err, EBADMSG, "cannot read the journal: what journalctl says is no export");
	if (at > 0) {
		memmove(r->in.s, r->in.s + at, r->in.len - at);
		r->in.len -= at;
	}
	return s;
}

/* What journalctl wrote: 1 where there may be more, 0 at its end. */
static int journal_read(struct journal_reader *r, struct err *err)
{
	char block[JOURNAL_BLOCK];
	ssize_t n = read(r->fd, block, sizeof(block));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0)
		return err_sys(err, "cannot read what journalctl says");
	if (n == 0)
		return 0;
	str_put_n(&r->in, block, (size_t)n);
	if (r->in.failed)
		return err_oom(err);
	int s = each_field(r, err);
	return s < 0 ? s : r->print.done ? 0 : 1;
}

static int journal_read_all(struct journal_reader *r, struct err *err)
{
	int s = journal_start(r, false, err);

	if (s < 0)
		return s;
	while ((s = journal_read(r, err)) > 0)
		;
	int ended = journal_stop(r, s < 0 || r->print.done, err);
	return s < 0 ? s : ended;
}

/* Up to the container's end.  1: there may be more in the journal; 0: nothing more is wanted. */
static int journal_follow(struct journal_reader *r, int *conn, struct err *err)
{
	int s = journal_start(r, true, err);

	while (s >= 0 && *conn >= 0) {
		struct pollfd p[] = {{.fd = r->fd, .events = POLLIN},
				     {.fd = *conn, .events = POLLIN},
				     {.fd = r->q->out_fd, .events = 0}}; /* who reads us is gone: POLLERR */
		int n = poll(p, ARRAY_LEN(p), log_print_until_ms(r->q));
		if (n < 0 && errno != EINTR)
			s = err_sys(err, "cannot wait for the journal");
		if (n == 0) /* `until` is now */
			break;
		if (n > 0 && p[0].revents) {
			s = journal_read(r, err);
			if (s == 0)
				return r->print.done ? 0 : journal_stop(r, false, err);
			if (s > 0)
				s = log_print_flush(&r->print, err);
		}
		if (n > 0 && p[1].revents)
			conn_follow_read(r->q->run_dir, conn);
		if (n > 0 && (p[2].revents & (POLLERR | POLLNVAL)))
			return 0;
	}
	return s < 0 ? s : 1;
}

int logs_journal(const struct monitor_log_query *q, struct err *err)
{
	struct journal_reader r = {.q = q, .since = q->since, .fd = -1};
	autoclose int conn = q->follow && q->run_dir ? conn_follow(q->run_dir) : -1;
	struct timespec now;
	struct err unasked = {0};
	int s = 1;

	log_print_begin(&r.print, q);
	if (q->tail == 0) {				   /* only what comes */
		(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
		r.since = MAX_OF(r.since, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	}
	if (conn >= 0) {
		s = journal_follow(&r, &conn, err);
		ignore_result(journal_stop(&r, true, &unasked) < 0); /* its word is not wanted any more */
	}
	if (s > 0) {
		journal_sync();
		s = journal_read_all(&r, err);
	}
	if (s == 0)
		s = log_print_flush(&r.print, err);
	str_free(&r.in);
	str_free(&r.message);
	str_free(&r.details);
	log_print_free(&r.print);
	return s;
}
