/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores: semget, semop, undo.
 *
 * A semop that must wait is parked on its set and tries anew after each change
 * of the set, in the order in which they came.
 */
#include "sentry/ipc/sem.h"
#include "sentry/io/clock_math.h"
#include "sentry/ipc/ipc_int.h"

struct sem_table sems;

static void take_back(struct sem_set *s, const struct sembuf *ops, size_t n, int *adjust)
{
	while (n-- > 0) {
		s->sems[ops[n].sem_num].value -= ops[n].sem_op;
		if (ops[n].sem_flg & SEM_UNDO)
			adjust[ops[n].sem_num] += ops[n].sem_op;
	}
}

int sem_perform(struct sem_set *s, const struct sembuf *ops, size_t n, int *adjust, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		const struct sembuf *op = &ops[i];
		struct sem *sem = &s->sems[op->sem_num];
		int undo = op->sem_flg & SEM_UNDO ? adjust[op->sem_num] - op->sem_op : 0, r = 0;

		if ((op->sem_op == 0 && sem->value != 0) || sem->value + op->sem_op < 0)
			r = op->sem_flg & IPC_NOWAIT ? -EAGAIN : (int)i + 1;
		else if (sem->value + op->sem_op > SEM_VALUE || undo < -SEM_VALUE - 1 || undo > SEM_VALUE)
			r = -ERANGE;
		if (r != 0) {
			take_back(s, ops, i, adjust);
			return r;
		}
		sem->value += op->sem_op;
		if (op->sem_flg & SEM_UNDO)
			adjust[op->sem_num] = undo;
	}
	for (size_t i = 0; i < n; i++)
		s->sems[ops[i].sem_num].pid = pid;
	return 0;
}

static void free_undo(struct sem_undo *u)
{
	list_remove(&u->of_process);
	list_remove(&u->of_set);
	free(u);
}

void sem_remove(struct sem_set *s)
{
	struct sem_undo *u;

	list_each(u, &s->undos, struct sem_undo, of_set) free_undo(u);
	ipc_remove(&sems.ids, &s->object);
	sems.total -= s->n;
	wait_queue_destroy(&s->queue); /* they find it gone */
	while (!list_empty(&s->waiters))
		list_remove(s->waiters.next);
	free(s);
}

void sem_forget_undo(struct sem_set *s, int number)
{
	struct sem_undo *u;

	list_each(u, &s->undos, struct sem_undo, of_set) u->adjust[number] = 0;
}

/* The process's undo values for this set, made where there are none. */
static struct sem_undo *undo_of(struct process *p, struct sem_set *s)
{
	struct sem_undo *u;

	list_each(u, &p->sem_undo, struct sem_undo, of_process)
	{
		if (u->set == s)
			return u;
	}
	u = calloc(1, sizeof(*u) + (size_t)s->n * sizeof(u->adjust[0]));
	if (!u)
		return NULL;
	u->set = s;
	u->process = p;
	list_append(&p->sem_undo, &u->of_process);
	list_append(&s->undos, &u->of_set);
	return u;
}

void sem_released(struct process *p)
{
	struct sem_undo *u;

	list_each(u, &p->sem_undo, struct sem_undo, of_process)
	{
		struct sem_set *s = u->set;

		for (int i = 0; i < s->n; i++) {
			int value = s->sems[i].value + u->adjust[i];

			if (u->adjust[i] == 0)
				continue;
			s->sems[i].value = MIN_OF(MAX_OF(value, 0), (int)SEM_VALUE);
			s->sems[i].pid = p->pid;
		}
		free_undo(u);
		s->otime = time(NULL);
		wake(&s->queue, 0);
	}
}

HANDLER(sys_semget)
{
	int n = (int)c->args[1], flags = (int)c->args[2], r;
	struct ipc_object *o;
	struct sem_set *s;

	if (n < 0 || n > (int)ipc_limits()->sem_per_set)
		return -EINVAL;
	r = ipc_lookup(&sems.ids, (key_t)c->args[0], flags, &o);
	if (r < 0)
		return r;
	if (r == 0) {
		if (n > container_of(o, struct sem_set, object)->n)
			return -EINVAL;
		r = ipc_may(t->creds, o, (unsigned)flags & 0777);
		return r < 0 ? r : o->id;
	}
	if (n == 0)
		return -EINVAL;
	if (sems.total + n > (int)ipc_limits()->sem_all)
		return -ENOSPC;
	sems.ids.limit = ipc_limits()->sem_sets;
	s = calloc(1, sizeof(*s) + (size_t)n * sizeof(s->sems[0]));
	if (!s)
		return -ENOMEM;
	r = ipc_add(&sems.ids, &s->object, (key_t)c->args[0], (unsigned)flags, t->creds);
	if (r < 0) {
		free(s);
		return r;
	}
	wait_queue_init(&s->queue);
	list_init(&s->undos);
	list_init(&s->waiters);
	s->n = n;
	s->ctime = time(NULL);
	sems.total += n;
	return s->object.id;
}

/* ---- semop ---- */

static void drop_waiter(struct task *t, void *data)
{
	struct sem_waiter *w = data;

	(void)t; /* counted on the set, not on the task */
	list_remove(&w->of_set);
	free(w);
}

static long wait_on(struct task *t, struct call *c, struct sem_set *s, const struct sembuf *op)
{
	struct sem_waiter *w = c->data;

	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		list_init(&w->of_set);
		list_append(&s->waiters, &w->of_set);
		w->id = s->object.id;
		c->data = w;
		c->release = drop_waiter;
	}
	w->number = op->sem_num;
	w->for_zero = op->sem_op == 0;
	return park(t, &s->queue, 0);
}

/* What an id means to this call: a set that went while it waited is EIDRM. */
static int set_of(const struct call *c, int id, struct sem_set **ret)
{
	struct ipc_object *o;
	int r = ipc_find(&sems.ids, id, &o);

	if (r < 0)
		return c->data ? -EIDRM : r;
	*ret = container_of(o, struct sem_set, object);
	return 0;
}

static long sem_operate(struct task *t, struct call *c, const struct sembuf *ops, size_t n, int64_t ns)
{
	bool alters = false, undoes = false, last;
	struct sem_undo *u = NULL;
	struct sem_set *s;
	int highest = 0, r;

	for (size_t i = 0; i < n; i++) {
		highest = MAX_OF(highest, (int)ops[i].sem_num);
		alters |= ops[i].sem_op != 0;
		undoes |= (ops[i].sem_flg & SEM_UNDO) != 0;
	}
	r = set_of(c, (int)c->args[0], &s);
	if (r < 0)
		return r;
	if (highest >= s->n)
		return -EFBIG;
	r = ipc_may(t->creds, &s->object, alters ? 0222 : 0444);
	if (r < 0)
		return r;
	if (undoes && !(u = undo_of(t->process, s)))
		return -ENOMEM;
	last = park_deadline(t, ns);
	r = sem_perform(s, ops, n, u ? u->adjust : NULL, t->process->pid);
	if (r > 0)
		return last ? -EAGAIN : wait_on(t, c, s, &ops[r - 1]);
	if (r == 0) {
		s->otime = time(NULL);
		wake(&s->queue, 0);
	}
	return r;
}

static long semop_call(struct task *t, struct call *c, const struct timespec *limit)
{
	size_t n = (unsigned)c->args[2];
	autofree struct sembuf *ops = NULL;

	if (n < 1 || (int)c->args[0] < 0)
		return -EINVAL;
	if (n > ipc_limits()->sem_ops)
		return -E2BIG;
	ops = calloc(n, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	if (guest_read(t, ops, c->args[1], n * sizeof(*ops)) < 0)
		return -EFAULT;
	if (limit && !timespec_valid(limit))
		return -EINVAL;
	return sem_operate(t, c, ops, n, limit ? timespec_ns(limit) : -1);
}

HANDLER(sys_semop)
{
	return semop_call(t, c, NULL);
}

HANDLER(sys_semtimedop)
{
	struct timespec limit;

	if (c->args[3] && guest_get(t, &limit, c->args[3]) < 0)
		return -EFAULT;
	return semop_call(t, c, c->args[3] ? &limit : NULL);
}
