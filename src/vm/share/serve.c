/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The share behind a stream socket: requests come one behind another, several
 * with one read where there are so many, and each reply is one write.
 *
 * One thread: what a request costs is the trip from guest to host and back,
 * not the call that is made here, and a disk that is slow holds up nobody but
 * this guest.
 */
#include "vm/share/share_int.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum { IDLE_MS = 100, IN_SIZE = SHARE_REQUEST_MAX + (256 << 10) };

struct channel {
	int sock; /* owned */
	uint8_t *in, *out;
	size_t have, at; /* bytes in `in`; where the next request begins */
};

static void channel_close(struct channel *c)
{
	fd_drop(&c->sock);
	free(c->in);
	free(c->out);
}

/* 1: the other side is gone. */
static int send_bytes(const struct channel *c, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(c->sock, data + at, len - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 1 : -errno;
		at += (size_t)n;
	}
	return 0;
}

static int send_notices(struct share_server *s, const struct channel *c)
{
	size_t len = s->notices.len;
	s->notices.len = 0;
	return send_bytes(c, s->notices.p, len);
}

/* All whole requests that are there.  1: the end. */
static int answer_all(struct share_server *s, struct channel *c, struct err *err)
{
	struct fuse_in_header head;
	while (c->have - c->at >= sizeof(head)) {
		memcpy(&head, c->in + c->at, sizeof(head));
		if (head.len < sizeof(head) || head.len > SHARE_REQUEST_MAX)
			return err_set(err, EPROTO, "the guest's file share sent a request of %u bytes",
				       head.len);
		if (c->have - c->at < head.len)
			break;
		size_t len = share_handle(s, c->in + c->at, head.len, c->out, SHARE_REPLY_MAX);
		c->at += head.len;
		int r = send_bytes(c, c->out, len);
		if (r == 0)
			r = send_notices(s, c);
		if (r)
			return r < 0 ? err_num(err, r, "cannot answer the guest's file share") : r;
	}
	memmove(c->in, c->in + c->at, c->have - c->at); /* most often nothing */
	c->have -= c->at;
	c->at = 0;
	return 0;
}

/*
 * ---- a machine that is saved ----
 *
 * The signal ends the wait for a request.  One that comes just before the wait begins does not: who asks asks
 * again until there is an answer.  So a question may come once more when its answer is on the way, and the
 * table is being read: its number tells.
 */
static volatile sig_atomic_t table_wanted, table_given; /* numbers of questions; 0 = none */

static void want_table(int sig unused, siginfo_t *info, void *context unused)
{
	if (info->si_value.sival_int != table_given)
		table_wanted = info->si_value.sival_int;
}

static void tell_table(const struct share_server *s, int number, int result)
{
	const struct share_told told = {.number = number, .result = result};

	ignore_result(write(s->config.told_fd, &told, sizeof(told)) < 0); /* who has gone asks no more */
}

static void give_table(struct share_server *s, const struct channel *c)
{
	int number = table_wanted;
	/* Half a request: the other half is in the machine. */
	int r = c->have ? -EAGAIN : share_table_save(s, s->config.table_fd);

	table_given = number; /* first: from now on the signal does not set the other one to it */
	table_wanted = 0;
	tell_table(s, number, r);
}

static int begin_tables(struct share_server *s, struct channel *c, struct err *err)
{
	struct stat st;
	size_t at = 0, len;
	int r = 0;

	if (fstat(s->config.table_fd, &st) < 0)
		return err_sys(err, "cannot look at the file share's table");
	if (st.st_size == 0)
		return 0;
	r = share_table_load(s, s->config.table_fd);
	tell_table(s, 0, r);
	if (r < 0)
		return err_num(err, r, "the snapshot's table of files is of no use");
	while (r == 0 && (len = share_table_notice(s, &at, c->out)) > 0)
		r = send_bytes(c, c->out, len);
	return r < 0 ? err_num(err, r, "cannot tell the guest of its files") : 0;
}

/* Until there is a request: 0.  1: something else was to be done, which is; or the other side is gone. */
static int await_request(struct share_server *s, const struct channel *c, struct err *err)
{
	struct pollfd p[] = {{.fd = c->sock, .events = POLLIN}, {.fd = s->watch_fd, .events = POLLIN}};
	const struct timespec idle = {.tv_nsec = IDLE_MS * 1000000};
	int n = ppoll(p, ARRAY_LEN(p), s->writable ? &idle : NULL, NULL);

	if (n < 0)
		return errno == EINTR ? 1
				      : err_sys(err, "cannot wait for what the guest asks of its file share");
	if (n == 0)
		(void)share_idle(s); /* it waits anew in any case */
	if (p[1].revents) {
		watch_read(s, NULL);
		int r = send_notices(s, c);
		if (r < 0)
			return err_num(err, r, "cannot tell the guest of a change");
	}
	return p[0].revents == 0;
}

static int serve_all(struct share_server *s, struct channel *c, struct err *err)
{
	for (;;) {
		int r = table_wanted ? 0 : await_request(s, c, err);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		ssize_t n = recv(c->sock, c->in + c->have, IN_SIZE - c->have, MSG_DONTWAIT);
		if (n < 0 && table_wanted && errno == EAGAIN) {
			give_table(s, c);
			continue;
		}
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_sys(err, "cannot read what the guest asks of its file share");
		c->have += (size_t)n;
		r = answer_all(s, c, err);
		if (r)
			return r < 0 ? r : 0;
	}
}

int share_serve(const struct share *config, struct err *err)
{
	struct share_server *s = NULL;
	struct channel c = {.sock = config->sock, .in = malloc(IN_SIZE), .out = malloc(SHARE_REPLY_MAX)};
	const struct sigaction wanted = {.sa_sigaction = want_table,
					 .sa_flags = SA_SIGINFO}; /* no SA_RESTART */
	int r = c.in && c.out ? 0 : err_oom(err);
	if (r == 0 && config->table_fd >= 0 && sigaction(SIGUSR1, &wanted, NULL) < 0)
		r = err_sys(err, "cannot set a signal");
	if (r == 0)
		r = share_new(config, true, &s, err);
	if (r == 0 && config->table_fd >= 0)
		r = begin_tables(s, &c, err);
	if (r == 0)
		r = serve_all(s, &c, err);
	share_free(s);
	channel_close(&c);
	return r;
}
