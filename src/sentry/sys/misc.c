/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that fit nowhere else: namespaces, personality, another process's memory, comparing, the kernel's
 * log. */
#include "sentry/task.h"
#include "sentry/file.h"
#include "sentry/guest.h"
#include "sentry/proc/namespaces.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/pidfd.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <sys/syscall.h>

/*
 * Namespaces are answered as a kernel does that lets nobody unprivileged make one.  What only unshares within
 * the process works: descriptors and file-system context are the sentry's, semaphore adjustments follow.
 */
HANDLER(sys_unshare)
{
	const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | 0x80 /* CLONE_NEWTIME */;
	const uint64_t one_thread = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
	uint64_t flags = c->args[0];
	struct fs_context *fs = NULL;

	if (flags & ~(namespaces | one_thread | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM))
		return -EINVAL;
	if (flags & one_thread && t->process->threads.next != t->process->threads.prev)
		return -EINVAL;
	if (flags & namespaces)
		return -EPERM;
	if (flags & CLONE_FS && t->fs->refs > 1) {
		fs = fs_copy(t->fs);
		if (!fs)
			return -ENOMEM;
	}
	if (flags & CLONE_FILES && fd_table_split(t) < 0) {
		if (fs)
			fs_unref(fs);
		return -ENOMEM;
	}
	if (fs) {
		fs_unref(t->fs);
		t->fs = fs;
	}
	return 0;
}

/*
 * Who enters a tree of mounts, be it the same, begins at its root: as Linux has it not with others who share
 * where it is, if that is all to be entered, and with them if there is more.  It fails before it changes
 * anything, and nothing else is changed by setns: so all are entered, or none.
 */
static int enter_mounts(struct task *t, bool alone)
{
	struct fs_context *fs;

	if (alone && t->fs->refs > 1)
		return -EINVAL;
	fs = fs_new();
	if (!fs)
		return -ENOMEM;
	place_unref(t->fs->root);
	place_unref(t->fs->cwd);
	t->fs->root = take_ptr(&fs->root);
	t->fs->cwd = take_ptr(&fs->cwd);
	fs_unref(fs);
	return 0;
}

/* Each one that there is to enter is the caller's already; who may is looked at first, for all of them. */
HANDLER(sys_setns)
{
	const struct file *f = fd_get(t, (int)c->args[0]);
	int wanted = (int)c->args[1], type;
	long r;

	if (!f)
		return -EBADF;
	type = namespace_type(f);
	if (type && wanted && wanted != type)
		return -EINVAL;
	r = type ? namespaces_enter(t, type) : pidfd_enter(t, f, wanted);
	if (!type)
		type = wanted;
	if (r == 0 && type & CLONE_NEWNS)
		r = enter_mounts(t, type == CLONE_NEWNS);
	return r;
}

/* Whatever it is, it is the host's own to act on: where the stub's memory is mapped, what uname says. */
HANDLER(sys_personality)
{
	return CALL_HOST;
}

/* ---- another process's memory ---- */

enum { VM_PIECE = 16384 };

static long vm_copy(struct io *local, struct io *remote, bool write)
{
	autofree char *piece = malloc(VM_PIECE);
	struct io *from = write ? local : remote, *to = write ? remote : local;
	size_t total = 0;

	if (!piece)
		return -ENOMEM;
	while (local->left && remote->left) {
		size_t want = MIN_OF(MIN_OF(local->left, remote->left), (size_t)VM_PIECE);
		ssize_t n = io_get(from, piece, want);
		ssize_t m = n > 0 ? io_put(to, piece, (size_t)n) : n;

		if (m <= 0)
			return total ? (long)total : -EFAULT;
		total += (size_t)m;
		if (m < n || (size_t)n < want)
			break;
	}
	return (long)total;
}

static long process_vm(struct task *t, const struct call *c, bool write)
{
	struct task *other;
	struct io local, remote;
	long r;

	if (c->args[5])
		return -EINVAL;
	r = io_begin_vector(&local, t, c->args[1], c->args[2]);
	if (r < 0)
		return r;
	/* The remote vector stands in the caller's memory, and its pieces in the other's. */
	r = io_begin_vector(&remote, t, c->args[3], c->args[4]);
	if (r < 0) {
		io_end(&local);
		return r;
	}
	other = task_find((pid_t)c->args[0]);
	if (!other)
		r = -ESRCH;
	else if (!may_inspect(t, other))
		r = -EPERM;
	else {
		remote.task = other;
		r = vm_copy(&local, &remote, write);
	}
	io_end(&remote);
	io_end(&local);
	return r;
}

HANDLER(sys_process_vm_readv)
{
	return process_vm(t, c, false);
}

HANDLER(sys_process_vm_writev)
{
	return process_vm(t, c, true);
}

/* Order of addresses: stable as long as both live, which is all that kcmp promises. */
static long compare_addresses(const void *a, const void *b)
{
	return (uintptr_t)a == (uintptr_t)b ? 0 : (uintptr_t)a < (uintptr_t)b ? 1 : 2;
}

HANDLER(sys_kcmp)
{
	const struct task *a = task_find((pid_t)c->args[0]), *b = task_find((pid_t)c->args[1]);
	const struct file *fa, *fb;

	if (!a || !b)
		return -ESRCH;
	if (!may_inspect(t, a) || !may_inspect(t, b))
		return -EPERM;
	switch ((int)c->args[2]) {
	case KCMP_FILE:
		fa = fd_table_get(a->files, (int)c->args[3]);
		fb = fd_table_get(b->files, (int)c->args[4]);
		return fa && fb ? compare_addresses(fa, fb) : -EBADF;
	case KCMP_FILES:
		return compare_addresses(a->files, b->files);
	case KCMP_FS:
		return compare_addresses(a->fs, b->fs);
	case KCMP_VM:
	case KCMP_SIGHAND:
	case KCMP_IO: {
		long r = syscall(SYS_kcmp, a->host_tid, b->host_tid, (int)c->args[2], 0, 0);

		return r < 0 ? -errno : r;
	}
	case KCMP_SYSVSEM:
		return compare_addresses(a->process, b->process);
	default:
		return -EINVAL;
	}
}

HANDLER(sys_syslog)
{
	int type = (int)c->args[0];

	if (type < 0 || type > 10)
		return -EINVAL;
	/* The host's messages are none of the guest's: an empty buffer for who may ask at all. */
	if (!task_capable(t, CAP_SYSLOG))
		return -EPERM;
	return 0;
}
