/* SPDX-License-Identifier: Apache-2.0 */
/* Listing directories; working and root directories; umask. */
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <linux/capability.h>

/* The record of getdents64 as the host packs it. */
struct dirent64 {
	uint64_t ino;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
} __attribute__((packed));

/* The record of old getdents: the type is in the last byte. */
struct dirent_old {
	uint64_t ino;
	uint64_t next;
	uint16_t size;
	char name[];
} __attribute__((packed));

struct packing {
	char *buf;
	size_t used, size;
	bool old;
	bool full; /* of what was too large, for EINVAL where nothing fitted */
	int64_t next;
};

static bool pack_entry(void *data, const char *name, uint64_t ino, unsigned char type, int64_t next)
{
	struct packing *k = data;
	size_t n = strlen(name),
	       head = k->old ? offsetof(struct dirent_old, name) : offsetof(struct dirent64, name);
	size_t size = (head + n + (k->old ? 2 : 1) + 7) & ~(size_t)7;
	char *at = k->buf + k->used;

	if (size > k->size - k->used) {
		k->full = true;
		return false;
	}
	memset(at, 0, size);
	if (k->old) {
		struct dirent_old d = {.ino = ino, .next = (uint64_t)next, .size = (uint16_t)size};

		memcpy(at, &d, sizeof(d));
		at[size - 1] = (char)type;
	} else {
		struct dirent64 d = {.ino = ino, .next = next, .size = (uint16_t)size, .type = type};

		memcpy(at, &d, sizeof(d));
	}
	memcpy(at + head, name, n);
	k->used += size;
	k->next = next;
	return true;
}

/* The host's records, as the old call has them: never longer than the new ones, so in place of them. */
static long repack(char *buf, size_t n, size_t size)
{
	struct packing k = {.buf = buf, .size = size, .old = true};

	for (size_t at = 0; at < n;) {
		char name[NAME_MAX + 1];
		struct dirent64 d;

		memcpy(&d, buf + at, sizeof(d));
		(void)snprintf(name, sizeof(name), "%s", buf + at + offsetof(struct dirent64, name));
		if (!pack_entry(&k, name, d.ino, d.type, d.next))
			return -EINVAL; /* cannot be: one byte more for the type is the padding's */
		at += d.size;
	}
	return (long)k.used;
}

/* How much of the first n bytes is whole records, of either kind; where the following begin the last one
 * tells. */
static size_t whole_records(const char *buf, size_t n, int64_t *next)
{
	struct dirent_old d;
	size_t at = 0;

	while (at + sizeof(d) <= n) {
		memcpy(&d, buf + at, sizeof(d));
		if (d.size > n - at)
			break;
		*next = (int64_t)d.next;
		at += d.size;
	}
	return at;
}

static long list_files(struct task *t, struct file *f, char *buf, size_t n, bool old)
{
	struct packing k = {.buf = buf, .size = n, .old = old, .next = f->pos};
	long r;

	if (f->ops->getdents) {
		r = f->ops->getdents(f, buf, n);
		if (r > 0)
			(void)whole_records(buf, (size_t)r, &f->pos); /* all are */
		return r > 0 && old ? repack(buf, (size_t)r, n) : r;
	}
	if (!f->ops->readdir)
		return -ENOTDIR;
	r = f->ops->readdir(f, t, pack_entry, &k);
	if (r < 0)
		return r;
	if (!k.used && k.full)
		return -EINVAL;
	f->pos = k.next;
	return (long)k.used;
}

/* Gives the guest what has room before its first bad page, and goes back to what it did not get. */
static long hand_records(struct task *t, struct file *f, uint64_t to, const char *buf, size_t n,
			 int64_t before)
{
	size_t done = 0;
	ssize_t r;

	do {
		r = guest_write_some(t, to + done, buf + done, n - done);
		done += r > 0 ? (size_t)r : 0;
	} while (r > 0 && done < n);
	if (done == n)
		return (long)n;
	f->pos = before;
	done = whole_records(buf, done, &f->pos);
	if (f->ops->getdents)
		(void)f->ops->seek(f, f->pos, SEEK_SET); /* where it has been */
	return done ? (long)done : -EFAULT;
}

static long list_call(struct task *t, struct call *c, bool old)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	size_t n = MIN_OF((size_t)(unsigned)c->args[2], (size_t)XFER_SIZE);
	char *buf = xfer_buffer();
	int64_t before;
	long r;

	if (!f)
		return -EBADF;
	if (!buf)
		return -ENOMEM;
	if (!f->ops->getdents && !f->ops->readdir)
		return -ENOTDIR;
	if ((unsigned)c->args[2] > INT_MAX)
		return -EINVAL;
	file_ref(f);
	before = f->pos;
	r = list_files(t, f, buf, n, old);
	if (r > 0)
		r = hand_records(t, f, c->args[1], buf, (size_t)r, before);
	file_unref(f);
	return r;
}

HANDLER(sys_getdents)
{
	return list_call(t, c, true);
}

HANDLER(sys_getdents64)
{
	return list_call(t, c, false);
}

/* ---- where a task is ---- */

/* The directory has been removed: its path has no way to it. */
static bool is_deleted(struct place *p)
{
	struct stat st;
	bool deleted;

	if (place_is_synth(p))
		return p->synth.type->gone && p->synth.type->gone(&p->synth);
	(void)place_ref(p); /* another thread may change its directory meanwhile */
	deleted = host_call(fstat(p->fd, &st)) == 0 && st.st_nlink == 0;
	place_unref(p);
	return deleted;
}

HANDLER(sys_getcwd)
{
	char buf[PATH_MAX];
	ssize_t n;

	if (is_deleted(t->fs->cwd))
		return -ENOENT;
	n = place_path(t, t->fs->cwd, buf, sizeof(buf));
	if (n < 0)
		return n;
	if ((uint64_t)n + 1 > c->args[1])
		return -ERANGE;
	return guest_write(t, c->args[0], buf, (size_t)n + 1) < 0 ? -EFAULT : n + 1;
}

/* Whether it may be entered. */
static long check_enter(struct task *t, const struct place *p)
{
	if (place_is_synth(p))
		return synth_permission(t, &p->synth, X_OK);
	return host_call(faccessat(p->fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS));
}

/* The directory that a path argument names, which the task may enter. */
static long find_directory(struct task *t, uint64_t path, struct place **ret)
{
	struct place *p;
	struct way w;
	long r = way_begin(&w, t, AT_FDCWD, path, PATH_FOLLOW, 0);

	if (r < 0)
		return r;
	r = w.kind == WAY_FILE ? -ENOTDIR : way_place(&w, PATH_DIRECTORY, &p);
	way_end(&w);
	if (r < 0)
		return r;
	r = check_enter(t, p);
	if (r < 0)
		place_unref(p);
	else
		*ret = p;
	return r;
}

static void set_place(struct place **at, struct place *p)
{
	place_unref(*at);
	*at = p;
}

HANDLER(sys_chdir)
{
	struct place *p;
	long r = find_directory(t, c->args[0], &p);

	if (r == 0)
		set_place(&t->fs->cwd, p);
	return r;
}

HANDLER(sys_fchdir)
{
	struct file *f = fd_get_any(t, (int)c->args[0]);
	struct statx x;
	struct place *p;
	long r;

	if (!f)
		return -EBADF;
	if (!f->place)
		return -ENOTDIR;
	p = place_ref(f->place);
	r = place_stat(p, &x);
	if (r == 0)
		r = S_ISDIR(x.stx_mode) ? check_enter(t, p) : -ENOTDIR;
	if (r == 0)
		set_place(&t->fs->cwd, p);
	else
		place_unref(p);
	return r;
}

HANDLER(sys_chroot)
{
	char path[PATH_MAX];
	struct place *p;
	long r = find_directory(t, c->args[0], &p);

	if (r < 0)
		return r;
	if (!creds_capable(t->creds, CAP_SYS_CHROOT)) {
		place_unref(p);
		return -EPERM;
	}
	/* Back at the root of all: known by its path, see place_has_own_root(). */
	if (!p->path && place_host_path(p, path, sizeof(path)) == 1)
		p->path = strdup(path);
	set_place(&t->fs->root, p);
	return 0;
}

HANDLER(sys_umask)
{
	mode_t old = t->fs->umask;

	t->fs->umask = (mode_t)c->args[0] & 0777;
	return (long)old;
}
