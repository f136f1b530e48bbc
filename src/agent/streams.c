/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard streams.
 *
 * Output is read only as far as the stream's window goes, so a process whose
 * output nobody takes blocks in its own pipe, and holds up nobody else.  A
 * stream without window leaves the set that is watched: a hang-up cannot be
 * masked, and would wake us for ever.
 *
 * Input goes straight into the pipe where it fits.  What does not fit waits
 * here, never more than a window of it; CREDIT is sent for what was written.
 * Where the process reads no more (EPIPE) its input is consumed by nobody.
 *
 * A terminal is both.  It ends with its process: others that still have it
 * open, in the background, are hung up when the master is closed.
 */
#include "agent/agent.h"

#include "host/tty.h"

#include <sys/epoll.h>

enum {
	CREDIT_AT = GUEST_WINDOW / 4,
	/* With its header it is what a virtio-serial port takes in one piece. */
	OUTPUT_READ = GUEST_DATA_MAX - sizeof(struct guest_frame),
	TURNS = 4, /* reads of one stream before the others have theirs */
};

static void drain_ready(struct agent *a, struct source *s);
static void feed_ready(struct agent *a, struct source *s);

static void output_watch(struct agent *a, struct stream_out *o)
{
	bool want = o->source.fd >= 0 && o->window > 0;

	if (want && !o->source.watched) {
		if (watch_add(a, a->readers, &o->source, EPOLLIN) < 0)
			agent_leave(a, "cannot watch a stream: %s", err_text(errno));
	} else if (!want && o->source.watched) {
		(void)epoll_ctl(a->readers, EPOLL_CTL_DEL, o->source.fd, NULL); /* it is there */
		o->source.watched = false;
	}
}

static void output_end(struct agent *a, struct stream_out *o)
{
	const struct guest_frame f = {.type = GUEST_OUTPUT, .stream = o->number, .process = o->live->id};

	watch_drop(a->readers, &o->source);
	o->ended = true;
	channel_send(a, &f, NULL, NULL, 0);
	live_settle(a, o->live);
}

/* 1: some was read, and there may be more; 0: not now. */
static int output_read(struct agent *a, struct stream_out *o)
{
	struct guest_frame f = {.type = GUEST_OUTPUT, .stream = o->number, .process = o->live->id};
	size_t want = MIN_OF((size_t)o->window, (size_t)OUTPUT_READ);

	if (o->source.fd < 0 || want == 0 || a->leaving)
		return 0;
	unsigned char *to = channel_room(a, OUTPUT_READ);
	if (!to)
		return 0;
	ssize_t n = read(o->source.fd, to, want);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == EAGAIN && !o->last)
		return 0;
	if (n <= 0) { /* EIO is a terminal's way to say so */
		output_end(a, o);
		return 0;
	}
	f.len = (uint32_t)n;
	channel_put(a, &f);
	o->window -= (uint32_t)n;
	return (size_t)n == want || o->last;
}

static void drain_ready(struct agent *a, struct source *s)
{
	struct stream_out *o = (struct stream_out *)(void *)((char *)s - offsetof(struct stream_out, source));

	for (int i = 0; i < TURNS && a->out.len - a->out.at < OUT_HIGH; i++)
		if (output_read(a, o) == 0)
			break;
	output_watch(a, o);
}

static void input_close(struct agent *a, struct stream_in *in)
{
	watch_drop(a->epoll, &in->source);
	free(in->buf);
	in->buf = NULL;
	in->at = in->len = 0;
}

static void input_credit(struct agent *a, struct stream_in *in, size_t n)
{
	const struct guest_frame f = {
		.type = GUEST_CREDIT, .process = in->live->id, .len = sizeof(struct guest_credit)};

	in->owed += (uint32_t)n;
	if (in->owed < CREDIT_AT)
		return;
	const struct guest_credit c = {.bytes = in->owed};
	in->owed = 0;
	channel_send(a, &f, &c, NULL, 0);
}

/* How much of it the process took, or nobody ever will. */
static size_t input_write(struct agent *a, struct stream_in *in, const unsigned char *data, size_t len)
{
	size_t done = 0;

	while (done < len && in->source.fd >= 0) {
		ssize_t n = write(in->source.fd, data + done, len - done);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			return done;
		else if (errno != EINTR)
			watch_drop(a->epoll, &in->source);
	}
	return len;
}

static void feed_ready(struct agent *a, struct source *s)
{
	struct stream_in *in = (struct stream_in *)(void *)((char *)s - offsetof(struct stream_in, source));
	size_t n = input_write(a, in, in->buf + in->at, in->len - in->at);

	in->at += n;
	input_credit(a, in, n);
	if (in->at < in->len)
		return;
	free(in->buf);
	in->buf = NULL;
	in->at = in->len = 0;
	if (in->closing && !in->live->terminal)
		input_close(a, in);
	else if (in->source.fd >= 0) {
		(void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, in->source.fd, NULL); /* it is there */
		in->source.watched = false;
	}
}

/* A terminal has no end of input but the character that says so. */
static void feed_end(struct agent *a, struct stream_in *in)
{
	in->closing = true;
	if (in->len == 0 && !in->live->terminal)
		input_close(a, in);
}

void streams_input(struct agent *a, struct live *l, const void *data, size_t len)
{
	struct stream_in *in = &l->in;

	if (len == 0) {
		feed_end(a, in);
		return;
	}
	/* Of a terminal that is not made yet, what is typed waits. */
	bool early = l->terminal && l->pid == 0 && !l->exited;
	if (in->closing || (in->source.fd < 0 && !early)) {
		input_credit(a, in, len);
		return;
	}
	if (len > GUEST_WINDOW - (in->len - in->at)) {
		agent_leave(a, "the keeper sent more than a window of input");
		return;
	}
	size_t n = in->len == 0 && in->source.fd >= 0 ? input_write(a, in, data, len) : 0;
	if (n)
		input_credit(a, in, n);
	if (n == len)
		return;
	if (!in->buf && !(in->buf = malloc(GUEST_WINDOW))) {
		agent_leave(a, "no memory for a process's input");
		return;
	}
	if (in->len + len - n > GUEST_WINDOW) {
		memmove(in->buf, in->buf + in->at, in->len - in->at);
		in->len -= in->at;
		in->at = 0;
	}
	memcpy(in->buf + in->len, (const char *)data + n, len - n);
	in->len += len - n;
	if (!early && !in->source.watched && watch_add(a, a->epoll, &in->source, EPOLLOUT) < 0)
		agent_leave(a, "cannot watch a stream: %s", err_text(errno));
}

void streams_credit(struct agent *a, struct live *l, unsigned number, uint32_t bytes)
{
	struct stream_out *o = &l->out[number - 1];

	/* Nobody reads it any more: who still writes gets EPIPE.  A terminal goes with its input. */
	if (bytes == 0) {
		if (o->source.fd >= 0 && !l->terminal)
			output_end(a, o);
		return;
	}
	if (bytes > GUEST_WINDOW - o->window) {
		agent_leave(a, "the keeper gave credit for what was never sent");
		return;
	}
	o->window += bytes;
	if (o->last)
		while (output_read(a, o) > 0)
			;
	output_watch(a, o);
}

static int stream_pipe(int *ret_read, int *ret_write, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	*ret_read = p[0];
	*ret_write = p[1];
	return 0;
}

int streams_make(struct agent *a unused, struct live *l, bool has_input, struct stdio *ret, struct err *err)
{
	int r = 0;

	*ret = (struct stdio){.child = {-1, -1, -1}};
	if (l->terminal)
		return 0;
	if (has_input) {
		r = stream_pipe(&ret->child[0], &l->in.source.fd, err);
		if (r == 0)
			r = fd_set_nonblock(l->in.source.fd, true);
	}
	for (int i = 0; i < 2 && r == 0; i++) {
		r = stream_pipe(&l->out[i].source.fd, &ret->child[i + 1], err);
		if (r == 0)
			r = fd_set_nonblock(l->out[i].source.fd, true);
	}
	if (r < 0 && !err->code)
		return err_num(err, r, "cannot make a pipe");
	return r;
}

void stdio_close(struct stdio *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->child); i++)
		fd_drop(&s->child[i]);
}

int streams_begin(struct agent *a, struct live *l, int master, struct err *err)
{
	l->in.source.ready = feed_ready;
	for (int i = 0; i < 2; i++)
		l->out[i].source.ready = drain_ready;
	if (l->terminal) {
		l->out[0].source.fd = master;
		l->in.source.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
		if (l->in.source.fd < 0 || fd_set_nonblock(master, true) < 0)
			return err_sys(err, "cannot take the terminal");
		output_end(a, &l->out[1]);
	}
	for (int i = 0; i < 2; i++)
		output_watch(a, &l->out[i]);
	if (l->in.len > l->in.at && l->in.source.fd >= 0 && !l->in.source.watched &&
	    watch_add(a, a->epoll, &l->in.source, EPOLLOUT) < 0)
		return err_sys(err, "cannot watch a stream");
	return 0;
}

void streams_process_ended(struct agent *a, struct live *l)
{
	input_close(a, &l->in);
	if (!l->terminal || l->out[0].source.fd < 0)
		return;
	l->out[0].last = true;
	while (output_read(a, &l->out[0]) > 0)
		;
	output_watch(a, &l->out[0]);
}

void streams_drop(struct agent *a, struct live *l)
{
	input_close(a, &l->in);
	for (int i = 0; i < 2; i++)
		watch_drop(a->readers, &l->out[i].source);
}
