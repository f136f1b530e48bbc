/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of files (fs/lease.h). */
#include "sentry/fs/lease.h"
#include "sentry/fs/async.h"
#include "sentry/fs/host.h"
#include "sentry/task.h"

#include <poll.h>

enum { STAYS = -1, BREAK_SECONDS = 45 /* as /proc/sys/fs/lease-break-time says */ };

struct lease {
	struct list_node node;
	struct file *file; /* borrowed: its end is the lease's */
	struct file_id id;
	int fd;
	int type;      /* F_RDLCK, F_WRLCK */
	int becomes;   /* F_RDLCK, F_UNLCK: somebody waits for that; STAYS */
	int64_t until; /* CLOCK_MONOTONIC, ns: then it does */
};

static struct list_node leases;
static struct wait_queue lease_breakers; /* of all files: there are few */

static bool no_leases(void)
{
	return !leases.next || list_empty(&leases);
}

static struct lease *lease_of(const struct file *f)
{
	struct lease *l;

	if (no_leases())
		return NULL;
	list_each(l, &leases, struct lease, node)
	{
		if (l->file == f)
			return l;
	}
	return NULL;
}

static void lease_become(struct lease *l, int type)
{
	if (type == F_UNLCK) {
		list_remove(&l->node);
		free(l);
	} else {
		l->type = type;
		if (l->becomes == type)
			l->becomes = STAYS;
	}
	wake(&lease_breakers, 0);
}

/* What nobody has given up in time. */
static void end_late_leases(const struct file_id *id, bool all)
{
	struct lease *l;

	list_each(l, &leases, struct lease, node)
	{
		if (file_id_is(&l->id, id) && l->becomes != STAYS && (all || now_monotonic() >= l->until))
			lease_become(l, l->becomes);
	}
}

/* Whether others' leases leave room for it; the host has counted who has the file open. */
static bool lease_fits(const struct file *f, const struct file_id *id, int type)
{
	struct lease *l;

	if (no_leases())
		return true;
	end_late_leases(id, false);
	list_each(l, &leases, struct lease, node)
	{
		if (l->file != f && file_id_is(&l->id, id) && (type == F_WRLCK || l->becomes == F_UNLCK))
			return false;
	}
	return true;
}

/* Keeps it; the description must not have one. */
static long lease_new(struct file *f, const struct file_id *id, int fd, int type)
{
	struct lease *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (!leases.next) {
		list_init(&leases);
		wait_queue_init(&lease_breakers);
	}
	*l = (struct lease){.file = f, .id = *id, .fd = fd, .type = type, .becomes = STAYS};
	list_append(&leases, &l->node);
	f->locked = true; /* its end is looked at */
	return 0;
}

static long take_lease(struct task *t, struct file *f, int fd, int type)
{
	struct file_id id;
	struct lease *l;
	long r;

	if (!hostfile_is_regular(f) || !hostfile_id(f, &id))
		return -EINVAL;
	r = host_call(fcntl(f->host_fd, F_SETLEASE, type));
	if (r < 0)
		return r;
	r = host_call(fcntl(f->host_fd, F_SETLEASE, F_UNLCK));
	if (r < 0)
		return r;
	if (!lease_fits(f, &id, type))
		return -EAGAIN;
	l = lease_of(f);
	if (l)
		lease_become(l, type);
	else
		r = lease_new(f, &id, fd, type);
	if (r == 0 && !f->owner)
		async_set_owner(f, t, t->process->pid, false);
	return r;
}

long lease_set(struct task *t, struct file *f, int fd, int type)
{
	struct lease *l;

	if (type == F_RDLCK || type == F_WRLCK)
		return take_lease(t, f, fd, type);
	if (type != F_UNLCK || !hostfile_is_regular(f))
		return -EINVAL;
	l = lease_of(f);
	if (!l)
		return -EAGAIN;
	lease_become(l, F_UNLCK);
	return 0;
}

int lease_get(const struct file *f)
{
	struct lease *l = lease_of(f);

	if (l && l->becomes != STAYS && now_monotonic() >= l->until) {
		lease_become(l, l->becomes);
		l = lease_of(f);
	}
	if (!l)
		return F_UNLCK;
	return l->becomes == STAYS ? l->type : l->becomes;
}

/* Asks for it back; again only where more is asked. */
static void ask_back(struct lease *l, int becomes)
{
	if (l->becomes == becomes || l->becomes == F_UNLCK)
		return;
	l->becomes = becomes;
	l->until = now_monotonic() + BREAK_SECONDS * INT64_C(1000000000);
	async_tell(l->file, l->fd, POLLIN | POLLRDNORM | POLLMSG);
}

long lease_break(struct task *t, struct call *c, const struct file_id *id, bool write, bool may_wait)
{
	int64_t until = INT64_MAX;
	struct lease *l;

	if (no_leases())
		return 0;
	end_late_leases(id, c->timed_out);
	list_each(l, &leases, struct lease, node)
	{
		if (!file_id_is(&l->id, id) || !(write || l->type == F_WRLCK))
			continue;
		ask_back(l, write ? F_UNLCK : F_RDLCK);
		until = MIN_OF(until, l->until);
	}
	if (until == INT64_MAX)
		return 0;
	if (!may_wait)
		return -EWOULDBLOCK;
	(void)park_deadline(t, MAX_OF(until - now_monotonic(), INT64_C(0))); /* the leases end by it, above */
	return park(t, &lease_breakers, 0);
}

void lease_forget(const struct file *f)
{
	struct lease *l = lease_of(f);

	if (l)
		lease_become(l, F_UNLCK);
}
