/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard streams of the guest's processes, between the descriptors that the
 * runtime handed over and the agent's frames.
 *
 * The descriptors are shared with whoever else has them, so they are never
 * made non-blocking.  What poll(2) calls ready takes or gives at least
 * something at once: a pipe takes a whole page, a socket is told not to wait,
 * a regular file never waits.  A terminal is opened anew for us alone, where
 * that is allowed.
 *
 * Each stream has a window (wire/guest.h).  Input is read only as far as it
 * goes; output that the host does not take yet waits here, a window at most,
 * and is credited once it is out.
 */
#include "vm/keeper.h"

#include "base/clock.h"
#include "host/tty.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	CREDIT_AT = GUEST_WINDOW / 4,
	AT_ONCE = 4096, /* PIPE_BUF: what a pipe that is ready takes without waiting */
	TURNS = 16,
	LINGER_MS = 200, /* after its end: others may hold its output open for ever */
};

/* With a file status of its own; the terminal itself where that cannot be had. */
static int reopen_terminal(const struct keeper *k, int fd)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "self/fd/%d", fd); /* fits */
	return openat(k->proc, path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

static int take_stream(const struct keeper *k, int *fd)
{
	int own = *fd >= 0 && isatty(*fd) ? reopen_terminal(k, *fd) : -1;

	if (own < 0)
		return take_fd(fd);
	fd_drop(fd);
	return own;
}

struct inmate *inmate_new(struct keeper *k, int *fds, bool terminal, struct err *err)
{
	struct inmate *i = calloc(1, sizeof(*i));
	struct termios was;

	if (!i) {
		ignore_result(err_oom(err));
		return NULL;
	}
	*i = (struct inmate){.next = k->inmates, .id = ++k->last_id, .terminal = terminal, .tty = -1};
	i->in = (struct stream_in){.fd = take_stream(k, &fds[0]), .window = GUEST_WINDOW};
	for (int n = 0; n < 2; n++)
		i->out[n] = (struct stream_out){.fd = take_stream(k, &fds[n + 1])};
	/* The guest has a terminal of its own, which does all that a terminal does. */
	if (terminal && tty_raw(i->in.fd, &was, err) == 0)
		i->tty = i->in.fd;
	*err = (struct err){0};
	k->inmates = i;
	return i;
}

struct inmate *inmate_find(const struct keeper *k, uint32_t id)
{
	for (struct inmate *i = k->inmates; i; i = i->next)
		if (i->id == id && !i->dead)
			return i;
	return NULL;
}

void inmate_size(const struct inmate *i, uint16_t *rows, uint16_t *columns)
{
	struct winsize size = {0};

	if (i->tty >= 0)
		ignore_result(ioctl(i->tty, TIOCGWINSZ, &size)); /* none: the guest's default */
	*rows = size.ws_row;
	*columns = size.ws_col;
}

void inmate_resized(struct keeper *k, const struct inmate *i)
{
	struct guest_size size;

	inmate_size(i, &size.rows, &size.columns);
	session_send(k, GUEST_RESIZE, i->id, 0, &size, sizeof(size));
}

/* ---- input ---- */

static void inmate_input_end(struct keeper *k, struct inmate *i)
{
	if (i->in.fd < 0)
		return;
	if (i->tty == i->in.fd)
		i->tty = -1;
	fd_drop(&i->in.fd);
	session_send(k, GUEST_INPUT, i->id, 0, NULL, 0);
}

static void inmate_input_ready(struct keeper *k, void *data, short revents unused)
{
	struct inmate *i = data;
	unsigned char buf[GUEST_DATA_MAX];

	if (i->in.fd < 0 || i->dead)
		return;
	ssize_t n = read(i->in.fd, buf, MIN_OF(sizeof(buf), i->in.window));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		/* A raw terminal has no end but the hang-up, and its users want to know. */
		bool hung_up = i->terminal;
		inmate_input_end(k, i);
		if (hung_up)
			session_signal(k, i, SIGHUP);
		return;
	}
	i->in.window -= (size_t)n;
	session_send(k, GUEST_INPUT, i->id, 0, buf, (size_t)n);
}

void streams_credit(struct inmate *i, uint32_t bytes)
{
	/* More than was sent is no harm but the guest's own. */
	i->in.window = MIN_OF(i->in.window + bytes, (size_t)GUEST_WINDOW);
}

/* ---- output ---- */

static void credit(struct keeper *k, const struct inmate *i, unsigned n, size_t bytes)
{
	struct stream_out *o = (struct stream_out *)&i->out[n];

	o->owed += (uint32_t)bytes;
	/* While the machine is saved only what nobody reads comes here: its writer waits for nothing. */
	if (o->owed < CREDIT_AT || o->ended || k->holding)
		return;
	const struct guest_credit c = {.bytes = o->owed};
	o->owed = 0;
	session_send(k, GUEST_CREDIT, i->id, n + 1, &c, sizeof(c));
}

/* Nobody reads it any more: no credit says so, and the guest's process gets EPIPE. */
static void inmate_output_close(struct keeper *k, struct inmate *i, unsigned n)
{
	static const struct guest_credit none = {0};
	struct stream_out *o = &i->out[n];

	fd_drop(&o->fd);
	size_t left = o->len;
	free(o->buf);
	o->buf = NULL;
	o->at = o->len = 0;
	credit(k, i, n, left);
	if (!o->ended && !i->exited)
		session_send(k, GUEST_CREDIT, i->id, n + 1, &none, sizeof(none));
}

static ssize_t write_some(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0 || errno != ENOTSOCK)
		return n;
	return write(fd, data, MIN_OF(len, (size_t)AT_ONCE));
}

/* 1: some went out; 0: not now. */
static int output_write(struct keeper *k, struct inmate *i, unsigned n)
{
	struct stream_out *o = &i->out[n];
	ssize_t done = write_some(o->fd, o->buf + o->at, o->len);

	if (done < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (done < 0) {
		inmate_output_close(k, i, n);
		return 0;
	}
	o->at += (size_t)done;
	o->len -= (size_t)done;
	if (o->len == 0) {
		free(o->buf);
		o->buf = NULL;
		o->at = 0;
	}
	credit(k, i, n, (size_t)done);
	return o->len > 0;
}

static void inmate_output_ready(struct keeper *k, struct inmate *i, unsigned n, short revents)
{
	struct stream_out *o = &i->out[n];

	if (o->fd < 0 || i->dead)
		return;
	if (o->len == 0) {				      /* watched for the reader's going alone */
		if (revents & (POLLERR | POLLHUP | POLLNVAL)) /* HUP alone: a socket's */
			inmate_output_close(k, i, n);
		return;
	}
	for (int turn = 0; turn < TURNS && output_write(k, i, n) > 0; turn++) {
		struct pollfd p = {.fd = o->fd, .events = POLLOUT};
		if (poll(&p, 1, 0) != 1)
			return;
	}
}

static void stdout_ready(struct keeper *k, void *data, short revents)
{
	inmate_output_ready(k, data, 0, revents);
}

static void stderr_ready(struct keeper *k, void *data, short revents)
{
	inmate_output_ready(k, data, 1, revents);
}

int streams_output(struct keeper *k, struct inmate *i, unsigned stream, const void *data, size_t len)
{
	struct stream_out *o = &i->out[stream - 1];

	if (o->ended || len > GUEST_WINDOW - o->len)
		return -EBADMSG;
	if (len == 0) {
		o->ended = true;
		return 0;
	}
	if (o->fd < 0) {
		credit(k, i, stream - 1, len);
		return 0;
	}
	if (!o->buf && !(o->buf = malloc(GUEST_WINDOW)))
		return -ENOMEM;
	if (o->at + o->len + len > GUEST_WINDOW) {
		memmove(o->buf, o->buf + o->at, o->len);
		o->at = 0;
	}
	memcpy(o->buf + o->at + o->len, data, len);
	o->len += len;
	return 0;
}

/* ---- all of them ---- */

void streams_poll(struct keeper *k, struct poll_set *p)
{
	for (struct inmate *i = k->holding ? NULL : k->inmates; i; i = i->next) {
		if (i->dead)
			continue;
		if (i->in.fd >= 0 && i->in.window > 0 && i->started && !i->exited && !session_is_full(k))
			poll_want(p, i->in.fd, POLLIN, inmate_input_ready, i);
		for (unsigned n = 0; n < 2; n++)
			if (i->out[n].fd >= 0 && (i->out[n].len || !i->exited))
				poll_want(p, i->out[n].fd, i->out[n].len ? POLLOUT : 0,
					  n ? stderr_ready : stdout_ready, i);
		if (i->exited && !i->told && !i->first)
			poll_within(p, LINGER_MS);
	}
}

void streams_abandon(struct keeper *k, struct inmate *i)
{
	for (unsigned n = 0; n < 2; n++)
		if (i->out[n].fd >= 0)
			inmate_output_close(k, i, n);
	inmate_input_end(k, i);
	i->tty = -1;
}

static void inmate_free(struct inmate *i)
{
	fd_drop(&i->in.fd);
	for (int n = 0; n < 2; n++) {
		fd_drop(&i->out[n].fd);
		free(i->out[n].buf);
	}
	free(i);
}

static void tell_exit(struct keeper *k, struct inmate *i)
{
	i->told = true;
	if (i->first)
		keeper_leave(k, i->status);
	else if (i->connection)
		control_exited(i->connection, i->status);
}

void streams_sweep(struct keeper *k)
{
	for (struct inmate **at = &k->inmates; *at;) {
		struct inmate *i = *at;
		bool out = i->out[0].len == 0 && i->out[1].len == 0;
		bool ended = i->exited && out && i->out[0].ended && i->out[1].ended;
		bool lingers = i->exited && out && !i->first &&
			       clock_ns(CLOCK_MONOTONIC) - i->exited_ns > LINGER_MS * INT64_C(1000000);

		if ((ended || lingers) && !i->told)
			tell_exit(k, i);
		if (!i->dead && !(ended && i->told)) {
			at = &i->next;
			continue;
		}
		*at = i->next;
		if (i->connection)
			i->connection->inmate = NULL;
		if (k->first == i)
			k->first = NULL;
		inmate_free(i);
	}
}
