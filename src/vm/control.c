/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's orders.  What an order carries was written by the runtime for
 * a container's owner; nothing of the guest can reach the socket, which is
 * outside of the container's root.
 */
#include "vm/keeper.h"

#include "oci/config.h"

#include <signal.h>
#include <sys/socket.h>

enum { RESOURCES_MAX = 1 << 20 };

void control_close(struct keeper *k, struct connection *c)
{
	if (c->sock < 0)
		return;
	fd_drop(&c->sock);
	session_forget(k, c);
	if (k->saver == c)
		snapshot_end(k);
	pod_dismiss(k, c);
	if (k->starter == c)
		k->starter = NULL;
	if (!c->inmate)
		return;
	/* The proxy has gone: so must what it stands for. */
	c->inmate->connection = NULL;
	if (!c->inmate->exited)
		session_signal(k, c->inmate, SIGKILL);
	streams_abandon(k, c->inmate);
	c->inmate = NULL;
}

void control_done(struct connection *c, int status, int fd)
{
	const struct supervisor_reply r = {.kind = SUPERVISOR_DONE, .status = status};

	if (fd < 0)
		supervisor_reply(c->sock, &r);
	else
		ignore_result(fd_send(c->sock, &r, sizeof(r), &fd, 1)); /* who has gone does not get it */
}

void control_failed(struct connection *c, const struct err *err)
{
	supervisor_reply_failed(c->sock, err);
}

void control_started(struct connection *c)
{
	const struct supervisor_reply r = {.kind = SUPERVISOR_STARTED};

	supervisor_reply(c->sock, &r);
}

void control_exited(struct connection *c, int status)
{
	const struct supervisor_reply r = {.kind = SUPERVISOR_EXITED, .status = status};

	supervisor_reply(c->sock, &r);
}

static int read_order(int fd, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, max, ret, ret_len);

	return r < 0 ? err_num(err, r, "cannot read what the runtime sent") : 0;
}

static int start_inmate(struct keeper *k, struct connection *c, bool outside, int *fds, size_t nfds,
			struct err *err)
{
	struct oci_process process;
	struct oci_document *doc = NULL;
	autofree char *json = NULL;
	size_t len = 0;

	if (nfds < SUPERVISOR_FDS_MAX || c->inmate)
		return err_set(err, EBADMSG, "the runtime sent a malformed EXEC");
	int r = read_order(fds[0], OCI_CONFIG_MAX, &json, &len, err);
	if (r == 0)
		r = oci_process_parse(json, len, "process", &process, &doc, err);
	if (r < 0)
		return r;
	bool terminal = process.terminal;
	oci_document_free(doc);
	/* The parser works on a copy: `json` is as it came. */
	struct inmate *i = inmate_new(k, fds + 2, terminal, err);
	if (!i)
		return -err->code;
	i->outside = outside;
	i->connection = c;
	c->inmate = i;
	return session_start(k, i, json, len, err);
}

static void asked_to_exec(struct keeper *k, struct connection *c, bool outside, int *fds, size_t nfds)
{
	struct err err = {0};

	if (start_inmate(k, c, outside, fds, nfds, &err) == 0)
		return;
	control_failed(c, &err);
	control_close(k, c);
}

static void asked_to_signal(struct keeper *k, struct connection *c, const struct supervisor_request *q)
{
	struct inmate *i = c->inmate ? c->inmate : k->first;
	bool valid = q->signal > 0 && q->signal <= 64;

	if (i && !i->exited && valid)
		session_signal(k, i, q->signal);
	if (!c->inmate) /* a proxy that passes a signal on waits for the end alone */
		control_done(c, !valid ? -EINVAL : i && !i->exited ? 0 : -ESRCH, -1);
}

static void asked_to_update(struct keeper *k, struct connection *c, const int *fds, size_t nfds)
{
	autofree char *json = NULL;
	struct err err = {0};
	size_t len = 0;
	int r = nfds == 1 ? read_order(fds[0], RESOURCES_MAX, &json, &len, &err)
			  : err_set(&err, EBADMSG, "the runtime sent a malformed UPDATE");

	if (r < 0)
		control_failed(c, &err);
	else
		session_update(k, c, json, len);
}

/* Behind the cgroup's directories, which the guest's groups are told by the configuration. */
static void take_begin(struct keeper *k, const struct supervisor_request *q, int *fds, size_t nfds)
{
	size_t first = !!(q->flags & SUPERVISOR_HAS_MEMORY) + !!(q->flags & SUPERVISOR_HAS_CPU);

	if (k->member && first < nfds)
		k->pod = take_fd(&fds[first]);
	for (size_t i = first; i < nfds && !k->member && k->ntuns < ARRAY_LEN(k->tuns); i++)
		k->tuns[k->ntuns++] = take_fd(&fds[i]);
}

static void take(struct keeper *k, struct connection *c, const struct supervisor_request *q, int *fds,
		 size_t nfds)
{
	struct err err = {0};

	if (q->kind == SUPERVISOR_BEGIN) {
		if (!k->begun) {
			take_begin(k, q, fds, nfds);
			k->starter = c;
			keeper_begin(k);
		}
		return;
	}
	if (k->stage != STAGE_RUNNING) {
		(void)err_set(&err, ESRCH, "container not running"); /* told below */
		control_failed(c, &err);
		return;
	}
	switch ((enum supervisor_request_kind)q->kind) {
	case SUPERVISOR_EXEC:
		asked_to_exec(k, c, q->flags & SUPERVISOR_OUTSIDE, fds, nfds);
		break;
	case SUPERVISOR_SIGNAL:
		asked_to_signal(k, c, q);
		break;
	case SUPERVISOR_UPDATE:
		asked_to_update(k, c, fds, nfds);
		break;
	case SUPERVISOR_PROCESSES:
		session_processes(k, c);
		break;
	case SUPERVISOR_STATS:
		session_stats(k, c);
		break;
	case SUPERVISOR_TIME:
		session_set_time(k, c);
		break;
	case SUPERVISOR_SAVE:
		if (nfds != 1)
			(void)err_set(&err, EBADMSG, "the runtime sent a malformed SAVE"); /* told below */
		else
			ignore_result(snapshot_begin(k, c, &fds[0], &err)); /* told below */
		if (err.code)
			control_failed(c, &err);
		break;
	case SUPERVISOR_JOIN:
		if (pod_admit(k, c, q->flags, fds, nfds, &err) < 0)
			control_failed(c, &err);
		break;
	case SUPERVISOR_PAUSE:
	case SUPERVISOR_RESUME:
		session_stand(k, c, q->kind == SUPERVISOR_PAUSE ? GUEST_PAUSE : GUEST_RESUME);
		break;
	case SUPERVISOR_BEGIN:
		break; /* above */
	}
}

static void runtime_ready(struct keeper *k, void *data, short revents unused)
{
	struct connection *c = data;

	/* It may have been asked to be saved in this very turn: who else comes waits (control_poll()). */
	while (c->sock >= 0 && (!k->holding || c == k->saver)) {
		struct supervisor_request q;
		int fds[SUPERVISOR_FDS_MAX + SUPERVISOR_KEPT_MAX];
		size_t nfds = 0;
		ssize_t n = fd_recv(c->sock, &q, sizeof(q), fds, ARRAY_LEN(fds), &nfds);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n == (ssize_t)sizeof(q))
			take(k, c, &q, fds, nfds);
		for (size_t i = 0; i < nfds; i++)
			fd_drop(&fds[i]);
		if (n != (ssize_t)sizeof(q))
			control_close(k, c);
	}
}

static void runtime_came(struct keeper *k, void *data unused, short revents unused)
{
	int sock = supervisor_accept(k->control, k->maker);
	struct connection *c = sock < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		fd_drop(&sock);
		return;
	}
	*c = (struct connection){.next = k->connections, .sock = sock};
	k->connections = c;
}

void control_poll(struct keeper *k, struct poll_set *p)
{
	/* A machine that stands still can be told nothing: who comes waits. */
	if (!k->holding)
		poll_want(p, k->control, POLLIN, runtime_came, NULL);
	for (struct connection *c = k->connections; c; c = c->next)
		if (c->sock >= 0 && (!k->holding || c == k->saver))
			poll_want(p, c->sock, POLLIN, runtime_ready, c);
}

void control_sweep(struct keeper *k)
{
	for (struct connection **at = &k->connections; *at;) {
		struct connection *c = *at;
		if (c->sock >= 0) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free(c);
	}
}
