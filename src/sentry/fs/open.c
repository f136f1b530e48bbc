/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open, openat, openat2, creat.
 *
 * The host opens regular files and directories at the first attempt, with the
 * guest's flags and never waiting.  What it then has in hand is looked at
 * once: a FIFO is put away again, since its other end is in the sentry.  What
 * the host refuses may be a device (the root is mounted nodev: EACCES), a
 * socket (ENXIO) or a FIFO that nobody reads (ENXIO); then the object itself
 * is looked at.
 */
#include "sentry/fs/hostfile.h"
#include "sentry/fs/lease.h"
#include "sentry/fs/volume.h"
#include "sentry/fs/way.h"
#include "sentry/io/io.h"
#include "sentry/task.h"

#include <sys/syscall.h>

enum {
	OPEN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |
		     O_DSYNC | FASYNC | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
		     O_TMPFILE,
	KERNEL_O_LARGEFILE = 0100000,
	TMPFILE_BIT = 020000000, /* of O_TMPFILE, without O_DIRECTORY */
	/* What F_GETFL tells of: all but what was for the opening itself. */
	FORGOTTEN = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC,
	RESOLVE_KNOWN = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
			RESOLVE_IN_ROOT | RESOLVE_CACHED,
};

/* 3 is for ioctl alone: neither. */
static bool wants_to_write(int flags)
{
	return (flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR;
}

static int rights_asked(int flags)
{
	static const int asked[] = {
		[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK, [3] = R_OK | W_OK};

	return asked[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);
}

struct opening {
	struct task *t;
	struct call *c;
	int flags;
	mode_t mode;	       /* without what umask takes away */
	bool empties;	       /* O_TRUNC, which waits until it is known that nobody executes the file */
	struct timespec began; /* where the file may be made: before that; of the clock of files' times */
	struct way way;
};

/* The way, which has room for a path, is not cleared: it is begun. */
static void opening_init(struct opening *o, struct task *t, struct call *c, int flags, mode_t mode)
{
	o->t = t;
	o->c = c;
	o->flags = flags;
	o->mode = mode & 07777 & ~t->fs->umask;
	o->empties = false;
}

/* What a device, FIFO or socket is asked for; the host has not checked it against how it is to be opened. */
static int check_access(const struct opening *o, const struct place *p)
{
	return (int)host_call(faccessat(p->fd, "", rights_asked(o->flags), AT_EMPTY_PATH | AT_EACCESS));
}

/* The object is no file of the host's to be opened as it is. */
static long open_special(struct opening *o, struct place *p, const struct stat *st, struct file **ret)
{
	struct statx x;
	long r;

	if (o->flags & O_DIRECTORY)
		return -ENOTDIR;
	r = check_access(o, p);
	if (r < 0)
		return r;
	switch (st->st_mode & S_IFMT) {
	case S_IFCHR:
		return device_open(o->t, st->st_rdev, p, (o->flags & ~FORGOTTEN) | KERNEL_O_LARGEFILE, ret);
	case S_IFIFO:
		statx_from_stat(st, &x);
		return fifo_open(o->t, o->c, p, &x, (o->flags & ~FORGOTTEN) | KERNEL_O_LARGEFILE, ret);
	default:
		return -ENXIO; /* sockets, and block devices, of which there are none */
	}
}

/* The host has said EACCES or ENXIO: whether that was for want of rights, or because of what it is. */
static long open_refused(struct opening *o, long error, struct file **ret)
{
	struct way *w = &o->way;
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (uint64_t)(o->flags & O_NOFOLLOW),
		.resolve = w->resolve | (w->at_hand ? 0 : RESOLVE_NO_MAGICLINKS),
	};
	long fd = host_call(syscall(SYS_openat2, w->dirfd, w->path, &how, sizeof(how)));
	struct place *p;
	struct stat st;
	long r = error;

	if (fd < 0)
		return error;
	p = place_new_host((int)fd);
	if (!p)
		return -ENOMEM;
	if (host_call(fstat((int)fd, &st)) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		r = open_special(o, p, &st, ret);
	place_unref(p);
	return r;
}

/*
 * Whether the file has been made by this call: it is not emptied then, which would be told to who watches it,
 * and take a set-id bit.  One that was empty already and has been changed in the same tick looks the same,
 * and to empty that changes nothing.
 */
static bool is_new(const struct opening *o, const struct stat *st)
{
	const struct timespec *a = &st->st_mtim, *b = &o->began;

	return o->flags & O_CREAT && st->st_size == 0 &&
	       (a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec >= b->tv_nsec)) &&
	       a->tv_sec == st->st_ctim.tv_sec && a->tv_nsec == st->st_ctim.tv_nsec;
}

/* A regular file, of which the host does not know whether the guest executes it. */
static long opened_for_writing(struct opening *o, int fd, const struct stat *st, struct file **ret)
{
	struct file *f;
	long r = hostfile_new(fd, st, (o->flags & ~FORGOTTEN) | KERNEL_O_LARGEFILE, &f);

	if (r < 0)
		return r;
	r = hostfile_may_write(f);
	if (r == 0 && o->empties && !is_new(o, st))
		r = host_call(ftruncate(f->host_fd, 0));
	if (r < 0)
		file_unref(f);
	else
		*ret = f;
	return r;
}

/* Has the host's descriptor for what it is: a file, or something else to be opened in another way. */
static long opened(struct opening *o, int fd, const struct stat *st, struct file **ret)
{
	struct place *p;
	long r;

	if (o->flags & O_PATH) {
		p = place_new_host(fd);
		r = p ? pathfile_new(p, o->flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW), ret) : -ENOMEM;
		place_unref(p);
		return r;
	}
	if (S_ISREG(st->st_mode)) {
		r = lease_break(o->t, o->c, &(struct file_id){st->st_dev, st->st_ino},
				wants_to_write(o->flags) || o->flags & O_TRUNC, !(o->flags & O_NONBLOCK));
		if (r) {
			if (volume_may_hang(fd, st->st_dev))
				volume_close(fd, &(struct file_id){st->st_dev, st->st_ino}, false);
			else
				(void)close(fd); /* nothing was done with it */
			return r;
		}
	}
	if (S_ISREG(st->st_mode) && wants_to_write(o->flags))
		return opened_for_writing(o, fd, st, ret);
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		return hostfile_new(fd, st, (o->flags & ~FORGOTTEN) | KERNEL_O_LARGEFILE, ret);
	p = place_new_host(fd);
	if (!p)
		return -ENOMEM;
	r = open_special(o, p, st, ret);
	place_unref(p);
	return r;
}

static long open_host(struct opening *o, struct stat *st)
{
	struct way *w = &o->way;
	struct open_how how = {
		.flags = (uint64_t)o->flags | O_CLOEXEC,
		.mode = o->flags & (O_CREAT | TMPFILE_BIT) ? o->mode : 0,
		.resolve = w->resolve | (w->at_hand ? 0 : RESOLVE_NO_MAGICLINKS),
	};
	long r;

	if (!(o->flags & O_PATH))
		how.flags |= O_NONBLOCK | O_NOCTTY;
	if (w->at_hand)
		how.flags &= ~(uint64_t)O_NOFOLLOW;
	o->empties = o->flags & O_TRUNC && wants_to_write(o->flags) && !(o->flags & O_EXCL);
	if (o->empties)
		how.flags &= ~(uint64_t)O_TRUNC;
	if (o->empties && o->flags & O_CREAT)
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &o->began); /* always there */
	st->st_dev = 0;
	kernel_host_begin();
	r = syscall(SYS_openat2, w->dirfd, w->path, &how, sizeof(how));
	if (r >= 0)
		(void)fstat((int)r, st); /* cannot fail on a descriptor that is open */
	else
		r = -errno;
	kernel_host_end();
	return r;
}

/* A node of a synthetic tree. */
static long open_synth(struct opening *o, struct file **ret)
{
	struct way *w = &o->way;
	const struct synth_type *type = w->node.type;
	struct place *p;
	long r;

	if (w->missing || (o->flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return way_refuse_change(w, true);
	if (S_ISLNK(type->mode) && !(o->flags & O_PATH))
		return -ELOOP;
	if (o->flags & O_DIRECTORY && !S_ISDIR(type->mode))
		return -ENOTDIR;
	if ((o->flags & TMPFILE_BIT) == TMPFILE_BIT)
		return -EOPNOTSUPP;
	r = way_place(w, 0, &p);
	if (r < 0)
		return r;
	if (o->flags & O_PATH) {
		r = pathfile_new(p, o->flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW), ret);
	} else if (S_ISDIR(type->mode) && (o->flags & (O_ACCMODE | O_CREAT | O_TRUNC))) {
		r = -EISDIR;
	} else if ((o->flags & O_ACCMODE || o->flags & O_TRUNC) && w->node.mount &&
		   w->node.mount->read_only) {
		r = -EROFS;
	} else {
		r = synth_permission(o->t, &w->node, rights_asked(o->flags));
		if (r == 0)
			r = synth_open(o->t, &w->node, p, (o->flags & ~FORGOTTEN) | KERNEL_O_LARGEFILE, ret);
	}
	place_unref(p);
	return r;
}

/* What a magic link or an empty path leads to, and has no place. */
static long open_anonymous(struct opening *o, struct file **ret)
{
	struct way *w = &o->way;

	if (o->flags & O_PATH) {
		*ret = file_ref(w->file);
		return 0;
	}
	if (o->flags & O_DIRECTORY)
		return -ENOTDIR;
	return w->node.type ? w->node.type->open(o->t, &w->node, o->flags & ~FORGOTTEN, ret) : -ENXIO;
}

static long open_way(struct opening *o, struct file **ret)
{
	struct way *w = &o->way;
	struct stat st;
	long r;

	do {
		if (w->kind == WAY_SYNTH)
			return open_synth(o, ret);
		if (w->kind == WAY_FILE)
			return open_anonymous(o, ret);
		r = open_host(o, &st);
		if (r >= 0 && !w->walked && synth_is_placeholder(st.st_dev)) {
			(void)close((int)r); /* a read-only directory: nothing to lose */
			r = 0;
		}
	} while (way_again(w, &r, st.st_dev));
	if (r >= 0)
		return opened(o, (int)r, &st, ret);
	/* EXDEV is what a scope (openat2) says of a way out of it, as on the host. */
	return r == -EACCES || r == -ENXIO ? open_refused(o, r, ret) : r;
}

static unsigned open_path_flags(int flags)
{
	/* O_CREAT | O_EXCL does not follow either; a name that is not there may still be made. */
	bool makes = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);

	return (flags & O_NOFOLLOW || makes ? 0 : PATH_FOLLOW) | (makes ? PATH_PARENT : 0) |
	       (flags & O_CREAT ? PATH_MAKES : 0);
}

int path_open(struct task *t, struct call *c, int dirfd, const char *path, int flags, mode_t mode,
	      unsigned resolve, struct file **ret)
{
	struct opening o;
	opening_init(&o, t, c, flags, mode);
	long r = way_begin_text(&o.way, t, dirfd, path, open_path_flags(flags), resolve);

	if (r < 0)
		return (int)r;
	r = open_way(&o, ret);
	way_end(&o.way);
	return (int)r;
}

/* What open(2) ignores and openat2 refuses. */
static int tidy_flags(int flags)
{
	flags &= OPEN_FLAGS;
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	return flags;
}

/* Flags that no file can be opened with. */
static int check_flags(int flags)
{
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == 3 || flags & O_CREAT)
			return -EINVAL;
	} else if (flags & TMPFILE_BIT) {
		return -EINVAL;
	} else if ((flags & (O_DIRECTORY | O_CREAT)) == (O_DIRECTORY | O_CREAT)) {
		return -EINVAL;
	}
	return 0;
}

static long install(struct task *t, struct call *c, struct file *f, int flags)
{
	bool tty = file_is_tty(f) && !(flags & (O_NOCTTY | O_PATH));
	int fd = fd_install(t, f, 0, flags & O_CLOEXEC);

	return fd >= 0 && tty ? tty_opened(t, c, f, fd, flags) : fd;
}

static long open_call(struct task *t, struct call *c, int dirfd, uint64_t path, int flags, mode_t mode,
		      unsigned resolve)
{
	struct opening o;
	struct file *f = NULL;
	long r = check_flags(flags);

	if (r < 0)
		return r;
	opening_init(&o, t, c, flags, mode);
	r = way_begin(&o.way, t, dirfd, path, open_path_flags(flags), resolve);
	if (r < 0)
		return r;
	r = fd_check_room(t);
	if (r == 0)
		r = open_way(&o, &f);
	way_end(&o.way);
	return r < 0 ? r : install(t, c, f, flags);
}

HANDLER(sys_open)
{
	return open_call(t, c, AT_FDCWD, c->args[0], tidy_flags((int)c->args[1]), (mode_t)c->args[2], 0);
}

HANDLER(sys_openat)
{
	return open_call(t, c, (int)c->args[0], c->args[1], tidy_flags((int)c->args[2]), (mode_t)c->args[3],
			 0);
}

HANDLER(sys_creat)
{
	return open_call(t, c, AT_FDCWD, c->args[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)c->args[1], 0);
}

/* The structure of a caller that is newer than we are: what we do not know must be zero. */
static int read_how(struct task *t, uint64_t from, size_t n, struct open_how *ret)
{
	if (n < sizeof(*ret))
		return -EINVAL;
	if (n > 4096)
		return -E2BIG;
	if (guest_get(t, ret, from) < 0)
		return -EFAULT;
	return guest_zeros(t, from + sizeof(*ret), n - sizeof(*ret));
}

HANDLER(call_openat2)
{
	struct open_how how;
	int r = read_how(t, c->args[2], c->args[3], &how);
	int flags;

	if (r < 0)
		return r;
	if (how.flags & ~(uint64_t)(unsigned)(OPEN_FLAGS | KERNEL_O_LARGEFILE) ||
	    how.resolve & ~(uint64_t)RESOLVE_KNOWN)
		return -EINVAL;
	if ((how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return -EINVAL;
	if (how.mode && (!(how.flags & (O_CREAT | TMPFILE_BIT)) || how.mode & ~UINT64_C(07777)))
		return -EINVAL;
	flags = (int)how.flags & ~KERNEL_O_LARGEFILE;
	if (flags & O_PATH && flags & ~(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	if (how.resolve & RESOLVE_CACHED) {
		if (flags & (O_TRUNC | O_CREAT | TMPFILE_BIT))
			return -EAGAIN;
		how.resolve &=
			~(uint64_t)RESOLVE_CACHED; /* it may always take longer than that; it need not */
	}
	return open_call(t, c, (int)c->args[0], c->args[1], flags, (mode_t)how.mode, (unsigned)how.resolve);
}
