/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's monitor: one JSON object a line.  Commands go one at a time, and
 * what comes before the answer are events.  QEMU may have been taken over by
 * its guest: a line has a limit, an answer a time, and nothing of an answer is
 * used but whether it is one, and the words of an error.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "vm/qemu_int.h"

#include <poll.h>
#include <sys/socket.h>

static int qmp_patience(const struct qmp *q)
{
	return q->wait_ms > 0 ? MIN_OF(q->wait_ms, (int)QMP_WAIT_MS) : QMP_WAIT_MS;
}

struct message {
	struct {
		const char *text;
	} error;
	bool is_error, is_return, is_greeting;
	const char *event;
	struct {
		const char *status;
	} data;
};

static const struct json_field error_fields[] = {F_STR(struct message, error.text, "desc")};
static const struct json_table error_table = JSON_TABLE(struct message, error_fields, );
static const struct json_field data_fields[] = {F_STR(struct message, data.status, "status")};
static const struct json_table data_table = JSON_TABLE(struct message, data_fields, );
static const struct json_field fields[] = {
	F_SPREAD("error", &error_table, .present = JSON_PRESENT(struct message, is_error)),
	F_SPREAD("return", &data_table, .present = JSON_PRESENT(struct message, is_return)),
	F_SPREAD("QMP", &data_table, .present = JSON_PRESENT(struct message, is_greeting)),
	F_STR(struct message, event, "event"),
	F_SPREAD("data", &data_table),
};
static const struct json_table table = JSON_TABLE(struct message, fields, );

static int qmp_fill(struct qmp *q, int64_t until, const char *what, struct err *err)
{
	struct pollfd p = {.fd = q->fd, .events = POLLIN};

	memmove(q->buf, q->buf + q->used, q->len - q->used);
	q->len -= q->used;
	q->used = 0;
	if (q->len == QMP_LINE_MAX)
		return err_set(err, EBADMSG, "cannot %s: QEMU's answer is too long", what);
	int64_t left = until - clock_ms();
	int r = left <= 0 ? 0 : poll(&p, 1, (int)left);
	if (r < 0 && errno == EINTR)
		return 0;
	if (r < 0)
		return err_sys(err, "cannot %s: waiting for QEMU", what);
	if (r == 0)
		return err_set(err, ETIMEDOUT, "cannot %s: QEMU did not answer within %d seconds", what,
			       qmp_patience(q) / 1000);
	ssize_t n = recv(q->fd, q->buf + q->len, QMP_LINE_MAX - q->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		return err_set(err, EPIPE,
			       "cannot %s: QEMU ended; the container's hypervisor log has its words", what);
	q->len += (size_t)n;
	return 0;
}

/* The next message, decoded into doc's memory. */
static int qmp_next(struct qmp *q, int64_t until, const char *what, struct json_doc *doc, struct message *ret,
		    struct err *err)
{
	for (;;) {
		char *start = q->buf + q->used;
		char *end = memchr(start, '\n', q->len - q->used);
		if (!end) {
			int r = qmp_fill(q, until, what, err);
			if (r < 0)
				return r;
			continue;
		}
		q->used = (size_t)(end + 1 - q->buf);
		if (end > start && end[-1] == '\r')
			end--;
		if (end == start)
			continue;
		*ret = (struct message){0};
		int r = json_decode(doc, start, (size_t)(end - start), "QEMU's answer", &table, ret, err);
		if (r < 0)
			return err_prefix(err, "cannot %s", what);
		if (ret->event && streq(ret->event, "MIGRATION") && ret->data.status)
			(void)snprintf(q->migration, sizeof(q->migration), "%s",
				       ret->data.status); /* cut: none */
		return 0;
	}
}

int qmp_command(struct qmp *q, const char *command, const char *arguments, int fd, const char *what,
		struct err *err)
{
	int64_t until = clock_ms() + qmp_patience(q);
	autofree char *line = str_format("{\"execute\":\"%s\"%s%s}\n", command,
					 arguments ? ",\"arguments\":" : "", arguments ? arguments : "");

	if (!line)
		return err_oom(err);
	int r = fd_send(q->fd, line, strlen(line), &fd, fd >= 0);
	if (r < 0)
		return err_num(err, r, "cannot %s: QEMU takes no command", what);
	for (;;) {
		struct json_doc doc autojson = {0};
		struct message m;
		r = qmp_next(q, until, what, &doc, &m, err);
		if (r < 0)
			return r;
		if (m.is_error)
			return err_set(err, EIO, "cannot %s: QEMU says: %s", what,
				       m.error.text ? m.error.text : "(nothing)");
		if (m.is_return)
			return 0;
	}
}

int qmp_wait_migration(struct qmp *q, const char *what, struct err *err)
{
	int64_t until = clock_ms() + qmp_patience(q);

	while (!streq(q->migration, "completed")) {
		struct json_doc doc autojson = {0};
		struct message m;
		if (streq(q->migration, "failed") || streq(q->migration, "cancelled"))
			return err_set(err, EIO, "cannot %s: QEMU calls it %s", what, q->migration);
		int r = qmp_next(q, until, what, &doc, &m, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int qmp_open(struct qmp *q, int fd, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct message m;

	*q = (struct qmp){.fd = fd, .wait_ms = q->wait_ms, .buf = malloc(QMP_LINE_MAX)};
	if (!q->buf)
		return err_oom(err);
	int r = qmp_next(q, clock_ms() + qmp_patience(q), "start the machine", &doc, &m, err);
	if (r == 0 && !m.is_greeting)
		r = err_set(err, EBADMSG, "cannot start the machine: QEMU's monitor does not greet");
	if (r == 0)
		r = qmp_command(q, "qmp_capabilities", NULL, -1, "start the machine", err);
	if (r < 0)
		qmp_close(q);
	return r;
}

void qmp_close(struct qmp *q)
{
	free(q->buf);
	q->buf = NULL;
}
