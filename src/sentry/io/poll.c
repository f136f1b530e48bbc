/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll, ppoll, select and pselect6: each look asks every file anew; only a look that finds nothing goes on
 * queues.  What the host keeps may become ready between two looks, so that the second one counts, too.
 */
#include "sentry/io/clock_math.h"
#include "sentry/io/io.h"

#include <poll.h>
#include <sys/select.h>

enum {
	WANT_READ = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
	WANT_WRITE = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR,
	WANT_EXCEPT = POLLPRI,
};

/* What is there of what is wanted; where nothing is, and `wait`, the task goes on the file's queue.  -ENOMEM.
 */
static int look_at(struct task *t, struct file *f, uint32_t wanted, bool wait)
{
	uint32_t events;

	wanted |= EPOLLERR | EPOLLHUP;
	events = file_poll(f) & wanted;
	if (!events && wait && f->queue) {
		int r = park_on(t, f->queue, wanted);

		if (r < 0)
			return r;
	}
	return (int)events;
}

/* ---- poll ---- */

/* The number of descriptors with events, or -ENOMEM. */
static int look_at_all(struct task *t, struct pollfd *fds, size_t n, bool wait)
{
	int count = 0;

	for (size_t i = 0; i < n; i++) {
		struct file *f = fds[i].fd < 0 ? NULL : fd_get(t, fds[i].fd);
		int r;

		if (!f) {
			fds[i].revents = fds[i].fd < 0 ? 0 : POLLNVAL;
			count += fds[i].fd >= 0;
			continue;
		}
		r = look_at(t, f, (uint16_t)fds[i].events, wait && count == 0);
		if (r < 0)
			return r;
		fds[i].revents = (short)r;
		count += r > 0;
	}
	return count;
}

static long poll_for(struct task *t, struct call *c, int64_t ns, const struct wait_mask *mask)
{
	uint64_t at = c->args[0], n = (unsigned)c->args[1];
	autofree struct pollfd *fds = NULL;
	bool last = ns == 0 || park_deadline(t, ns);
	long count;

	if (n > t->process->limits[RLIMIT_NOFILE].rlim_cur)
		return -EINVAL;
	fds = malloc(n ? n * sizeof(*fds) : 1);
	if (!fds)
		return -ENOMEM;
	if (guest_read(t, fds, at, n * sizeof(*fds)) < 0)
		return -EFAULT;
	count = look_at_all(t, fds, n, false);
	if (count == 0 && !last)
		count = look_at_all(t, fds, n, true);
	if (count < 0)
		return count;
	if (count == 0 && !last)
		return wait_mask_park(t, c, mask);
	if (guest_write(t, at, fds, n * sizeof(*fds)) < 0)
		return -EFAULT;
	return count;
}

HANDLER(sys_poll)
{
	int ms = (int)c->args[2];

	return poll_for(t, c, ms < 0 ? -1 : (int64_t)ms * 1000000, &(struct wait_mask){0});
}

/* A limit given as timespec: ns, -1 = none. */
static int wait_limit_get(struct task *t, uint64_t at, int64_t *ret)
{
	struct timespec limit;

	*ret = -1;
	if (!at)
		return 0;
	if (guest_get(t, &limit, at) < 0)
		return -EFAULT;
	if (!timespec_valid(&limit))
		return -EINVAL;
	*ret = timespec_ns(&limit);
	return 0;
}

static int64_t limit_left(const struct call *c)
{
	return c->deadline == INT64_MAX ? 0 : MAX_OF(c->deadline - now_monotonic(), INT64_C(0));
}

/* What is left of the limit is told to the guest, as far as its memory lets us, which is Linux' rule as well.
 */
static long limit_put(struct task *t, const struct call *c, uint64_t at, int64_t ns, long result)
{
	struct timespec left;

	if (!at || result == CALL_PARK || result == CALL_GONE)
		return result;
	left = ns_timespec(ns > 0 ? limit_left(c) : 0);
	(void)guest_put(t, at, &left);
	return result;
}

HANDLER(sys_ppoll)
{
	struct wait_mask mask;
	int64_t ns;
	int r = wait_limit_get(t, c->args[2], &ns);

	if (r == 0)
		r = wait_mask_get(t, &mask, c->args[3], c->args[4]);
	if (r < 0)
		return r;
	return limit_put(t, c, c->args[2], ns, poll_for(t, c, ns, &mask));
}

/* ---- select ---- */

struct sets {
	size_t n, bytes; /* descriptors; bytes of one set */
	uint64_t at[3];	 /* read, write, except; 0 = none */
	uint64_t *in[3], *out[3];
};

static const uint32_t wants[3] = {WANT_READ, WANT_WRITE, WANT_EXCEPT};

/* Descriptors beyond the table's end are not looked at, and the guest's sets not read there. */
static size_t table_end(const struct task *t, size_t n)
{
	size_t end = 64;

	if (n <= FD_SETSIZE)
		return n;
	for (int fd = fd_next(t->files, 0); fd >= 0; fd = fd_next(t->files, fd + 1))
		end = (size_t)fd + 1;
	return MIN_OF(n, MAX_OF((end + 63) / 64 * 64, (size_t)FD_SETSIZE));
}

static int fd_sets_get(struct task *t, struct call *c, struct sets *s, uint64_t **ret_memory)
{
	uint64_t *m;

	if ((int)c->args[0] < 0)
		return -EINVAL;
	s->n = table_end(t, (size_t)(int)c->args[0]);
	s->bytes = (s->n + 63) / 64 * sizeof(uint64_t);
	m = calloc(6, s->bytes ? s->bytes : 1);
	if (!m)
		return -ENOMEM;
	*ret_memory = m;
	for (int k = 0; k < 3; k++) {
		s->in[k] = m + (size_t)k * s->bytes / sizeof(*m);
		s->out[k] = m + (size_t)(k + 3) * s->bytes / sizeof(*m);
		s->at[k] = c->args[k + 1];
		if (s->at[k] && guest_read(t, s->in[k], s->at[k], s->bytes) < 0)
			return -EFAULT;
	}
	return 0;
}

/* The number of bits set in `out`; -EBADF, -ENOMEM. */
static long sets_look(struct task *t, struct sets *s, bool wait)
{
	long count = 0;

	for (size_t fd = 0; fd < s->n; fd++) {
		uint64_t bit = UINT64_C(1) << fd % 64, word = fd / 64;
		uint32_t wanted = 0;
		struct file *f;
		int r;

		if (fd % 64 == 0 && !(s->in[0][word] | s->in[1][word] | s->in[2][word])) {
			fd += 63;
			continue;
		}
		for (int k = 0; k < 3; k++)
			wanted |= s->in[k][word] & bit ? wants[k] : 0;
		if (!wanted)
			continue;
		f = fd_get(t, (int)fd);
		if (!f)
			return -EBADF;
		r = look_at(t, f, wanted, wait && count == 0);
		if (r < 0)
			return r;
		for (int k = 0; k < 3; k++) {
			if (s->in[k][word] & bit && (uint32_t)r & wants[k]) {
				s->out[k][word] |= bit;
				count++;
			}
		}
	}
	return count;
}

static long select_for(struct task *t, struct call *c, int64_t ns, const struct wait_mask *mask)
{
	bool last = ns == 0 || park_deadline(t, ns);
	autofree uint64_t *memory = NULL;
	struct sets s = {0};
	long count = fd_sets_get(t, c, &s, &memory);

	if (count < 0)
		return count;
	count = sets_look(t, &s, false);
	if (count == 0 && !last)
		count = sets_look(t, &s, true);
	if (count == 0 && !last)
		return wait_mask_park(t, c, mask);
	for (int k = 0; k < 3 && count >= 0; k++) {
		if (s.at[k] && guest_write(t, s.at[k], s.out[k], s.bytes) < 0)
			return -EFAULT;
	}
	return count;
}

HANDLER(sys_select)
{
	struct timeval tv;
	int64_t ns = -1;
	long r;

	if (c->args[4]) {
		struct timespec limit;

		if (guest_get(t, &tv, c->args[4]) < 0)
			return -EFAULT;
		if (tv.tv_usec < 0 || tv.tv_sec < 0)
			return -EINVAL;
		limit = (struct timespec){.tv_sec = ns_add(tv.tv_sec, tv.tv_usec / 1000000),
					  .tv_nsec = tv.tv_usec % 1000000 * 1000};
		ns = timespec_ns(&limit);
	}
	r = select_for(t, c, ns, &(struct wait_mask){0});
	if (c->args[4] && r != CALL_PARK && r != CALL_GONE) {
		int64_t left = ns > 0 ? limit_left(c) / 1000 : 0;

		tv = (struct timeval){.tv_sec = left / 1000000, .tv_usec = left % 1000000};
		(void)guest_put(t, c->args[4], &tv); /* as far as the guest's memory lets us */
	}
	return r;
}

HANDLER(sys_pselect6)
{
	struct {
		uint64_t at, size;
	} arg = {0, 0};
	struct wait_mask mask;
	int64_t ns;
	int r;

	if (c->args[5] && guest_get(t, &arg, c->args[5]) < 0)
		return -EFAULT;
	r = wait_limit_get(t, c->args[4], &ns);
	if (r == 0)
		r = wait_mask_get(t, &mask, arg.at, arg.size);
	if (r < 0)
		return r;
	return limit_put(t, c, c->args[4], ns, select_for(t, c, ns, &mask));
}
