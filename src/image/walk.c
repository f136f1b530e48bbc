/* SPDX-License-Identifier: Apache-2.0 */
#include "image/walk.h"

#include "base/str.h"

#include <dirent.h>
#include <linux/stat.h>

enum { WALK_DEPTH = 256 };

struct walk {
	walk_each each;
	void *data;
	struct err *err;
	uint64_t mount; /* of the root */
	struct str path;
};

struct name_list {
	char **v;
	size_t n, cap;
};

static void cleanup_names(struct name_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_stream(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* it was read only */
}

static int read_names(int fd, struct name_list *ret)
{
	autoclose int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d __attribute__((cleanup(close_stream))) = own < 0 ? NULL : fdopendir(own);

	if (!d)
		return -errno;
	(void)take_fd(&own); /* the stream's now */
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e)
			break;
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		if (ret->n == ret->cap) {
			size_t cap = ret->cap ? ret->cap * 2 : 32;
			char **v = realloc(ret->v, cap * sizeof(*v));
			if (!v)
				return -ENOMEM;
			ret->v = v;
			ret->cap = cap;
		}
		ret->v[ret->n] = strdup(e->d_name);
		if (!ret->v[ret->n])
			return -ENOMEM;
		ret->n++;
	}
	int r = -errno;
	if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_bytes);
	return r;
}

static int mount_of(int dir, const char *name, uint64_t *ret)
{
	struct statx x;

	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &x) < 0)
		return -errno;
	*ret = x.stx_mask & STATX_MNT_ID ? x.stx_mnt_id : 0; /* 5.8; nothing is foreign before */
	return 0;
}

static int walk_failed(const struct walk *w, int code, const char *path)
{
	return err_num(w->err, code, "cannot read \"/%.200s\"", path);
}

static int walk_dir(struct walk *w, int fd, int depth);

static int walk_name(struct walk *w, int dir, const char *name, int depth)
{
	struct walk_entry e = {.path = w->path.s, .dir = dir, .name = name};
	uint64_t mount = 0;

	if (fstatat(dir, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : walk_failed(w, errno, e.path);
	int r = mount_of(dir, name, &mount);
	if (r < 0)
		return r == -ENOENT ? 0 : walk_failed(w, r, e.path);
	e.foreign = mount != w->mount;
	e.deepest = depth == WALK_DEPTH;
	r = w->each(w->data, &e, w->err);
	if (r != 0 || !S_ISDIR(e.st.st_mode) || e.foreign)
		return MIN_OF(r, 0);
	if (e.deepest)
		return err_set(w->err, ELOOP, "\"/%.200s\": more than %d directories in one another", e.path,
			       WALK_DEPTH);
	autoclose int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0
									     : walk_failed(w, errno, e.path);
	return walk_dir(w, fd, depth + 1);
}

static int walk_dir(struct walk *w, int fd, int depth)
{
	struct name_list names __attribute__((cleanup(cleanup_names))) = {0};
	size_t len = w->path.len;
	int r = read_names(fd, &names);

	if (r < 0)
		return walk_failed(w, r, w->path.s);
	for (size_t i = 0; i < names.n && r == 0; i++) {
		str_putf(&w->path, "%s%s", len ? "/" : "", names.v[i]);
		r = w->path.failed ? err_oom(w->err) : walk_name(w, fd, names.v[i], depth);
		w->path.len = len;
		if (w->path.s)
			w->path.s[len] = '\0';
	}
	return r;
}

int walk_tree(int root, walk_each each, void *data, struct err *err)
{
	struct walk w = {.each = each, .data = data, .err = err};
	struct walk_entry e = {.path = "", .dir = root, .name = ""};
	int r = mount_of(root, "", &w.mount);

	if (r < 0 || fstat(root, &e.st) < 0)
		return walk_failed(&w, r < 0 ? r : errno, "");
	str_put(&w.path, "");
	if (w.path.failed)
		return err_oom(err);
	r = each(data, &e, err);
	if (r == 0 && S_ISDIR(e.st.st_mode)) {
		autoclose int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? walk_failed(&w, errno, "") : walk_dir(&w, fd, 1);
	}
	str_free(&w.path);
	return MIN_OF(r, 0);
}

int walk_open(const struct walk_entry *e, int flags)
{
	int fd;

	if (!e->name[0] && S_ISDIR(e->st.st_mode))
		fd = openat(e->dir, ".", flags | O_CLOEXEC);
	else if (!e->name[0]) /* a root that is no directory: opened anew by its descriptor */
		fd = open(fd_path(e->dir).s, flags | O_CLOEXEC);
	else
		fd = openat(e->dir, e->name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
