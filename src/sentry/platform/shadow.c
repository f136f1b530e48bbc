/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shadows: descriptors of the stub, on which the guest reads regular files by
 * itself.
 *
 * The shadow of descriptor N is number SHADOW_BASE + N in the stub, and is the
 * very open file description that the sentry has: position, flags, locks and
 * all are one.  The filter lets read, pread64 and lseek pass for these numbers,
 * where the first argument has SHADOW_MARK in its upper half, which the host
 * does not look at and no program has there; only slots (site.h) do.
 *
 * What is at the number decides, not what a slot believes: where nothing is,
 * the host says EBADF, and the slot makes the call that the program has made.
 * So it is enough that the shadow goes before its descriptor is another file's:
 * close and dup2 put a descriptor in its place that can do nothing.  Where that
 * fails, since the thread that closes was interrupted, the slots are told to
 * ask; the same where a child may have copied the stub's descriptors at a
 * moment that nobody knows.
 */
#include "sentry/file.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"

#include "base/err.h"
#include "base/fd.h"

#include <sched.h>
#include <sys/mman.h>

static int nothing = -1; /* O_PATH: EBADF to all that the filter lets pass */

int shadow_init(struct err *err)
{
	char name[16];
	if (!patch_wants_files())
		return 0;
	autoclose int fd = memfd_create("nothing", MFD_CLOEXEC);
	(void)snprintf(name, sizeof(name), "%d", fd);
	nothing = fd < 0 ? -1 : openat(kernel.self_fd_fd, name, O_PATH | O_CLOEXEC);
	return nothing < 0 ? err_sys(err, "cannot make a descriptor for closed files") : 0;
}

bool shadow_number(int fd)
{
	return fd >= SHADOW_BASE && fd < SHADOW_BASE + SHADOW_MAX;
}

struct table_users {
	const struct task *of;
	bool one_memory;
};

static int look_at_users(struct process *p, void *data)
{
	struct table_users *x = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		if (t->files == x->of->files)
			x->one_memory &= t->platform->patches == x->of->platform->patches;
	}
	return 0;
}

void shadow_asked(struct task *t, int fd)
{
	struct file *f = fd_get(t, fd);
	struct shadows *s = fd_table_shadows(t->files);
	struct table_users x = {t, true};
	if (nothing < 0 || s->off || !f || !f->ops->native || !fd_is_hot(t, fd) || !patch_is_private(t))
		return;
	(void)process_each(look_at_users, &x); /* visits all */
	int host_fd = x.one_memory ? f->ops->native(f) : -1;
	if (host_fd < 0 || notify_add_fd(t->call.id, host_fd, SHADOW_BASE + fd, true) < 0)
		return;
	s->may_be[fd / 64] |= UINT64_C(1) << fd % 64;
	(void)patch_set_native(t, fd, true); /* else it goes on asking */
}

void shadow_put_nothing(struct task *t, int number)
{
	(void)notify_add_fd(t->call.id, nothing, number,
			    true); /* the thread is ours to answer yet, or ends */
}

void platform_fd_changed(struct task *t, int fd)
{
	struct shadows *s = fd_table_shadows(t->files);
	if (fd >= SHADOW_MAX || !(s->may_be[fd / 64] >> fd % 64 & 1))
		return;
	if (notify_add_fd(t->call.id, nothing, SHADOW_BASE + fd, true) >= 0)
		s->may_be[fd / 64] &= ~(UINT64_C(1) << fd % 64);
	else
		(void)patch_set_native(t, fd, false); /* it cannot go wrong: it would be the process's end */
}

void shadow_birth(struct task *parent, struct task *child, uint64_t clone_flags)
{
	if (clone_flags & CLONE_FILES && !(clone_flags & CLONE_VM))
		fd_table_shadows(parent->files)->off = true;
	else if (clone_flags & CLONE_FILES || !fd_table_is_shared(parent->files))
		return;
	/* Of what other threads did to the table meanwhile the child's copy may know nothing. */
	patch_forget_native(child);
	if (clone_flags & CLONE_FILES)
		patch_forget_native(parent);
}
