/* SPDX-License-Identifier: Apache-2.0 */
/* System V message queues. */
#include "sentry/ipc/ids.h"
#include "sentry/ipc/ipc_int.h"

#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/msg.h>

enum { MSG_STAT_ANY_ = 13 };

struct message {
	struct list_node in_queue;
	long type;
	size_t size;
	char text[];
};

struct queue {
	struct ipc_object object;
	struct wait_queue queue; /* senders and receivers */
	struct list_node messages;
	size_t bytes, count, limit;
	pid_t last_sender, last_receiver;
	time_t send_time, receive_time, change_time;
};

static struct {
	struct ipc_table ids;
	size_t bytes, count;
} msgs;

static void drop_message(struct queue *q, struct message *m)
{
	list_remove(&m->in_queue);
	q->bytes -= m->size;
	q->count--;
	msgs.bytes -= m->size;
	msgs.count--;
	free(m);
}

static void destroy_queue(struct queue *q)
{
	ipc_remove(&msgs.ids, &q->object);
	while (!list_empty(&q->messages))
		drop_message(q, container_of(q->messages.next, struct message, in_queue));
	wait_queue_destroy(&q->queue); /* who waits finds it gone */
	free(q);
}

HANDLER(sys_msgget)
{
	key_t key = (key_t)c->args[0];
	int flags = (int)c->args[1], r;
	struct ipc_object *o;
	struct queue *q = NULL;

	r = ipc_lookup(&msgs.ids, key, flags, &o);
	if (r < 0)
		return r;
	if (r == 0) {
		r = ipc_may(t->creds, o, (unsigned)flags & 0777);
		return r < 0 ? r : o->id;
	}
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	msgs.ids.limit = ipc_limits()->msg_queues;
	r = ipc_add(&msgs.ids, &q->object, key, (unsigned)flags, t->creds);
	if (r < 0) {
		free(q);
		return r;
	}
	wait_queue_init(&q->queue);
	list_init(&q->messages);
	q->limit = ipc_limits()->msg_queue_bytes;
	q->change_time = time(NULL);
	return q->object.id;
}

/* A queue that went while the call waited is EIDRM, one that never was EINVAL. */
static int queue_of(const struct task *t, const struct call *c, unsigned wanted, struct queue **ret)
{
	struct ipc_object *o;
	int r = ipc_find(&msgs.ids, (int)c->args[0], &o);

	if (r < 0)
		return c->resumed ? -EIDRM : r;
	r = ipc_may(t->creds, o, wanted);
	if (r == 0)
		*ret = container_of(o, struct queue, object);
	return r;
}

static struct message *message_get(struct task *t, uint64_t at, size_t size, int *ret_error)
{
	struct message *m = malloc(sizeof(*m) + size);

	*ret_error = -ENOMEM;
	if (m && guest_read(t, m->text, at, size) == 0) {
		m->size = size;
		return m;
	}
	if (m)
		*ret_error = -EFAULT;
	free(m);
	return NULL;
}

HANDLER(sys_msgsnd)
{
	size_t size = c->args[2];
	struct message *m;
	struct queue *q = NULL;
	int64_t type;
	int r;

	if (guest_get(t, &type, c->args[1]) < 0)
		return -EFAULT;
	if (size > ipc_limits()->msg_size || (int)c->args[0] < 0 || type < 1)
		return -EINVAL;
	m = message_get(t, c->args[1] + sizeof(type), size, &r);
	if (!m)
		return r;
	r = queue_of(t, c, 0222, &q);
	if (r == 0 && (size + q->bytes > q->limit || q->count + 1 > q->limit))
		r = (int)c->args[3] & IPC_NOWAIT ? -EAGAIN : (int)park(t, &q->queue, EPOLLOUT);
	if (r < 0) {
		free(m);
		return r;
	}
	m->type = type;
	list_append(&q->messages, &m->in_queue);
	q->bytes += size;
	q->count++;
	msgs.bytes += size;
	msgs.count++;
	q->last_sender = t->process->pid;
	q->send_time = time(NULL);
	wake(&q->queue, EPOLLIN);
	return 0;
}

static bool message_matches(const struct message *m, long type, int flags)
{
	if (type == 0)
		return true;
	return type < 0 ? m->type <= (type == LONG_MIN ? LONG_MAX : -type)
			: (m->type == type) != !!(flags & MSG_EXCEPT);
}

/* The message that a receiver gets: the first that matches; of a negative type the one of the lowest type. */
static struct message *choose(struct queue *q, long type, int flags)
{
	struct message *m, *best = NULL;
	long index = 0;

	list_each(m, &q->messages, struct message, in_queue)
	{
		if (flags & MSG_COPY) {
			if (index++ == type)
				return m;
		} else if (message_matches(m, type, flags) && (!best || m->type < best->type)) {
			if (type >= 0)
				return m;
			best = m;
		}
	}
	return best;
}

HANDLER(sys_msgrcv)
{
	size_t size = c->args[2], part;
	int64_t type = (int64_t)c->args[3];
	int flags = (int)c->args[4], r;
	struct message *m;
	struct queue *q = NULL;

	if ((int)c->args[0] < 0 || size > INT64_MAX)
		return -EINVAL;
	if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT)))
		return -EINVAL;
	r = queue_of(t, c, 0444, &q);
	if (r < 0)
		return r;
	m = choose(q, type, flags);
	if (!m)
		return flags & IPC_NOWAIT ? -ENOMSG : park(t, &q->queue, EPOLLIN);
	if (m->size > size && !(flags & MSG_NOERROR))
		return -E2BIG;
	if (m->size > size && flags & MSG_COPY)
		return -EINVAL; /* a copy is of the whole message */
	part = MIN_OF(size, m->size);
	type = m->type;
	r = guest_put(t, c->args[1], &type);
	if (r == 0)
		r = guest_write(t, c->args[1] + sizeof(type), m->text, part);
	if (!(flags & MSG_COPY)) { /* as with Linux it is gone even where it could not be handed over */
		drop_message(q, m);
		q->last_receiver = t->process->pid;
		q->receive_time = time(NULL);
		wake(&q->queue, EPOLLOUT);
	}
	return r < 0 ? r : (long)part;
}

/* ---- msgctl ---- */

static long stat_queue(struct task *t, const struct queue *q, int cmd, uint64_t arg)
{
	struct msqid_ds ds = {.msg_stime = q->send_time,
			      .msg_rtime = q->receive_time,
			      .msg_ctime = q->change_time,
			      .msg_qnum = q->count,
			      .msg_qbytes = q->limit,
			      .msg_lspid = q->last_sender,
			      .msg_lrpid = q->last_receiver};
	int r = cmd == MSG_STAT_ANY_ ? 0 : ipc_may(t->creds, &q->object, 0444);

	if (r < 0)
		return r;
	ds.__msg_cbytes = q->bytes;
	ipc_perm_out(&q->object, &ds.msg_perm);
	if (guest_put(t, arg, &ds) < 0)
		return -EFAULT;
	return cmd == IPC_STAT ? 0 : q->object.id;
}

static long msg_info(struct task *t, int cmd, uint64_t arg)
{
	const struct ipc_limits *l = ipc_limits();
	struct msginfo x = {.msgmni = (int)l->msg_queues,
			    .msgmax = (int)l->msg_size,
			    .msgmnb = (int)l->msg_queue_bytes,
			    .msgssz = 16,
			    .msgseg = 0xffff,
			    .msgpool = (int)((uint64_t)l->msg_queues * l->msg_queue_bytes / 1024),
			    .msgmap = (int)l->msg_queue_bytes,
			    .msgtql = (unsigned short)l->msg_queue_bytes};

	if (cmd == MSG_INFO) {
		x.msgpool = (int)msgs.ids.used;
		x.msgmap = (int)msgs.count;
		x.msgtql = (int)msgs.bytes;
	}
	return guest_put(t, arg, &x) < 0 ? -EFAULT : ipc_highest(&msgs.ids);
}

static long msg_control(struct task *t, struct queue *q, int cmd, uint64_t arg)
{
	struct msqid_ds ds;
	int r;

	if (cmd == IPC_SET && guest_get(t, &ds, arg) < 0)
		return -EFAULT;
	r = ipc_may_control(t->creds, &q->object);
	if (r < 0)
		return r;
	if (cmd == IPC_RMID) {
		destroy_queue(q);
		return 0;
	}
	if (ds.msg_qbytes > ipc_limits()->msg_queue_bytes && !creds_capable(t->creds, CAP_SYS_RESOURCE))
		return -EPERM;
	ipc_perm_in(&q->object, &ds.msg_perm);
	q->limit = ds.msg_qbytes;
	q->change_time = time(NULL);
	wake(&q->queue, 0);
	return 0;
}

HANDLER(sys_msgctl)
{
	int id = (int)c->args[0], cmd = (int)c->args[1], r;
	struct ipc_object *o;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	if (cmd == IPC_INFO || cmd == MSG_INFO)
		return msg_info(t, cmd, c->args[2]);
	if (cmd == MSG_STAT || cmd == MSG_STAT_ANY_) {
		o = ipc_slot(&msgs.ids, id);
		return o ? stat_queue(t, container_of(o, struct queue, object), cmd, c->args[2]) : -EINVAL;
	}
	if (cmd != IPC_STAT && cmd != IPC_SET && cmd != IPC_RMID)
		return -EINVAL;
	r = ipc_find(&msgs.ids, id, &o);
	if (r < 0)
		return r;
	if (cmd == IPC_STAT)
		return stat_queue(t, container_of(o, struct queue, object), cmd, c->args[2]);
	return msg_control(t, container_of(o, struct queue, object), cmd, c->args[2]);
}

void ipc_show_msg(struct synth_text *text)
{
	synth_printf(text, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid "
			   " cgid      stime   "
			   "   rtime      ctime\n");
	for (unsigned i = 0; i < msgs.ids.size; i++) {
		const struct ipc_object *o = msgs.ids.slots[i];
		const struct queue *q = o ? container_of(o, const struct queue, object) : NULL;

		if (q)
			synth_printf(
				text,
				"%10d %10d  %4o  %10zu %10zu %5d %5d %5u %5u %5u %5u %10ld %10ld %10ld\n",
				o->key, o->id, o->mode, q->bytes, q->count, q->last_sender, q->last_receiver,
				o->uid, o->gid, o->cuid, o->cgid, (long)q->send_time, (long)q->receive_time,
				(long)q->change_time);
	}
}
