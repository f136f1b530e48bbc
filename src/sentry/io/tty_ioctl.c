/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of terminals: a list, and nothing else gets to the host.
 *
 * TIOCSTI (typing for others) and TIOCSETD (other line disciplines, a large
 * part of the host's kernel) are not on it.  Structures are copied through the
 * sentry by the size that the list says.
 */
#include "sentry/io/tty.h"
#include "sentry/platform/platform.h"

#include <asm/termbits.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <asm/ioctls.h>
#include <signal.h>
#include <sys/syscall.h>

int ioctl(int fd, unsigned long request, ...); /* <sys/ioctl.h> has another struct termios than the kernel */

enum direction { NONE, VALUE, IN, OUT };

struct row {
	unsigned cmd;
	enum direction direction;
	uint8_t size;
	bool changes; /* a background process may not (SIGTTOU) */
};

enum { TERMIO_SIZE = 18, WINSIZE_SIZE = 8 };

static const struct row rows[] = {
	{TCGETS, OUT, sizeof(struct termios), false},
	{TCSETS, IN, sizeof(struct termios), true},
	{TCSETSW, IN, sizeof(struct termios), true},
	{TCSETSF, IN, sizeof(struct termios), true},
	{TCGETS2, OUT, sizeof(struct termios2), false},
	{TCSETS2, IN, sizeof(struct termios2), true},
	{TCSETSW2, IN, sizeof(struct termios2), true},
	{TCSETSF2, IN, sizeof(struct termios2), true},
	{TCGETA, OUT, TERMIO_SIZE, false},
	{TCSETA, IN, TERMIO_SIZE, true},
	{TCSETAW, IN, TERMIO_SIZE, true},
	{TCSETAF, IN, TERMIO_SIZE, true},
	{TCSBRK, VALUE, 0, true},
	{TCSBRKP, VALUE, 0, true},
	{TIOCSBRK, NONE, 0, true},
	{TIOCCBRK, NONE, 0, true},
	{TCXONC, VALUE, 0, true},
	{TCFLSH, VALUE, 0, true},
	{TIOCGLCKTRMIOS, OUT, sizeof(struct termios), false},
	{TIOCSLCKTRMIOS, IN, sizeof(struct termios), false},
	{TIOCSIG, VALUE, 0, false},
	{TIOCEXCL, NONE, 0, false},
	{TIOCNXCL, NONE, 0, false},
	{TIOCGEXCL, OUT, sizeof(int), false},
	{TIOCGWINSZ, OUT, WINSIZE_SIZE, false},
	{TIOCSWINSZ, IN, WINSIZE_SIZE, false},
	{TIOCOUTQ, OUT, sizeof(int), false},
	{FIONREAD, OUT, sizeof(int), false},
	{TIOCPKT, IN, sizeof(int), false},
	{TIOCGPKT, OUT, sizeof(int), false},
	{TIOCSPTLCK, IN, sizeof(int), false},
	{TIOCGPTLCK, OUT, sizeof(int), false},
	{TIOCGPTN, OUT, sizeof(int), false},
	{TIOCGETD, OUT, sizeof(int), false},
	{TIOCGDEV, OUT, sizeof(int), false},
	{TIOCGSOFTCAR, OUT, sizeof(int), false},
	{TIOCSSOFTCAR, IN, sizeof(int), false},
};

static long run_row(struct file *f, struct task *t, const struct row *row, uint64_t arg)
{
	char buf[64];
	int r;

	if (row->direction == IN && guest_read(t, buf, arg, row->size) < 0)
		return -EFAULT;
	r = row->direction == VALUE  ? ioctl(f->host_fd, row->cmd, (unsigned long)arg)
	    : row->direction == NONE ? ioctl(f->host_fd, row->cmd)
				     : ioctl(f->host_fd, row->cmd, buf);
	if (r < 0)
		return -errno;
	return row->direction == OUT ? guest_write(t, arg, buf, row->size) : r;
}

/* The process does it itself, on our descriptor under the number that it knows. */
static long let_process(struct file *f, struct task *t)
{
	int fd = (int)t->call.args[0];
	int r = platform_inject(t, f->host_fd, fd);

	return r < 0 ? r : CALL_HOST;
}

/* The slave of a master, by the master alone. */
static long open_peer(struct file *f, struct task *t, int flags)
{
	struct file *peer;
	int fd, error = 0;

	if (!tty_of(f)->master)
		return -EIO;
	fd = ioctl(f->host_fd, TIOCGPTPEER, (flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	peer = tty_from_host(fd, flags & (O_ACCMODE | O_NONBLOCK), &error);
	if (!peer)
		return error;
	fd = fd_install(t, peer, 0, flags & O_CLOEXEC);
	return tty_opened(t, &t->call, peer, fd, flags); /* opened as by its name */
}

/* The host's other disciplines are drivers: as where they are not built. */
static long set_discipline(struct task *t, uint64_t at)
{
	int wanted;

	if (guest_get(t, &wanted, at) < 0)
		return -EFAULT;
	return wanted == 0 ? 0 : -EINVAL; /* N_TTY */
}

long tty_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case TIOCSCTTY:
	case TIOCNOTTY:
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
		return let_process(f, t);
	case TIOCSETD:
		return set_discipline(t, arg);
	case TIOCGPTPEER:
		return open_peer(f, t, (int)arg);
	case TIOCSLCKTRMIOS:
		if (!creds_capable(t->creds, CAP_SYS_ADMIN))
			return -EPERM;
		break;
	case TIOCVHANGUP: /* as vhangup(2) */
	case TIOCCONS:	  /* the machine's */
		return -EPERM;
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		long r;

		if (rows[i].cmd != cmd)
			continue;
		r = rows[i].changes && !tty_of(f)->master ? tty_job_check(t, tty_of(f), SIGTTOU) : 0;
		return r < 0 ? r : run_row(f, t, &rows[i], arg);
	}
	kernel_log("%d: ioctl 0x%x of a terminal refused", t->tid, cmd);
	return cmd == TIOCSTI ? -EIO : -ENOTTY;
}

static long give_fd(struct task *t, struct call *c, long result, uint64_t scratch)
{
	(void)t;
	(void)result; /* another session's terminal stays that session's: open succeeds all the same */
	(void)scratch;
	file_unref(c->data);
	c->data = NULL;
	c->release = NULL;
	return (long)c->done;
}

/* A signal has undone the call, which is made anew and opens the terminal once more. */
static void undo_open(struct task *t, void *data)
{
	int fd = (int)t->call.done;

	if (fd_get(t, fd) == data && fd_close(t, fd) == 0)
		platform_left(t, fd, true);
	file_unref(data);
	t->call.done = 0;
}

long tty_opened(struct task *t, struct call *c, struct file *f, int fd, int flags)
{
	const uint64_t args[6] = {(uint64_t)fd, TIOCSCTTY};
	struct tty_job job;
	int r;

	if (fd < 0 || !file_is_tty(f) || tty_of(f)->master || (flags & O_NOCTTY) || !file_can_read(f))
		return fd;
	if (tty_job_of(t, &job) < 0 || job.session != job.pid || job.tty != 0)
		return fd;
	if (!c->id) {		       /* handed over: it is made again, as a call of which the host knows */
		(void)fd_close(t, fd); /* it was opened by this call */
		return CALL_HOST;
	}
	r = platform_inject(t, f->host_fd, fd);
	if (r == CALL_HOST) { /* interrupted: it is made again */
		(void)fd_close(t, fd);
		return CALL_HOST;
	}
	if (r < 0)
		return fd;
	if (platform_call(t, c, SYS_ioctl, args, NULL, 0, give_fd) != CALL_GONE)
		return fd;
	platform_holds_signals(t);
	c->done = (uint64_t)fd;
	c->data = file_ref(f);
	c->release = undo_open;
	return CALL_GONE;
}
