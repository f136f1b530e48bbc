/* SPDX-License-Identifier: Apache-2.0 */
/* The tree's generation (fs/tree.h). */
#include "sentry/fs/tree.h"
#include "sentry/fs/host.h"
#include "sentry/numbers.h"
#include "sentry/platform/platform.h"
#include "sentry/wait.h"

#include "base/err.h"
#include "base/fd.h"

#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

enum {
	TREE_FILES = 1024, /* a power of two: files are told apart by a hash, which is enough to be careful */
	TREE_WRITES = 1000000000 /* ns */
};

static struct {
	_Atomic uint64_t *generation; /* NULL = nothing is known */
	int fd;
	uint64_t mount;	  /* STATX_MNT_ID of the root */
	bool ever_reads;  /* noatime, read-only: reading changes nothing; else relatime */
	unsigned changes; /* under way */
	bool any_shadows;
	struct kernel_timer stale;
	struct {
		uint64_t known, unread; /* generation of an answer about it; ... that a read would change */
		unsigned writes, reads; /* under way */
		bool natively, shared;
		unsigned writers;   /* descriptions that guests write to by themselves */
		int64_t quiet_from; /* monotonic: a write by one that was closed may have lasted until then */
		const struct fd_table *shadows; /* whose; with `natively`: others read it, too */
	} files[TREE_FILES];
} tree = {.fd = -1};

static void forget_all(struct kernel_timer *timer unused)
{
	(*tree.generation)++;
}

static bool mount_number(int dirfd, const char *path, uint64_t *ret)
{
	struct statx x;

	if (statx(dirfd, path, AT_EMPTY_PATH, STATX_MNT_ID, &x) < 0 || !(x.stx_mask & STATX_MNT_ID))
		return false;
	*ret = x.stx_mnt_id;
	return true;
}

int tree_init(struct err *err)
{
	struct statvfs v;
	void *page;

	/* With strict access times every look-up of a link or a directory changes something. */
	if (fstatvfs(kernel.root_fd, &v) < 0 || !(v.f_flag & (ST_NOATIME | ST_RELATIME | ST_RDONLY)) ||
	    !mount_number(kernel.root_fd, "", &tree.mount))
		return 0;
	tree.ever_reads = v.f_flag & (ST_NOATIME | ST_RDONLY);
	/* /proc/PID/maps does not show what has this name. */
	autoclose int fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, TREE_PAGE) < 0)
		return err_sys(err, "cannot make the page of the tree's generation");
	page = mmap(NULL, TREE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return err_sys(err, "cannot map the tree's generation");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0)
		tree.fd = openat(kernel.self_fd_fd, fd_name(fd).text, O_RDONLY | O_CLOEXEC);
	if (tree.fd < 0) {
		(void)munmap(page, TREE_PAGE);
		return err_sys(err, "cannot seal the tree's generation");
	}
	tree.generation = page;
	*tree.generation = 1;
	tree.stale.fire = forget_all;
	return 0;
}

int tree_fd(void)
{
	return tree.fd;
}

uint64_t tree_generation(void)
{
	return tree.generation && !tree.changes ? *tree.generation : 0;
}

bool tree_is_still(uint64_t generation)
{
	return generation && tree_generation() == generation;
}

void tree_change_begin(void)
{
	if (!tree.generation)
		return;
	tree.changes++;
	(*tree.generation)++;
}

void tree_change_end(void)
{
	if (!tree.generation)
		return;
	tree.changes--;
	(*tree.generation)++;
}

static bool open_changes(uint64_t flags)
{
	return flags & (O_ACCMODE | O_CREAT | O_TRUNC);
}

static bool call_changes_files(const struct call *c)
{
	switch (c->nr) {
	case SYS_open:
		return open_changes(c->args[1]);
	case SYS_openat:
		return open_changes(c->args[2]);
	/* Names. */
	case SYS_openat2:
	case SYS_creat:
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_unlinkat:
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_link:
	case SYS_linkat:
	case SYS_symlink:
	case SYS_symlinkat:
	case SYS_mknod:
	case SYS_mknodat:
	case SYS_bind:
	/* What files are. */
	case SYS_chmod:
	case SYS_fchmod:
	case SYS_fchmodat:
	case SYS_fchmodat2:
	case SYS_chown:
	case SYS_fchown:
	case SYS_lchown:
	case SYS_fchownat:
	case SYS_utime:
	case SYS_utimes:
	case SYS_futimesat:
	case SYS_utimensat:
	case SYS_setxattr:
	case SYS_lsetxattr:
	case SYS_fsetxattr:
	case SYS_setxattrat:
	case SYS_removexattr:
	case SYS_lremovexattr:
	case SYS_fremovexattr:
	case SYS_removexattrat:
	case SYS_truncate:
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_sendfile:
	case SYS_splice:
	case SYS_copy_file_range:
	/* What they occupy: many a file system finds room for data when they are written back. */
	case SYS_sync:
	case SYS_syncfs:
	case SYS_sync_file_range:
		return true;
	case SYS_fadvise64:
		return (int)c->args[3] == POSIX_FADV_DONTNEED;
	case SYS_ioctl:
		return (unsigned)c->args[1] == FS_IOC_SETFLAGS;
	default:
		return false;
	}
}

/* Who asks, and from where. */
static bool call_changes_asker(int nr)
{
	switch (nr) {
	case SYS_chdir:
	case SYS_fchdir:
	case SYS_chroot:
	case SYS_pivot_root:
	case SYS_mount:
	case SYS_umount2:
	case SYS_unshare:
	case SYS_setns:
	case SYS_setuid:
	case SYS_setgid:
	case SYS_setreuid:
	case SYS_setregid:
	case SYS_setresuid:
	case SYS_setresgid:
	case SYS_setfsuid:
	case SYS_setfsgid:
	case SYS_setgroups:
	case SYS_capset:
	case SYS_prctl:
		return true;
	default:
		return false;
	}
}

bool tree_call_changes(const struct call *c)
{
	return call_changes_files(c) || call_changes_asker(c->nr);
}

/* ---- single files ---- */

static unsigned tree_hash(const struct file_id *id)
{
	uint64_t x = (uint64_t)id->ino * UINT64_C(0x9e3779b97f4a7c15) + id->dev;

	return (unsigned)(x >> 32) % TREE_FILES;
}

static void forget_if(uint64_t generation)
{
	if (tree.generation && *tree.generation == generation)
		forget_all(NULL);
}

void tree_write_begin(const struct file_id *id)
{
	unsigned i = tree_hash(id);

	tree.files[i].writes++;
	forget_if(tree.files[i].known);
}

void tree_write_end(const struct file_id *id)
{
	tree.files[tree_hash(id)].writes--;
}

void tree_read_begin(const struct file_id *id)
{
	unsigned i = tree_hash(id);

	tree.files[i].reads++;
	forget_if(tree.files[i].unread);
}

void tree_read_end(const struct file_id *id)
{
	tree.files[tree_hash(id)].reads--;
}

void tree_read_natively(const struct file_id *id, const struct fd_table *by)
{
	unsigned i = tree_hash(id);

	tree.files[i].natively |= !by || (tree.files[i].shadows && tree.files[i].shadows != by);
	if (by)
		tree.files[i].shadows = by;
	tree.any_shadows |= by != NULL;
	forget_if(tree.files[i].unread);
}

void tree_written_natively(const struct file_id *id, bool on)
{
	unsigned i = tree_hash(id);

	forget_if(tree.files[i].known);
	tree.files[i].writers += on ? 1U : -1U;
}

void tree_may_be_written(const struct file_id *id)
{
	unsigned i = tree_hash(id);

	forget_if(tree.files[i].known);
	tree.files[i].quiet_from = now_monotonic() + TREE_WRITES;
}

void tree_shadows_copied(const struct fd_table *by)
{
	for (unsigned i = 0; tree.any_shadows && i < TREE_FILES; i++)
		tree.files[i].natively |= tree.files[i].shadows == by;
}

/* Whether nobody can read it without us, from now on. */
static bool is_read_by_us(struct task *t, unsigned i)
{
	if (tree.files[i].natively)
		return false;
	if (tree.files[i].shadows == t->files && platform_take_shadows(t))
		tree.files[i].shadows = NULL;
	return !tree.files[i].shadows;
}

void tree_file_mapped(const struct file_id *id, const struct file *f, int flags)
{
	unsigned i = tree_hash(id);

	tree_read_natively(id, NULL);
	/* mprotect does not ask us. */
	if ((flags & MAP_TYPE) == MAP_PRIVATE || !file_can_write(f))
		return;
	tree.files[i].shared = true;
	forget_if(tree.files[i].known);
}

static bool is_before(struct statx_timestamp a, struct statx_timestamp b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* relatime: whether reading now, and for an hour, leaves the time of access as it is. */
static bool is_read_already(const struct statx *x)
{
	enum { DAY = 24 * 3600, HOUR = 3600 };
	struct timespec now;

	if (tree.ever_reads)
		return true;
	return is_before(x->stx_mtime, x->stx_atime) && is_before(x->stx_ctime, x->stx_atime) &&
	       clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - x->stx_atime.tv_sec < DAY - HOUR;
}

/* Whether what is known of the file is told of by one of the calls above. */
static bool tells_when_changed(struct task *t, const struct statx *x, uint64_t generation)
{
	struct file_id id = {makedev(x->stx_dev_major, x->stx_dev_minor), x->stx_ino};
	unsigned i = tree_hash(&id);

	if (tree.files[i].writers)
		platform_take_writes(t, &id);
	if (tree.files[i].writes || tree.files[i].writers || tree.files[i].shared ||
	    now_monotonic() < tree.files[i].quiet_from)
		return false;
	if (!is_read_already(x)) {
		/* Links are read by every look-up, directories by calls that are not counted. */
		if (!S_ISREG(x->stx_mode) || tree.files[i].reads || !is_read_by_us(t, i))
			return false;
		tree.files[i].unread = generation;
	}
	tree.files[i].known = generation;
	return true;
}

int tree_look(struct task *t, int dirfd, const char *path, bool follow, uint64_t generation, struct stat *ret)
{
	const unsigned mask = STATX_BASIC_STATS | STATX_MNT_ID;
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | (follow ? 0 : (uint64_t)O_NOFOLLOW),
			       .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	uint64_t from = tree.mount;
	struct statx x;

	if (!tree_is_still(generation))
		return -EAGAIN;
	if (path[0] != '/' && (!mount_number(dirfd, "", &from) || from != tree.mount))
		return -EAGAIN;
	autoclose int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd < 0 && errno != ENOENT)
		return errno == EXDEV ? -EAGAIN : -errno;
	if (!tree.stale.armed && timer_arm(&tree.stale, now_monotonic() + TREE_FRESH) < 0)
		return -EAGAIN;
	if (fd < 0)
		return -ENOENT;
	if (statx(fd, "", AT_EMPTY_PATH, mask, &x) < 0 || (x.stx_mask & mask) != mask ||
	    x.stx_mnt_id != tree.mount || !tells_when_changed(t, &x, generation))
		return -EAGAIN;
	stat_from_statx(&x, ret);
	return 0;
}
