/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of processes.
 *
 * Those of one process hang on its `epilogue` in one list, so that its end
 * finds them: they are readable then.  A descriptor of the host's beside them
 * knows whether somebody has waited for the process since: until then it can
 * be signalled, in vain, as any zombie.  A single thread's (PIDFD_THREAD) is the
 * host's own answer: nobody waits for a thread.
 */
#include "sentry/sys/pidfd.h"
#include "sentry/guest.h"
#include "sentry/proc/namespaces.h"
#include "sentry/proc/proc.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
enum { PIDFD_SIGNAL_THREAD = 1, PIDFD_SIGNAL_THREAD_GROUP = 2 };

struct pidfds { /* of one process, or thread */
	struct list_node files;
	struct wait_queue ended;
	struct host_watch watch; /* of the host's */
	unsigned refs;		 /* one a file, one of the process */
};

struct pidfd {
	struct file file;
	struct list_node node;
	struct pidfds *of;
	struct process *process; /* NULL = ended, or a thread's */
	pid_t pid;		 /* or tid */
	bool thread;
};

static void pidfds_unref(struct pidfds *x)
{
	if (--x->refs)
		return;
	host_watch_remove(&x->watch);
	(void)close(x->watch.fd); /* nothing was written */
	wait_queue_destroy(&x->ended);
	free(x);
}

/* Waited for: nobody has this id any more. */
static bool is_reaped(const struct pidfds *x)
{
	return syscall(SYS_pidfd_send_signal, x->watch.fd, 0, NULL, 0) < 0 && errno == ESRCH;
}

static uint32_t pidfd_poll(struct file *f)
{
	const struct pidfd *x = container_of(f, struct pidfd, file);
	struct pollfd p = {.fd = x->of->watch.fd, .events = POLLIN | POLLRDNORM};

	if (x->thread)
		return poll(&p, 1, 0) > 0 ? (uint32_t)(unsigned short)p.revents : 0;
	return x->process ? 0 : EPOLLIN | EPOLLRDNORM | (is_reaped(x->of) ? EPOLLHUP : 0U);
}

static void pidfd_release(struct file *f)
{
	struct pidfd *x = container_of(f, struct pidfd, file);

	list_remove(&x->node);
	pidfds_unref(x->of);
	free(x);
}

/* ---- PIDFD_GET_INFO ---- */

/* As of Linux 6.13; what later ones have more is about core dumps, which there are none of. */
struct pidfd_told {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
enum { TELL_PID = 1 << 0, TELL_CREDS = 1 << 1, TELL_EXIT = 1 << 3 };
#define TELL_COMMAND _IOWR(0xff, 11, struct pidfd_told)

static bool is_tell_command(unsigned cmd)
{
	const unsigned size = _IOC_SIZEMASK << _IOC_SIZESHIFT;

	return (cmd & ~size) == ((unsigned)TELL_COMMAND & ~size) &&
	       _IOC_SIZE(cmd) >= sizeof(struct pidfd_told);
}

/* The thread that it stands for, or one of the process; NULL = it has ended. */
static struct task *task_behind(const struct pidfd *x)
{
	if (x->thread)
		return is_reaped(x->of) ? NULL : task_find(x->pid); /* another has its number by now, maybe */
	return x->process ? process_task(x->process) : NULL;
}

/* Whose it is, a zombie's, too; NULL = nobody's any more. */
static const struct creds *told_creds(const struct pidfd *x)
{
	const struct task *t = task_behind(x);
	const struct zombie *z = t || x->thread ? NULL : proc_zombie(x->pid);

	return t ? t->creds : z ? z->creds : NULL;
}

static void tell_ids(struct pidfd_told *to, const struct pidfd *x, const struct creds *c, pid_t host_parent)
{
	const struct task *thread = x->thread ? task_find(x->pid) : NULL;

	to->mask |= TELL_PID | TELL_CREDS;
	to->pid = (uint32_t)x->pid;
	to->tgid = (uint32_t)(thread ? thread->process->pid : x->pid);
	to->ppid = (uint32_t)proc_guest_pid(host_parent);
	to->ruid = c->uid;
	to->rgid = c->gid;
	to->euid = c->euid;
	to->egid = c->egid;
	to->suid = c->suid;
	to->sgid = c->sgid;
	to->fsuid = c->fsuid;
	to->fsgid = c->fsgid;
}

/* How it ended is the host's to say, once somebody has waited for it. */
static long pidfd_tell(struct task *t, const struct pidfd *x, unsigned cmd, uint64_t at)
{
	struct pidfd_told host = {.mask = TELL_EXIT}, told = {0};
	const struct creds *c;
	uint64_t asked;

	if (!at)
		return -EINVAL;
	if (guest_get(t, &asked, at) < 0)
		return -EFAULT;
	if (ioctl(x->of->watch.fd, TELL_COMMAND, &host) < 0)
		return -errno;
	told.mask = host.mask & asked & TELL_EXIT;
	if (told.mask)
		told.exit_code = host.exit_code;
	c = host.mask & TELL_PID ? told_creds(x) : NULL;
	if (!c && !(asked & TELL_EXIT))
		return -ESRCH;
	if (c)
		tell_ids(&told, x, c, (pid_t)host.ppid);
	autofree char *whole = calloc(1, _IOC_SIZE(cmd)); /* what is not known is zero */
	if (!whole)
		return -ENOMEM;
	memcpy(whole, &told, sizeof(told));
	return guest_write(t, at, whole, _IOC_SIZE(cmd));
}

/* PIDFD_GET_..._NAMESPACE, by number. */
static const char *const namespaces[] = {
	[1] = "cgroup", [2] = "ipc",
	[3] = "mnt",	[4] = "net",
	[5] = "pid",	[6] = "pid_for_children",
	[7] = "time",	[8] = "time_for_children",
	[9] = "user",	[10] = "uts",
};

static long pidfd_namespace(struct task *t, const struct pidfd *x, const char *name, uint64_t arg)
{
	const struct task *of = task_behind(x);
	struct file *f;
	int r;

	if (arg)
		return -EINVAL;
	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	r = namespace_open(name, &f);
	return r < 0 ? r : fd_install(t, f, 0, true);
}

static long pidfd_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	const struct pidfd *x = container_of(f, const struct pidfd, file);

	if (is_tell_command(cmd))
		return pidfd_tell(t, x, cmd, arg);
	if (cmd > _IO(0xff, 0) && cmd < _IO(0xff, ARRAY_LEN(namespaces)))
		return pidfd_namespace(t, x, namespaces[_IOC_NR(cmd)], arg);
	return -ENOTTY;
}

static const struct file_ops pidfd_ops = {
	.name = "anon_inode:[pidfd]",
	.poll = pidfd_poll,
	.ioctl = pidfd_ioctl,
	.release = pidfd_release,
};

static int pidfds_new(pid_t host_id, int flags, struct pidfds **ret)
{
	int fd = (int)syscall(SYS_pidfd_open, host_id, flags & PIDFD_THREAD), r;
	struct pidfds *x = fd < 0 ? NULL : calloc(1, sizeof(*x));

	if (fd < 0)
		return -errno;
	if (!x) {
		(void)close(fd); /* nothing was written */
		return -ENOMEM;
	}
	list_init(&x->files);
	wait_queue_init(&x->ended);
	x->refs = 1;
	x->watch = (struct host_watch){.fd = fd, .queue = &x->ended};
	r = host_watch_add(&x->watch);
	if (r < 0) {
		(void)close(fd); /* nothing was written */
		free(x);
		return r;
	}
	*ret = x;
	return 0;
}

/* A file of these, which the caller goes on holding; p: NULL of a zombie or a thread. */
static int install_of(struct task *t, struct pidfds *of, struct process *p, pid_t pid, int flags)
{
	struct pidfd *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	file_init(&x->file, &pidfd_ops, O_RDWR | (flags & (PIDFD_NONBLOCK | PIDFD_THREAD)));
	x->file.queue = &of->ended;
	x->of = of;
	of->refs++;
	x->process = p;
	x->pid = pid;
	x->thread = flags & PIDFD_THREAD;
	list_append(&of->files, &x->node);
	return fd_install(t, &x->file, 0, true);
}

int pidfd_install(struct task *t, struct process *p, int flags)
{
	int r = p->epilogue ? 0 : pidfds_new(p->host_pid, flags, &p->epilogue);

	return r < 0 ? r : install_of(t, p->epilogue, p, p->pid, flags);
}

/* What no process has: a thread's, or a zombie's. */
static int install_alone(struct task *t, pid_t host_id, pid_t id, int flags)
{
	struct pidfds *of;
	int r = pidfds_new(host_id, flags, &of);

	if (r < 0)
		return r;
	/* The zombie that was meant, and not one that has had the id since. */
	r = flags & PIDFD_THREAD || proc_zombie(id) ? install_of(t, of, NULL, id, flags) : -ESRCH;
	pidfds_unref(of);
	return r;
}

pid_t pidfd_pid(const struct file *f)
{
	return f->ops == &pidfd_ops ? container_of(f, struct pidfd, file)->pid : -EBADF;
}

long pidfd_enter(const struct task *t, const struct file *f, int types)
{
	const struct task *of;

	if (f->ops != &pidfd_ops || !types || types & ~NAMESPACES_ALL)
		return -EINVAL;
	of = task_behind(container_of(f, const struct pidfd, file));
	if (!of)
		return -ESRCH;
	return may_inspect(t, of) ? namespaces_enter(t, types) : -EPERM;
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
	const struct task *thread = task_find(pid);
	const struct zombie *z;
	struct process *p;

	if (flags & ~(unsigned)(PIDFD_NONBLOCK | PIDFD_THREAD) || pid <= 0)
		return -EINVAL;
	p = process_find(pid);
	if (p && !(flags & PIDFD_THREAD))
		return pidfd_install(t, p, (int)flags);
	if (thread) /* without the flag, of one that leads no process, the host says what is wrong */
		return install_alone(t, thread->host_tid, pid, (int)flags);
	z = p ? NULL : proc_zombie(pid);
	return z ? install_alone(t, z->host_pid, pid, (int)(flags & PIDFD_NONBLOCK)) : -ESRCH;
}

static struct process *process_of(const struct pidfd *x)
{
	const struct task *thread = x->thread && !is_reaped(x->of) ? task_find(x->pid) : NULL;

	return thread ? thread->process : x->process;
}

/* The thread that a descriptor stands for; 0 = a process. */
static pid_t pidfd_thread(const struct file *f)
{
	return f->ops == &pidfd_ops && container_of(f, struct pidfd, file)->thread
		       ? container_of(f, struct pidfd, file)->pid
		       : 0;
}

/* Ended, and waited for by nobody yet. */
static bool is_unreaped(const struct file *f)
{
	return f->ops == &pidfd_ops && !is_reaped(container_of(f, struct pidfd, file)->of);
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
		p = process_of(container_of(f, struct pidfd, file));
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
	unsigned flags = (unsigned)c->args[3];
	siginfo_t info;
	struct process *p;
	pid_t thread;
	long error;

	if (flags > PIDFD_SIGNAL_THREAD_GROUP)
		return -EINVAL;
	p = pidfd_process(t, (int)c->args[0], true, &error);
	if (!p)
		return error == -ESRCH && is_unreaped(fd_get(t, (int)c->args[0])) ? 0 : error;
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
	thread = flags == PIDFD_SIGNAL_THREAD_GROUP ? 0 : pidfd_thread(fd_get(t, (int)c->args[0]));
	if (flags == PIDFD_SIGNAL_THREAD && !thread)
		thread = p->pid;
	return signal_by_host(t, c, p, thread, sig, c->args[2]);
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
	if (is_reaped(container_of(f, struct pidfd, file)->of))
		return -ECHILD; /* and not another child, which has the number now */
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
