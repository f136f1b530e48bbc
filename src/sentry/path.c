/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways (fs/way.h), and what other rooms ask for by path.
 *
 * The host is asked first, always, but for what lexically leads into a
 * synthetic tree and for tasks with a root of their own.  An empty path, where
 * it is allowed, stands for the descriptor: the host then gets a magic link to
 * it, in the worker's working directory, as not all calls know AT_EMPTY_PATH.
 */
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* The way is this object itself. */
static void use_place(struct way *w, struct place *p)
{
	w->base = place_ref(p);
	if (place_is_synth(p)) {
		w->kind = WAY_SYNTH;
		w->node = p->synth;
		return;
	}
	w->name = fd_name(p->fd);
	w->dirfd = AT_FDCWD;
	w->path = w->name.text;
	w->at_hand = true;
}

static int begin_empty(struct way *w, int dirfd)
{
	struct file *f;

	if (!(w->flags & PATH_EMPTY))
		return -ENOENT;
	if (dirfd == AT_FDCWD) {
		use_place(w, w->t->fs->cwd);
		return 0;
	}
	f = fd_get_any(w->t, dirfd);
	if (!f)
		return -EBADF;
	if (f->place) {
		use_place(w, f->place);
		return 0;
	}
	w->kind = WAY_FILE;
	w->file = file_ref(f);
	return 0;
}

/* Where a relative path begins: the base is held by the way. */
static int begin_relative(struct way *w, int dirfd)
{
	struct place *base;

	if (dirfd == AT_FDCWD) {
		base = w->t->fs->cwd;
	} else {
		struct file *f = fd_get_any(w->t, dirfd);

		if (!f)
			return -EBADF;
		if (!f->place)
			return -ENOTDIR;
		base = f->place;
	}
	w->base = place_ref(base);
	w->dirfd = base->fd;
	return 0;
}

static int way_start(struct way *w, int dirfd)
{
	bool scoped = w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	int r;

	w->dirfd = AT_FDCWD;
	w->path = w->given;
	if (!w->given[0])
		return begin_empty(w, dirfd);
	if (w->given[0] != '/' || scoped) {
		r = begin_relative(w, dirfd);
		if (r < 0)
			return r;
		if (place_is_synth(w->base))
			return way_walk(w);
		return !scoped && place_has_own_root(w->t) ? way_walk(w) : 0;
	}
	return place_has_own_root(w->t) || synth_mount_of(w->given) ? way_walk(w) : 0;
}

static int begin_or_end(struct way *w, int dirfd)
{
	int r = way_start(w, dirfd);

	if (r < 0)
		way_end(w);
	return r;
}

static void way_init(struct way *w, struct task *t, unsigned flags, unsigned resolve)
{
	w->t = t;
	w->kind = WAY_HOST;
	w->flags = flags;
	w->resolve = resolve;
	w->at_hand = w->walked = w->slashes = w->missing = false;
	w->base = NULL;
	w->file = NULL;
	w->node = (struct synth_node){0};
	w->text = NULL;
}

int way_begin(struct way *w, struct task *t, int dirfd, uint64_t path, unsigned flags, unsigned resolve)
{
	ssize_t n;

	way_init(w, t, flags, resolve);
	n = guest_string(t, w->given, path, sizeof(w->given));
	return n < 0 ? (int)n : begin_or_end(w, dirfd);
}

int way_begin_text(struct way *w, struct task *t, int dirfd, const char *path, unsigned flags,
		   unsigned resolve)
{
	size_t n = strlen(path);

	way_init(w, t, flags, resolve);
	if (n >= sizeof(w->given))
		return -ENAMETOOLONG;
	memcpy(w->given, path, n + 1);
	return begin_or_end(w, dirfd);
}

void way_end(struct way *w)
{
	place_unref(w->base);
	file_unref(w->file);
	free(w->text);
	w->base = NULL;
	w->file = NULL;
	w->text = NULL;
}

/*
 * Whether the path may have come upon a placeholder.  Without symbolic links, whoever reaches one has named
 * it, at least by the last component of its mount point; and whether there are links the host says.
 */
static bool may_be_lost(struct way *w)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	long fd;

	for (const struct synth_mount *m = synth_mounts; m && m->dest; m++) {
		const char *last = strrchr(m->dest, '/');

		if (last && strstr(w->path, last + 1))
			return true;
	}
	fd = host_call(syscall(SYS_openat2, w->dirfd, w->path, &how, sizeof(how)));
	if (fd >= 0)
		(void)close((int)fd); /* O_PATH: nothing to lose */
	/* The last component is looked at only where it is followed; a link there is found as what it is. */
	return fd == -ELOOP || (fd >= 0 && w->flags & PATH_FOLLOW);
}

bool way_again(struct way *w, long *r, dev_t dev)
{
	int walk;

	if (w->walked || w->kind != WAY_HOST || w->at_hand ||
	    w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return false;
	if (*r >= 0 ? !synth_is_placeholder(dev) : *r != -ENOENT && *r != -EROFS && *r != -EXDEV)
		return false;
	if (*r < 0 && !may_be_lost(w))
		return false;
	walk = way_walk(w);
	if (walk < 0)
		*r = walk;
	if (walk == 0 && (w->kind != WAY_HOST || w->at_hand))
		return true;
	/* A walk that stayed on the host finds what the host has found; but nobody is shown a placeholder. */
	if (*r >= 0)
		*r = -ENOENT;
	return false;
}

int way_refuse_change(const struct way *w, bool creates)
{
	const struct synth_mount *m = w->node.mount;

	if (creates && !w->missing)
		return -EEXIST;
	/* procfs looks a name up before it asks whether it may be made. */
	if (w->missing && (!creates || (m && streq(m->fstype, "proc"))))
		return -ENOENT;
	if (m && m->read_only)
		return -EROFS;
	return synth_permission(w->t, &w->node, W_OK) < 0 ? -EACCES : -EPERM;
}

bool way_is_mount(const struct way *w)
{
	return w->kind == WAY_SYNTH && !w->missing && w->text && synth_mount_at(w->text, strlen(w->text));
}

/* ---- for other rooms ---- */

static long open_path_only(struct way *w, unsigned flags, struct stat *st)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (uint64_t)(flags & PATH_DIRECTORY ? O_DIRECTORY : 0) |
			 (uint64_t)(way_nofollow(w) ? O_NOFOLLOW : 0),
		.resolve = (w->at_hand ? 0 : RESOLVE_NO_MAGICLINKS) | w->resolve,
	};
	long fd = host_call(syscall(SYS_openat2, w->dirfd, w->path, &how, sizeof(how)));

	if (fd < 0 || host_call(fstat((int)fd, st)) < 0)
		st->st_dev = 0;
	return fd;
}

long way_place(struct way *w, unsigned flags, struct place **ret)
{
	struct stat st;
	long r;

	do {
		if (w->kind == WAY_FILE)
			return -ENXIO;
		if (w->kind == WAY_SYNTH) {
			if (w->missing)
				return -ENOENT;
			if (flags & PATH_DIRECTORY && !S_ISDIR(w->node.type->mode))
				return -ENOTDIR;
			if (flags & PATH_WRITE && w->node.mount && w->node.mount->read_only)
				return -EROFS;
			*ret = w->text ? place_new_synth(&w->node, w->text) : place_ref(w->base);
			return *ret ? 0 : -ENOMEM;
		}
		if (w->at_hand && !(flags & PATH_DIRECTORY)) {
			*ret = place_ref(w->base);
			return 0;
		}
		r = open_path_only(w, flags, &st);
		if (r >= 0 && synth_is_placeholder(st.st_dev) && !w->walked)
			(void)close((int)r); /* O_PATH */
	} while (way_again(w, &r, st.st_dev));
	if (r < 0)
		return r;
	*ret = place_new_host((int)r);
	return *ret ? 0 : -ENOMEM;
}

int path_find(struct task *t, int dirfd, const char *path, unsigned flags, struct place **ret)
{
	struct way w;
	long r = way_begin_text(&w, t, dirfd, path, flags, 0);

	if (r < 0)
		return (int)r;
	r = way_place(&w, flags, ret);
	way_end(&w);
	if (r == 0 && flags & PATH_WRITE && !place_is_synth(*ret) &&
	    host_call(faccessat((*ret)->fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS)) == -EROFS) {
		place_unref(*ret);
		return -EROFS;
	}
	return (int)r;
}

int path_parent(struct task *t, int dirfd, const char *path, struct place **ret, char *name, bool *slashes)
{
	size_t end = strlen(path), begin;
	char dir[PATH_MAX];

	if (!end)
		return -ENOENT;
	if (end >= sizeof(dir))
		return -ENAMETOOLONG;
	*slashes = path[end - 1] == '/';
	while (end && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	if (end - begin > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + begin, end - begin);
	name[end - begin] = '\0';
	memcpy(dir, path, begin);
	dir[begin] = '\0';
	return path_find(t, dirfd, begin ? dir : ".", PATH_FOLLOW | PATH_DIRECTORY, ret);
}

/* A program need not be readable to be executed; the sentry reads it as root then. */
static long open_program(struct task *t, const struct place *p)
{
	struct creds root = {.refs = 1, .cap_effective = ~UINT64_C(0)};
	long fd = host_call(open(fd_name(p->fd).text, O_RDONLY | O_CLOEXEC));

	if (fd != -EACCES)
		return fd;
	creds_assume(&root);
	fd = host_call(open(fd_name(p->fd).text, O_RDONLY | O_CLOEXEC));
	creds_assume(t->creds);
	return fd;
}

int path_open_exec(struct task *t, int dirfd, const char *path, unsigned flags, struct place **ret,
		   int *ret_fd)
{
	struct place *p;
	struct stat st;
	long r = path_find(t, dirfd, path, flags, &p);

	if (r < 0)
		return r == -ENXIO ? -EACCES : (int)r;
	if (place_is_synth(p)) {
		r = S_ISLNK(p->synth.type->mode) ? -ELOOP : -EACCES;
	} else if ((r = host_call(fstat(p->fd, &st))) < 0) {
		/* it has gone with its server */
	} else if (!S_ISREG(st.st_mode)) {
		r = S_ISLNK(st.st_mode) ? -ELOOP : -EACCES;
	} else {
		r = host_call(faccessat(p->fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS));
		if (r == 0)
			r = open_program(t, p);
	}
	if (r < 0) {
		place_unref(p);
		return (int)r;
	}
	*ret = p;
	*ret_fd = (int)r;
	return 0;
}
