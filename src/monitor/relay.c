/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client in the foreground: the caller's terminal or pipes on one side,
 * the container's on the other.
 *
 * Bytes do not pass through the monitor's socket: the container's output comes
 * by two pipes, input goes to its own pipe or terminal.  Between pipes and
 * files bytes are spliced, so that they are never seen here; a terminal, and
 * what else cannot be spliced, is copied.  Nothing blocks but poll(2): a
 * signal is passed on even while the caller's output is stuck.
 *
 * The end: the monitor closes the output's pipes when it has written all,
 * and sends the exit code.  Both are waited for, so that no output is lost.
 */
#include "base/fd.h"
#include "host/tty.h"
#include "monitor/conn.h"
#include "monitor/detach.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

enum {
	RELAY_BUF = 65536,
	RELAY_ATOMIC = 4096, /* a pipe or terminal that is writable takes so much without blocking */
	RELAY_SPLICE = 1 << 20,
};

/* One direction. */
struct pipe_flow {
	int from, to; /* from -1: over */
	bool splice;  /* until the kernel says that it cannot */
	bool full;    /* the other side is */
	size_t at, len;
	size_t chunk; /* bytes a write */
	char *buf;    /* copying only; owned */
};

struct client_relay {
	struct monitor_conn *c;
	const struct monitor_relay *q;
	struct pipe_flow out, err, in;
	struct detach detach;
	int signals, host_tty;
	int status;
	int raised; /* a signal that ends us, once the terminal is restored */
	bool exited, lost, detached;
	bool drained; /* exited, and nothing is in the pipes */
};

/* A write of any size to a regular file goes through; to others only a small one does without blocking. */
static struct pipe_flow flow_of(int from, int to)
{
	struct stat st;
	bool file = to >= 0 && fstat(to, &st) == 0 && S_ISREG(st.st_mode);
	bool pipe = to >= 0 && !file && S_ISFIFO(st.st_mode);
	bool null = to >= 0 && !file && S_ISCHR(st.st_mode) && !isatty(to);

	return (struct pipe_flow){.from = from,
				  .to = to,
				  .splice = file || pipe || null,
				  .chunk = file ? RELAY_BUF : RELAY_ATOMIC};
}

/* 1: moved; 0: the end; -EAGAIN: later; else what is wrong with the other side. */
static int flow_splice(struct pipe_flow *f)
{
	ssize_t n = splice(f->from, NULL, f->to, NULL, RELAY_SPLICE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0)
		return 1;
	if (n == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS ||
	    errno == EBADF) { /* a file for appending, a strange device */
		f->splice = false;
		return -EAGAIN;
	}
	if (errno == EAGAIN) { /* nothing there, or no room there? */
		struct pollfd p = {.fd = f->from, .events = POLLIN};
		f->full = poll(&p, 1, 0) > 0;
	}
	return errno == EINTR ? -EAGAIN : -errno;
}

static int flow_push(struct pipe_flow *f)
{
	ssize_t n = write(f->to, f->buf + f->at, MIN_OF(f->len, f->chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->at += (size_t)n;
	f->len -= (size_t)n;
	f->full = f->len > 0;
	return 0;
}

/* As flow_splice(), through the buffer.  `detach` may be NULL; *ret_detached as its result. */
static int flow_copy(struct pipe_flow *f, struct detach *detach, bool *ret_detached)
{
	unsigned char typed[RELAY_ATOMIC];
	ssize_t n;

	if (!f->buf && !(f->buf = malloc(RELAY_BUF + DETACH_KEYS_MAX)))
		return -ENOMEM;
	f->at = 0;
	if (detach)
		n = read(f->from, typed, sizeof(typed));
	else
		n = read(f->from, f->buf, RELAY_BUF);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : errno == EIO ? 0 : -errno;
	if (n == 0)
		return 0;
	f->len = (size_t)n;
	if (detach)
		*ret_detached = detach_filter(detach, typed, (size_t)n, (unsigned char *)f->buf, &f->len);
	f->full = f->len > 0;
	return 1;
}

/* ---- output ---- */

static int on_output(struct pipe_flow *f, int *conn_end, struct err *err)
{
	int r;

	f->full = false;
	if (f->len > 0) {
		r = flow_push(f);
	} else {
		r = f->splice ? flow_splice(f) : flow_copy(f, NULL, NULL);
		if (r == 0) {
			f->from = -1;
			fd_drop(conn_end);
		}
	}
	if (r >= 0 || r == -EAGAIN)
		return 0;
	return err_num(err, r, "cannot write to standard %s; the container goes on running",
		       f->to == STDOUT_FILENO ? "output" : "error");
}

/* ---- input ---- */

static void end_input(struct client_relay *x)
{
	struct frame f = {.type = FRAME_INPUT_END};

	x->in.from = -1;
	x->in.len = 0;
	fd_drop(&x->c->in);
	if (!x->exited && !x->lost)
		ignore_result(frame_send(x->c->fd, &f, NULL, 0) < 0); /* its end is seen elsewhere */
}

static void on_input(struct client_relay *x)
{
	struct pipe_flow *f = &x->in;
	int r;

	f->full = false;
	if (f->len > 0) {
		if (flow_push(f) < 0) /* the container does not read any more: its right */
			end_input(x);
		return;
	}
	if (f->splice)
		r = flow_splice(f);
	else
		r = flow_copy(f, x->detach.n ? &x->detach : NULL, &x->detached);
	if (r == 0 || (r < 0 && r != -EAGAIN))
		end_input(x);
	else if (x->detached && f->len > 0)
		ignore_result(flow_push(f) < 0); /* what was typed before the keys; leaving all the same */
}

/* ---- signals ---- */

static bool ends_us(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

static void on_signals(struct client_relay *x)
{
	struct signalfd_siginfo info;

	while (read(x->signals, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;
		struct frame f = {.type = FRAME_SIGNAL, .a = sig};
		if (sig == SIGWINCH) {
			if (x->host_tty >= 0 && x->c->terminal >= 0)
				tty_copy_size(x->host_tty, x->c->terminal);
		} else if (x->q->sig_proxy) {
			if (!x->exited && !x->lost)
				ignore_result(frame_send(x->c->fd, &f, NULL, 0) < 0); /* it has ended */
		} else if (ends_us(sig)) {
			x->raised = sig;
		}
	}
}

/* What comes by descriptor while the relay runs: all that is passed on, or what the terminal needs. */
static sigset_t wanted_signals(const struct monitor_relay *q)
{
	static const int never[] = {SIGCHLD, SIGPIPE, SIGURG,  SIGTTIN, SIGTTOU, SIGSEGV, SIGBUS,
				    SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,	SIGKILL, SIGSTOP};
	sigset_t set;

	sigemptyset(&set);
	if (q->sig_proxy) {
		sigfillset(&set);
		for (size_t i = 0; i < ARRAY_LEN(never); i++)
			sigdelset(&set, never[i]);
	} else if (q->tty) {
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGHUP);
		sigaddset(&set, SIGQUIT);
	}
	sigaddset(&set, SIGWINCH);
	return set;
}

/* ---- the loop ---- */

static int on_control(struct client_relay *x, struct err *err)
{
	struct err why = {0};
	int r = conn_read_exit(x->c, &x->status, &why);

	if (r == 0) {
		x->exited = true;
		return 0;
	}
	if (r == -EPIPE) { /* what it has written is still to be read */
		x->lost = true;
		return 0;
	}
	*err = why;
	return r;
}

enum { AT_CONTROL, AT_SIGNALS, AT_OUT, AT_ERR, AT_IN, AT_COUNT };

static void set_flow(struct pollfd *p, const struct pipe_flow *f)
{
	*p = (struct pollfd){.fd = -1};
	if (f->full)
		*p = (struct pollfd){.fd = f->to, .events = POLLOUT};
	else if (f->from >= 0)
		*p = (struct pollfd){.fd = f->from, .events = POLLIN};
}

static int relay_turn(struct client_relay *x, struct err *err)
{
	struct pollfd p[AT_COUNT];
	int r = 0;

	p[AT_CONTROL] = (struct pollfd){.fd = x->exited || x->lost ? -1 : x->c->fd, .events = POLLIN};
	p[AT_SIGNALS] = (struct pollfd){.fd = x->signals, .events = POLLIN};
	set_flow(&p[AT_OUT], &x->out);
	set_flow(&p[AT_ERR], &x->err);
	set_flow(&p[AT_IN], &x->in);
	if (x->exited || x->lost)
		p[AT_IN].fd = -1;
	/* All output is in the pipes before the exit is told: what is empty then stays so. */
	int n = poll(p, AT_COUNT, x->exited && !x->out.full && !x->err.full ? 0 : -1);
	if (n < 0)
		return errno == EINTR ? 0 : err_sys(err, "cannot wait for the container");
	x->drained = n == 0;
	if (p[AT_OUT].revents)
		r = on_output(&x->out, &x->c->out, err);
	if (r == 0 && p[AT_ERR].revents)
		r = on_output(&x->err, &x->c->err, err);
	if (r == 0 && p[AT_IN].revents)
		on_input(x);
	if (p[AT_SIGNALS].revents)
		on_signals(x);
	if (r == 0 && p[AT_CONTROL].revents)
		r = on_control(x, err);
	return r;
}

static int client_relay_loop(struct client_relay *x, struct err *err)
{
	for (;;) {
		bool drained = x->drained || (x->out.from < 0 && x->err.from < 0);
		if (drained && x->exited)
			return 0;
		if (drained && x->lost)
			return conn_lost(err);
		if (x->detached || x->raised)
			return 0;
		int r = relay_turn(x, err);
		if (r < 0)
			return r;
	}
}

/* The container draws anew when the size changes; who comes later has seen nothing yet. */
static void first_size(const struct client_relay *x)
{
	struct winsize is, want;

	if (x->host_tty < 0 || x->c->terminal < 0)
		return;
	if (x->c->late && ioctl(x->host_tty, TIOCGWINSZ, &want) == 0 &&
	    ioctl(x->c->terminal, TIOCGWINSZ, &is) == 0 && is.ws_row == want.ws_row &&
	    is.ws_col == want.ws_col) {
		is.ws_row++;
		ignore_result(ioctl(x->c->terminal, TIOCSWINSZ, &is) < 0); /* gone: its end is seen soon */
	}
	tty_copy_size(x->host_tty, x->c->terminal);
}

static int relay_in_mode(struct client_relay *x, struct err *err)
{
	struct termios saved;
	bool opened = false;
	struct err no_tty = {0};
	int r;

	x->host_tty = x->q->tty ? tty_host(&opened, &no_tty) : -1; /* none is fine: sizes stay as they are */
	autoclose int host = opened ? x->host_tty : -1;
	bool raw = x->q->tty && x->in.from >= 0 && isatty(x->in.from) &&
		   tty_raw(x->in.from, &saved, &no_tty) == 0;
	int tty = x->in.from;
	first_size(x);
	r = client_relay_loop(x, err);
	if (raw)
		tty_restore(tty, &saved);
	return r;
}

int monitor_relay(struct monitor_conn *c, const struct monitor_relay *q, int *ret_status, struct err *err)
{
	struct client_relay x = {.c = c, .q = q, .host_tty = -1};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	sigset_t set = wanted_signals(q), mask;

	int r = detach_parse(q->tty ? q->detach_keys : NULL, &x.detach, err);
	if (r < 0)
		return r;
	x.out = flow_of(c->out, STDOUT_FILENO);
	x.err = flow_of(c->err, STDERR_FILENO);
	x.in = flow_of(q->stdin_open && c->in >= 0 ? STDIN_FILENO : -1, c->in);
	x.in.splice = x.in.splice && !q->tty;
	if (!q->stdin_open && c->in >= 0)
		end_input(&x); /* or the container would wait for what we never write */
	if (sigaction(SIGPIPE, &ignore, &before) < 0 || sigprocmask(SIG_BLOCK, &set, &mask) < 0)
		return err_sys(err, "cannot set up signals");
	autoclose int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	x.signals = signals;
	r = signals < 0 ? err_sys(err, "cannot make a signal descriptor") : relay_in_mode(&x, err);
	free(x.out.buf);
	free(x.err.buf);
	free(x.in.buf);
	fd_drop(&c->in);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL); /* as it was: cannot fail */
	(void)sigaction(SIGPIPE, &before, NULL);     /* as above */
	if (x.raised)
		(void)raise(x.raised);
	if (r == 0 && x.detached)
		*q->ret_detached = 1;
	else if (r == 0)
		*ret_status = x.status;
	return r;
}
