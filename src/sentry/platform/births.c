/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone with flags that the filter does not let pass, and clone3: both stop
 * in the tracer, which changes the registers before the host sees them.
 *
 * clone3 becomes a clone, whose arguments are all in registers: what the host
 * acts on is what was checked.  Both parent and child get the registers back
 * in which the call was made: a C library's wrapper keeps things in them.  A
 * pidfd is the sentry's own, made when the child has been heard of.
 */
#include "sentry/boot.h"
#include "sentry/guest.h"
#include "sentry/platform/platform_int.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/pidfd.h"

#include "base/file.h"
#include "base/str.h"
#include "host/procattr.h"

#include <linux/filter.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

enum { PAGE = 4096, SIGNAL_MAX = 64, SIZE_MIN = 64 /* CLONE_ARGS_SIZE_VER0 */, CLONE_ARGS = 5 };

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP UINT64_C(0x200000000)
#endif

static const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
/* Nobody traces anybody inside: these mean nothing. */
static const uint64_t ignored = CLONE_PTRACE | CLONE_UNTRACED;

/* What Linux says of the flags themselves, whoever asks. */
static long check_clone_flags(uint64_t flags)
{
	if ((flags & (CLONE_NEWNS | CLONE_FS)) == (CLONE_NEWNS | CLONE_FS) ||
	    (flags & (CLONE_NEWUSER | CLONE_FS)) == (CLONE_NEWUSER | CLONE_FS))
		return -EINVAL;
	if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND))
		return -EINVAL;
	if (flags & CLONE_SIGHAND && !(flags & CLONE_VM))
		return -EINVAL;
	if (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID))
		return -EINVAL;
	if (flags & CLONE_PIDFD && flags & (CLONE_DETACHED | CLONE_THREAD))
		return -EINVAL;
	return flags & namespaces ? -EPERM : 0;
}

/* What the call was made with; NULL = no memory. */
static struct arch_regs *keep_registers(struct platform_task *pt)
{
	free(pt->before_clone);
	pt->before_clone = malloc(sizeof(*pt->before_clone));
	if (pt->before_clone)
		*pt->before_clone = *pt->regs;
	return pt->before_clone;
}

bool birth_restore(struct task *t)
{
	struct arch_regs regs, *before = t->platform->before_clone;
	uint64_t args[6];
	if (!before)
		return false;
	if (arch_get(t->host_tid, &regs) == 0) {
		arch_change_nr(&regs, arch_call_nr(before)); /* where the host is to restart it */
		arch_call_args(before, args);
		arch_change_args(&regs, args, CLONE_ARGS);
		(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	}
	free(before);
	t->platform->before_clone = NULL;
	return true;
}

/* Where the parent is told of a pidfd, which Linux tries before there is a child. */
static long check_pidfd_at(const struct task *t, uint64_t flags, uint64_t at)
{
	int there;
	if (!(flags & CLONE_PIDFD))
		return 0;
	return guest_get(t, &there, at) < 0 || guest_put(t, at, &there) < 0 ? -EFAULT : 0;
}

HANDLER(sys_clone)
{
	uint64_t flags = (uint32_t)c->args[0];
	struct platform_task *pt = t->platform;
	long r = check_clone_flags(flags);
	if (!r && flags & CLONE_PIDFD && flags & CLONE_PARENT_SETTID)
		r = -EINVAL; /* both would be told in the same place */
	if (!r)
		r = check_pidfd_at(t, flags, c->args[2]);
	if (!r && !keep_registers(pt))
		r = -ENOMEM;
	if (r)
		return r;
	pt->pidfd_at = flags & CLONE_PIDFD ? c->args[2] : 0;
	arch_change_args(pt->regs, &(uint64_t){flags & ~(ignored | CLONE_PIDFD)}, 1);
	return CALL_HOST;
}

/* clone3(2) grows by fields at the end; those that we do not know must be 0. */
static long read_args(const struct task *t, uint64_t at, uint64_t size, struct clone_args *ret)
{
	unsigned char bytes[PAGE];
	if (size > sizeof(bytes))
		return -E2BIG;
	if (size < SIZE_MIN)
		return -EINVAL;
	if (guest_read(t, bytes, at, size) < 0)
		return -EFAULT;
	for (size_t i = sizeof(*ret); i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, bytes, MIN_OF(size, sizeof(*ret)));
	return 0;
}

static long check_args(const struct clone_args *a)
{
	const uint64_t known = UINT32_MAX | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
	if ((a->set_tid == 0) != (a->set_tid_size == 0) || a->exit_signal > SIGNAL_MAX)
		return -EINVAL;
	if (a->flags & ~known || a->flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)))
		return -EINVAL;
	if ((a->flags & CLONE_SIGHAND && a->flags & CLONE_CLEAR_SIGHAND) ||
	    (a->flags & (CLONE_THREAD | CLONE_PARENT) && a->exit_signal))
		return -EINVAL;
	if ((a->stack == 0) != (a->stack_size == 0))
		return -EINVAL;
	/* A C library falls back to clone for the one; the others are for who is privileged. */
	if (a->flags & CLONE_CLEAR_SIGHAND)
		return -ENOSYS;
	return a->flags & (CLONE_INTO_CGROUP | CLONE_NEWTIME) || a->set_tid_size ? -EPERM : 0;
}

HANDLER(call_clone3)
{
	struct clone_args a;
	struct platform_task *pt = t->platform;
	long r = read_args(t, c->args[0], c->args[1], &a);
	if (!r)
		r = check_args(&a);
	if (!r)
		r = check_clone_flags(a.flags);
	if (!r)
		r = check_pidfd_at(t, a.flags, a.pidfd);
	if (!r && !keep_registers(pt))
		r = -ENOMEM;
	if (r)
		return r;
	pt->pidfd_at = a.flags & CLONE_PIDFD ? a.pidfd : 0;
	const uint64_t args[CLONE_ARGS] = {(a.flags & ~(ignored | CLONE_PIDFD)) | a.exit_signal,
					   a.stack ? a.stack + a.stack_size : 0, a.parent_tid, a.child_tid,
					   a.tls};
	arch_change_nr(pt->regs, SYS_clone);
	arch_change_args(pt->regs, args, CLONE_ARGS);
	return CALL_HOST;
}

void birth_finish(struct task *parent, struct task *child)
{
	struct platform_task *pt = parent->platform;
	uint64_t at = pt->pidfd_at;
	pt->pidfd_at = 0;
	if (pt->before_clone) {
		child->platform->before_clone = malloc(sizeof(*pt->before_clone));
		if (child->platform->before_clone)
			*child->platform->before_clone = *pt->before_clone;
		else
			platform_kill(child->process, SIGKILL);
	}
	if (!at)
		return;
	int fd = pidfd_install(parent, child->process, O_CLOEXEC);
	if (fd < 0)
		kernel_log("process %d has no descriptor for its child %d: %s", parent->tid, child->tid,
			   strerror(-fd));
	else if (guest_write(parent, at, &fd, sizeof(fd)) < 0)
		kernel_log("process %d cannot be told of a pidfd", parent->tid);
}

/* ---- how many a user may have ---- */

/*
 * A child is made natively, and nobody asks the sentry, until a limit is set: then its process gets one more
 * filter, which stops its births in the tracer.  Children have it from their parents, as they have the limit.
 */
static const struct sock_filter birth_insns[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fork, 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_vfork, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int birth_filter_install(void)
{
	struct sock_fprog program = {ARRAY_LEN(birth_insns), (struct sock_filter *)(uintptr_t)birth_insns};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

bool birth_counted_from_start(void)
{
	const struct oci_process *process = kernel.boot->config->process;

	for (size_t i = 0; process && i < process->rlimits.n; i++)
		if (procattr_rlimit_number(process->rlimits.v[i].type) == RLIMIT_NPROC)
			return true;
	return false;
}

static long births_counted(struct task *t, struct call *c unused, long result, uint64_t scratch unused)
{
	t->process->counted = result == 0;
	if (result)
		kernel_log("process %d: its children cannot be counted: %ld", t->process->pid, result);
	return 0;
}

long platform_count_births(struct task *t, struct call *c)
{
	struct {
		struct sock_fprog program;
		struct sock_filter insns[ARRAY_LEN(birth_insns)];
	} x = {.program = {.len = ARRAY_LEN(birth_insns)}};

	if (t->process->counted)
		return 0;
	/* The guest may write there before the host reads it, and so have any filter that it likes. */
	t->process->confined |= t->creds->euid != 0 && !creds_capable(t->creds, CAP_SYS_ADMIN);
	/* Where the program will stand (remote.c). */
	x.program.filter = (struct sock_filter *)(uintptr_t)(PLATFORM_SCRATCH + sizeof(x.program)); // NOLINT
	memcpy(x.insns, birth_insns, sizeof(x.insns));
	return platform_call(
		t, c, SYS_seccomp,
		(const uint64_t[6]){SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, PLATFORM_SCRATCH}, &x,
		sizeof(x), births_counted);
}

/* The machine's root is bound by nothing; that of a user namespace is somebody. */
static bool is_machines_root(uid_t uid)
{
	static int whole = -1;
	unsigned inside, outside, count;

	if (uid != 0)
		return false;
	if (whole < 0) {
		autofree char *map = NULL;

		whole = file_read_at(kernel.proc_fd, "self/uid_map", PAGE, &map, NULL) == 0 &&
			sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
			outside == 0 && count == UINT32_MAX;
	}
	return whole;
}

struct user_count {
	uid_t uid;
	size_t n, limit;
};

static int count_of_user(struct process *p, void *data)
{
	struct user_count *x = data;
	const struct task *t;

	list_each(t, &p->threads, struct task, in_process) x->n += t->creds && t->creds->uid == x->uid;
	return x->n > x->limit;
}

bool platform_too_many(const struct task *t, const struct creds *creds, size_t more)
{
	rlim_t limit = t->process->limits[RLIMIT_NPROC].rlim_cur;
	struct user_count x = {.uid = creds->uid, .n = more, .limit = (size_t)limit};

	if (limit == RLIM_INFINITY || is_machines_root(creds->uid))
		return false;
	return process_each(count_of_user, &x) != 0;
}

long birth_judge(struct task *t, long result)
{
	struct platform_task *pt = t->platform;
	int nr = t->call.nr;

	if (result != CALL_HOST || (nr != SYS_fork && nr != SYS_vfork && nr != SYS_clone && nr != SYS_clone3))
		return result;
	if (creds_capable(t->creds, CAP_SYS_RESOURCE) || creds_capable(t->creds, CAP_SYS_ADMIN) ||
	    !platform_too_many(t, t->creds, 1)) {
		t->too_many = false;
		return result;
	}
	if (pt->before_clone)
		*pt->regs = *pt->before_clone;
	free(pt->before_clone);
	pt->before_clone = NULL;
	pt->pidfd_at = 0;
	return -EAGAIN;
}
