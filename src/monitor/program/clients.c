/* SPDX-License-Identifier: Apache-2.0 */
/* Who talks to the monitor: attached clients, waiting ones, single requests. */
#include "monitor/program/mon.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { LATE_PIPE_SIZE = 1 << 20 };

void clients_init(struct mon *m)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		m->clients[i] = (struct client){.fd = -1, .out = -1, .err = -1};
}

/* The container's input ends with that of the one client that it was for. */
static void input_ended(struct mon *m, const struct client *c)
{
	if ((c->wants & FRAME_IN) && c->welcomed && m->plan.stdin_once)
		fd_drop(&m->to_in);
}

void client_drop(struct mon *m, struct client *c)
{
	input_ended(m, c);
	fd_drop(&c->fd);
	fd_drop(&c->out);
	fd_drop(&c->err);
	*c = (struct client){.fd = -1, .out = -1, .err = -1};
}

static bool is_own_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

/* A message that finds no room ends the connection: nobody waits for a client. */
static bool tell_client(struct mon *m, struct client *c, const struct frame *f, const int *fds, size_t nfds)
{
	if (frame_send(c->fd, f, fds, nfds) == 0)
		return true;
	client_drop(m, c);
	return false;
}

static void tell_error(struct mon *m, struct client *c, int code, const char *text)
{
	struct frame f = {.type = FRAME_FAILED, .a = code, .b = 1};

	(void)snprintf(f.text, sizeof(f.text), "%s", text); /* ours fit */
	ignore_result(tell_client(m, c, &f, NULL, 0));
}

static watch_fn on_client;

void clients_adopt(struct mon *m, int fd, bool first)
{
	struct client *c = NULL;

	for (size_t i = 0; i < CLIENTS_MAX && !c; i++)
		if (m->clients[i].fd < 0)
			c = &m->clients[i];
	if (fd < 0)
		return;
	if (!c && is_own_user(fd)) {
		struct frame full = {.type = FRAME_FAILED,
				     .a = EMFILE,
				     .b = 1,
				     .text = "too many clients of the container's monitor: 64 at once"};
		_Static_assert(CLIENTS_MAX == 64, "the text above says so");
		ignore_result(frame_send(fd, &full, NULL, 0) < 0); /* then it hears nothing */
	}
	if (!c || (!first && !is_own_user(fd)) || fd_set_nonblock(fd, true) < 0) {
		(void)close(fd); /* full, or a stranger */
		return;
	}
	*c = (struct client){.fd = fd, .out = -1, .err = -1, .first = first};
	/* What the first one wants must be known before any output is read: its HELLO came before us. */
	if (first)
		on_client(m, c, fd, POLLIN);
}

/* A pipe of the client's; its end goes to fds[]. */
static int client_pipe_new(const struct client *c, int *ours, int *theirs)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*ours = p[1];
	*theirs = p[0];
	if (!c->first)
		ignore_result(fcntl(p[1], F_SETPIPE_SZ, LATE_PIPE_SIZE) < 0); /* then it is a smaller one */
	return fd_set_nonblock(p[1], true);
}

/* The container runs: what the client asked for, as far as the container has it. */
static void welcome(struct mon *m, struct client *c)
{
	struct frame f = {.type = FRAME_WELCOME};
	int fds[FRAME_FDS_MAX] = {-1, -1, -1, -1}, r = 0;
	int out = -1, err = -1;
	/* Who comes between two runs, or at the end of one, is told of an end alone. */
	uint32_t wants = m->phase == RUNNING ? c->wants : 0;
	size_t n = 0;

	c->welcomed = true;
	if (wants & FRAME_OUT) {
		r = client_pipe_new(c, &c->out, &out);
		f.flags |= FRAME_OUT;
		fds[n++] = out;
	}
	if (r == 0 && (wants & FRAME_ERR) && !m->plan.tty) {
		r = client_pipe_new(c, &c->err, &err);
		f.flags |= FRAME_ERR;
		fds[n++] = err;
	}
	if (m->plan.tty && m->master >= 0 && (wants & (FRAME_IN | FRAME_OUT | FRAME_ERR))) {
		f.flags |= FRAME_TERMINAL | (wants & FRAME_IN && m->plan.open_stdin ? FRAME_IN : 0);
		fds[n++] = m->master;
	} else if ((wants & FRAME_IN) && m->to_in >= 0) {
		f.flags |= FRAME_IN;
		fds[n++] = m->to_in;
	}
	if (r < 0)
		tell_error(m, c, -r, "cannot make pipes for the client");
	else
		ignore_result(tell_client(m, c, &f, fds, n));
	fd_drop(&out);
	fd_drop(&err);
}

void clients_welcome(struct mon *m)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &m->clients[i];
		if (c->fd >= 0 && c->greeted && !c->welcomed)
			welcome(m, c);
	}
}

static void hello(struct mon *m, struct client *c, const struct frame *f)
{
	bool streams = f->flags & (FRAME_IN | FRAME_OUT | FRAME_ERR);

	c->greeted = true;
	c->wants = f->flags;
	if (m->phase == FINISHING)
		client_drop(m, c); /* it comes after the end */
	else if (m->phase == WAITING && streams)
		tell_error(m, c, EAGAIN, "the container is restarting: wait until it is running");
	else if (m->phase == RUNNING || m->phase == DRAINING || (!streams && !c->first))
		welcome(m, c);
	/* Otherwise when it runs: the first one hears of the start, and who is attached wants its pipes. */
}

/* Signals that mean that it shall end, whatever the restart policy. */
static bool is_ending_signal(const struct mon *m, int sig)
{
	return sig == SIGKILL || sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP ||
	       sig == m->plan.stop_signal;
}

static void pass_signal(struct mon *m, int sig)
{
	if (m->pid <= 0 || m->ended)
		return;
	if (is_ending_signal(m, sig))
		m->restart.stopped = true;
	(void)kill(m->pid, sig); /* our child, not reaped: the pid is its own */
}

static int resize(struct mon *m, const struct frame *f)
{
	struct winsize size = {.ws_row = (unsigned short)f->a, .ws_col = (unsigned short)f->b};

	if (m->master < 0)
		return -ENOTTY;
	return ioctl(m->master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static void answer_request(struct mon *m, struct client *c, const struct frame *f)
{
	struct frame ok = {.type = FRAME_OK};
	int r = 0;

	if (f->type == FRAME_RESIZE) {
		r = resize(m, f);
	} else if (f->type == FRAME_NO_RESTART) {
		m->restart.stopped = true;
		if (m->phase == WAITING)
			m->restart_at = mon_clock(); /* … and then there is none */
	} else {
		m->restart.policy = (enum monitor_restart)f->a;
		m->restart.max = (uint32_t)f->b;
	}
	if (r < 0)
		tell_error(m, c, -r,
			   r == -ENOTTY ? "cannot resize the terminal: the container has none"
					: "cannot resize the container's terminal");
	else
		ignore_result(tell_client(m, c, &ok, NULL, 0));
}

void clients_tell_checked(struct mon *m, int code, const char *why)
{
	struct frame f = {.type = FRAME_CHECKED, .a = code, .b = (int32_t)m->health.status};

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &m->clients[i];
		if (c->fd < 0 || !c->checks)
			continue;
		c->checks = false;
		if (why)
			tell_error(m, c, EINVAL, why);
		else
			ignore_result(tell_client(m, c, &f, NULL, 0));
	}
}

static void check_health(struct mon *m, struct client *c)
{
	if (probe_now(m))
		c->checks = true;
	else
		tell_error(m, c, EINVAL,
			   m->phase == RUNNING ? "the container has no health check"
					       : "the container does not run");
}

static void on_message(struct mon *m, struct client *c, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		if (!c->greeted)
			hello(m, c, f);
		else
			client_drop(m, c);
		break;
	case FRAME_SIGNAL:
		pass_signal(m, f->a);
		break;
	case FRAME_INPUT_END:
		input_ended(m, c);
		break;
	case FRAME_RESIZE:
	case FRAME_NO_RESTART:
	case FRAME_SET_RESTART:
		answer_request(m, c, f);
		break;
	case FRAME_CHECK_HEALTH:
		check_health(m, c);
		break;
	case FRAME_FINISHED:
		if (m->phase == FINISHING)
			life_finished(m);
		break;
	case FRAME_WELCOME:
	case FRAME_FAILED:
	case FRAME_EXIT:
	case FRAME_OK:
	case FRAME_CHECKED:
		client_drop(m, c); /* not a client's to say */
	}
}

static void on_client(struct mon *m, void *arg, int fd, unused short revents)
{
	struct client *c = arg;
	struct err broken = {0};
	struct frame f;

	if (c->fd != fd) /* dropped in this very turn */
		return;
	int r = frame_recv(fd, &f, NULL, NULL, &broken);
	if (r == -EAGAIN)
		return;
	if (r > 0)
		on_message(m, c, &f);
	else
		client_drop(m, c);
}

void clients_watch(struct mon *m)
{
	/*
	 * Who cleans up has said so when it is gone, or has not: its end is what is waited for, so that what
	 * is left to us does not keep it from ending.
	 */
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &m->clients[i];
		bool last = m->phase == FINISHING && (c->wants & FRAME_FINISHES);
		mon_watch(m, c->fd, last ? 0 : POLLIN, on_client, c);
	}
}

void clients_end_output(struct mon *m)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		fd_drop(&m->clients[i].out);
		fd_drop(&m->clients[i].err);
	}
}

bool clients_tell_exit(struct mon *m, bool follows)
{
	struct client *finisher = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &m->clients[i];
		struct frame f = {.type = FRAME_EXIT, .a = m->code, .flags = follows ? FRAME_FOLLOWS : 0};
		if (c->fd < 0 || !c->greeted)
			continue;
		bool turn = !follows && !finisher && (c->wants & FRAME_FINISHES);
		if (turn)
			f.flags |= FRAME_FINISHES;
		if (!tell_client(m, c, &f, NULL, 0))
			continue;
		if (turn)
			finisher = c;
		else
			client_drop(m, c);
	}
	return finisher != NULL;
}

void clients_tell_failure(struct mon *m, const struct err *why, const char *otherwise)
{
	struct frame f = {.type = FRAME_FAILED,
			  .a = why->code > 0 && why->code < 4096 ? why->code : EIO,
			  .b = why->exit_status > 0 && why->exit_status < 256 ? why->exit_status : 125};

	(void)snprintf(f.text, sizeof(f.text), "%s", why->msg[0] ? why->msg : otherwise); /* cut is fine */
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (m->clients[i].fd >= 0 && tell_client(m, &m->clients[i], &f, NULL, 0))
			client_drop(m, &m->clients[i]);
}
