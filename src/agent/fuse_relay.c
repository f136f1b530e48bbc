/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries FUSE requests between /dev/fuse and a port.
 *
 * Two threads, one a direction, each blocking in one call: so neither holds
 * up the other where a pipe is full, and a request costs this side four calls
 * and no look at which descriptor is ready.  They share nothing but the two
 * descriptors; the first that comes to an end ends the process.
 *
 * A third one tells the kernel of what has changed on the host.  For a name
 * that takes the directory's lock, which somebody may hold who waits for an
 * answer; for an inode one that is about to go is waited for, and it may wait for
 * the answer to its last write: whoever delivers answers must not wait for either.
 *
 * The process must not wait for what it carries: it opens nothing, it is not
 * killed for want of memory, and the kernel does not have it write pages back
 * while it allocates (PR_SET_IO_FLUSHER).
 */
#include <linux/fuse.h> /* first: it has fields that base.h has macros for */

#include "agent/fuse_relay.h"

#include "base/clock.h"
#include "base/fd.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

enum {
	DATA_MAX = 1 << 20,		/* of a request; vm/share/share.h says the same */
	BUFFER = DATA_MAX + (64 << 10), /* the kernel wants room for more than one header */
	CONNECT_SECONDS = 30,		/* a port may be there before its other end is */
	TOLD_BYTES_MAX = 8 << 20,	/* of messages that wait for delivery */
};

/* A message that nobody asked for, not delivered yet. */
struct told {
	struct told *next;
	size_t len;
	unsigned char data[];
};

struct relay {
	int fuse, port;
	unsigned char *requests, *replies;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t more;
	struct told *first, **last; /* owned */
	size_t told;		    /* bytes of them */
};

/* Whole requests, one a read. */
static void *carry_requests(void *arg)
{
	const struct relay *r = arg;
	for (;;) {
		ssize_t n = read(r->fuse, r->requests, BUFFER);
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue; /* ENOENT: who asked has been killed */
		if (n <= 0 || fd_write_all(r->port, r->requests, (size_t)n) < 0)
			_exit(0); /* unmounted, or the other side is gone */
	}
}

static void *deliver_told(void *arg)
{
	struct relay *r = arg;
	for (;;) {
		(void)pthread_mutex_lock(&r->lock);
		while (!r->first)
			(void)pthread_cond_wait(&r->more, &r->lock);
		struct told *m = r->first;
		r->first = m->next;
		if (!r->first)
			r->last = &r->first;
		r->told -= sizeof(*m) + m->len;
		(void)pthread_mutex_unlock(&r->lock);
		/* Most often the kernel knows no such name, or inode. */
		ignore_result(write(r->fuse, m->data, m->len) < 0);
		free(m);
	}
	return NULL;
}

/* Without room or memory it is not told: it asks by itself after a while. */
static void queue_told(struct relay *r, const unsigned char *data, size_t len)
{
	(void)pthread_mutex_lock(&r->lock);
	struct told *m = r->told + len > TOLD_BYTES_MAX ? NULL : malloc(sizeof(*m) + len);
	if (!m) {
		(void)pthread_mutex_unlock(&r->lock);
		return;
	}
	m->next = NULL;
	m->len = len;
	memcpy(m->data, data, len);
	r->told += sizeof(*m) + len;
	*r->last = m;
	r->last = &m->next;
	(void)pthread_cond_signal(&r->more);
	(void)pthread_mutex_unlock(&r->lock);
}

/* Gives the kernel the whole replies that are there; how many bytes, or -1 where it is none. */
static ssize_t deliver_replies(struct relay *r, size_t have)
{
	struct fuse_out_header head;
	size_t at = 0;
	while (have - at >= sizeof(head)) {
		memcpy(&head, r->replies + at, sizeof(head));
		if (head.len < sizeof(head) || head.len > BUFFER)
			return -1;
		if (have - at < head.len)
			break;
		if (head.unique == 0) {
			queue_told(r, r->replies + at, head.len);
			at += head.len;
			continue;
		}
		/* ENOENT: nobody waits for it any more. */
		if (write(r->fuse, r->replies + at, head.len) < 0 && errno != ENOENT && errno != EINTR)
			return -1;
		at += head.len;
	}
	return (ssize_t)at;
}

static bool is_port(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

static void carry_replies(struct relay *r)
{
	int64_t patience = clock_ns(CLOCK_MONOTONIC) + CONNECT_SECONDS * INT64_C(1000000000);
	size_t have = 0;
	bool heard = false;
	for (;;) {
		ssize_t n = read(r->port, r->replies + have, BUFFER - have);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n == 0 && !heard && is_port(r->port) && clock_ns(CLOCK_MONOTONIC) < patience) {
			(void)usleep(1000); /* no other end yet, which is no end */
			continue;
		}
		if (n <= 0)
			return;
		heard = true;
		have += (size_t)n;
		ssize_t used = deliver_replies(r, have);
		if (used < 0)
			return;
		have -= (size_t)used;
		memmove(r->replies, r->replies + used, have); /* most often nothing */
	}
}

static void protect_self(void)
{
	/* Each is for a machine that is short of memory; without them it works all the same. */
	autoclose int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		ignore_result(fd_write_all(fd, "-1000", 5));
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "fuse-relay", 0, 0, 0);
}

_Noreturn static void relay_main(int fuse, int port)
{
	struct relay r = {.fuse = fuse, .port = port, .requests = malloc(BUFFER), .replies = malloc(BUFFER)};
	int keep[] = {MIN_OF(fuse, port), MAX_OF(fuse, port)};
	sigset_t all;
	pthread_t thread;
	r.last = &r.first;
	(void)pthread_mutex_init(&r.lock, NULL);
	(void)pthread_cond_init(&r.more, NULL);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	ignore_result(chdir("/")); /* so that it holds no mount */
	protect_self();
	if (r.requests && r.replies && fd_close_from(0, keep, ARRAY_LEN(keep), false) == 0 &&
	    pthread_create(&thread, NULL, deliver_told, &r) == 0 &&
	    pthread_create(&thread, NULL, carry_requests, &r) == 0)
		carry_replies(&r);
	_exit(0);
}

int fuse_relay_mount(int port_fd, const char *target, unsigned long flags, struct err *err)
{
	char data[160];
	autoclose int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		return err_sys(err, "cannot open /dev/fuse");
	int r = fd_set_nonblock(port_fd, false);
	if (r < 0)
		return err_num(err, r, "cannot make the share's port blocking");
	(void)snprintf(
		data, sizeof(data),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read=%d", fuse,
		DATA_MAX);
	if (mount("share", target, "fuse.coffer", flags, data) < 0)
		return err_sys(err, "cannot mount the file share on \"%s\"", target);
	pid_t pid = fork();
	if (pid == 0)
		relay_main(fuse, port_fd);
	if (pid > 0)
		return pid;
	r = err_sys(err, "cannot start the file share's relay");
	(void)umount2(target, MNT_DETACH); /* it would hang */
	return r;
}
