/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * Nearly every path has no symbolic link in it and exists: one openat2() with
 * RESOLVE_NO_SYMLINKS finds it and proves at once that it is where its name
 * says.  Only when that fails with ELOOP or ENOENT do we walk ourselves, one
 * component at a time, spelling out links, so that
 *   - the caller learns the real place, which rules about /proc are about;
 *   - missing components can be made, also behind a dangling link (an image
 *     may have /var/run -> /run and no /run).
 *
 * The walk keeps the real path as text and opens each prefix from the root
 * again with RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS.  Whoever renames under us
 * makes the walk fail or end in another directory of the same root, never
 * outside of it.  Components are made relative to a descriptor of the parent,
 * by calls that do not follow links.
 */
#include "host/resolve.h"

#include "base/str.h"
#include "base/sys.h"

#include <sys/stat.h>

enum {
	LINKS_MAX = 40, /* as the kernel's own limit */
	RACES_MAX = 64, /* somebody removes what we make: give up after so many times */
};

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define LITERAL (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)

/* The next component of *path, which steps on behind it; its length, 0 at the end. */
static size_t next_component(const char **path, const char **ret)
{
	const char *p = *path;

	while (*p == '/')
		p++;
	*ret = p;
	while (*p && *p != '/')
		p++;
	*path = p;
	return (size_t)(p - *ret);
}

static bool at_end(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/* Appends a component to a real path, or takes one away for "..". */
static void step(struct str *real, const char *name, size_t len)
{
	if (len == 1 && name[0] == '.')
		return;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		while (real->len > 0 && real->s[real->len - 1] != '/')
			real->len--;
		if (real->len > 0)
			real->len--;
		if (real->s)
			real->s[real->len] = '\0';
		return;
	}
	str_put_n(real, "/", 1);
	str_put_n(real, name, len);
}

char *resolve_clean(const char *path)
{
	struct str real = {0};
	const char *name;
	size_t len;

	while ((len = next_component(&path, &name)) > 0)
		step(&real, name, len);
	if (!real.failed && real.len == 0)
		str_put_n(&real, "/", 1);
	return str_take(&real);
}

static int open_literally(int root, const char *path, uint64_t flags)
{
	int fd = sys_openat2(root, path[0] ? path : "/", O_PATH | flags, 0, LITERAL);

	return fd < 0 ? -errno : fd;
}

/* Makes `name` in the directory `parent`; what is there already is left alone. */
static int make_one(int parent, const char *name, enum resolve_make make)
{
	if (make == RESOLVE_DIR)
		return mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	autoclose int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 && errno != EEXIST ? -errno : 0;
}

/* The common case of a missing target: its parent is there. `path` is clean. */
static int make_in_parent(int root, const char *path, enum resolve_make make)
{
	const char *name = strrchr(path, '/') + 1;
	char dir[PATH_MAX];
	size_t len = (size_t)(name - path);
	int r;

	if (len >= sizeof(dir) || !*name)
		return -ENAMETOOLONG;
	memcpy(dir, path, len);
	dir[len] = '\0';
	autoclose int parent = open_literally(root, dir, O_DIRECTORY);
	if (parent < 0)
		return parent;
	r = make_one(parent, name, make);
	if (r < 0)
		return r;
	/* Beneath, so that a link that was slipped in is refused. */
	int fd = sys_openat2(parent, name, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return fd < 0 ? -errno : fd;
}

struct walk {
	int root;
	enum resolve_make make;
	bool literal;	  /* a symbolic link is an error */
	struct str real;  /* where we are, without links */
	struct str rest;  /* what is still to be walked */
	size_t rest_from; /* offset in rest */
	int links, races;
};

/* Puts a link's text before the rest of the way. */
static int follow(struct walk *w, int link)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(link, "", text, sizeof(text));
	struct str rest = {0};

	if (w->literal || ++w->links > LINKS_MAX)
		return -ELOOP;
	if (n < 0)
		return -errno;
	if (n == 0 || (size_t)n == sizeof(text))
		return -ENAMETOOLONG;
	str_put_n(&rest, text, (size_t)n);
	str_put_n(&rest, "/", 1);
	str_put(&rest, w->rest.s + w->rest_from);
	str_free(&w->rest);
	w->rest = rest;
	w->rest_from = 0;
	if (text[0] == '/' && w->real.s) {
		w->real.len = 0;
		w->real.s[0] = '\0';
	}
	return rest.failed ? -ENOMEM : 0;
}

static int make_component(struct walk *w, const char *name, bool last)
{
	autoclose int parent = open_literally(w->root, w->real.s ? w->real.s : "", O_DIRECTORY);

	if (parent < 0)
		return parent;
	if (++w->races > RACES_MAX)
		return -EAGAIN;
	return make_one(parent, name, last ? w->make : RESOLVE_DIR);
}

/* One component: 0 = go on, also after a link or after making something. */
static int walk_one(struct walk *w, const char *name, size_t len)
{
	struct str next autostr = {0};
	autofree char *component = strndup(name, len);
	const char *behind = w->rest.s + w->rest_from;
	struct stat st;

	if (!component)
		return -ENOMEM;
	if (streq(component, ".") || streq(component, "..")) {
		step(&w->real, component, len);
		return 0;
	}
	for (;;) {
		str_free(&next);
		str_putf(&next, "%s/%s", w->real.s ? w->real.s : "", component);
		if (next.failed)
			return -ENOMEM;
		autoclose int fd = open_literally(w->root, next.s, O_NOFOLLOW);
		if (fd == -ENOENT && w->make != RESOLVE_EXISTING) {
			int r = make_component(w, component, at_end(behind));
			if (r < 0)
				return r;
			continue;
		}
		if (fd < 0)
			return fd;
		if (fstat(fd, &st) < 0)
			return -errno;
		if (S_ISLNK(st.st_mode))
			return follow(w, fd);
		step(&w->real, component, len);
		return w->real.failed ? -ENOMEM : 0;
	}
}

static int walk_all(struct walk *w)
{
	for (;;) {
		const char *at = w->rest.s + w->rest_from, *name;
		size_t len = next_component(&at, &name);
		if (len == 0)
			return open_literally(w->root, w->real.s ? w->real.s : "", 0);
		w->rest_from = (size_t)(at - w->rest.s);
		int r = walk_one(w, name, len);
		if (r < 0)
			return r;
	}
}

static int walk(int root, const char *path, enum resolve_make make, bool literal, char **ret_real)
{
	struct walk w = {.root = root, .make = make, .literal = literal};
	int fd = -ENOMEM;

	str_put(&w.rest, path);
	if (!w.rest.failed)
		fd = walk_all(&w);
	if (fd >= 0 && ret_real) {
		if (w.real.len == 0)
			str_put_n(&w.real, "/", 1);
		*ret_real = str_take(&w.real);
		if (!*ret_real) {
			(void)close(fd); /* an O_PATH descriptor: nothing to be lost */
			fd = -ENOMEM;
		}
	}
	str_free(&w.real);
	str_free(&w.rest);
	return fd;
}

int resolve_in_root(int root, const char *path, enum resolve_make make, char **ret_real)
{
	int fd = open_literally(root, path, 0);

	if (fd == -ENOENT && make != RESOLVE_EXISTING)
		fd = make_in_parent(root, path, make);
	if (fd == -ENOENT && make == RESOLVE_EXISTING)
		return fd;
	if (fd == -ELOOP && make == RESOLVE_EXISTING && !ret_real) {
		fd = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
		return fd < 0 ? -errno : fd;
	}
	if (fd == -ELOOP || fd == -ENOENT)
		return walk(root, path, make, false, ret_real);
	if (fd >= 0 && ret_real)
		*ret_real = NULL;
	return fd;
}

int resolve_literally(int root, const char *path, enum resolve_make make)
{
	int fd = open_literally(root, path, 0);

	if (fd == -ENOENT && make != RESOLVE_EXISTING) {
		fd = make_in_parent(root, path, make);
		if (fd == -ENOENT)
			fd = walk(root, path, make, true, NULL);
	}
	return fd;
}
