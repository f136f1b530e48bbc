/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A container may make groups in its own, as deep and
 * as many as it likes, in the very moment when we look.  So the tree is
 * walked by descriptors and with no recursion: one descriptor stands on the
 * current group, goes down by name and up by ".."; the names still to be
 * seen are kept on the heap.  cgroupfs has no links and does not move
 * directories between parents, and the depth is counted, so ".." never leads
 * above the group that the walk began at.
 */
#include "host/cgroup_int.h"
#include "host/systemd.h"

#include <dirent.h>

struct level {
	char **names; /* sub-groups not yet seen */
	size_t n;
	char *name; /* of the group itself; NULL for the top */
};

struct walk {
	struct level *levels;
	size_t depth, cap;
	int fd; /* the current group, readable */
	const char *top;
};

static void free_level(struct level *l)
{
	while (l->n > 0)
		free(l->names[--l->n]);
	free(l->names);
	free(l->name);
}

static void walk_end(struct walk *w)
{
	while (w->depth > 0)
		free_level(&w->levels[--w->depth]);
	free(w->levels);
	fd_drop(&w->fd);
}

static int add_name(struct level *l, size_t *cap, const char *name)
{
	if (l->n == *cap) {
		size_t more = *cap ? *cap * 2 : 8;
		char **v = reallocarray(l->names, more, sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->names = v;
		*cap = more;
	}
	l->names[l->n] = strdup(name);
	return l->names[l->n++] ? 0 : -ENOMEM;
}

static int list_groups(int fd, struct level *l)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;
	size_t cap = 0;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (copy >= 0)
			(void)close(copy);
		return r == -ENODEV ? -ENOENT : r;
	}
	while (r == 0 && (d = readdir(dir)))
		if (d->d_type == DT_DIR && !streq(d->d_name, ".") && !streq(d->d_name, ".."))
			r = add_name(l, &cap, d->d_name);
	(void)closedir(dir);
	return r;
}

/* Makes the group at `fd` (taken over) the current one. */
static int push(struct walk *w, int fd, const char *name)
{
	if (w->depth == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 8;
		struct level *v = reallocarray(w->levels, cap, sizeof(*v));
		if (!v) {
			(void)close(fd);
			return -ENOMEM;
		}
		w->levels = v;
		w->cap = cap;
	}
	fd_drop(&w->fd);
	w->fd = fd;
	struct level *l = &w->levels[w->depth++];
	*l = (struct level){.name = name ? strdup(name) : NULL};
	if (name && !l->name)
		return -ENOMEM;
	return list_groups(fd, l);
}

/* Back to the parent; *ret_name (the caller frees) is where we come from. */
static int pop(struct walk *w, char **ret_name)
{
	struct level *l = &w->levels[w->depth - 1];
	int fd = -1;

	*ret_name = take_ptr(&l->name);
	free_level(l);
	w->depth--;
	if (w->depth > 0) {
		fd = openat(w->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	fd_drop(&w->fd);
	w->fd = fd;
	return 0;
}

static int open_top(struct walk *w, const char *top)
{
	*w = (struct walk){.fd = -1, .top = top};
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : push(w, fd, NULL);
}

/* Goes down into the next sub-group. 1: there; 0: none left here. */
static int down(struct walk *w)
{
	struct level *l = &w->levels[w->depth - 1];

	while (l->n > 0) {
		autofree char *name = l->names[--l->n];
		int fd = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			if (errno == ENOENT || errno == ENODEV)
				continue; /* gone meanwhile */
			return -errno;
		}
		int r = push(w, fd, name);
		return r < 0 && r != -ENOENT ? r : 1;
	}
	return 0;
}

int cgroup_walk(const char *top, cgroup_visit visit, void *data)
{
	struct walk w;
	int r = open_top(&w, top);

	if (r == 0)
		r = visit(&(struct cgroup_dir){.fd = w.fd, .path = top}, data);
	while (r == 0 && w.depth > 0) {
		r = down(&w);
		if (r == 1) {
			r = visit(&(struct cgroup_dir){.fd = w.fd, .path = top}, data);
			if (r == -ENOENT || r == -ENODEV)
				r = 0;
		} else if (r == 0) {
			autofree char *name = NULL;
			r = pop(&w, &name);
		}
	}
	walk_end(&w);
	return r;
}

/* --- removal --- */

static int rmdir_at(int fd, const char *name)
{
	int r;

	do {
		r = unlinkat(fd, name, AT_REMOVEDIR);
	} while (r < 0 && errno == EINTR);
	return r == 0 || errno == ENOENT ? 0 : -errno;
}

/* EBUSY goes away when the last processes have been reaped. */
static int rmdir_wait(int fd, const char *name, int64_t deadline)
{
	int r = rmdir_at(fd, name);

	for (int64_t delay = 100; r == -EBUSY && cgroup_now_us() < deadline;
	     delay = MIN_OF(delay * 2, 50000)) {
		cgroup_pause_us(delay);
		r = rmdir_at(fd, name);
	}
	return r;
}

/* Everything below `top`, deepest first. */
static int remove_below(const char *top, int64_t deadline)
{
	struct walk w;
	int r = open_top(&w, top);

	while (r == 0 && w.depth > 0) {
		autofree char *name = NULL;
		r = down(&w);
		if (r != 0) {
			r = r == 1 ? 0 : r;
			continue;
		}
		r = pop(&w, &name);
		if (r == 0 && name)
			r = rmdir_wait(w.fd, name, deadline);
	}
	walk_end(&w);
	return r == -ENOENT ? 0 : r;
}

int cgroup_remove_tree(const char *top, int wait_ms, struct err *err)
{
	char text[64];
	int r = rmdir_at(AT_FDCWD, top);

	if (r == 0 || access(top, F_OK) < 0) /* a read-only mount says EROFS of what is not there, too */
		return 0;
	int64_t deadline = cgroup_now_us() + (int64_t)wait_ms * 1000;
	for (;;) {
		r = remove_below(top, deadline);
		if (r == 0)
			r = rmdir_at(AT_FDCWD, top);
		/* Once more from the start: the container may have made a group meanwhile. */
		if (r != -EBUSY || cgroup_now_us() >= deadline)
			break;
		cgroup_pause_us(500);
	}
	return r == 0 ? 0 : err_set(err, -r, "rmdir %s: %s", top, err_text_lower(-r, text));
}

int cgroup_remove(const struct cgroup *cg, struct err *err)
{
	enum { WAIT_MS = 2000 };
	int ret;

	if (cg->none)
		return 0;
	ret = cg->systemd ? systemd_stop(cg, err) : 0;
	for (int c = 0; c < CG_V1_COUNT && !cg->v2; c++) {
		struct err *e = ret == 0 ? err : &(struct err){0}; /* the first error is the one to tell */
		int r = cg->v1_dir[c] ? cgroup_remove_tree(cg->v1_dir[c], WAIT_MS, e) : 0;
		ret = ret == 0 ? r : ret;
	}
	if (cg->v2_dir) {
		struct err *e = ret == 0 ? err : &(struct err){0};
		int r = cgroup_remove_tree(cg->v2_dir, WAIT_MS, e);
		ret = ret == 0 ? r : ret;
	}
	return ret;
}

void cgroup_remove_empty(const struct cgroup *cg)
{
	if (cg->none || cg->systemd)
		return;
	for (int c = 0; c < CG_V1_COUNT && !cg->v2; c++)
		if (cg->v1_dir[c])
			ignore_result(rmdir_at(AT_FDCWD, cg->v1_dir[c]) < 0); /* see the header */
	if (cg->v2_dir)
		ignore_result(rmdir_at(AT_FDCWD, cg->v2_dir) < 0); /* as above */
}
