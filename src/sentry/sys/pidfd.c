/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of processes.
 *
 * Those of one process hang on its `epilogue` in one list, so that its end
 * finds them: they are readable then, and name nobody.
 */
#include "sentry/sys/pidfd.h"
#include "sentry/guest.h"
#include "sentry/proc/proc.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

struct pidfds { /* of one process */
	struct list_node files;
	struct wait_queue ended;
	unsigned refs; /* one a file, one of the process */
};

struct pidfd {
	struct file file;
	struct list_node node;
	struct pidfds *of;
	struct process *process; /* NULL = ended */
	pid_t pid;
};

static void pidfds_unref(struct pidfds *x)
{
	if (--x->refs)
		return;
	wait_queue_destroy(&x->ended);
	free(x);
}

static uint32_t pidfd_poll(struct file *f)
{
	return container_of(f, struct pidfd, file)->process ? 0 : EPOLLIN;
}

static void pidfd_release(struct file *f)
{
	struct pidfd *x = container_of(f, struct pidfd, file);

	list_remove(&x->node);
	pidfds_unref(x->of);
	free(x);
}

static const struct file_ops pidfd_ops = {
	.name = "anon_inode:[pidfd]",
	.poll = pidfd_poll,
	.release = pidfd_release,
};

static struct pidfds *pidfds_of(struct process *p)
{
	struct pidfds *x = p->epilogue;

	if (x)
		return x;
	x = malloc(sizeof(*x));
	if (!x)
		return NULL;
	list_init(&x->files);
	wait_queue_init(&x->ended);
	x->refs = 1;
	p->epilogue = x;
	return x;
}

int pidfd_install(struct task *t, struct process *p, int flags)
{
	struct pidfds *of = pidfds_of(p);
	struct pidfd *x;

	if (!of)
		return -ENOMEM;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	file_init(&x->file, &pidfd_ops, O_RDWR | (flags & PIDFD_NONBLOCK));
	x->file.queue = &of->ended;
	x->of = of;
	of->refs++;
	x->process = p;
	x->pid = p->pid;
	list_append(&of->files, &x->node);
	return fd_install(t, &x->file, 0, true);
}

pid_t pidfd_pid(const struct file *f)
{
	return f->ops == &pidfd_ops ? container_of(f, struct pidfd, file)->pid : -EBADF;
}

void pidfd_process_released(struct process *p)
{
	struct pidfds *of = p->epilogue;
	struct pidfd *x;

	if (!of)
		return;
	p->epilogue = NULL;
	list_each(x, &of->files, struct pidfd, node) x->process = NULL;
	wake(&of->ended, EPOLLIN);
	pidfds_unref(of);
}

HANDLER(call_pidfd_open)
{
	pid_t pid = (pid_t)c->args[0];
	unsigned flags = (unsigned)c->args[1];
	struct process *p;

	if (flags & ~(unsigned)PIDFD_NONBLOCK || pid <= 0)
		return -EINVAL;
	p = process_find(pid);
	if (!p)
		return task_find(pid) ? -EINVAL : -ESRCH; /* a thread that leads no process */
	return pidfd_install(t, p, (int)flags);
}

/* The process behind a guest's descriptor, which may be its /proc/PID for `directories`, or the error. */
static struct process *pidfd_process(const struct task *t, int fd, bool directories, long *error)
{
	struct file *f = fd_get(t, fd);
	struct process *p;

	*error = -EBADF;
	if (!f)
		return NULL;
	if (f->ops == &pidfd_ops)
		p = container_of(f, struct pidfd, file)->process;
	else if (directories && f->place && proc_is_pid_dir(&f->place->synth))
		p = process_find(f->place->synth.pid);
	else
		return NULL;
	*error = -ESRCH;
	return p && process_task(p) ? p : NULL;
}

HANDLER(call_pidfd_send_signal)
{
	int sig = (int)c->args[1];
	siginfo_t info;
	struct process *p;
	long error;

	if (c->args[3])
		return -EINVAL;
	p = pidfd_process(t, (int)c->args[0], true, &error);
	if (!p)
		return error;
	if (c->args[2]) {
		if (guest_get(t, &info, c->args[2]))
			return -EFAULT;
		if (info.si_signo != sig)
			return -EINVAL;
		if (p != t->process && (info.si_code >= 0 || info.si_code == SI_TKILL))
			return -EPERM;
	}
	if (sig < 0 || sig > 64)
		return -EINVAL;
	if (!may_signal(t, process_task(p), sig))
		return -EPERM;
	return signal_by_host(t, c, p, sig, c->args[2]);
}

/* Of a pidfd that may not wait: the host was asked with WNOHANG, and has written no signal where nobody is
 * there. */
static long waited_at_once(struct task *t, struct call *c, long result, uint64_t scratch)
{
	int sig = 0;

	if (result == 0 && guest_get(t, &sig, c->args[2] ? c->args[2] : scratch) == 0 && !sig)
		return -EAGAIN;
	return result;
}

/* Only P_PIDFD comes here: the same wait by the process's id, which the thread itself must make. */
HANDLER(sys_waitid)
{
	static const siginfo_t nothing;
	struct file *f = fd_get(t, (int)c->args[1]);
	bool at_once;

	if ((int)c->args[0] != P_PIDFD)
		return -EINVAL;
	if (!f || f->ops != &pidfd_ops)
		return -EBADF;
	at_once = f->flags & O_NONBLOCK && !(c->args[3] & WNOHANG);
	const uint64_t args[6] = {P_PID, (uint64_t)container_of(f, struct pidfd, file)->pid,
				  at_once && !c->args[2] ? PLATFORM_SCRATCH : c->args[2],
				  c->args[3] | (at_once ? WNOHANG : 0), c->args[4]};
	return platform_call(t, c, SYS_waitid, args, at_once ? &nothing : NULL, at_once ? sizeof(nothing) : 0,
			     at_once ? waited_at_once : NULL);
}

HANDLER(sys_pidfd_getfd)
{
	const struct task *other;
	struct process *p;
	struct file *f;
	long error;

	if (c->args[2])
		return -EINVAL;
	p = pidfd_process(t, (int)c->args[0], false, &error);
	if (!p)
		return error;
	other = process_task(p);
	if (!may_inspect(t, other))
		return -EPERM;
	f = fd_table_get(other->files, (int)c->args[1]);
	if (!f)
		return -EBADF;
	return fd_install(t, file_ref(f), 0, true);
}
