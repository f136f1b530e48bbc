/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: what the filter does not let pass by itself.
 *
 * Files are mapped by the host: the stub is given a descriptor of the file
 * under the number that the guest uses, and then makes the very call that it
 * has made.  Nothing else in the stub can use that number: mmap with a
 * descriptor always comes here first.
 */
#include "sentry/file.h"
#include "sentry/platform/platform_int.h"
#include "sentry/sys/creds_int.h"

#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGE = 4096 };

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

bool stub_number(int fd)
{
	return fd == STUB_FD || fd == AREAS_FD || shadow_number(fd);
}

/* A thread that was interrupted meanwhile has nothing to be given to, and makes the call again. */
static int offer_fd(struct task *t, int host_fd, int as)
{
	int r = notify_add_fd(t->call.id, host_fd, as, true);
	return r == -ENOENT ? CALL_HOST : r;
}

/*
 * Numbers that are lent.  A table's `lent` are those that interrupted calls have left in the stub, `at_work`
 * those of calls that go on.  fork copies both with the stub's descriptors (a number that is given back
 * between the host's copy and ours stays in the child's stub, and harms nobody); execve, whose stub has
 * none, clears them; after unshare(CLONE_FILES) two tables share one stub's descriptors: each lends by
 * numbers that the host says are free, and only they are used.
 */
static void note_number(uint64_t *bits, int number, bool on)
{
	if (number < 0 || number >= SHADOW_NUMBERS)
		return;
	bits[number / 64] &= ~(UINT64_C(1) << number % 64);
	bits[number / 64] |= (uint64_t)on << number % 64;
}

/* A call has a mapping of its own under way by that number. */
static bool is_at_work(const struct shadows *s, int number)
{
	return number >= 0 && number < SHADOW_NUMBERS && s->at_work[number / 64] >> number % 64 & 1;
}

void platform_lent_ends(struct task *t, int number, bool stays)
{
	struct shadows *s = fd_table_shadows(t->files);
	note_number(s->at_work, number, false);
	/* Not where another program has been executed since: its stub does not have the number. */
	if (stays && !t->platform->dead && t->platform->stage == STAGE_GUEST && !fd_is_injected(t, number))
		note_number(s->lent, number, true);
}

/* A number that an interrupted call left in the stub, and that is nobody's; -1 = there is none. */
static int left_number(const struct task *t)
{
	const struct shadows *s = fd_table_shadows(t->files);
	for (unsigned i = 0; i < ARRAY_LEN(s->lent); i++)
		if (s->lent[i])
			return (int)(i * 64) + __builtin_ctzll(s->lent[i]);
	return -1;
}

int platform_inject(struct task *t, int host_fd, int as)
{
	if (stub_number(as))
		return -EBUSY;
	int r = offer_fd(t, host_fd, as);
	if (r < 0)
		return r;
	note_number(fd_table_shadows(t->files)->lent, as, false);
	if (fd_table_shadows(t->files)->left == as + 1)
		fd_table_shadows(t->files)->left = 0;
	fd_mark_injected(t, as);
	return 0;
}

int platform_lend(struct task *t, int host_fd)
{
	struct shadows *s = fd_table_shadows(t->files);
	int left = left_number(t), number = offer_fd(t, host_fd, left);
	if (number == AREAS_FD) /* it stays there, for who may be about to use it */
		number = offer_fd(t, host_fd, -1);
	if (number >= 0 && !shadow_number(number)) {
		note_number(s->lent, number, false);
		note_number(s->at_work, number, true);
	}
	if (number < 0 || !shadow_number(number))
		return number;
	shadow_put_nothing(t, number); /* the guest could read it */
	return -EMFILE;
}

static int may_map(const struct file *f, int prot, int type)
{
	if (type == MAP_SHARED && prot & PROT_WRITE && !file_can_write(f))
		return -EACCES;
	if (!file_can_read(f))
		return -EACCES;
	return f->ops->map ? 0 : -ENODEV;
}

static void drop_elsewhere(struct task *t, void *data)
{
	platform_lent_ends(t, (int)(uintptr_t)data, true);
}

static long elsewhere_closed(struct task *t, struct call *c, long result unused, uint64_t scratch unused)
{
	c->release = NULL;
	platform_lent_ends(t, (int)(uintptr_t)c->data, false);
	return (long)c->done;
}

static long elsewhere_mapped(struct task *t, struct call *c, long result, uint64_t scratch unused)
{
	c->done = (uint64_t)result;
	platform_next(t, SYS_close, (const uint64_t[6]){(uint64_t)(uintptr_t)c->data}, elsewhere_closed);
	return result;
}

/*
 * The number is the stub's own program's, or may become another file's before the host has looked: another
 * one is taken, and closed again by the mapping's end.
 */
static long map_elsewhere(struct task *t, struct call *c, int host_fd)
{
	int number = platform_lend(t, host_fd);
	if (number < 0)
		return number;
	uint64_t args[6];
	memcpy(args, c->args, sizeof(args));
	args[4] = (uint64_t)number;
	c->data = (void *)(uintptr_t)number; // NOLINT: a number
	c->release = drop_elsewhere;
	return platform_call(t, c, SYS_mmap, args, NULL, 0, elsewhere_mapped);
}

static long map_file(struct task *t, struct call *c)
{
	uint64_t len = c->args[1], offset = c->args[5], end;
	int prot = (int)c->args[2], flags = (int)c->args[3], fd = (int)c->args[4], type = flags & MAP_TYPE;
	if (offset % PAGE)
		return -EINVAL;
	struct file *f = fd_get(t, fd);
	if (!f)
		return -EBADF;
	if (flags & MAP_HUGETLB || len == 0)
		return -EINVAL;
	if (len > UINT64_MAX - PAGE + 1)
		return -ENOMEM;
	len = (len + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (__builtin_add_overflow(offset, len, &end))
		return -EOVERFLOW;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	int r = may_map(f, prot, type == MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED);
	if (r)
		return r;
	int host_fd = f->ops->map(f, prot, flags);
	if (host_fd < 0)
		return host_fd;
	if (stub_number(fd) || fd_table_shadows(t->files)->split ||
	    is_at_work(fd_table_shadows(t->files), fd))
		return map_elsewhere(t, c, host_fd);
	r = platform_inject(t, host_fd, fd);
	return r ? r : CALL_HOST;
}

HANDLER(sys_mmap)
{
	int flags = (int)c->args[3];
	if (!(flags & MAP_ANONYMOUS))
		return map_file(t, c);
	if (c->args[5] % PAGE)
		return -EINVAL;
	if (!(flags & MAP_HUGETLB))
		return CALL_HOST;
	/* There are two sizes, and 0 is the smaller; of none are any reserved. */
	unsigned size = (unsigned)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
	return size == 0 || size == 21 || size == 30 ? -ENOMEM : -EINVAL;
}

HANDLER(sys_madvise)
{
	(void)t;
	switch ((int)c->args[2]) {
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

HANDLER(sys_futex)
{
	(void)t;
	(void)c;
	return -ENOSYS;
}

HANDLER(sys_arch_prctl)
{
	(void)t;
	(void)c;
	return -EINVAL;
}

/* The host answers: all stubs are one user to it, so that who may ask is decided here. */
HANDLER(sys_get_robust_list)
{
	const struct task *of = c->args[0] ? task_find((pid_t)c->args[0]) : t;

	if (!of)
		return -ESRCH;
	return may_inspect(t, of) ? CALL_HOST : -EPERM;
}
