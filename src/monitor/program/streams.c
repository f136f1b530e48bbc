/* SPDX-License-Identifier: Apache-2.0 */
/* The container's output: to the log, and to who is attached. */
#include "monitor/program/mon.h"

#include "monitor/log_line.h"
#include "monitor/rfc3339.h"

enum { SPLICE_MAX = 1 << 20 };

void streams_begin(struct mon *m)
{
	struct stream *all[] = {&m->out, &m->err};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i]->blocked = false;
		all[i]->line = all[i]->end = all[i]->owed = 0;
	}
	if (m->plan.tty && m->master >= 0)
		m->out.fd = m->master; /* shared: closed once */
}

static int client_pipe(const struct client *c, const struct stream *s)
{
	return s->is_err ? c->err : c->out;
}

static void close_pipe(struct client *c, const struct stream *s)
{
	fd_drop(s->is_err ? &c->err : &c->out);
}

/* The client that is waited for, if it listens to the stream. */
static struct client *patient(struct mon *m, const struct stream *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (m->clients[i].first && client_pipe(&m->clients[i], s) >= 0)
			return &m->clients[i];
	return NULL;
}

/* ---- the log ---- */

static void log_piece(struct mon *m, const struct stream *s, const char *text, size_t len, bool whole,
		      const char *time)
{
	if (m->log.fd >= 0)
		log_file_add(&m->log, text, len, whole, s->is_err, time);
	else if (m->journal >= 0)
		ignore_result(journal_send(m->journal, &m->source, s->is_err, text, len, !whole) <
			      0); /* lost */
}

/* A line and its end, or (not `whole`) the beginning of one. */
static void log_line(struct mon *m, const struct stream *s, const char *text, size_t len, bool whole,
		     const char *time)
{
	while (len >= LOG_LINE_MAX) {
		size_t n = log_line_cut(text);
		log_piece(m, s, text, n, false, time);
		text += n;
		len -= n;
	}
	log_piece(m, s, text, len, whole, time);
}

static bool logs(const struct mon *m)
{
	return m->log.fd >= 0 || m->journal >= 0;
}

/* What came in from `from` on: whole lines, and pieces of one that is longer than an entry. */
static void log_new(struct mon *m, struct stream *s, size_t from)
{
	char time[RFC3339_MAX];
	char *nl;

	if (!logs(m)) {
		s->line = s->end;
		return;
	}
	(void)rfc3339_format(mon_wall(), time);
	while ((nl = memchr(s->buf + from, '\n', s->end - from))) {
		size_t at = (size_t)(nl - s->buf);
		log_line(m, s, s->buf + s->line, at - s->line, true, time);
		s->line = from = at + 1;
	}
	while (s->end - s->line >= LOG_LINE_MAX) {
		size_t n = log_line_cut(s->buf + s->line);
		log_piece(m, s, s->buf + s->line, n, false, time);
		s->line += n;
	}
	if (m->log.fd >= 0)
		ignore_result(log_file_flush(&m->log) < 0); /* the disk is full: the container goes on */
}

/* The last line had no end. */
static void log_rest(struct mon *m, struct stream *s)
{
	char time[RFC3339_MAX];

	if (!logs(m) || s->line == s->end)
		return;
	(void)rfc3339_format(mon_wall(), time);
	log_piece(m, s, s->buf + s->line, s->end - s->line, false, time);
	s->line = s->end;
	if (m->log.fd >= 0)
		ignore_result(log_file_flush(&m->log) < 0); /* as above */
}

/* ---- who is attached ---- */

/* More of what the first client has to get.  True where it has all, or is no more. */
static bool pay(struct mon *m, struct stream *s)
{
	struct client *c = patient(m, s);

	while (c && s->owed < s->end) {
		ssize_t n = write(client_pipe(c, s), s->buf + s->owed, s->end - s->owed);
		if (n > 0) {
			s->owed += (size_t)n;
		} else if (errno == EAGAIN) {
			/* After the container's end nobody is slowed down by waiting: a bigger pipe saves it.
			 */
			if (m->phase == DRAINING && fcntl(client_pipe(c, s), F_GETPIPE_SZ) < SPLICE_MAX &&
			    fcntl(client_pipe(c, s), F_SETPIPE_SZ, SPLICE_MAX) > 0)
				continue;
			s->blocked = true;
			return false;
		} else if (errno != EINTR) {
			close_pipe(c, s); /* it does not want to hear more */
			break;
		}
	}
	s->owed = s->end;
	s->blocked = false;
	return true;
}

static void give_others(struct mon *m, struct stream *s, size_t from)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &m->clients[i];
		int fd = client_pipe(c, s);
		if (fd < 0 || c->first)
			continue;
		ssize_t n = write(fd, s->buf + from, s->end - from);
		if (n == (ssize_t)(s->end - from))
			continue;
		if (n < 0 && errno == EPIPE)
			close_pipe(c, s);
		else
			client_drop(m, c); /* too slow: see mon.h */
	}
}

/* ---- reading ---- */

/* How many listen; the only one, where it is one. */
static size_t listeners(struct mon *m, const struct stream *s, struct client **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (client_pipe(&m->clients[i], s) < 0)
			continue;
		*ret = &m->clients[i];
		n++;
	}
	return n;
}

/* From pipe to pipe: to the only listener, or to nobody.  As stream_read(); -ENOSYS where it does not apply.
 */
static int stream_splice(struct mon *m, struct stream *s)
{
	struct client *c = NULL;
	size_t n = listeners(m, s, &c);

	if (logs(m) || m->plan.tty || n > 1 || s->owed < s->end || (c && !c->first))
		return -ENOSYS;
	int to = c ? client_pipe(c, s) : STDOUT_FILENO; /* which is /dev/null */
	ssize_t moved = splice(s->fd, NULL, to, NULL, SPLICE_MAX, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (moved > 0)
		return 1;
	if (moved == 0)
		return 0;
	if (errno == EPIPE && c) {
		close_pipe(c, s);
		return 1;
	}
	if (errno != EAGAIN)
		return errno == EINTR ? 1 : -ENOSYS;
	struct pollfd src = {.fd = s->fd, .events = POLLIN};
	if (c && poll(&src, 1, 0) > 0) { /* there is something: it is the other side that is full */
		s->blocked = true;
		return -EBUSY;
	}
	return -EAGAIN;
}

/* 1: something came; 0: the end; -EAGAIN: nothing now; -EBUSY: the first client has to be waited for. */
static int stream_read(struct mon *m, struct stream *s)
{
	if (s->owed < s->end && !pay(m, s))
		return -EBUSY;
	int r = stream_splice(m, s);
	if (r != -ENOSYS)
		return r;
	if (!s->buf && !(s->buf = malloc(STREAM_BUF)))
		return -EAGAIN;
	if (s->line > 0) {
		memmove(s->buf, s->buf + s->line, s->end - s->line);
		s->end -= s->line;
		s->owed = s->end;
		s->line = 0;
	}
	size_t from = s->end;
	ssize_t n = read(s->fd, s->buf + from, STREAM_BUF - from);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) /* EIO is a terminal's way to say so */
		return 0;
	s->end = from + (size_t)n;
	s->owed = from;
	log_new(m, s, from);
	give_others(m, s, from);
	return pay(m, s) ? 1 : -EBUSY;
}

static void on_stream(struct mon *m, void *arg, int fd, unused short revents)
{
	struct stream *s = arg;

	if (s->fd == fd && stream_read(m, s) == 0) {
		log_rest(m, s);
		if (m->plan.tty)
			s->fd = -1; /* the master is closed with the run */
		else
			fd_drop(&s->fd);
	}
}

static void on_room(struct mon *m, void *arg, unused int fd, unused short revents)
{
	struct stream *s = arg;

	s->blocked = false;
	if (s->owed < s->end)
		ignore_result(pay(m, s)); /* it says itself whether it is to be called again */
}

void streams_watch(struct mon *m)
{
	struct stream *all[] = {&m->out, &m->err};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct stream *s = all[i];
		struct client *c = s->blocked ? patient(m, s) : NULL;
		if (c)
			mon_watch(m, client_pipe(c, s), POLLOUT, on_room, s);
		else if (s->fd >= 0)
			mon_watch(m, s->fd, POLLIN, on_stream, s);
	}
}

bool streams_drain(struct mon *m)
{
	struct stream *all[] = {&m->out, &m->err};
	bool done = true;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct stream *s = all[i];
		int r = s->fd >= 0 ? 1 : 0;
		/* A process that outlived the first one may write for ever: what is there now counts. */
		for (unsigned turns = 0; r == 1 && turns < 1024; turns++)
			r = stream_read(m, s);
		if (r == -EBUSY || (s->owed < s->end && !pay(m, s)))
			done = false;
	}
	return done;
}

void streams_close(struct mon *m)
{
	struct stream *all[] = {&m->out, &m->err};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		log_rest(m, all[i]);
		if (m->plan.tty)
			all[i]->fd = -1;
		fd_drop(&all[i]->fd);
		all[i]->line = all[i]->end = all[i]->owed = 0;
		all[i]->blocked = false;
	}
	fd_drop(&m->to_in);
	fd_drop(&m->slave);
	fd_drop(&m->master);
}
