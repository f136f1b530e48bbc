/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders come over SOCK_SEQPACKET connections, which the events thread watches.
 * What an order carries was written by the runtime for a container's owner;
 * nothing of the guest can reach the socket, which is outside of its root.
 */
#include "sentry/control.h"

#include "base/fd.h"
#include "base/str.h"
#include "sentry/platform/platform.h"
#include "sentry/start.h"
#include "sentry/task.h"
#include "wire/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct connection {
	struct host_watch watch;
	struct process *process; /* EXEC's; NULL = none, or it has ended */
};

static struct host_watch listener;
static uid_t maker;

int control_begin(struct boot *boot, int *ret_sock, struct err *err)
{
	struct supervisor_request q;
	int fds[SUPERVISOR_FDS_MAX];
	size_t nfds = 0, next = 0;

	int r = supervisor_maker(boot->control_fd, &maker, err);
	if (r < 0)
		return r;
	struct pollfd p = {.fd = boot->control_fd, .events = POLLIN};
	autoclose int sock = -1;
	while (sock < 0) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the start");
		sock = supervisor_accept(boot->control_fd, maker);
	}
	p.fd = sock;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for the start");
	ssize_t n = fd_recv(sock, &q, sizeof(q), fds, ARRAY_LEN(fds), &nfds);
	if (n != (ssize_t)sizeof(q) || q.kind != SUPERVISOR_BEGIN)
		return err_set(err, EBADMSG, "the runtime did not begin with BEGIN");
	boot->memory_fd = (q.flags & SUPERVISOR_HAS_MEMORY) && next < nfds ? fds[next++] : -1;
	boot->cpu_fd = (q.flags & SUPERVISOR_HAS_CPU) && next < nfds ? fds[next++] : -1;
	boot->cgroup_version = q.flags & SUPERVISOR_CGROUP2 ? 2 : 1;
	*ret_sock = take_fd(&sock);
	return 0;
}

void control_begun(int sock, const struct err *err)
{
	const struct supervisor_reply started = {.kind = SUPERVISOR_STARTED};

	if (err)
		supervisor_reply_failed(sock, err);
	else
		supervisor_reply(sock, &started);
	(void)close(sock);
}

static void connection_end(struct connection *c)
{
	if (c->process) /* the proxy has gone: so must what it stands for */
		platform_kill(c->process, SIGKILL);
	host_watch_remove(&c->watch);
	(void)close(c->watch.fd);
	/* on_exit may still come for a living process: it keeps the connection's memory until then. */
	c->watch.fd = -1;
	if (!c->process)
		free(c);
}

static void process_ended(void *data, int status)
{
	struct connection *c = data;
	const struct supervisor_reply r = {.kind = SUPERVISOR_EXITED, .status = status};

	c->process = NULL;
	if (c->watch.fd >= 0)
		supervisor_reply(c->watch.fd, &r);
	else
		free(c);
}

static int exec_process(struct connection *c, const struct supervisor_request *q, int *fds, size_t nfds,
			struct err *err)
{
	struct oci_process process;
	struct oci_document *doc = NULL;
	struct task *t = NULL;
	autofree char *json = NULL, *text = NULL;
	autofree const char **strings = NULL;
	size_t len = 0;

	if (nfds < SUPERVISOR_FDS_MAX || c->process || q->argc == 0)
		return err_set(err, EBADMSG, "the runtime sent a malformed EXEC");
	int r = lseek(fds[0], 0, SEEK_SET) < 0 ? -errno : fd_read_all(fds[0], OCI_CONFIG_MAX, &json, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the process's description");
	r = oci_process_parse(json, len, "process", &process, &doc, err);
	if (r == 0)
		r = supervisor_strings(fds[1], q, &text, &strings, err);
	if (r == 0) {
		process.args = (str_list){.v = strings, .n = q->argc};
		process.env = (str_list){.v = strings + q->argc, .n = q->envc};
		process.cwd = strings[q->argc + q->envc];
		int kept[3 + SUPERVISOR_KEPT_MAX];
		for (size_t i = 2; i < nfds; i++)
			kept[i - 2] = take_fd(&fds[i]);
		const struct start_request start = {.process = &process,
						    .fds = kept,
						    .nfds = nfds - 2,
						    .on_exit = process_ended,
						    .data = c};
		r = start_process(&start, &t, err);
	}
	oci_document_free(doc);
	if (r == 0)
		c->process = t->process;
	return r;
}

static void take_exec(struct connection *c, const struct supervisor_request *q, int *fds, size_t nfds)
{
	const struct supervisor_reply started = {.kind = SUPERVISOR_STARTED};
	struct err err = {0};

	if (exec_process(c, q, fds, nfds, &err) < 0)
		supervisor_reply_failed(c->watch.fd, &err);
	else
		supervisor_reply(c->watch.fd, &started);
}

static void take_signal(const struct connection *c, const struct supervisor_request *q)
{
	const struct process *p = c->process ? c->process : process_find(1);
	struct supervisor_reply r = {.kind = SUPERVISOR_DONE, .status = -ESRCH};

	if (p)
		r.status = q->signal > 0 && q->signal <= 64 ? process_signal(p, (int)q->signal) : -EINVAL;
	if (!c->process) /* a proxy that passes a signal on waits for the end alone */
		supervisor_reply(c->watch.fd, &r);
}

static void connection_ready(struct host_watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);

	(void)events;
	for (;;) {
		struct supervisor_request q;
		int fds[SUPERVISOR_FDS_MAX + SUPERVISOR_KEPT_MAX];
		size_t nfds = 0;
		ssize_t n = fd_recv(w->fd, &q, sizeof(q), fds, ARRAY_LEN(fds), &nfds);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n == (ssize_t)sizeof(q) && q.kind == SUPERVISOR_EXEC)
			take_exec(c, &q, fds, nfds);
		else if (n == (ssize_t)sizeof(q) && q.kind == SUPERVISOR_SIGNAL)
			take_signal(c, &q);
		for (size_t i = 0; i < nfds; i++)
			fd_drop(&fds[i]);
		if (n != (ssize_t)sizeof(q)) {
			connection_end(c);
			return;
		}
	}
}

static void listener_ready(struct host_watch *w, uint32_t events)
{
	(void)events;
	for (;;) {
		int sock = supervisor_accept(w->fd, maker);
		if (sock == -EPERM)
			continue;
		if (sock < 0)
			return;
		struct connection *c = calloc(1, sizeof(*c));
		if (c)
			c->watch = (struct host_watch){.fd = sock, .ready = connection_ready};
		if (!c || host_watch_add(&c->watch) < 0) {
			free(c);
			(void)close(sock);
			continue;
		}
		/* Edge-triggered: what came before the watch is not told. */
		connection_ready(&c->watch, EPOLLIN);
	}
}

int control_serve(const struct boot *boot, struct err *err)
{
	listener = (struct host_watch){.fd = boot->control_fd, .ready = listener_ready};
	int r = fd_set_nonblock(boot->control_fd, true);
	if (r == 0)
		r = host_watch_add(&listener);
	if (r < 0)
		return err_num(err, r, "cannot watch the control socket");
	listener_ready(&listener, EPOLLIN);
	return 0;
}
