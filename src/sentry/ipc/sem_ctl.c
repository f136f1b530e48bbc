/* SPDX-License-Identifier: Apache-2.0 */
/* System V semaphores: semctl and their text in /proc. */
#include "sentry/ipc/ipc_int.h"
#include "sentry/ipc/sem.h"

enum { SEM_STAT_ANY_ = 20 }; /* SEM_STAT_ANY: newer than some libcs */

static int count_waiters(const struct sem_set *s, int number, bool for_zero)
{
	int n = 0;

	for (const struct list_node *at = s->waiters.next; at != &s->waiters; at = at->next) {
		const struct sem_waiter *w = container_of(at, const struct sem_waiter, of_set);

		n += w->number == number && w->for_zero == for_zero;
	}
	return n;
}

static long sem_info(struct task *t, int cmd, uint64_t arg)
{
	const struct ipc_limits *l = ipc_limits();
	struct seminfo x = {
		.semmap = (int)l->sem_all,
		.semmni = (int)l->sem_sets,
		.semmns = (int)l->sem_all,
		.semmnu = (int)l->sem_all,
		.semmsl = (int)l->sem_per_set,
		.semopm = (int)l->sem_ops,
		.semume = (int)l->sem_ops,
		.semusz = 20,
		.semvmx = SEM_VALUE,
		.semaem = SEM_VALUE,
	};

	if (cmd == SEM_INFO) {
		x.semusz = (int)sems.ids.used;
		x.semaem = sems.total;
	}
	return guest_put(t, arg, &x) < 0 ? -EFAULT : ipc_highest(&sems.ids);
}

static long stat_set(struct task *t, struct sem_set *s, int cmd, uint64_t arg)
{
	struct semid_ds ds = {.sem_otime = s->otime, .sem_ctime = s->ctime, .sem_nsems = (unsigned long)s->n};
	int r = cmd == SEM_STAT_ANY_ ? 0 : ipc_may(t->creds, &s->object, 0444);

	if (r < 0)
		return r;
	ipc_perm_out(&s->object, &ds.sem_perm);
	if (guest_put(t, arg, &ds) < 0)
		return -EFAULT;
	return cmd == IPC_STAT ? 0 : s->object.id;
}

static long all_values(struct task *t, struct sem_set *s, int cmd, uint64_t arg)
{
	size_t size = (size_t)s->n * sizeof(unsigned short);
	autofree unsigned short *values = malloc(size);
	int r = ipc_may(t->creds, &s->object, cmd == SETALL ? 0222 : 0444);

	if (r < 0)
		return r;
	if (!values)
		return -ENOMEM;
	if (cmd == GETALL) {
		for (int i = 0; i < s->n; i++)
			values[i] = (unsigned short)s->sems[i].value;
		return guest_write(t, arg, values, size);
	}
	if (guest_read(t, values, arg, size) < 0)
		return -EFAULT;
	for (int i = 0; i < s->n; i++) {
		if (values[i] > SEM_VALUE)
			return -ERANGE;
	}
	for (int i = 0; i < s->n; i++) {
		s->sems[i] = (struct sem){.value = values[i], .pid = t->process->pid};
		sem_forget_undo(s, i);
	}
	s->ctime = time(NULL);
	wake(&s->queue, 0);
	return 0;
}

static long sem_set_value(struct task *t, struct sem_set *s, int number, int value)
{
	int r;

	if (value < 0 || value > SEM_VALUE)
		return -ERANGE;
	if (number < 0 || number >= s->n)
		return -EINVAL;
	r = ipc_may(t->creds, &s->object, 0222);
	if (r < 0)
		return r;
	s->sems[number] = (struct sem){.value = value, .pid = t->process->pid};
	sem_forget_undo(s, number);
	s->ctime = time(NULL);
	wake(&s->queue, 0);
	return 0;
}

static long sem_get_value(struct task *t, struct sem_set *s, int number, int cmd)
{
	int r = ipc_may(t->creds, &s->object, 0444);

	if (r < 0)
		return r;
	if (number < 0 || number >= s->n)
		return -EINVAL;
	switch (cmd) {
	case GETVAL:
		return s->sems[number].value;
	case GETPID:
		return s->sems[number].pid;
	default:
		return count_waiters(s, number, cmd == GETZCNT);
	}
}

static long sem_control(struct task *t, struct sem_set *s, int cmd, uint64_t arg)
{
	struct semid_ds ds;
	int r;

	if (cmd == IPC_SET && guest_get(t, &ds, arg) < 0)
		return -EFAULT;
	r = ipc_may_control(t->creds, &s->object);
	if (r < 0)
		return r;
	if (cmd == IPC_RMID) {
		sem_remove(s);
		return 0;
	}
	ipc_perm_in(&s->object, &ds.sem_perm);
	s->ctime = time(NULL);
	return 0;
}

HANDLER(sys_semctl)
{
	int id = (int)c->args[0], number = (int)c->args[1], cmd = (int)c->args[2], r;
	uint64_t arg = c->args[3];
	struct ipc_object *o;
	struct sem_set *s;

	if (id < 0)
		return -EINVAL;
	if (cmd == IPC_INFO || cmd == SEM_INFO)
		return sem_info(t, cmd, arg);
	if (cmd == SEM_STAT || cmd == SEM_STAT_ANY_) {
		o = ipc_slot(&sems.ids, id);
		return o ? stat_set(t, container_of(o, struct sem_set, object), cmd, arg) : -EINVAL;
	}
	r = ipc_find(&sems.ids, id, &o);
	if (r < 0)
		return r;
	s = container_of(o, struct sem_set, object);
	switch (cmd) {
	case IPC_STAT:
		return stat_set(t, s, cmd, arg);
	case IPC_SET:
	case IPC_RMID:
		return sem_control(t, s, cmd, arg);
	case GETALL:
	case SETALL:
		return all_values(t, s, cmd, arg);
	case SETVAL:
		return sem_set_value(t, s, number, (int)arg);
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
		return sem_get_value(t, s, number, cmd);
	default:
		return -EINVAL;
	}
}

void ipc_show_sem(struct synth_text *text)
{
	synth_printf(
		text,
		"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
	for (unsigned i = 0; i < sems.ids.size; i++) {
		const struct ipc_object *o = sems.ids.slots[i];
		const struct sem_set *s = o ? container_of(o, const struct sem_set, object) : NULL;

		if (s)
			synth_printf(text, "%10d %10d  %4o %10d %5u %5u %5u %5u %10ld %10ld\n", o->key, o->id,
				     o->mode, s->n, o->uid, o->gid, o->cuid, o->cgid, (long)s->otime,
				     (long)s->ctime);
	}
}
