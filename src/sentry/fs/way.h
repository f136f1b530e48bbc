/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to what a path argument names, for handlers that work on paths.
 *
 *	struct way w;
 *	long r = way_begin(&w, t, dirfd, path, PATH_FOLLOW, 0);
 *
 *	if (r < 0)
 *		return r;
 *	do
 *		r = w.kind == WAY_SYNTH ? … : host_call(chmod-like(w.dirfd, w.path, …));
 *	while (way_again(&w, &r, 0));
 *	way_end(&w);
 *	return r;
 *
 * The first round tries the host with the guest's own words, one host call in
 * nearly all cases.  way_again() looks at how it ended: an error or a device
 * that may come of a placeholder lets it walk the path here, and says whether
 * there is another try to make.
 */
#pragma once

#include "sentry/file.h"
#include "sentry/fs/host.h"
#include "sentry/path.h"

#include <linux/openat2.h>

enum way_kind {
	WAY_HOST,  /* dirfd and path */
	WAY_SYNTH, /* node, text */
	WAY_FILE,  /* an open file without a place (a pipe, say); node, where a magic link leads to it */
};

enum {
	PATH_PARENT = 1 << 8, /* the last component is made or removed, never followed */
	PATH_MAKES = 1 << 9,  /* ... is followed, and what it leads to may be made: O_CREAT */
};

struct way {
	struct task *t;
	enum way_kind kind;
	unsigned flags;	  /* PATH_* */
	unsigned resolve; /* openat2's */
	int dirfd;
	const char *path;
	bool at_hand; /* path is a magic link of ours to the object itself: to be followed whatever the guest
			 says */
	bool walked;
	bool slashes; /* trailing ones, known after a walk */
	bool missing; /* the synthetic directory `node` has no entry of the last component's name */
	struct place *base;
	struct file *file;
	struct synth_node node;
	char *text; /* canonical path, of a walk's result */
	struct fd_name name;
	char given[PATH_MAX];
};

/* resolve: openat2's RESOLVE_* flags. */
int way_begin(struct way *w, struct task *t, int dirfd, uint64_t path, unsigned flags, unsigned resolve);
/* ... for a path that is here already. */
int way_begin_text(struct way *w, struct task *t, int dirfd, const char *path, unsigned flags,
		   unsigned resolve);
/* dev: of the object, where the call told of it, else 0.  May replace *r by the walk's error. */
bool way_again(struct way *w, long *r, dev_t dev);
void way_end(struct way *w);
/* AT_SYMLINK_NOFOLLOW, or 0 where links are to be followed. */
static inline int way_nofollow(const struct way *w)
{
	return w->flags & PATH_FOLLOW || w->at_hand ? 0 : AT_SYMLINK_NOFOLLOW;
}
/* The place that it leads to; -ENXIO for WAY_FILE.  flags: PATH_DIRECTORY, PATH_WRITE. */
long way_place(struct way *w, unsigned flags, struct place **ret);
/* What a change in a synthetic tree comes to: -EEXIST, -ENOENT, -EROFS, -EPERM or -EACCES. */
int way_refuse_change(const struct way *w, bool creates);
/* Whether it is the root of a synthetic mount. */
bool way_is_mount(const struct way *w);

/* ---- the walk, fs/walk.c ---- */

/* Follows the path here, component by component; sets what way_begin sets. */
int way_walk(struct way *w);
/* A synthetic mount whose root is exactly this path, or that holds it; NULL. */
const struct synth_mount *synth_mount_at(const char *path, size_t len);
const struct synth_mount *synth_mount_of(const char *path);
bool synth_is_placeholder(dev_t dev);
/* 0 or -EACCES: R_OK, W_OK, X_OK on a node. */
int synth_permission(struct task *t, const struct synth_node *node, int mask);
