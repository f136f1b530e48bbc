/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock on `monitor` is one of an open file (F_OFD_SETLK): it goes with
 * its holder, and can be asked for without being taken, so that a look at the
 * status never gets in the way of a start.
 */
#include "monitor/run_dir.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { RUN_FILE_MAX = 8192, RUN_BACKLOG = 64 };

int run_dir_lock(int dirfd, const char *run_dir, struct err *err)
{
	struct flock all = {.l_type = F_WRLCK};
	struct proc_stat self;
	char text[64];

	autoclose int fd = openat(dirfd, "monitor", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "cannot open \"%s/monitor\"", run_dir);
	if (fcntl(fd, F_OFD_SETLK, &all) < 0)
		return errno == EAGAIN || errno == EACCES
			       ? err_set(err, EBUSY, "the container has a monitor already (\"%s/monitor\")",
					 run_dir)
			       : err_sys(err, "cannot lock \"%s/monitor\"", run_dir);
	int r = proc_stat(getpid(), &self);
	if (r < 0)
		return err_num(err, r, "cannot read the monitor's own start time");
	int n = snprintf(text, sizeof(text), "%d %" PRIu64 "\n", getpid(), self.start_time);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return err_sys(err, "cannot write \"%s/monitor\"", run_dir);
	return take_fd(&fd);
}

int run_dir_write_running(int dirfd, const struct run_running *r)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%d %" PRIu64 " %" PRId64 " %" PRIu32 "\n", r->pid,
			 r->start_time, r->started_at, r->restarts);

	return file_replace_at(dirfd, "running", text, (size_t)n, 0600, false);
}

int run_dir_write_exit(int dirfd, const struct run_exit *e)
{
	const char *error = e->error ? e->error : "";
	char text[ERR_MSG_MAX + 64];
	int n = snprintf(text, sizeof(text), "%d %d %" PRId64 " %d%s%.*s\n", e->code, e->oom, e->finished_at,
			 e->restarting, *error ? " " : "", (int)MIN_OF(strcspn(error, "\n"), 900U), error);

	return file_replace_at(dirfd, "exit", text, (size_t)n, 0600, false);
}

int run_dir_write_health(int dirfd, const char *json)
{
	return file_replace_at(dirfd, "health", json, strlen(json), 0600, false);
}

void run_dir_clean(int dirfd)
{
	static const char *const names[] = {"running", "exit", "health", "attach.sock", "probe.pid", "asked"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ignore_result(unlinkat(dirfd, names[i], 0) < 0); /* mostly not there */
}

/* By way of /proc/self/fd: RUN_DIR's own path may be longer than an address takes. */
static void socket_address(int dirfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/attach.sock", fd_path(dirfd).s); /* fits */
}

int run_dir_listen(int dirfd, struct err *err)
{
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	socket_address(dirfd, &addr);
	/* The mode of the socket's file is that of the socket, umask applied. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, RUN_BACKLOG) < 0)
		return err_sys(err, "cannot make the monitor's attach.sock");
	return take_fd(&fd);
}

int run_dir_connect(const char *run_dir, struct err *err)
{
	autoclose int dirfd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un addr;

	if (dirfd < 0)
		return errno == ENOENT
			       ? err_set(err, ENOENT, "the container has no monitor: it is not running")
			       : err_sys(err, "cannot open \"%s\"", run_dir);
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	socket_address(dirfd, &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return take_fd(&fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(err, ENOENT, "the container has no monitor: it is not running");
	return err_sys(err, "cannot connect to the container's monitor in \"%s\"", run_dir);
}

/* ---- reading ---- */

/* The next blank-separated number of a file; false where there is none. */
static bool next_number(char **p, int64_t *ret)
{
	char *s = *p + strspn(*p, " "), *end = s + strcspn(s, " \n");
	char last = *end;

	if (end == s)
		return false;
	*end = '\0';
	int r = str_to_i64(s, ret);
	*end = last;
	*p = end;
	return r == 0;
}

static void read_monitor(int dirfd, struct monitor_status *s)
{
	struct flock lock = {.l_type = F_WRLCK};
	autoclose int fd = openat(dirfd, "monitor", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	s->monitor_alive = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* The `n` numbers that the file begins with.  *ret_text is to be freed; *ret_rest: what follows them in it.
 */
static int read_numbers(int dirfd, const char *name, int64_t *v, size_t n, char **ret_text, char **ret_rest)
{
	int r = file_read_at(dirfd, name, RUN_FILE_MAX, ret_text, NULL);

	if (r < 0)
		return r;
	*ret_rest = *ret_text;
	for (size_t i = 0; i < n; i++)
		if (!next_number(ret_rest, &v[i]))
			return -EBADMSG;
	return 0;
}

static int read_running(int dirfd, struct monitor_status *s)
{
	autofree char *text = NULL;
	char *rest;
	int64_t v[4];
	int r = read_numbers(dirfd, "running", v, ARRAY_LEN(v), &text, &rest);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	s->pid = (pid_t)v[0];
	s->start_time = (uint64_t)v[1];
	s->started_at = v[2];
	s->restarts = (uint32_t)v[3];
	return 0;
}

static int read_exit(int dirfd, struct monitor_status *s)
{
	autofree char *text = NULL;
	char *p;
	int64_t v[4];
	int r = read_numbers(dirfd, "exit", v, ARRAY_LEN(v), &text, &p);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	s->exit_code = (int)v[0];
	s->oom_killed = v[1] != 0;
	s->finished_at = v[2];
	s->ended = s->finished_at >= s->started_at;
	s->restarting = s->ended && v[3] != 0 && s->monitor_alive;
	p += *p == ' ';
	p[strcspn(p, "\n")] = '\0';
	(void)snprintf(s->error, sizeof(s->error), "%.255s", p);
	return 0;
}

static void read_health(int dirfd, struct monitor_status *s)
{
	static const char before[] = "\"Status\":\"";
	autofree char *text = NULL;

	if (file_read_at(dirfd, "health", 1 << 20, &text, NULL) < 0)
		return;
	/* Ours, and the status is its first member. */
	const char *p = strstr(text, before);
	if (p)
		(void)snprintf(s->health, sizeof(s->health), "%.*s",
			       (int)MIN_OF(strcspn(p + strlen(before), "\""), sizeof(s->health) - 1),
			       p + strlen(before));
}

int monitor_status(const char *run_dir, struct monitor_status *ret, struct err *err)
{
	autoclose int dirfd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct monitor_status s = {0};

	if (dirfd < 0 && errno == ENOENT) { /* never started, finished, or the machine was restarted */
		*ret = s;
		return 0;
	}
	if (dirfd < 0)
		return err_sys(err, "cannot open \"%s\"", run_dir);
	/* First who lives, then what they wrote: the other way round an end in between would look like a
	 * loss.
	 */
	read_monitor(dirfd, &s);
	int r = read_running(dirfd, &s);
	if (r == 0)
		r = read_exit(dirfd, &s);
	if (r < 0)
		return err_num(err, r, "cannot read the state in \"%s\"", run_dir);
	read_health(dirfd, &s);
	/* Where it is gone and that is not written yet, its monitor is about to. */
	s.running = s.pid > 0 && !s.ended && (s.monitor_alive || proc_alive(s.pid, s.start_time));
	*ret = s;
	return 0;
}
