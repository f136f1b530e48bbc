/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container changed: its upper directory against the image's tree.
 *
 * As Docker prints it: a directory that was only copied up, for the sake of
 * what is in it, is no change; one that something was added to or deleted from
 * is, whatever its times say.
 */
#include "image/snapshot_int.h"
#include "image/walk.h"

#include "base/str.h"
#include "image/snapshot_marks.h"

#include <dirent.h>
#include <sys/sysmacros.h>

struct change_list {
	struct snapshot_change *v; /* paths are owned */
	size_t n, cap;
};

struct differ {
	const struct snapshot *q;
	int base;
	struct change_list changes;
};

static int put_change(struct differ *d, char kind, const char *parent, const char *name, struct err *err)
{
	struct change_list *l = &d->changes;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct snapshot_change *v = realloc(l->v, cap * sizeof(*v));
		if (!v)
			return err_oom(err);
		l->v = v;
		l->cap = cap;
	}
	char *path = str_format("%s%s%s%s", parent[0] ? "/" : "", parent, name[0] ? "/" : "", name);
	if (!path)
		return err_oom(err);
	l->v[l->n++] = (struct snapshot_change){kind, path};
	return 0;
}

static bool same_directory(const struct differ *d, const struct stat *up, const struct stat *base)
{
	return snapshot_same_attributes(d->q, up, base) && up->st_mtim.tv_sec == base->st_mtim.tv_sec &&
	       up->st_mtim.tv_nsec == base->st_mtim.tv_nsec;
}

/* Of an opaque directory everything is gone that is not there anew. */
static int put_hidden(struct differ *d, const struct walk_entry *e, struct err *err)
{
	autoclose int up = walk_open(e, O_RDONLY | O_DIRECTORY);
	autoclose int base = sys_openat2(d->base, e->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0,
					 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	int r = 0;

	if (up < 0 || base < 0)
		return 0;
	DIR *dir = fdopendir(base);
	if (!dir)
		return err_sys(err, "cannot read \"/%s\" of the image", e->path);
	(void)take_fd(&base); /* the stream's now */
	for (struct dirent *n; r == 0 && (n = readdir(dir));) {
		struct stat st;
		if (streq(n->d_name, ".") || streq(n->d_name, "..") ||
		    fstatat(up, n->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = put_change(d, 'D', e->path, n->d_name, err);
	}
	(void)closedir(dir); /* it was read only */
	return r;
}

static int differ_each(void *data, const struct walk_entry *e, struct err *err)
{
	struct differ *d = data;
	struct stat base;
	int r = 0;

	if (!e->path[0])
		return 0;
	bool known = snapshot_base_stat(d->base, e->path, &base);
	if (snapshot_is_whiteout(&e->st))
		return known ? put_change(d, 'D', e->path, "", err) : 0;
	if (snapshot_is_scaffold(d->q, d->base, e))
		return 1;
	if (!S_ISDIR(e->st.st_mode))
		return put_change(d, known ? 'C' : 'A', e->path, "", err);
	if (!known || !same_directory(d, &e->st, &base))
		r = put_change(d, known ? 'C' : 'A', e->path, "", err);
	if (r == 0 && known && snapshot_is_opaque(e, d->q->rootless))
		r = put_hidden(d, e, err);
	return r;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct snapshot_change *)a)->path, ((const struct snapshot_change *)b)->path);
}

/* Directories that something was added to or deleted from and that are not in the list themselves. */
static int put_parents(struct differ *d, struct err *err)
{
	size_t n = d->changes.n; /* sorted so far; what is put behind is not looked at */
	autofree char *last = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct snapshot_change *c = &d->changes.v[i];
		const char *slash = strrchr(c->path, '/');
		if (c->kind == 'C' || slash == c->path)
			continue;
		autofree char *parent = strndup(c->path, (size_t)(slash - c->path));
		if (!parent)
			return err_oom(err);
		struct snapshot_change key = {0, parent};
		if ((last && streq(last, parent)) || bsearch(&key, d->changes.v, n, sizeof(key), by_path))
			continue;
		int r = put_change(d, 'C', parent + 1, "", err);
		if (r < 0)
			return r;
		free(last);
		last = take_ptr(&parent);
	}
	return 0;
}

static int tell(struct differ *d, int (*each)(void *data, const struct snapshot_change *c, struct err *err),
		void *data, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < d->changes.n && r >= 0; i++)
		if (i == 0 || !streq(d->changes.v[i].path, d->changes.v[i - 1].path))
			r = each(data, &d->changes.v[i], err);
	return MIN_OF(r, 0);
}

int snapshot_diff(struct image_store *s, const struct snapshot *q,
		  int (*each)(void *data, const struct snapshot_change *c, struct err *err), void *data,
		  struct err *err)
{
	struct differ d = {.q = q};

	if (q->read_only)
		return 0;
	autoclose int upper = snapshot_open(q, SNAPSHOT_UPPER, err);
	if (upper < 0)
		return upper == -ENOENT ? 0 : upper; /* not prepared yet: nothing has changed */
	autoclose int base = snapshot_base(s, q, err);
	if (base < 0)
		return base;
	d.base = base;
	int r = walk_tree(upper, differ_each, &d, err);
	if (r == 0 && d.changes.n > 0)
		qsort(d.changes.v, d.changes.n, sizeof(*d.changes.v), by_path);
	if (r == 0)
		r = put_parents(&d, err);
	if (r == 0 && d.changes.n > 0)
		qsort(d.changes.v, d.changes.n, sizeof(*d.changes.v), by_path);
	if (r == 0)
		r = tell(&d, each, data, err);
	for (size_t i = 0; i < d.changes.n; i++)
		free((void *)(uintptr_t)d.changes.v[i].path);
	free(d.changes.v);
	return r;
}
