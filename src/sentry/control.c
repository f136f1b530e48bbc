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
#include "wire/sentry.h"

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

static void send_reply(int sock, const struct sentry_reply *r)
{
	/* Who does not listen for the answer does not get it. */
	(void)send(sock, r, sizeof(*r), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void reply_failed(int sock, const struct err *err)
{
	struct sentry_reply r = {.kind = SENTRY_FAILED,
				 .status = err->exit_status ? err->exit_status : 126,
				 .code = err->code};

	memcpy(r.text, err->msg, sizeof(r.text));
	send_reply(sock, &r);
}

static int accept_maker(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock >= 0 && (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != maker)) {
		(void)close(sock);
		errno = EPERM;
		return -1;
	}
	return sock;
}

int control_begin(struct boot *boot, int *ret_sock, struct err *err)
{
	struct sentry_request q;
	struct ucred own;
	socklen_t len = sizeof(own);
	int fds[SENTRY_FDS_MAX];
	size_t nfds = 0, next = 0;

	/* A listening socket's peer is who called listen(): our maker. */
	if (getsockopt(boot->control_fd, SOL_SOCKET, SO_PEERCRED, &own, &len) < 0)
		return err_sys(err, "cannot tell who made the container");
	maker = own.uid;
	struct pollfd p = {.fd = boot->control_fd, .events = POLLIN};
	autoclose int sock = -1;
	while (sock < 0) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the start");
		sock = accept_maker(boot->control_fd);
	}
	p.fd = sock;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for the start");
	ssize_t n = fd_recv(sock, &q, sizeof(q), fds, ARRAY_LEN(fds), &nfds);
	if (n != (ssize_t)sizeof(q) || q.kind != SENTRY_BEGIN)
		return err_set(err, EBADMSG, "the runtime did not begin with BEGIN");
	boot->memory_fd = (q.flags & SENTRY_HAS_MEMORY) && next < nfds ? fds[next++] : -1;
	boot->cpu_fd = (q.flags & SENTRY_HAS_CPU) && next < nfds ? fds[next++] : -1;
	boot->cgroup_version = q.flags & SENTRY_CGROUP2 ? 2 : 1;
	*ret_sock = take_fd(&sock);
	return 0;
}

void control_begun(int sock, const struct err *err)
{
	const struct sentry_reply started = {.kind = SENTRY_STARTED};

	if (err)
		reply_failed(sock, err);
	else
		send_reply(sock, &started);
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
	const struct sentry_reply r = {.kind = SENTRY_EXITED, .status = status};

	c->process = NULL;
	if (c->watch.fd >= 0)
		send_reply(c->watch.fd, &r);
	else
		free(c);
}

/* The strings of an EXEC: arguments, environment, working directory, each with its NUL. */
static int read_strings(int fd, const struct sentry_request *q, char **ret_text, const char ***ret,
			struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0, n = (size_t)q->argc + q->envc + 1, at = 0;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, 64 << 20, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read the process's arguments");
	autofree const char **v = n > len ? NULL : calloc(n + 1, sizeof(*v));
	if (!v)
		return err_set(err, EBADMSG, "the runtime sent %zu strings in %zu bytes", n, len);
	for (size_t i = 0; i < n; i++) {
		size_t left = len - at, size = strnlen(text + at, left) + 1;
		if (size > left)
			return err_set(err, EBADMSG, "the runtime sent too few strings");
		v[i] = text + at;
		at += size;
	}
	*ret_text = take_ptr(&text);
	*ret = take_ptr(&v);
	return 0;
}

static int exec_process(struct connection *c, const struct sentry_request *q, int *fds, size_t nfds,
			struct err *err)
{
	struct oci_process process;
	struct oci_document *doc = NULL;
	struct task *t = NULL;
	autofree char *json = NULL, *text = NULL;
	autofree const char **strings = NULL;
	size_t len = 0;

	if (nfds < SENTRY_FDS_MAX || c->process || q->argc == 0)
		return err_set(err, EBADMSG, "the runtime sent a malformed EXEC");
	int r = lseek(fds[0], 0, SEEK_SET) < 0 ? -errno : fd_read_all(fds[0], OCI_CONFIG_MAX, &json, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the process's description");
	r = oci_process_parse(json, len, "process", &process, &doc, err);
	if (r == 0)
		r = read_strings(fds[1], q, &text, &strings, err);
	if (r == 0) {
		process.args = (str_list){.v = strings, .n = q->argc};
		process.env = (str_list){.v = strings + q->argc, .n = q->envc};
		process.cwd = strings[q->argc + q->envc];
		int kept[3 + SENTRY_KEPT_MAX];
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

static void take_exec(struct connection *c, const struct sentry_request *q, int *fds, size_t nfds)
{
	const struct sentry_reply started = {.kind = SENTRY_STARTED};
	struct err err = {0};

	if (exec_process(c, q, fds, nfds, &err) < 0)
		reply_failed(c->watch.fd, &err);
	else
		send_reply(c->watch.fd, &started);
}

static void take_signal(const struct connection *c, const struct sentry_request *q)
{
	const struct process *p = c->process ? c->process : process_find(1);
	struct sentry_reply r = {.kind = SENTRY_DONE, .status = -ESRCH};

	if (p)
		r.status = q->signal > 0 && q->signal <= 64 ? process_signal(p, (int)q->signal) : -EINVAL;
	if (!c->process) /* a proxy that passes a signal on waits for the end alone */
		send_reply(c->watch.fd, &r);
}

static void connection_ready(struct host_watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);

	(void)events;
	for (;;) {
		struct sentry_request q;
		int fds[SENTRY_FDS_MAX + SENTRY_KEPT_MAX];
		size_t nfds = 0;
		ssize_t n = fd_recv(w->fd, &q, sizeof(q), fds, ARRAY_LEN(fds), &nfds);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n == (ssize_t)sizeof(q) && q.kind == SENTRY_EXEC)
			take_exec(c, &q, fds, nfds);
		else if (n == (ssize_t)sizeof(q) && q.kind == SENTRY_SIGNAL)
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
		int sock = accept_maker(w->fd);
		if (sock < 0 && errno == EPERM)
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
