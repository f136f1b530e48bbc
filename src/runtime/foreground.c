/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All signals are blocked from foreground_begin() on, so that none is lost
 * while the container is made: they pile up until it is there to get them.
 * Without a terminal there is nothing to do but to wait for signals, SIGCHLD
 * among them; with one, a signalfd is polled beside the two ends.
 */
#include "runtime/foreground.h"

#include "base/proc.h"
#include "host/tty.h"

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

struct foreground {
	pid_t pid;
	int signals;  /* signalfd, or -1 */
	int master;   /* or -1 */
	int host_tty; /* what sizes are copied from, or -1 */
	int status;   /* raw wait status, once ended */
	bool ended;
	const struct foreground_leave *leave; /* NULL: there is no leaving */
	bool raw;			      /* the host's terminal, which was `saved` before */
	struct termios saved;
};

int foreground_begin(bool subreaper, struct err *err)
{
	struct sigaction reset = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	/* Inherited as ignored, SIGCHLD would never come and children would vanish unseen. */
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0 || sigaction(SIGCHLD, &reset, NULL) < 0)
		return err_sys(err, "cannot block signals");
	if (subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0)
		return err_sys(err, "cannot become a subreaper");
	return 0;
}

void foreground_size(uint16_t *height, uint16_t *width)
{
	struct err no_tty = {0};
	bool opened = false;
	struct winsize size;

	if (*height || *width)
		return;
	int fd = tty_host(&opened, &no_tty);
	if (fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0) {
		*height = size.ws_row;
		*width = size.ws_col;
	}
	if (opened)
		(void)close(fd); /* was only asked */
}

static int reap(struct foreground *f, struct err *err)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
		if (pid == f->pid) {
			f->ended = true;
			f->status = status;
		}
	}
	/* ECHILD after the end: all are reaped.  Anything else: the end would be waited for without end. */
	return pid < 0 && !f->ended ? err_sys(err, "cannot wait for the container's process") : 0;
}

static int handle(struct foreground *f, int sig, struct err *err)
{
	switch (sig) {
	case SIGCHLD:
		return reap(f, err);
	case SIGWINCH:
		if (f->master >= 0 && f->host_tty >= 0)
			tty_copy_size(f->host_tty, f->master);
		else
			(void)kill(f->pid, sig); /* our child, not reaped: the pid is its own */
		break;
	default:
		(void)kill(f->pid, sig); /* as above; it may have ended, SIGCHLD tells */
	}
	return 0;
}

static int wait_plain(struct foreground *f, struct err *err)
{
	sigset_t all;
	int r = 0;

	sigfillset(&all);
	while (!f->ended && r == 0) {
		int sig = sigwaitinfo(&all, NULL);
		if (sig > 0)
			r = handle(f, sig, err);
		else if (errno != EINTR)
			r = err_sys(err, "cannot wait for signals");
	}
	return r;
}

static int on_signal(void *data, struct err *err)
{
	struct foreground *f = data;
	struct signalfd_siginfo info;
	ssize_t n = read(f->signals, &info, sizeof(info));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != sizeof(info))
		return err_sys(err, "cannot read signals");
	int r = handle(f, (int)info.ssi_signo, err);
	return r < 0 ? r : f->ended;
}

static void let_terminal_go(struct foreground *f)
{
	if (f->raw)
		tty_restore(f->host_tty, &f->saved);
	f->raw = false;
}

static bool on_typed(void *data, char *typed, size_t *len)
{
	struct foreground *f = data;

	if (!f->leave->leaves(f->leave->data, typed, len))
		return false;
	let_terminal_go(f);
	f->host_tty = -1;
	f->leave->left(f->leave->data);
	return true;
}

static int wait_terminal(struct foreground *f, struct err *err)
{
	struct err no_tty = {0};
	bool opened = false;
	sigset_t all;
	int r;

	sigfillset(&all);
	f->host_tty =
		tty_host(&opened, &no_tty); /* none is fine: then sizes stay and bytes pass as they are */
	autoclose int host = opened ? f->host_tty : -1;
	if (f->host_tty >= 0)
		tty_copy_size(f->host_tty, f->master);
	r = tty_clear_onlcr(f->master, err);
	if (r < 0)
		return r;
	autoclose int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(err, "cannot make a signal descriptor");
	f->signals = signals;
	struct tty_relay relay = {
		.master = f->master,
		.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
		.event_fd = signals,
		.on_event = on_signal,
		.on_typed = f->leave ? on_typed : NULL,
		.data = f,
	};
	f->raw = f->host_tty >= 0 && tty_raw(f->host_tty, &f->saved, &no_tty) == 0;
	r = tty_relay(&relay, err);
	let_terminal_go(f);
	if (r < 0)
		return r;
	/* The terminal may hang up before the process ends. */
	return wait_plain(f, err);
}

int foreground_wait(pid_t pid, int master, int *ret_status, struct err *err)
{
	return foreground_wait_or_leave(pid, master, NULL, ret_status, err);
}

int foreground_wait_or_leave(pid_t pid, int master, const struct foreground_leave *leave, int *ret_status,
			     struct err *err)
{
	struct foreground f = {.pid = pid, .signals = -1, .master = master, .host_tty = -1, .leave = leave};
	int r = master >= 0 ? wait_terminal(&f, err) : wait_plain(&f, err);

	if (r == 0)
		*ret_status = proc_exit_code(f.status);
	return r;
}
