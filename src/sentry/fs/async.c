/* SPDX-License-Identifier: Apache-2.0 */
/* Signals of files (fs/async.h). */
#include "sentry/fs/async.h"
#include "sentry/fs/host.h"
#include "sentry/sys/creds_int.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>

enum { IN_BITS = EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDHUP, OUT_BITS = EPOLLOUT | EPOLLWRNORM };

struct async {
	pid_t owner;
	bool thread; /* F_OWNER_TID */
	uid_t uid, euid;
	/* O_ASYNC: on the queue while `listens`. */
	struct wait_entry entry;
	struct file *file;
	int fd;
	bool listens;
	/* F_NOTIFY: the host's watch of the directory; watch.fd -1 = none. */
	struct host_watch watch;
	struct wait_queue queue;
	int dir_fd, wd;
	bool many; /* DN_MULTISHOT */
};

static struct async *async_of(struct file *f)
{
	struct async *a = f->async;

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->file = f;
	a->watch.fd = -1;
	list_init(&a->entry.node);
	f->async = a;
	return a;
}

/* ---- telling ---- */

/* The rule of Linux' sigio_perm(), with the ids of who set the owner. */
static bool may_tell(const struct async *a, const struct creds *to)
{
	return a->euid == 0 || a->euid == to->suid || a->euid == to->uid || a->uid == to->suid ||
	       a->uid == to->uid;
}

static void tell_task(const struct async *a, const struct task *to, siginfo_t *info)
{
	int sig = info->si_signo;

	if (!may_tell(a, to->creds))
		return;
	if (!a->file->owner_signal || info->si_code != SI_SIGIO)
		(void)process_signal(to->process, sig); /* it may have ended */
	else
		(void)task_queue_signal(to, a->thread, info);
}

static int tell_member(struct process *p, void *data)
{
	struct async *a = ((void **)data)[0];
	const struct task *leader = process_task(p);

	if (leader && process_group(p) == -a->owner)
		tell_task(a, leader, ((void **)data)[1]);
	return 0;
}

static void tell_all(struct async *a, siginfo_t *info)
{
	const struct task *to = a->owner > 0 ? task_find(a->owner) : NULL;

	if (to)
		tell_task(a, to, info);
	else if (a->owner < 0)
		process_each(tell_member, (void *[]){a, info});
}

static void tell_owner(struct async *a, int fd, long band)
{
	siginfo_t info = {.si_signo = a->file->owner_signal ? a->file->owner_signal : SIGIO,
			  .si_code = SI_SIGIO};

	info.si_fd = fd;
	info.si_band = band;
	tell_all(a, &info);
}

void async_tell(struct file *f, int fd, long band)
{
	if (f->async)
		tell_owner(f->async, fd, band);
}

void async_urgent(struct file *f)
{
	if (f->async)
		tell_all(f->async, &(siginfo_t){.si_signo = SIGURG});
}

bool async_owner_is_thread(const struct file *f)
{
	return f->async && f->async->thread;
}

void async_set_owner(struct file *f, const struct task *t, pid_t owner, bool thread)
{
	struct async *a = async_of(f);

	f->owner = owner;
	if (!a)
		return; /* nobody is told, for want of memory */
	a->owner = owner;
	a->thread = thread;
	a->uid = t->creds->uid;
	a->euid = t->creds->euid;
	if (owner && f->queue)
		ignore_result(file_poll(f)); /* it is watched from now on, for SIGURG */
}

/* ---- O_ASYNC ---- */

static void async_wake(struct wait_entry *e, uint32_t events)
{
	struct async *a = container_of(e, struct async, entry);
	uint32_t mine = (file_can_read(a->file) ? IN_BITS : 0U) | (file_can_write(a->file) ? OUT_BITS : 0U) |
			EPOLLERR | EPOLLHUP;
	uint32_t now = (events ? events : file_poll(a->file)) & mine;

	if (now)
		tell_owner(a, a->fd, (long)now);
}

int async_set_flags(struct file *f, int fd, int flags)
{
	/* Linux' eventfd, signalfd and their kin signal nobody; a signalfd's signal would wake itself. */
	bool on = flags & O_ASYNC && f->queue && !str_starts(f->ops->name, "anon_inode:[");
	struct async *a = on ? async_of(f) : f->async;
	int r;

	if (on && !a)
		return -ENOMEM;
	r = f->ops->set_flags ? f->ops->set_flags(f, flags) : 0;
	if (r < 0)
		return r;
	f->flags = flags;
	if (a && on != a->listens) {
		a->listens = on;
		a->fd = fd;
		a->entry.wake = async_wake;
		if (on)
			wait_add(f->queue, &a->entry);
		else
			wait_remove(&a->entry);
	}
	return 0;
}

/* ---- F_NOTIFY ---- */

static void notify_end(struct async *a)
{
	if (a->watch.fd < 0)
		return;
	host_watch_remove(&a->watch);
	wait_queue_destroy(&a->queue);
	(void)close(a->watch.fd); /* nothing was written */
	a->watch.fd = -1;
}

static void notify_ready(struct host_watch *w, uint32_t events)
{
	struct async *a = container_of(w, struct async, watch);
	char buf[4096];
	bool some = false;

	(void)events;
	while (read(w->fd, buf, sizeof(buf)) > 0)
		some = true;
	if (!some)
		return;
	if (!a->many)
		(void)inotify_rm_watch(w->fd, a->wd); /* gone already: as well */
	tell_owner(a, a->dir_fd, POLLIN | POLLRDNORM | POLLMSG);
}

static uint32_t inotify_mask(uint64_t dn)
{
	return (dn & DN_ACCESS ? IN_ACCESS : 0U) | (dn & DN_MODIFY ? IN_MODIFY : 0U) |
	       (dn & DN_CREATE ? IN_CREATE | IN_MOVED_TO : 0U) |
	       (dn & DN_DELETE ? IN_DELETE | IN_MOVED_FROM : 0U) | (dn & DN_RENAME ? IN_MOVED_FROM : 0U) |
	       (dn & DN_ATTRIB ? IN_ATTRIB : 0U);
}

static int notify_begin(struct async *a)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	wait_queue_init(&a->queue);
	a->watch = (struct host_watch){.fd = fd, .queue = &a->queue, .ready = notify_ready};
	r = host_watch_add(&a->watch);
	if (r < 0) {
		(void)close(fd); /* nothing was written */
		a->watch.fd = -1;
	}
	return r;
}

long async_notify(struct task *t, struct file *f, int fd, uint64_t events)
{
	uint64_t asked = (uint32_t)events & ~(uint64_t)(uint32_t)DN_MULTISHOT;
	struct async *a = asked ? async_of(f) : f->async;
	long r = 0;

	if (!f->ops->getdents && !f->ops->readdir)
		return -ENOTDIR;
	if (!asked || f->host_fd < 0) { /* synthetic directories never change in this sense */
		if (a)
			notify_end(a);
		return 0;
	}
	if (!a)
		return -ENOMEM;
	if (!f->owner)
		async_set_owner(f, t, t->process->pid, false);
	if (a->watch.fd < 0)
		r = notify_begin(a);
	if (r < 0)
		return r;
	a->dir_fd = fd;
	a->many = events & (uint32_t)DN_MULTISHOT;
	r = host_call(
		inotify_add_watch(a->watch.fd, fd_name(f->host_fd).text, inotify_mask(asked) | IN_MASK_ADD));
	if (r < 0)
		return r;
	a->wd = (int)r;
	return 0;
}

void async_forget(struct file *f)
{
	struct async *a = f->async;

	notify_end(a);
	wait_remove(&a->entry);
	free(a);
	f->async = NULL;
}
