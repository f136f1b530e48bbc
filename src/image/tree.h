/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a layer that is being read: directories, and what they name. */
#pragma once

#include "base/err.h"
#include "image/erofs.h"

/* Directories, inodes and names are counted; directory 0 is the root, inode 0 its inode. */
struct tree_inode {
	uint64_t nid;	 /* of what is no directory */
	uint32_t dir;	 /* of what is one */
	uint32_t target; /* of a symbolic link: where its text is */
	uint32_t links;	 /* counted by tree_sort() */
	uint8_t type;	 /* enum erofs_type */
};
struct tree_dir {
	struct erofs_attr attr; /* xattrs are owned */
	uint32_t parent;
	bool opaque;
	bool implied;	       /* no entry of its own has come */
	uint32_t first, count; /* into tree.sorted, after tree_sort() */
	struct erofs_dir_place place;
};
struct tree_name {
	uint32_t dir, inode; /* where it is; what it names */
	uint32_t text;
	uint32_t next; /* of the same hash; names are counted from 1 */
	uint8_t len;
};

struct tree {
	struct tree_inode *inodes;
	struct tree_dir *dirs;
	struct tree_name *names;
	char *texts;
	uint32_t *hash;
	uint64_t secret[3]; /* of the hash */
	uint32_t *sorted;   /* names, by directory and text */
	uint32_t *order;    /* the directories that can be reached, each behind its parent */
	uint32_t ninodes, ndirs, nnames, nhash, norder;
	size_t texts_len;
	size_t inodes_cap, dirs_cap, names_cap, texts_cap;
	uint64_t memory, memory_max;
	char *last_path; /* where the name before was: most names come beside one another */
	uint32_t last_dir;
};
must_use int tree_init(struct tree *t, uint64_t memory_max, struct err *err);
void tree_free(struct tree *t);
/* Makes memory of the caller's count; -EFBIG ("limit layer.memory"). */
must_use int tree_charge(struct tree *t, uint64_t bytes, struct err *err);

/* A new inode that nothing names yet.  `target` of symbolic links, else NULL. */
must_use int tree_add(struct tree *t, enum erofs_type type, uint64_t nid, const char *target, uint32_t *ret,
		      struct err *err);
/* A new directory, named at once. */
must_use int tree_add_dir(struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t *ret_dir,
			  struct err *err);
/* The inode of a name; false where there is none. */
bool tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t *ret_inode);
/* Names an inode, in place of what had the name. */
must_use int tree_name(struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t inode,
		       struct err *err);
/*
 * The directory in which `path` (clean, not "") has its last component: symbolic links on the way
 * are followed within the tree; what is missing is made where `make` says so.  *ret_base points
 * into `path`.  -ENOENT, -ENOTDIR, -ELOOP.
 */
must_use int tree_parent(struct tree *t, const char *path, bool make, uint32_t *ret_dir,
			 const char **ret_base, struct err *err);
const char *tree_text(const struct tree *t, uint32_t at);
/* Sorts the names of every directory and counts links; what cannot be reached is left out. */
must_use int tree_sort(struct tree *t, struct err *err);
