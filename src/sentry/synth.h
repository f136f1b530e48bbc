/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic file systems: trees that have no files, only functions (/proc, /sys).
 *
 * A node is a plain value: its type and two numbers.  Nothing is allocated for
 * a look-up, nothing can go stale: functions look at the living kernel, and
 * say -ENOENT or -ESRCH for what has gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

struct task;
struct file;
struct place;

struct synth_type;
struct synth_mount;

struct synth_node {
	const struct synth_type *type;	 /* NULL = no synthetic node */
	pid_t pid;			 /* process that it is about (guest's id); 0 = none */
	pid_t tid;			 /* thread */
	uint64_t arg;			 /* a descriptor number, an index into a table ... */
	uint64_t after;			 /* in a listing: the `from` that goes on behind it; 0 = counted */
	const struct synth_mount *mount; /* set by the walk, not by look-ups */
};

/* Text of a file, written front to back. */
struct synth_text {
	char *buf;
	size_t len, size;
	bool failed; /* out of memory */
};
void synth_printf(struct synth_text *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void synth_write(struct synth_text *x, const void *data, size_t n);

typedef bool synth_list(void *data, const char *name, const struct synth_node *node); /* false = stop */

struct synth_type {
	mode_t mode; /* S_IFDIR | 0555, S_IFREG | 0444, S_IFLNK | 0777 */
	/* Directories. */
	int (*lookup)(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret);
	/* Without "." and "..". `from`: index of the first entry wanted, or `after` of the last one seen. */
	int (*list)(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each,
		    void *data);
	/* Files: the whole text at open (seq_file semantics are near enough: one consistent view per open).
	 */
	int (*show)(struct task *t, const struct synth_node *node, struct synth_text *text);
	ssize_t (*store)(struct task *t, const struct synth_node *node, const char *data,
			 size_t n); /* EACCES */
	/* Links: the text, and for magic links the place itself (-> new reference; NULL op = follow the
	 * text). */
	ssize_t (*readlink)(struct task *t, const struct synth_node *node, char *buf, size_t size);
	int (*follow)(struct task *t, const struct synth_node *node, struct place **ret);
	/*
	 * A magic link to something without a place (a pipe, a socket; follow says -ENXIO for these): opens
	 * it anew, and with O_PATH in flags gives the very file that is there.  Or a file that is no text.
	 */
	int (*open)(struct task *t, const struct synth_node *node, int flags, struct file **ret);
	/* Owner; NULL = root, or the process's euid for nodes with a pid (as /proc). */
	void (*owner)(struct task *t, const struct synth_node *node, uid_t *uid, gid_t *gid);
	unsigned (*links)(const struct synth_node *node); /* of a directory; NULL = 2 */
	/* Who may not open it at all, though its mode lets everybody: 0 or -errno. */
	int (*admit)(struct task *t, const struct synth_node *node);
	bool (*gone)(const struct synth_node *node); /* the process has ended; NULL = never */
	bool own;    /* to the threads of the process that it is of, everything is allowed (proc's fd/) */
	bool polled; /* poll and epoll take it: it can be read, and never changes */
};

/* What is mounted where.  `dest` as in the container's configuration: absolute, no "..". */
struct synth_mount {
	const char *fstype; /* "proc", "sysfs", "cgroup2" */
	const char *dest;
	struct synth_node root;
	bool read_only;
	uint64_t dev;			/* st_dev that its files show; the placeholder's */
	const struct synth_mount *shut; /* the same, read-only, for linux.readonlyPaths */
};
/* `dev` of a mount within another synthetic tree, where the host has no placeholder: /sys/fs/cgroup. */
#define SYNTH_WITHIN_DEV makedev(0, 0xffffe)
/* From boot's list, at start; ended by dest = NULL. */
extern struct synth_mount *synth_mounts;
/* t may be NULL, here and for a type's owner(). */
int synth_node_stat(struct task *t, const struct synth_node *node, struct statx *ret);
/* Opens a node that rights allow and that is no link; takes a reference to its place. */
int synth_open(struct task *t, const struct synth_node *node, struct place *place, int flags,
	       struct file **ret);
/* What linux.maskedPaths and linux.readonlyPaths make of a node; path[0 .. len): canonical. */
void synth_confine(const char *path, size_t len, struct synth_node *node);
/* Roots by type of file system, as boot names them; proc/root.c, proc/sysfs.c. */
int proc_root(struct synth_node *ret);
int sysfs_root(struct synth_node *ret);
int cgroupfs_root(struct synth_node *ret);
