/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the file share.
 *
 * A node is what the guest was told of: an inode of the host's by mount,
 * device and number.  It has a place where it was last seen (parent and name)
 * rather than a descriptor, which is opened when one is needed, proved to be
 * the same inode, and closed again when others are needed more.  So a listing
 * costs one statx a file, and a guest that walks a million files pins few of
 * the host's.  A node that loses its name through the guest is pinned first:
 * it has a descriptor for good, for somebody may have it open.
 */
#pragma once

#include <linux/fuse.h> /* first: it has fields that base.h has macros for */

#include "base/fd.h"
#include "vm/share/share.h"

#include <linux/capability.h>
#include <sys/stat.h>

enum { STREAMS = 128, NAME_INLINE = 32, NO_REPLY = 1 };

struct node {
	uint64_t mount, dev, ino; /* identity; the birth tells a number that is used again */
	int64_t birth_s;
	uint32_t birth_ns;
	uint32_t id, generation; /* of the guest */
	uint64_t guest_ino;	 /* what the guest sees for as long as the node lives */
	uint64_t lookups;	 /* that the guest has not forgotten */
	uint32_t refs;		 /* nodes whose parent it is */
	uint32_t type;		 /* S_IFMT of its mode */
	struct node *hash_next;	 /* also of the free list */
	struct node *parent, *down;
	struct node *newer, *older; /* in the list of open ones, unless pinned */
	char *name;		    /* owned unless it is short; NULL: no place */
	char short_name[NAME_INLINE];
	int fd, data_fd; /* O_PATH; for reading or both */
	int64_t used_ns; /* when data_fd was opened for writing, or written to */
	int watch;	 /* 0: none */
	struct node *watch_next;
	uint16_t streams;
	bool live, hashed, pinned, held, listed, writable;
};

/* A directory that somebody reads: entries of the host's that were not asked for yet. */
struct stream {
	struct node *node; /* NULL: free */
	int fd;
	uint64_t next; /* where the next entry in the buffer, or on the host, stands */
	uint64_t stamp;
	uint8_t *buf; /* owned */
	size_t at, len;
};

/* Messages for the guest's kernel that nobody asked for. */
struct notices {
	uint8_t *p; /* owned */
	size_t len, size;
};

struct share_server {
	struct share config;
	int root_fd, self_fd; /* self_fd: /proc/self/fd, for what cannot be done to an O_PATH descriptor */
	bool started;
	/* nodes */
	struct node **slots, **buckets, *spare, *root;
	size_t nslots, slots_size, nbuckets, live;
	struct node *newest, *oldest; /* open ones */
	size_t open, open_max, pinned, pinned_max, writable;
	uint64_t devices[64]; /* in order of appearance: distinct numbers for the guest */
	size_t ndevices;
	struct stream streams[STREAMS];
	uint64_t stamp;
	/* whose rights the thread acts with */
	uint32_t fsuid, fsgid, umask;
	bool fixup; /* the kernel takes capabilities away as fsuid changes */
	struct __user_cap_data_struct caps[2];
	int64_t now_ns;
	uint64_t root_mount;
	/* what the host changes */
	int watch_fd; /* -1: it is not told of */
	size_t watches, watches_max;
	struct node *watched[256];
	struct notices notices; /* to be sent behind the reply */
};

/* ---- requests and replies (handle.c): cursors ---- */
struct request {
	struct fuse_in_header head;
	const uint8_t *p;
	size_t left;
};
struct reply {
	uint8_t *p; /* behind the header */
	size_t len, size;
};
/* Copies the next `size` bytes: -EINVAL where there are not so many. */
must_use int request_take(struct request *q, void *ret, size_t size);
/* A name: one component, none of "", ".", "..".  Valid as long as the request.  -EINVAL, -ENAMETOOLONG. */
must_use int request_name(struct request *q, const char **ret);
/* Any text with its NUL, of at most `max` bytes with it. */
must_use int request_text(struct request *q, size_t max, const char **ret);
must_use int reply_put(struct reply *r, const void *data, size_t size);

/* A verb: 0, -errno, or NO_REPLY.  `n` is the request's node, live. */
typedef int verb(struct share_server *s, struct node *n, struct request *q, struct reply *r);
verb verb_lookup, verb_forget, verb_batch_forget, verb_getattr, verb_setattr, verb_readlink, verb_symlink,
	verb_mknod, verb_mkdir, verb_unlink, verb_rmdir, verb_rename, verb_rename2, verb_link, verb_read,
	verb_write, verb_statfs, verb_release, verb_fsync, verb_fsyncdir, verb_setxattr, verb_getxattr,
	verb_listxattr, verb_removexattr, verb_readdir, verb_readdirplus, verb_create, verb_tmpfile,
	verb_fallocate, verb_lseek, verb_copy_file_range;

/* ---- nodes (node.c) ---- */
must_use int nodes_init(struct share_server *s, struct err *err);
void nodes_reset(struct share_server *s); /* all but the root */
void nodes_free(struct share_server *s);
struct node *node_find(const struct share_server *s, uint64_t id);
/* The node of what was just seen at a place; the guest has one lookup more. */
must_use int node_seen(struct share_server *s, struct node *parent, const char *name, const struct statx *x,
		       struct node **ret);
/* ... of what has no place (O_TMPFILE): takes the O_PATH descriptor over where it succeeds. */
must_use int node_unnamed(struct share_server *s, const struct statx *x, int fd, struct node **ret);
void node_forget(struct share_server *s, struct node *n, uint64_t lookups);
/* It is at another place now. */
void node_moved(struct share_server *s, struct node *n, struct node *parent, const char *name);
/* The guest's node of what stands at a name, if it has one; *x is filled where 0 is returned. */
must_use int node_at(struct share_server *s, int dirfd, const char *name, struct statx *x, struct node **ret);
/* Its identity may have changed: an overlay has copied it. */
void node_rekey(struct share_server *s, struct node *n, const struct statx *x);
bool node_is(const struct node *n, const struct statx *x);

/* A node of a table that was kept (table.c), at its number.  found: what stands at its place now; NULL: it is
 * stale.  A type of 0 is nobody's. */
struct node_kept {
	uint32_t generation, type;
	uint64_t lookups, guest_ino;
	struct node *parent;
	const char *name;
	const struct statx *found;
};
must_use int nodes_reserve(struct share_server *s, size_t nslots);
must_use int node_load(struct share_server *s, size_t id, const struct node_kept *kept);

/* ---- the table in a file (table.c) ---- */
/* -EBUSY: a file is open that has no place any more. */
must_use int share_table_save(const struct share_server *s, int fd);
/* Into a server that knows the root alone.  -EBADMSG: it is none. */
must_use int share_table_load(struct share_server *s, int fd);
/* One message for the guest's kernel at a time, 64 bytes at most: a file that is not the root's own is
 * another one now.  0: no more. */
size_t share_table_notice(struct share_server *s, size_t *at, void *buf);

/* ---- descriptors (open.c) ---- */
enum { SHARE_STATX = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID };
must_use int share_statx(int dirfd, const char *name, struct statx *ret);
/* O_PATH descriptor, borrowed until the next request; -ESTALE: it is gone. */
must_use int node_fd(struct share_server *s, struct node *n);
must_use int node_fds(struct share_server *s, struct node *a, struct node *b, int *ret_a, int *ret_b);
/* One for data of a regular file. */
must_use int node_data_fd(struct share_server *s, struct node *n, bool writable);
/* Gives the node a descriptor that it has not (takes it over). */
void node_give_data_fd(struct share_server *s, struct node *n, int fd);
void node_drop_data_fd(struct share_server *s, struct node *n);
must_use int node_statx(struct share_server *s, struct node *n, struct statx *ret);
/* Before its name goes: it keeps a descriptor.  A failure is none: the node is then stale. */
void node_pin(struct share_server *s, struct node *n);
void node_close(struct share_server *s, struct node *n);
void node_unlist(struct share_server *s, struct node *n);
/* Closes what was open for writing and not used since. */
void share_close_idle(struct share_server *s, int64_t before_ns);
/* A name relative to self_fd that stands for the descriptor itself. */
struct fd_digits {
	char s[12];
};
struct fd_digits fd_digits(int fd);

/* An overlay's file that lost its name before it was written to: makes it writable.  -EEXIST: it is none.
 * (orphan.c) */
must_use int node_revive(struct share_server *s, struct node *n);

/* ---- attributes (attr.c) ---- */
void attr_fill(const struct node *n, const struct statx *x, struct fuse_attr *ret);
uint64_t attr_ino(struct share_server *s, uint64_t dev, uint64_t ino);
void entry_fill(const struct share_server *s, const struct node *n, const struct statx *x,
		struct fuse_entry_out *ret);
must_use int reply_entry(struct share_server *s, const struct node *n, const struct statx *x,
			 struct reply *r);
uint32_t node_ttl_ms(const struct share_server *s, const struct node *n);

/* ---- directories (dir.c) ---- */
void streams_drop(struct share_server *s, struct node *n); /* NULL: all */

/* ---- changes of the host's (watch.c) ---- */
struct share_place {
	uint32_t parent; /* 0: none */
	char name[NAME_MAX + 1];
};
/* What a request changes. */
struct share_own {
	const uint8_t *payload; /* the request's */
	size_t len;
	uint32_t node, other;
	struct share_place places[2];
};
void watch_begin(struct share_server *s); /* before it is confined */
void watch_end(struct share_server *s);
/* From now on what stands in this directory may be believed longer. */
void watch_node(struct share_server *s, struct node *n);
void watch_drop(struct share_server *s, struct node *n);
/* All directories in which the guest knows a name. */
void watch_parents(struct share_server *s);
/* Takes all events that are there; `own`: but those of a request that was just answered, or NULL. */
void watch_read(struct share_server *s, const struct share_own *own);
void watch_before(struct share_server *s, const struct node *n, const struct request *q,
		  struct share_own *ret);
/* How long a name (n: NULL = that there is none) and an inode may be believed, ms. */
uint32_t entry_ttl_ms(const struct share_server *s, const struct node *parent, const struct node *n);
uint32_t attr_ttl_ms(const struct share_server *s, const struct node *n, const struct statx *x);

/* ---- rights (confine.c) ---- */
must_use int share_confine(struct share_server *s, bool filter, struct err *err);
/* What is made now belongs to the requester. */
must_use int become(struct share_server *s, const struct fuse_in_header *h, uint32_t umask);
/* Between the two, set-id bits fall as they do for a process without CAP_FSETID. */
void fsetid_off(struct share_server *s);
void fsetid_on(struct share_server *s);
