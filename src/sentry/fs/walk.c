/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a path here, for what the host cannot know: synthetic trees, links
 * into them, and roots of tasks that called chroot.
 *
 * The walk keeps a canonical text, without links and dots, that names where it
 * is as the sentry's own root sees it, and the rest of the path.  In the
 * host's trees a component costs one readlink, which tells links from the
 * rest; in synthetic ones a look-up.  The text of the end is then given to the
 * host, as a path, or to the synthetic tree.
 *
 * Somebody who renames at the same time changes which of two answers comes, no
 * more: whatever the text says, the host resolves it below the container's
 * root.
 */
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <sys/sysmacros.h>

enum { LINKS_MAX = 40 }; /* MAXSYMLINKS of Linux */

struct walk {
	struct way *w;
	struct task *t;
	int links;
	bool synth, began_synth;
	struct synth_node node; /* where synth */
	size_t len;		/* of text; "" is the root of all */
	size_t root_len;
	char text[PATH_MAX], root[PATH_MAX], rest[PATH_MAX], link[PATH_MAX];
};

const struct synth_mount *synth_mount_at(const char *path, size_t len)
{
	for (const struct synth_mount *m = synth_mounts; m && m->dest; m++)
		if (strlen(m->dest) == len && memcmp(m->dest, path, len) == 0)
			return m;
	return NULL;
}

const struct synth_mount *synth_mount_of(const char *path)
{
	const struct synth_mount *best = NULL;
	size_t best_len = 0;

	for (const struct synth_mount *m = synth_mounts; m && m->dest; m++) {
		size_t len = strlen(m->dest);

		if (len > best_len && strncmp(m->dest, path, len) == 0 && (!path[len] || path[len] == '/')) {
			best = m;
			best_len = len;
		}
	}
	return best;
}

bool synth_is_placeholder(dev_t dev)
{
	for (const struct synth_mount *m = synth_mounts; m && m->dest && dev; m++)
		if (m->dev == dev)
			return true;
	return false;
}

/* text[0 .. len) is where the entry stands. */
static int look_up(struct walk *k, const char *name, size_t len, struct synth_node *ret)
{
	const struct synth_type *type = k->node.type;
	int r;

	if (!S_ISDIR(type->mode))
		return -ENOTDIR;
	r = synth_permission(k->t, &k->node, X_OK);
	if (r < 0)
		return r;
	*ret = (struct synth_node){0};
	r = type->lookup(k->t, &k->node, name, ret);
	ret->mount = k->node.mount;
	if (r == 0)
		synth_confine(k->text, len, ret);
	return r;
}

/* Finds anew what the text names: whether that is synthetic, and which node. */
static int locate(struct walk *k)
{
	const struct synth_mount *m;
	size_t end = k->len;

	k->text[k->len] = '\0';
	m = synth_mount_of(k->text);
	k->synth = m;
	if (!m)
		return 0;
	k->node = m->root;
	k->node.mount = m;
	for (size_t at = strlen(m->dest); at < end;) {
		size_t n = strcspn(k->text + at + 1, "/");
		char name[NAME_MAX + 1];
		struct synth_node child;
		int r;

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, k->text + at + 1, n);
		name[n] = '\0';
		at += n + 1;
		r = look_up(k, name, at, &child);
		if (r < 0)
			return r;
		k->node = child;
	}
	return 0;
}

static bool at_root(const struct walk *k)
{
	return k->len == k->root_len && memcmp(k->text, k->root, k->len) == 0;
}

static void drop_last(struct walk *k)
{
	while (k->len && k->text[--k->len] != '/')
		;
	k->text[k->len] = '\0';
}

static int go_up(struct walk *k)
{
	struct stat st;

	if (k->synth && !S_ISDIR(k->node.type->mode))
		return -ENOTDIR;
	if (!k->synth && k->len) {
		long r = host_call(fstatat(AT_FDCWD, k->text, &st, AT_SYMLINK_NOFOLLOW));

		if (r < 0)
			return (int)r;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	}
	if (at_root(k))
		return k->w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	drop_last(k);
	return k->synth ? locate(k) : 0;
}

/* Puts a link's text before the rest, and goes back to the directory that holds the link. */
static int follow_text(struct walk *k, size_t n)
{
	size_t rest = strlen(k->rest);

	if (++k->links > LINKS_MAX || k->w->resolve & RESOLVE_NO_SYMLINKS)
		return -ELOOP;
	if (!n)
		return -ENOENT;
	if (n + 1 + rest >= sizeof(k->rest))
		return -ENAMETOOLONG;
	memmove(k->rest + n + 1, k->rest, rest + 1);
	memcpy(k->rest, k->link, n);
	k->rest[n] = '/';
	if (!rest && !k->w->slashes)
		k->rest[n] = '\0';
	if (k->link[0] == '/' && k->w->resolve & RESOLVE_BENEATH)
		return -EXDEV;
	if (k->link[0] == '/') {
		memcpy(k->text, k->root, k->root_len + 1);
		k->len = k->root_len;
	} else {
		drop_last(k);
	}
	return locate(k);
}

static int go_to_place(struct walk *k, const struct place *p)
{
	ssize_t n = place_host_path(p, k->text, sizeof(k->text));

	if (n < 0)
		return (int)n;
	if (k->text[0] != '/')
		return -ENOENT;		 /* unmounted: it has no way to it */
	k->len = n == 1 ? 0 : (size_t)n; /* "/" is "" here */
	k->text[k->len] = '\0';
	if (!place_is_synth(p))
		return locate(k);
	k->synth = true;
	k->node = p->synth;
	return 0;
}

/* A magic link: to a place, or, as the last component, to a file that has none. */
static int follow_magic(struct walk *k, const struct synth_node *link, bool last)
{
	struct way *w = k->w;
	struct place *p = NULL;
	int r;

	if (++k->links > LINKS_MAX || w->resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS))
		return -ELOOP;
	r = link->type->follow(k->t, link, &p);
	if (r == -ENXIO && link->type->open) {
		if (!last || w->slashes)
			return -ENOTDIR;
		r = link->type->open(k->t, link, O_PATH, &w->file);
		w->node = *link;
		w->kind = WAY_FILE;
		return r;
	}
	if (r < 0)
		return r;
	if (last && !w->slashes && !place_is_synth(p)) {
		place_unref(w->base);
		w->base = p;
		w->name = fd_name(p->fd);
		w->dirfd = AT_FDCWD;
		w->path = w->name.text;
		w->kind = WAY_HOST;
		w->at_hand = true;
		return 0;
	}
	r = go_to_place(k, p);
	place_unref(p);
	return r;
}

static int step_synth(struct walk *k, const char *name, bool last)
{
	bool follow = !last || (!(k->w->flags & PATH_PARENT) && (k->w->flags & PATH_FOLLOW || k->w->slashes));
	struct synth_node child;
	int r = look_up(k, name, k->len, &child);
	ssize_t n;

	if (r == -ENOENT && last && k->w->flags & (PATH_PARENT | PATH_MAKES)) {
		k->w->missing = true;
		return 0;
	}
	if (r < 0)
		return r;
	if (!S_ISLNK(child.type->mode) || !follow) {
		k->node = child;
		return 0;
	}
	if (child.type->follow)
		return follow_magic(k, &child, last);
	n = child.type->readlink(k->t, &child, k->link, sizeof(k->link) - 1);
	if (n < 0)
		return (int)n;
	k->link[n] = '\0';
	return follow_text(k, (size_t)n);
}

static int step_host(struct walk *k, bool last)
{
	bool parent = k->w->flags & PATH_PARENT;
	long n;

	if (last && (parent || (!(k->w->flags & PATH_FOLLOW) && !k->w->slashes)))
		return 0;
	n = host_call(readlink(k->text, k->link, sizeof(k->link) - 1));
	if (n == -EINVAL)
		return 0; /* there is something, and it is no link */
	if (n == -ENOENT && last)
		return 0; /* for the host to say, who may make it */
	if (n < 0)
		return (int)n;
	k->link[n] = '\0';
	return follow_text(k, (size_t)n);
}

/* One component, taken from the rest. */
static int walk_step(struct walk *k)
{
	char name[NAME_MAX + 1];
	size_t skip = strspn(k->rest, "/"), n = strcspn(k->rest + skip, "/");
	size_t behind = skip + n + strspn(k->rest + skip + n, "/");
	const struct synth_mount *m;
	bool last = !k->rest[behind];

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, k->rest + skip, n);
	name[n] = '\0';
	if (last)
		k->w->slashes = behind > skip + n;
	memmove(k->rest, k->rest + behind, strlen(k->rest + behind) + 1);
	if (!n || streq(name, "."))
		return 0;
	if (streq(name, ".."))
		return go_up(k);
	if (k->len + 1 + n >= sizeof(k->text))
		return -ENAMETOOLONG;
	k->text[k->len] = '/';
	memcpy(k->text + k->len + 1, name, n + 1);
	k->len += n + 1;
	m = synth_mount_at(k->text, k->len);
	if (m) {
		k->synth = true;
		k->node = m->root;
		k->node.mount = m;
		return 0;
	}
	return k->synth ? step_synth(k, name, last) : step_host(k, last);
}

/* Where the path begins: root, or what the way holds as its base. */
static int walk_start(struct walk *k)
{
	struct way *w = k->w;
	ssize_t n = place_host_path(k->t->fs->root, k->root, sizeof(k->root));

	if (n < 0)
		return (int)n;
	k->root_len = n == 1 ? 0 : (size_t)n;
	k->root[k->root_len] = '\0';
	memcpy(k->rest, w->given, strlen(w->given) + 1);
	if (w->base) {
		int r = w->resolve & RESOLVE_BENEATH && w->given[0] == '/' ? -EXDEV : go_to_place(k, w->base);

		if (r < 0 || !(w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)))
			return r;
		/* Within a scope, its directory is the root. */
		memcpy(k->root, k->text, k->len + 1);
		k->root_len = k->len;
		return 0;
	}
	memcpy(k->text, k->root, k->root_len + 1);
	k->len = k->root_len;
	return 0;
}

/* Hands the end of the walk to the way. */
static int walk_finish(struct walk *k)
{
	struct way *w = k->w;

	if (w->kind == WAY_FILE || w->at_hand)
		return 0;
	if (k->synth && w->slashes && !w->missing && !S_ISDIR(k->node.type->mode))
		return -ENOTDIR;
	if (w->slashes && !k->synth && k->len + 1 < sizeof(k->text))
		k->text[k->len++] = '/';
	k->text[k->len] = '\0';
	w->text = strdup(k->len ? k->text : "/");
	if (!w->text)
		return -ENOMEM;
	place_unref(w->base);
	w->base = NULL;
	w->dirfd = AT_FDCWD;
	w->path = w->text;
	w->kind = k->synth ? WAY_SYNTH : WAY_HOST;
	if (w->resolve & RESOLVE_NO_XDEV && k->synth != k->began_synth)
		return -EXDEV;
	if (k->synth)
		w->node = k->node;
	return 0;
}

int way_walk(struct way *w)
{
	struct walk *k = malloc(sizeof(*k));
	int r;

	w->walked = true;
	if (!k)
		return -ENOMEM;
	k->w = w;
	k->t = w->t;
	k->links = 0;
	k->synth = false;
	k->len = 0;
	r = walk_start(k);
	k->began_synth = k->synth;
	while (r == 0 && k->rest[0] && w->kind != WAY_FILE && !w->at_hand)
		r = walk_step(k);
	if (r == 0)
		r = walk_finish(k);
	free(k);
	return r;
}
