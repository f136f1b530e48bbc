/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/conn.h"

#include "base/fd.h"
#include "monitor/run_dir.h"

#include <sys/wait.h>

static const struct monitor_conn conn_closed = {.fd = -1, .in = -1, .out = -1, .err = -1, .terminal = -1};

struct frame conn_hello(bool in, bool out, bool err_too, bool finishes)
{
	return (struct frame){.type = FRAME_HELLO,
			      .flags = (in ? FRAME_IN : 0) | (out ? FRAME_OUT : 0) |
				       (err_too ? FRAME_ERR : 0) | (finishes ? FRAME_FINISHES : 0)};
}

int conn_lost(struct err *err)
{
	return err_set(err, EPIPE,
		       "the container's monitor is gone without a word (was it killed?); the next command "
		       "about the container settles what is left");
}

static int conn_failed(const struct frame *f, struct err *err)
{
	int r = err_set(err, f->a, "%s", f->text);

	err->exit_status = f->b;
	return r;
}

int conn_welcome(int fd, struct monitor_conn *ret, struct err *err)
{
	struct monitor_conn c = conn_closed;
	int fds[FRAME_FDS_MAX];
	struct frame f;
	size_t nfds = 0, at = 0;

	c.fd = fd;
	int r = frame_recv(fd, &f, fds, &nfds, err);
	if (r == 0)
		r = conn_lost(err);
	else if (r > 0 && f.type == FRAME_FAILED)
		r = conn_failed(&f, err);
	else if (r > 0 && (f.type != FRAME_WELCOME ||
			   (size_t)__builtin_popcount(
				   f.flags & ~(uint32_t)(f.flags & FRAME_TERMINAL ? FRAME_IN : 0)) != nfds))
		r = err_set(err, EPROTO, "the monitor answered with message %d and %zu descriptors", f.type,
			    nfds);
	if (r < 0) {
		for (size_t i = 0; i < nfds; i++)
			(void)close(fds[i]); /* not wanted */
		monitor_close(&c);
		return r;
	}
	if (f.flags & FRAME_OUT)
		c.out = fds[at++];
	if (f.flags & FRAME_ERR)
		c.err = fds[at++];
	if (f.flags & FRAME_TERMINAL)
		c.terminal = fds[at++];
	else if (f.flags & FRAME_IN)
		c.in = fds[at++];
	if ((f.flags & FRAME_TERMINAL) && (f.flags & FRAME_IN)) {
		c.in = fcntl(c.terminal, F_DUPFD_CLOEXEC, 3);
		if (c.in < 0) {
			r = err_sys(err, "cannot duplicate the container's terminal");
			monitor_close(&c);
			return r;
		}
	}
	*ret = c;
	return 0;
}

int monitor_connect(const char *run_dir, bool in, bool out, bool err_too, bool client_finishes,
		    struct monitor_conn *ret, struct err *err)
{
	struct frame hello = conn_hello(in, out, err_too, client_finishes);
	autoclose int fd = run_dir_connect(run_dir, err);

	if (fd < 0)
		return fd;
	int r = frame_send(fd, &hello, NULL, 0);
	if (r < 0)
		return err_num(err, r, "cannot talk to the container's monitor");
	r = conn_welcome(take_fd(&fd), ret, err);
	if (r == 0)
		ret->late = true;
	return r == -EPIPE ? err_set(err, ENOENT, "the container has ended") : r;
}

void monitor_close(struct monitor_conn *c)
{
	if (c->fd < 0) /* never opened: the other fields may be anything */
		return;
	fd_drop(&c->in);
	fd_drop(&c->out);
	fd_drop(&c->err);
	fd_drop(&c->terminal);
	fd_drop(&c->fd);
	if (c->monitor > 0)
		ignore_result(waitpid(c->monitor, NULL, WNOHANG) < 0); /* it may live on: then it is init's */
}

int conn_read_exit(struct monitor_conn *c, int *ret_status, struct err *err)
{
	struct frame f;
	int r = frame_recv(c->fd, &f, NULL, NULL, err);

	if (r == 0)
		return conn_lost(err);
	if (r < 0)
		return r;
	if (f.type == FRAME_FAILED)
		return conn_failed(&f, err);
	if (f.type != FRAME_EXIT)
		return err_set(err, EPROTO, "unexpected message %d of the monitor", f.type);
	c->must_finish = f.flags & FRAME_FINISHES;
	c->another_follows = f.flags & FRAME_FOLLOWS;
	*ret_status = f.a;
	return 0;
}

int monitor_wait(struct monitor_conn *c, int *ret_status, struct err *err)
{
	return conn_read_exit(c, ret_status, err);
}

void monitor_finished(struct monitor_conn *c)
{
	struct frame f = {.type = FRAME_FINISHED};

	ignore_result(frame_send(c->fd, &f, NULL, 0) < 0); /* gone already: all the better */
}

static int ask(const char *run_dir, const struct frame *f, enum frame_type wanted, struct frame *answer,
	       struct err *err)
{
	autoclose int fd = run_dir_connect(run_dir, err);

	if (fd < 0)
		return fd;
	int r = frame_send(fd, f, NULL, 0);
	if (r < 0)
		return err_num(err, r, "cannot talk to the container's monitor");
	r = frame_recv(fd, answer, NULL, NULL, err);
	if (r == 0)
		return err_set(err, ENOENT, "the container's monitor has just ended%s",
			       f->type == FRAME_CHECK_HEALTH
				       ? ", or is of an earlier coffer that cannot do that"
				       : "");
	if (r < 0)
		return r;
	if (answer->type == wanted)
		return 0;
	return answer->type == FRAME_FAILED
		       ? conn_failed(answer, err)
		       : err_set(err, EPROTO, "unexpected message %d of the monitor", answer->type);
}

static int one_request(const char *run_dir, const struct frame *f, struct err *err)
{
	struct frame answer;

	return ask(run_dir, f, FRAME_OK, &answer, err);
}

int monitor_check_health(const char *run_dir, int *ret_code, struct err *err)
{
	struct frame answer;
	int r = ask(run_dir, &(struct frame){.type = FRAME_CHECK_HEALTH}, FRAME_CHECKED, &answer, err);

	if (r == 0)
		*ret_code = answer.a;
	return r;
}

int monitor_resize(const char *run_dir, uint16_t height, uint16_t width, struct err *err)
{
	return one_request(run_dir, &(struct frame){.type = FRAME_RESIZE, .a = height, .b = width}, err);
}

int monitor_no_restart(const char *run_dir, struct err *err)
{
	return one_request(run_dir, &(struct frame){.type = FRAME_NO_RESTART}, err);
}

int monitor_set_restart(const char *run_dir, enum monitor_restart policy, uint32_t max, struct err *err)
{
	return one_request(run_dir,
			   &(struct frame){.type = FRAME_SET_RESTART,
					   .a = (int32_t)policy,
					   .b = (int32_t)MIN_OF(max, (uint32_t)INT32_MAX)},
			   err);
}

int conn_follow(const char *run_dir)
{
	struct frame hello = conn_hello(false, false, false, false);
	struct err none = {0};
	autoclose int fd = run_dir_connect(run_dir, &none);

	return fd >= 0 && frame_send(fd, &hello, NULL, 0) == 0 ? take_fd(&fd) : -1;
}

void conn_follow_read(const char *run_dir, int *fd)
{
	struct err gone = {0};
	struct frame f;
	int n = frame_recv(*fd, &f, NULL, NULL, &gone);

	if (n > 0 && f.type == FRAME_WELCOME)
		return;
	bool again = n > 0 && f.type == FRAME_EXIT && (f.flags & FRAME_FOLLOWS);
	fd_drop(fd);
	if (again)
		*fd = conn_follow(run_dir);
}
