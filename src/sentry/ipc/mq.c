/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues.
 *
 * Queues are known by name here, not in a file system: /dev/mqueue shows none.
 */
#include "base/clock.h"
#include "sentry/io/clock_math.h"
#include "sentry/io/io.h"
#include "sentry/ipc/ipc_int.h"
#include "sentry/net/socket.h"

#include <linux/capability.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/syscall.h>

enum {
	MQ_MESSAGES_HARD = 65536,
	MQ_SIZE_HARD = 16 << 20,
	MQ_PRIORITIES = 32768,
	MQ_DEV = 19,  /* of the file system that shows them, st_dev */
	MQ_TEXT = 80, /* what a queue is said to have, st_size; its text is no longer */
	/* SIGEV_THREAD: the C library's thread reads from a netlink socket what it has given, with the reason
	   in its last byte (mq_notify(2), "C library/kernel differences"). */
	MQ_COOKIE = 32,
	MQ_WOKEN_UP = 1,
	MQ_REMOVED = 2,
};

struct mq_message {
	struct list_node in_queue;
	unsigned priority;
	size_t size;
	char text[];
};

struct mq {
	struct list_node all;
	struct wait_queue queue;
	struct list_node messages;	 /* in the order in which they are received */
	unsigned refs, count, receivers; /* receivers: of those that wait */
	long max_messages, max_size;
	uint64_t ino;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	struct process *notified; /* NULL = nobody */
	struct sigevent event;
	struct file *teller; /* of SIGEV_THREAD: the netlink socket */
	char cookie[MQ_COOKIE];
	char name[NAME_MAX + 1]; /* "" = unlinked */
};

struct mq_file {
	struct file file;
	struct mq *mq;
};

static struct {
	struct list_node list;
	unsigned count;
} queues = {.list = {&queues.list, &queues.list}};

static struct mq *find_mq(const char *name)
{
	struct mq *q;

	list_each(q, &queues.list, struct mq, all)
	{
		if (streq(q->name, name))
			return q;
	}
	return NULL;
}

static void tell_thread(struct mq *q, char why)
{
	q->cookie[MQ_COOKIE - 1] = why;
	if (netlink_tell(q->teller, q->cookie, sizeof(q->cookie)) < 0)
		kernel_log("mq_notify: a socket that nobody reads is full");
	file_unref(q->teller);
	q->teller = NULL;
}

/* Nobody is told of the queue's messages any more. */
static void forget_notified(struct mq *q)
{
	q->notified = NULL;
	if (q->teller)
		tell_thread(q, MQ_REMOVED);
}

static void mq_unref(struct mq *q)
{
	if (--q->refs > 0)
		return;
	while (!list_empty(&q->messages)) {
		struct mq_message *m = container_of(q->messages.next, struct mq_message, in_queue);

		list_remove(&m->in_queue);
		free(m);
	}
	list_remove(&q->all);
	wait_queue_destroy(&q->queue);
	file_unref(q->teller);
	queues.count--;
	free(q);
}

void mq_released(struct process *p)
{
	struct mq *q;

	list_each(q, &queues.list, struct mq, all)
	{
		if (q->notified == p)
			forget_notified(q);
	}
}

/* ---- files ---- */

static struct mq *mq_of(const struct file *f)
{
	return container_of(f, const struct mq_file, file)->mq;
}

static uint32_t mq_poll(struct file *f)
{
	const struct mq *q = mq_of(f);

	return (q->count > 0 ? EPOLLIN | EPOLLRDNORM : 0U) |
	       (q->count < (unsigned long)q->max_messages ? EPOLLOUT | EPOLLWRNORM : 0U);
}

static int mq_stat(struct file *f, struct statx *st)
{
	const struct mq *q = mq_of(f);

	io_stat_anonymous(st, S_IFREG | q->mode, q->ino, MQ_DEV, q->uid, q->gid);
	st->stx_nlink = q->name[0] != '\0';
	st->stx_size = MQ_TEXT;
	return 0;
}

/* Read as a file, a queue says how much there is in it, and who is told how of what comes. */
static ssize_t mq_read(struct file *f, struct io *io)
{
	const struct mq *q = mq_of(f);
	const struct mq_message *m;
	int64_t *pos = io->pos >= 0 ? &io->pos : &f->pos;
	unsigned long size = 0;
	char text[MQ_TEXT];

	list_each(m, &q->messages, const struct mq_message, in_queue) size += m->size;
	int how = q->notified ? q->event.sigev_notify : 0;
	int n = snprintf(text, sizeof(text), "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", size,
			 how, q->notified && how == SIGEV_SIGNAL ? q->event.sigev_signo : 0,
			 q->notified ? q->notified->pid : 0);
	if (*pos >= n)
		return 0;
	ssize_t put = io_put(io, text + *pos, MIN_OF((size_t)(n - *pos), io->left));
	if (put > 0)
		*pos += put;
	return put;
}

static int64_t mq_seek(struct file *f, int64_t offset, int whence)
{
	int64_t from = whence == SEEK_CUR ? f->pos : whence == SEEK_END ? MQ_TEXT : 0;

	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && offset >= MQ_TEXT)
		return -ENXIO;
	if (whence == SEEK_HOLE)
		offset = MQ_TEXT;
	if (whence < SEEK_SET || whence > SEEK_HOLE || __builtin_add_overflow(from, offset, &offset) ||
	    offset < 0)
		return -EINVAL;
	return f->pos = offset;
}

/* A process that closes a queue is not told of its messages any more. */
static int mq_flush(struct file *f, struct task *t)
{
	if (mq_of(f)->notified == t->process)
		forget_notified(mq_of(f));
	return 0;
}

static void mq_release(struct file *f)
{
	mq_unref(mq_of(f));
	free(container_of(f, struct mq_file, file));
}

static const struct file_ops mq_ops = {.name = "mqueue",
				       .read = mq_read,
				       .seek = mq_seek,
				       .poll = mq_poll,
				       .stat = mq_stat,
				       .flush = mq_flush,
				       .release = mq_release};

static struct mq *queue_at(const struct task *t, int fd, struct file **ret_file)
{
	struct file *f = fd_get(t, fd);

	if (!f || f->ops != &mq_ops)
		return NULL;
	*ret_file = f;
	return mq_of(f);
}

/* ---- mq_open, mq_unlink ---- */

static int name_get(struct task *t, char *name, uint64_t at)
{
	char path[PATH_MAX];
	ssize_t n = guest_path(t, path, at);

	if (n < 0)
		return (int)n;
	if (strchr(path, '/') || streq(path, ".") || streq(path, ".."))
		return -EACCES;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path, (size_t)n + 1);
	return 0;
}

static int may_open(const struct creds *creds, const struct mq *q, int flags)
{
	unsigned wanted = (flags & O_ACCMODE) == O_RDONLY ? 4 : (flags & O_ACCMODE) == O_WRONLY ? 2 : 6;
	unsigned granted = q->mode;

	if (creds->fsuid == q->uid)
		granted >>= 6;
	else if (creds_in_group(creds, q->gid))
		granted >>= 3;
	return !(wanted & ~granted) || creds_capable(creds, CAP_DAC_OVERRIDE) ? 0 : -EACCES;
}

static int make_mq(struct task *t, const char *name, mode_t mode, const struct mq_attr *attr, struct mq **ret)
{
	bool privileged = creds_capable(t->creds, CAP_SYS_RESOURCE);
	const struct ipc_limits *l = ipc_limits();
	long most = privileged ? MQ_MESSAGES_HARD : (long)l->mq_messages_max;
	long largest = privileged ? MQ_SIZE_HARD : (long)l->mq_size_max;
	long messages = attr ? attr->mq_maxmsg : (long)MIN_OF(l->mq_messages, l->mq_messages_max);
	long size = attr ? attr->mq_msgsize : (long)MIN_OF(l->mq_size, l->mq_size_max);
	struct mq *q;

	if (messages <= 0 || size <= 0 || messages > most || size > largest)
		return -EINVAL;
	if (queues.count >= l->mq_queues && !privileged)
		return -ENOSPC;
	if ((uint64_t)messages * ((uint64_t)size + sizeof(struct mq_message)) >
	    t->process->limits[RLIMIT_MSGQUEUE].rlim_cur)
		return -EMFILE;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	wait_queue_init(&q->queue);
	list_init(&q->messages);
	list_append(&queues.list, &q->all);
	queues.count++;
	q->refs = 1; /* the name's */
	q->max_messages = messages;
	q->max_size = size;
	q->ino = io_new_inode();
	q->uid = t->creds->fsuid;
	q->gid = t->creds->fsgid;
	q->mode = mode & ~t->fs->umask & 0777;
	memcpy(q->name, name, strlen(name) + 1);
	*ret = q;
	return 0;
}

static long open_queue(struct task *t, struct mq *q, int flags)
{
	struct mq_file *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	file_init(&x->file, &mq_ops, flags & (O_ACCMODE | O_NONBLOCK));
	x->file.queue = &q->queue;
	x->mq = q;
	q->refs++;
	return fd_install(t, &x->file, 0, flags & O_CLOEXEC);
}

HANDLER(sys_mq_open)
{
	int flags = (int)c->args[1], r;
	char name[NAME_MAX + 1];
	struct mq_attr attr;
	bool has_attr = c->args[3] != 0;
	struct mq *q;

	if (has_attr && guest_get(t, &attr, c->args[3]) < 0)
		return -EFAULT;
	r = name_get(t, name, c->args[0]);
	if (r < 0)
		return r;
	q = find_mq(name);
	if (q && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (q) {
		if ((flags & O_ACCMODE) == (O_RDWR | O_WRONLY))
			return -EINVAL;
		r = may_open(t->creds, q, flags);
		return r < 0 ? r : open_queue(t, q, flags);
	}
	if (!(flags & O_CREAT))
		return -ENOENT;
	r = make_mq(t, name, (mode_t)c->args[2], has_attr ? &attr : NULL, &q);
	if (r < 0)
		return r;
	return open_queue(t, q, flags);
}

HANDLER(sys_mq_unlink)
{
	char name[NAME_MAX + 1];
	int r = name_get(t, name, c->args[0]);
	struct mq *q;

	if (r < 0)
		return r;
	q = find_mq(name);
	if (!q)
		return -ENOENT;
	if (t->creds->fsuid != q->uid && !creds_capable(t->creds, CAP_FOWNER))
		return -EPERM;
	q->name[0] = '\0';
	mq_unref(q);
	return 0;
}

/* ---- messages ---- */

/* abs_timeout of CLOCK_REALTIME: ns from now, -1 = none. */
static int abs_limit_get(struct task *t, uint64_t at, int64_t *ret)
{
	struct timespec limit;
	int64_t left;

	*ret = -1;
	if (!at)
		return 0;
	if (guest_get(t, &limit, at) < 0)
		return -EFAULT;
	if (!timespec_valid(&limit))
		return -EINVAL;
	left = timespec_ns(&limit) - clock_ns(CLOCK_REALTIME);
	*ret = MAX_OF(left, INT64_C(0));
	return 0;
}

static void insert_message(struct mq *q, struct mq_message *m)
{
	struct list_node *at = q->messages.prev;

	while (at != &q->messages && container_of(at, struct mq_message, in_queue)->priority < m->priority)
		at = at->prev;
	list_append(at->next, &m->in_queue); /* before what follows */
	q->count++;
}

/* The first message in an empty queue that nobody waits for is told of, once. */
static void mq_tell(struct mq *q, const struct task *sender)
{
	struct process *p = q->notified;
	siginfo_t info = {.si_code = SI_MESGQ};

	if (!p || q->count != 1 || q->receivers > 0)
		return;
	q->notified = NULL;
	if (q->teller)
		tell_thread(q, MQ_WOKEN_UP);
	if (q->event.sigev_notify != SIGEV_SIGNAL || q->event.sigev_signo == 0)
		return;
	info.si_signo = q->event.sigev_signo;
	info.si_value = q->event.sigev_value;
	info.si_pid = sender->process->pid;
	info.si_uid = sender->creds->uid;
	if (syscall(SYS_rt_sigqueueinfo, p->host_pid, info.si_signo, &info) < 0)
		kernel_log("mq_notify: process %d: %s", p->pid, strerror(errno));
	signalfd_recheck(p);
}

HANDLER(sys_mq_timedsend)
{
	size_t size = c->args[2];
	struct mq_message *m;
	struct file *f;
	struct mq *q;
	int64_t ns;
	int r = abs_limit_get(t, c->args[4], &ns);

	if (r < 0)
		return r;
	if ((unsigned)c->args[3] >= MQ_PRIORITIES)
		return -EINVAL;
	q = queue_at(t, (int)c->args[0], &f);
	if (!q || !file_can_write(f))
		return -EBADF;
	if (size > (size_t)q->max_size)
		return -EMSGSIZE;
	m = malloc(sizeof(*m) + size);
	if (!m)
		return -ENOMEM;
	if (guest_read(t, m->text, c->args[1], size) < 0)
		r = -EFAULT;
	else if (q->count >= (unsigned long)q->max_messages)
		r = f->flags & O_NONBLOCK  ? -EAGAIN
		    : park_deadline(t, ns) ? -ETIMEDOUT
					   : (int)park(t, &q->queue, EPOLLOUT);
	if (r < 0) {
		free(m);
		return r;
	}
	m->size = size;
	m->priority = (unsigned)c->args[3];
	insert_message(q, m);
	mq_tell(q, t);
	wake(&q->queue, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static void stop_receiving(struct task *t, void *data)
{
	struct file *f = data;

	(void)t; /* counted on the queue */
	mq_of(f)->receivers--;
	file_unref(f);
}

HANDLER(sys_mq_timedreceive)
{
	struct mq_message *m;
	struct file *f;
	struct mq *q;
	unsigned priority;
	int64_t ns;
	long r = abs_limit_get(t, c->args[4], &ns);

	if (r < 0)
		return r;
	q = queue_at(t, (int)c->args[0], &f);
	if (!q || !file_can_read(f))
		return -EBADF;
	if (c->args[2] < (size_t)q->max_size)
		return -EMSGSIZE;
	if (q->count == 0) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		if (park_deadline(t, ns))
			return -ETIMEDOUT;
		if (!c->data) {
			q->receivers++;
			c->data = file_ref(f);
			c->release = stop_receiving;
		}
		return park(t, &q->queue, EPOLLIN);
	}
	m = container_of(q->messages.next, struct mq_message, in_queue);
	priority = m->priority;
	list_remove(&m->in_queue);
	q->count--;
	r = (long)m->size;
	if (guest_write(t, c->args[1], m->text, m->size) < 0 ||
	    (c->args[3] && guest_put(t, c->args[3], &priority) < 0))
		r = -EFAULT;
	free(m);
	wake(&q->queue, EPOLLOUT | EPOLLWRNORM);
	return r;
}

/* What mq_notify asks for; of SIGEV_THREAD the socket, referenced. */
static int read_event(struct task *t, uint64_t from, struct sigevent *event, struct file **teller,
		      char *cookie)
{
	struct file *f;

	if (guest_get(t, event, from) < 0)
		return -EFAULT;
	switch (event->sigev_notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_SIGNAL:
		return event->sigev_signo < 0 || event->sigev_signo > SIGRTMAX ? -EINVAL : 0;
	case SIGEV_THREAD:
		if (guest_read(t, cookie, (uintptr_t)event->sigev_value.sival_ptr, MQ_COOKIE) < 0)
			return -EFAULT;
		f = fd_get(t, event->sigev_signo);
		if (!f)
			return -EBADF;
		if (!netlink_is(f))
			return socket_of(f) ? -EINVAL : -ENOTSOCK;
		*teller = file_ref(f);
		return 0;
	default:
		return -EINVAL;
	}
}

HANDLER(sys_mq_notify)
{
	struct sigevent event = {0};
	struct file *f, *teller = NULL;
	char cookie[MQ_COOKIE] = {0};
	struct mq *q;
	int r = c->args[1] ? read_event(t, c->args[1], &event, &teller, cookie) : 0;

	if (r < 0)
		return r;
	q = queue_at(t, (int)c->args[0], &f);
	if (!q || (c->args[1] && q->notified)) {
		file_unref(teller);
		return q ? -EBUSY : -EBADF;
	}
	if (!c->args[1]) {
		if (q->notified == t->process)
			forget_notified(q);
		return 0;
	}
	q->notified = t->process;
	q->event = event;
	q->teller = teller;
	memcpy(q->cookie, cookie, sizeof(q->cookie));
	return 0;
}

HANDLER(sys_mq_getsetattr)
{
	struct mq_attr fresh, old = {0};
	struct file *f;
	struct mq *q;

	if (c->args[1] && guest_get(t, &fresh, c->args[1]) < 0)
		return -EFAULT;
	if (c->args[1] && (fresh.mq_flags & ~(long)O_NONBLOCK))
		return -EINVAL;
	q = queue_at(t, (int)c->args[0], &f);
	if (!q)
		return -EBADF;
	old.mq_flags = f->flags & O_NONBLOCK;
	old.mq_maxmsg = q->max_messages;
	old.mq_msgsize = q->max_size;
	old.mq_curmsgs = (long)q->count;
	if (c->args[1])
		f->flags = (f->flags & ~O_NONBLOCK) | (int)(fresh.mq_flags & O_NONBLOCK);
	return c->args[2] ? guest_put(t, c->args[2], &old) : 0;
}
