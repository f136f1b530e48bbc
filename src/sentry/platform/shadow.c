/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shadows: descriptors of the stub, on which the guest reads and writes regular
 * files and uses sockets by itself.
 *
 * The shadow of descriptor N is number SHADOW_BASE + SHADOW_MAX * kind + N in
 * the stub, and is the very open file description that the sentry has:
 * position, flags, locks and all are one.  The filter lets the calls of the
 * kind pass for these numbers, where the first argument has SHADOW_MARK in its
 * upper half, which the host does not look at and no program has there; only
 * slots (site.h) do.
 *
 * What is at the number decides, not what a slot believes: where nothing is,
 * the host says EBADF, and the slot makes the call that the program has made.
 * So it is enough that the shadow goes before its descriptor is another file's:
 * close and dup2 put a descriptor in its place that can do nothing, and since
 * one can seek in that, slots are told to ask for files.  Where the thread that closes has been interrupted,
 * it makes its call anew: it might sleep in the host next, and would keep a connection or pipe open.  Where
 * it fails otherwise, slots are told for all; the same where a child may have copied the
 * stub's descriptors at a moment that nobody knows.  Such *stale* ones go with the next call that traps.
 *
 * A file that is written so has a shadow of its own for that, beside the one
 * for reading: the host judges a writer by the stub's rights, so that it is
 * given only where these come to the same as the guest's, and is taken when
 * that may change (may_write_itself, platform_writes_end).
 */
#include "sentry/file.h"
#include "sentry/fs/tree.h"
#include "sentry/io/io.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"
#include "sentry/sys/creds_int.h"

#include "base/err.h"
#include "base/fd.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

/*
 * A file that is open neither for reading nor for writing (an O_PATH one cannot be given to anybody): EBADF
 * to all that the filter lets pass but lseek, and ENOTSOCK to the calls of sockets.
 */
static int nothing = -1;
enum { NO_ACCESS = O_ACCMODE };

int shadow_init(struct err *err)
{
	char name[16];
	autoclose int fd = memfd_create("nothing", MFD_CLOEXEC);
	(void)snprintf(name, sizeof(name), "%d", fd);
	nothing = fd < 0 ? -1 : openat(kernel.self_fd_fd, name, NO_ACCESS | O_CLOEXEC);
	return nothing < 0 ? err_sys(err, "cannot make a descriptor for closed files") : 0;
}

bool shadow_number(int fd)
{
	return fd >= SHADOW_BASE && fd < SHADOW_BASE + SHADOW_ALL;
}

struct table_users {
	const struct task *of;
	const struct file *written; /* NULL = it is not to be written */
	bool one_memory, may_write;
};

/*
 * Whether a write by the stub comes to the same as the sentry's for this thread.  The stub has no limit of
 * the guest's, and no capability: CAP_SYS_RESOURCE is above quotas.
 */
static bool may_write_itself(const struct task *t, const struct file *f)
{
	return t->process->limits[RLIMIT_FSIZE].rlim_cur == RLIM_INFINITY &&
	       !task_capable(t, CAP_SYS_RESOURCE) && hostfile_judges_alike(f, t->creds->fsuid);
}

static int look_at_users(struct process *p, void *data)
{
	struct table_users *x = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		if (t->files == x->of->files) {
			x->one_memory &= t->platform->patches == x->of->platform->patches;
			x->may_write = x->may_write && may_write_itself(t, x->written);
		}
	}
	return 0;
}

static unsigned kind_index(unsigned kind, int fd)
{
	return kind * SHADOW_MAX + (unsigned)fd;
}

/* Numbers that a set of epoll knows sockets by must be nobody's in the sentry, either. */
enum { SOCKETS = SHADOW_BASE + SHADOW_SOCKET * SHADOW_MAX };

/* One that is taken, which is rare so far up, or that the limit is below: sets are the sentry's alone. */
static bool reserve_numbers(void)
{
	for (int fd = SOCKETS; fd < SOCKETS + SHADOW_MAX; fd++) {
		int got = fcntl(nothing, F_DUPFD_CLOEXEC, fd); /* no other thread's meanwhile */
		if (got == fd)
			continue;
		if (got >= 0)
			(void)close(got);
		while (--fd >= SOCKETS)
			(void)close(fd);
		return false;
	}
	return true;
}

/* By the first that asks: few sandboxes have such sets, and a start shall not pay for it. */
static bool is_reserved(void)
{
	static enum { UNTRIED, RESERVED, REFUSED } state;
	if (state == UNTRIED)
		state = reserve_numbers() ? RESERVED : REFUSED;
	return state == RESERVED;
}

/* Of what that call would be made on. */
static unsigned call_kind(const struct file *f, int nr)
{
	return f->ops->kind == SHADOW_FILE && site_kinds(nr) & 1 << SHADOW_WRITTEN ? SHADOW_WRITTEN
										   : f->ops->kind;
}

/* The file that a call's first argument names, where the call is one of its kind; or NULL. */
static struct file *file_of_call(const struct task *t)
{
	const struct call *c = &t->call;
	unsigned kinds = site_kinds(c->nr);
	struct file *f =
		patch_wants_files() && kinds && c->args[0] < SHADOW_MAX ? fd_get(t, (int)c->args[0]) : NULL;
	if (!f || !f->ops->native)
		return NULL;
	unsigned kind = call_kind(f, c->nr);
	if (!(kinds >> kind & 1) || (kind == SHADOW_EPOLL && !is_reserved()) ||
	    (kind == SHADOW_WRITTEN && !(hostfile_is_regular(f) && file_can_write(f))))
		return NULL;
	return f->ops->native(f) >= 0 ? f : NULL;
}

bool shadow_is_possible(const struct task *t)
{
	return file_of_call(t);
}

static bool bit_is_set(const uint64_t *bits, unsigned i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void set_bit(uint64_t *bits, unsigned i, bool on)
{
	bits[i / 64] = (bits[i / 64] & ~(UINT64_C(1) << i % 64)) | (uint64_t)on << i % 64;
}

enum { WRITES_AGAIN = 256 };

/*
 * Whether nobody has looked whether that file may be written so, since it has the number or for some time; or
 * it may, and slots ask all the same: a vfork's child, which has the memory too, has closed it.
 */
static bool is_to_be_judged(struct shadows *s, int fd)
{
	if (s->again && --s->again == 0)
		memset(s->judged, 0, sizeof(s->judged));
	return !bit_is_set(s->judged, (unsigned)fd) || bit_is_set(s->may_be, kind_index(SHADOW_WRITTEN, fd));
}

bool shadow_is_due(const struct task *t)
{
	const struct file *f = file_of_call(t);
	struct shadows *s = fd_table_shadows(t->files);
	return f && !s->off && call_kind(f, t->call.nr) == SHADOW_WRITTEN &&
	       is_to_be_judged(s, (int)t->call.args[0]);
}

void shadow_asked(struct task *t)
{
	int fd = (int)t->call.args[0];
	struct file *f = file_of_call(t);
	struct shadows *s = fd_table_shadows(t->files);
	struct file_id id;
	if (!patch_wants_files() || s->off || !f || !fd_is_hot(t, fd))
		return;
	bool writes = call_kind(f, t->call.nr) == SHADOW_WRITTEN;
	struct table_users x = {t, writes ? f : NULL, true, writes};
	if (writes && !is_to_be_judged(s, fd))
		return;
	if (writes)
		set_bit(s->judged, (unsigned)fd, true);
	if (!patch_is_private(t) || epoll_has_proxy(f))
		return;
	(void)process_each(look_at_users, &x); /* visits all */
	if (!x.one_memory || x.may_write != writes)
		return;
	unsigned i = kind_index(call_kind(f, t->call.nr), fd);
	f->natively = true;
	if (writes)
		hostfile_written_natively(f, true);
	else if (hostfile_id(f, &id))
		tree_read_natively(&id, t->files);
	bool pollable = f->ops->pollable; /* a socket, and no pipe */
	if (!pollable && f->ops->kind == SHADOW_SOCKET)
		(void)patch_set_native(t, SHADOW_POLLABLE + (unsigned)fd, false); /* as in shadow_take */
	if ((f->ops->set_flags && f->ops->set_flags(f, f->flags) < 0) ||
	    notify_add_fd(t->call.id, f->ops->native(f), (int)(SHADOW_BASE + i), true) < 0)
		return;
	set_bit(s->may_be, i, true);
	(void)patch_set_native(t, i, true); /* else it goes on asking */
	if (pollable)
		(void)patch_set_native(t, SHADOW_POLLABLE + (unsigned)fd, true); /* as before */
}

void shadow_put_nothing(struct task *t, int number)
{
	(void)notify_add_fd(t->call.id, nothing, number,
			    true); /* the thread is ours to answer yet, or ends */
}

/*
 * To take a descriptor from a stub costs as much as a call, and most that were mapped and are closed are
 * libraries, one after the other under the same number: so the last one stays, where it is harmless.
 */
void platform_left(struct task *t, int fd, bool at_once)
{
	struct shadows *s = fd_table_shadows(t->files);
	int before = s->left - 1;
	if (at_once && notify_add_fd(t->call.id, nothing, fd, true) >= 0)
		return;
	s->left = fd + 1;
	if (before >= 0 && before != fd)
		shadow_put_nothing(t, before);
}

/* Puts nothing in its place, or says -errno. */
static int replace_shadow(const struct task *t, unsigned i)
{
	return notify_add_fd(t->call.id, nothing, (int)(SHADOW_BASE + i), true);
}

/* The stub's descriptor has gone; where it could not be reached now, it goes later. */
static void shadow_goes(struct task *t, struct shadows *s, unsigned i, bool gone)
{
	struct file *f = fd_table_get(t->files, (int)(i % SHADOW_MAX));
	struct file_id id;
	if (i / SHADOW_MAX == SHADOW_WRITTEN && f && hostfile_id(f, &id) && !patch_is_alone(t))
		tree_may_be_written(&id); /* by another thread, in a call that goes on */
	set_bit(s->may_be, i, false);
	set_bit(s->stale, i, !gone);
	set_bit(s->gone, i, true);
	s->any_stale |= !gone;
	if (!gone || i / SHADOW_MAX == SHADOW_FILE || i / SHADOW_MAX == SHADOW_WRITTEN)
		(void)patch_set_native(t, i, false); /* it cannot go wrong: it would be the process's end */
	if (!gone)
		patch_forget_native(
			t); /* the next call traps, and the shadow goes then: it may keep a pipe open */
}

static void shadow_take(struct task *t, struct shadows *s, unsigned i)
{
	shadow_goes(t, s, i, replace_shadow(t, i) >= 0);
}

static bool is_set(const struct shadows *s, unsigned i)
{
	return (s->may_be[i / 64] | s->stale[i / 64]) >> i % 64 & 1;
}

bool shadow_may_be(const struct task *t, int fd)
{
	const struct shadows *s = fd_table_shadows(t->files);
	bool any = false;
	for (unsigned i = (unsigned)fd; fd >= 0 && fd < SHADOW_MAX && i < SHADOW_ALL; i += SHADOW_MAX)
		any |= is_set(s, i);
	return any;
}

/* The number has another file, which nobody has looked at. */
static void forget_judgement(struct shadows *s, int fd)
{
	if (fd >= 0 && fd < SHADOW_MAX)
		set_bit(s->judged, (unsigned)fd, false);
}

void platform_fd_changed(struct task *t, int fd)
{
	struct shadows *s = fd_table_shadows(t->files);
	forget_judgement(s, fd);
	for (unsigned i = (unsigned)fd; fd < SHADOW_MAX && i < SHADOW_ALL; i += SHADOW_MAX)
		if (is_set(s, i))
			shadow_take(t, s, i);
}

bool platform_fd_goes(struct task *t, int fd)
{
	struct shadows *s = fd_table_shadows(t->files);
	forget_judgement(s, fd);
	for (unsigned i = (unsigned)fd; fd < SHADOW_MAX && i < SHADOW_ALL; i += SHADOW_MAX) {
		int r = is_set(s, i) ? replace_shadow(t, i) : -EBADF;
		if (r == -ENOENT)
			return false;
		if (r != -EBADF)
			shadow_goes(t, s, i, r >= 0);
	}
	return true;
}

bool platform_take_shadows(struct task *t)
{
	struct shadows *s = fd_table_shadows(t->files);
	if (s->off || fd_table_is_shared(t->files) || !patch_is_alone(t))
		return false;
	for (unsigned i = 0; i < SHADOW_MAX; i++)
		if (is_set(s, i))
			shadow_take(t, s, i);
	return !s->any_stale;
}

void shadow_tidy(struct task *t)
{
	struct shadows *s = fd_table_shadows(t->files);
	if (!s->any_stale)
		return;
	s->any_stale = false;
	for (unsigned i = 0; i < SHADOW_ALL; i++)
		if (s->stale[i / 64] >> i % 64 & 1)
			shadow_take(t, s, i);
}

/* Of a thread that may be anywhere: its slots use it no more. */
static void shadow_is_stale(struct task *t, struct shadows *s, unsigned i)
{
	(void)patch_set_native(t, i, false); /* it cannot go wrong, as above */
	set_bit(s->may_be, i, false);
	set_bit(s->stale, i, true);
	set_bit(s->gone, i, true);
	s->any_stale = true;
}

bool shadow_stale(struct task *t, const struct file *f)
{
	struct shadows *s = fd_table_shadows(t->files);
	unsigned first = kind_index(f->ops->kind, 0);
	bool any = false;
	for (int fd = 0; fd < SHADOW_MAX; fd++) {
		unsigned i = first + (unsigned)fd;
		any |= s->gone[i / 64] >> i % 64 & 1; /* who waits there does so after a close, too */
		if (!is_set(s, i) || fd_table_get(t->files, fd) != f)
			continue;
		shadow_is_stale(t, s, i);
		any = true;
	}
	return any;
}

static int find_writer(struct process *p, void *data)
{
	const struct file *f = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		const struct shadows *s = fd_table_shadows(t->files);
		for (int fd = 0; fd < SHADOW_MAX; fd++)
			if (is_set(s, kind_index(SHADOW_WRITTEN, fd)) && fd_table_get(t->files, fd) == f)
				return 1;
	}
	return 0;
}

void platform_take_writes(struct task *t, const struct file_id *id)
{
	struct shadows *s = fd_table_shadows(t->files);
	struct file_id its;
	if (s->off || fd_table_is_shared(t->files) || !patch_is_alone(t))
		return;
	for (int fd = 0; fd < SHADOW_MAX; fd++) {
		struct file *f = fd_table_get(t->files, fd);
		if (!f || !hostfile_id(f, &its) || !file_id_is(&its, id) || !f->natively)
			continue;
		unsigned i = kind_index(SHADOW_WRITTEN, fd);
		int r = is_set(s, i) ? replace_shadow(t, i) : -EBADF;
		if (r == -ENOENT) /* interrupted, or no more */
			return;
		if (r != -EBADF)
			shadow_goes(t, s, i, r >= 0);
		if (!process_each(find_writer, f))
			hostfile_written_natively(f, false);
		s->again = WRITES_AGAIN;
	}
}

static int end_writes(struct process *p, void *data)
{
	struct task *caller = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		struct shadows *s = fd_table_shadows(t->files);
		for (int fd = 0; fd < SHADOW_MAX; fd++)
			if (bit_is_set(s->may_be, kind_index(SHADOW_WRITTEN, fd)))
				shadow_is_stale(t->platform->patches == caller->platform->patches ? caller
												  : t,
						s, kind_index(SHADOW_WRITTEN, fd));
		memset(s->judged, 0, sizeof(s->judged));
	}
	return 0;
}

void platform_writes_end(struct task *t, struct process *of)
{
	if (of)
		(void)end_writes(of, t);
	else
		(void)process_each(end_writes, t); /* visits all */
	creds_assume(t->creds);			   /* for other processes' memory others were worn */
	shadow_tidy(t);
}

/* ---- sets of epoll ---- */

int platform_epoll_ctl(int set, int op, int fd, int host_fd, struct epoll_event *e)
{
	int number = SOCKETS + fd, r;
	if (fd < 0 || fd >= SHADOW_MAX || dup3(host_fd, number, O_CLOEXEC) < 0)
		return -ENOMEM;
	r = epoll_ctl(set, op, number, e) < 0 ? -errno : 0;
	(void)dup3(nothing, number, O_CLOEXEC); /* cannot fail: the number is in use */
	return r;
}

int platform_shadow_fd(int number)
{
	return number >= SOCKETS && number < SOCKETS + SHADOW_MAX ? number - SOCKETS : -1;
}

FILE *platform_fdinfo(int host_fd)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "self/fdinfo/%d", host_fd);
	creds_assume(NULL);
	autoclose int fd = openat(kernel.proc_fd, path, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	if (f)
		fd = -1;
	else
		kernel_log("cannot read what a set of epoll has: %s", err_text(errno));
	return f;
}

void shadow_birth(struct task *parent, struct task *child, uint64_t clone_flags)
{
	struct shadows *s = fd_table_shadows(child->files);
	if (child->files != parent->files)
		tree_shadows_copied(parent->files);
	if (clone_flags & CLONE_FILES && !(clone_flags & CLONE_VM))
		fd_table_shadows(parent->files)->off = true;
	else if (clone_flags & CLONE_FILES || !fd_table_is_shared(parent->files))
		return;
	/* Of what other threads did to the table meanwhile the child's copy may know nothing. */
	patch_forget_native(child);
	if (clone_flags & CLONE_FILES) {
		patch_forget_native(parent);
		return;
	}
	memset(s->judged, 0, sizeof(s->judged)); /* it is given its own */
	for (size_t i = 0; i < ARRAY_LEN(s->stale); i++) {
		s->stale[i] |= s->may_be[i] | s->gone[i];
		s->may_be[i] = 0;
		s->any_stale |= s->stale[i] != 0;
	}
}
