/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions and descriptor tables.
 *
 * A kind of file embeds struct file as its first member, fills `ops`, and is
 * freed by its `release`.  Every handler reaches files through these
 * operations; what an operation lacks (NULL) is the errno named beside it.
 */
#pragma once

#include "sentry/guest.h"
#include "sentry/path.h"
#include "sentry/wait.h"

#include <sys/epoll.h>
#include <sys/stat.h>

struct file;

/* Of what has no inode on the host: pipes, sockets. */
struct owner {
	mode_t mode; /* with the type */
	uid_t uid;
	gid_t gid;
};

/* getdents' consumer: false = full, the entry has not been taken and comes first next time. `next` is the
 * offset behind the entry. */
typedef bool dirent_sink(void *data, const char *name, uint64_t ino, unsigned char type, int64_t next);

/* What calls a guest may make by itself on a descriptor of the sentry's (platform/shadow.c). */
enum shadow_kind {
	SHADOW_FILE,	/* read, pread64, lseek */
	SHADOW_SOCKET,	/* read, write, readv, writev, recvfrom and sendto without addresses */
	SHADOW_WRITTEN, /* write, writev and pwrite64 of a SHADOW_FILE */
	SHADOW_EPOLL,	/* epoll_wait, and epoll_ctl of sockets that have a shadow */
	SHADOW_KINDS
};

struct file_ops {
	const char *name; /* for --trace and /proc/PID/fd: "pipe", "socket", "anon_inode:[eventfd]" ... */
	/*
	 * Never wait: -EAGAIN where they would have to; the caller parks on `queue` (or returns EAGAIN).  May
	 * be called again with the io advanced by a part that was done; return what this call moved.
	 */
	ssize_t (*read)(struct file *f, struct io *io);	 /* EINVAL */
	ssize_t (*write)(struct file *f, struct io *io); /* EINVAL */
	uint32_t (*poll)(struct file *f); /* NULL: always EPOLLIN | EPOLLOUT, and epoll_ctl: EPERM */
	int64_t (*seek)(struct file *f, int64_t offset, int whence); /* ESPIPE */
	/* ENOTDIR; starts at f->pos, which the caller moves */
	int (*readdir)(struct file *f, struct task *t, dirent_sink *sink, void *data);
	/* Instead of readdir, where the host packs the records (struct linux_dirent64) itself: bytes or
	 * -errno. */
	ssize_t (*getdents)(struct file *f, void *buf, size_t n);
	long (*ioctl)(struct file *f, struct task *t, unsigned cmd, uint64_t arg); /* ENOTTY */
	int (*stat)(struct file *f, struct statx *ret);				   /* NULL: by f->place */
	struct owner *(*owner)(struct file *f);	       /* what fchmod and fchown change; NULL: nothing does */
	int (*truncate)(struct file *f, int64_t size); /* EINVAL */
	int (*allocate)(struct file *f, int mode, int64_t offset, int64_t len); /* EOPNOTSUPP/ENODEV */
	int (*sync)(struct file *f, bool data_only);				/* EINVAL */
	/* A host descriptor that may be given to a stub to be mapped with this protection; borrowed.  ENODEV
	 */
	int (*map)(struct file *f, int prot, int flags);
	/* A host descriptor on which the guest's own calls, those of this kind, do the very same; borrowed.
	 * -errno or NULL: none.  Before it is given away `natively` is set, and set_flags called. */
	int (*native)(struct file *f);
	enum shadow_kind kind;
	/* A host descriptor whose readiness is the file's at all times; borrowed.  -errno or NULL: none. */
	int (*pollable)(struct file *f);
	/* No guest does any calls on it natively any more, as platform_take_back() was asked for. */
	void (*taken_back)(struct file *f);
	int (*set_flags)(struct file *f, int flags); /* after F_SETFL; NULL = nothing to do */
	/* At each close of a descriptor, with what that returns: 0 or -errno. */
	int (*flush)(struct file *f, struct task *t);
	void (*release)(struct file *f); /* the last reference has gone; frees f */
};

struct file {
	const struct file_ops *ops;
	unsigned refs;
	int flags; /* O_ACCMODE, O_APPEND, O_NONBLOCK, O_DIRECT, O_PATH, O_DIRECTORY ...; without O_CLOEXEC */
	int64_t pos;
	uint32_t idle; /* events that it cannot have before its queue is woken: known without a look */
	struct wait_queue *queue; /* of what it stands for; NULL = always ready */
	struct place *place;	  /* where it was opened; NULL = anonymous */
	int host_fd;		  /* of regular files, directories, host sockets, terminals; -1 = none */
	struct list_node epolls;  /* epoll.c's items on this file */
	bool natively;		  /* guests may use host_fd by themselves */
	bool locked;		  /* it may hold flock or OFD locks (fs/lock.h) */
	pid_t owner;		  /* F_SETOWN; a group: negative */
	int owner_signal;	  /* F_SETSIG */
	struct async *async;	  /* whom it tells by a signal (fs/async.h); NULL = nobody */
};

/* refs = 1, host_fd = -1. */
void file_init(struct file *f, const struct file_ops *ops, int flags);
struct file *file_ref(struct file *f);
void file_unref(struct file *f); /* NULL is fine */
uint32_t file_poll(struct file *f);
/* As statx shows it; anonymous files without an operation look like anon_inode's. */
int file_stat(struct file *f, struct statx *ret);
/* By io/epoll.c: the file is about to go, with epoll items still on it. */
void epoll_forget(struct file *f);
/* F_SETOWN: a process, a group (negative), or nobody (0).  0, -EINVAL, -ESRCH.  (fs/fd_calls.c) */
int file_set_owner(struct task *t, struct file *f, int who);
bool file_can_read(const struct file *f);
bool file_can_write(const struct file *f);

/*
 * The pattern of every blocking read and write, once: calls `op` until it does not say EAGAIN or the file may
 * not wait; keeps progress of writes in call.done.  Returns a handler's result. A write's EPIPE sends SIGPIPE
 * here, once for all kinds.
 */
long file_read_call(struct task *t, struct call *c, struct file *f, struct io *io);
long file_write_call(struct task *t, struct call *c, struct file *f, struct io *io);

/* ---- descriptors ---- */

struct fd_table;
struct fd_table *fd_table_new(void);
struct fd_table *fd_table_ref(struct fd_table *x);
struct fd_table *fd_table_copy(struct fd_table *x);	 /* fork; NULL = ENOMEM */
void fd_table_unref(struct task *t, struct fd_table *x); /* the last one closes all */
void fd_close_on_exec(struct task *t);
/* Borrowed while the lock is held; NULL = EBADF (also for O_PATH files, except by fd_get_any). */
struct file *fd_get(const struct task *t, int fd);
struct file *fd_get_any(const struct task *t, int fd);
/* The lowest free descriptor >= min gets the file (the reference passes over, also on failure): fd, -EMFILE,
 * -ENOMEM. */
int fd_install(struct task *t, struct file *f, int min, bool cloexec);
/* Exactly this number, closing what was there. */
int fd_install_at(struct task *t, struct file *f, int fd, bool cloexec);
/* Whether fd_install(…, 0, …) would find room, for what must fail before it has effects: 0 or -EMFILE. */
int fd_check_room(const struct task *t);
/* Into a table that no task has yet; the number is free. */
void fd_table_put(struct fd_table *x, int fd, struct file *f, bool cloexec);
int fd_close(struct task *t, int fd);
int fd_flags(const struct task *t, int fd); /* FD_CLOEXEC or 0; -EBADF */
int fd_set_flags(struct task *t, int fd, int flags);
/* Descriptors in use, ascending, from `from`; -1 = no more.  For /proc/PID/fd and close_range. */
int fd_next(const struct fd_table *x, int from);
struct file *fd_table_get(const struct fd_table *x, int fd); /* any task's; NULL */
/* Notes that a host descriptor of this number was injected into the stub to be mapped: close() tells the host
 * too. */
void fd_mark_injected(struct task *t, int fd);
bool fd_is_injected(const struct task *t, int fd);

enum { SHADOW_NUMBERS = 512 /* of the guest's descriptors: a multiple of 64 */ };

/* Descriptors by which the stub may read this table's files itself (platform/shadow.c). */
struct shadows {
	uint64_t may_be[SHADOW_NUMBERS * SHADOW_KINDS /
			64]; /* by kind and number; may be there in the stub, at least */
	uint64_t stale[SHADOW_NUMBERS * SHADOW_KINDS /
		       64]; /* not the table's any more: to be taken from the stub */
	uint64_t gone[SHADOW_NUMBERS * SHADOW_KINDS / 64]; /* have been there some time */
	uint64_t judged[SHADOW_NUMBERS /
			64]; /* by number: whether its file may be SHADOW_WRITTEN has been looked at */
	unsigned again;	     /* so many writes more, and that is looked at anew; 0 = it is not */
	bool any_stale;
	int left; /* a number that was injected and is closed, and is in the stub yet, + 1; 0 = none */
	uint64_t lent[SHADOW_NUMBERS /
		      64]; /* by number: an interrupted call left it in the stub, and it is nobody's */
	uint64_t at_work[SHADOW_NUMBERS / 64]; /* by number: lent to a call that goes on */
	bool off;			       /* there shall be no more */
	bool split; /* the stub's table is another table's of ours as well: of its numbers but lent ones are
		       used */
};
struct shadows *fd_table_shadows(struct fd_table *x);
bool fd_table_is_shared(const struct fd_table *x);
/* The task goes on with a copy of its table: unshare.  0, -ENOMEM. */
int fd_table_split(struct task *t);
/* Counts, and says whether it has been often since the number has this file. */
bool fd_is_hot(struct task *t, int fd);

/* ---- kinds that other rooms make ---- */

/* A host descriptor that came with the container (stdio) or by exec; takes it over. */
struct file *file_from_host(int host_fd, int flags, int *ret_error);
/* Character devices by number (io/devices.c): null, zero, full, random, urandom, tty, console, ptmx, pts/N.
 */
int device_open(struct task *t, dev_t dev, struct place *where, int flags, struct file **ret);
/* A FIFO in the file system, by the identity of its inode (io/pipe.c). */
int fifo_open(struct task *t, struct call *c, struct place *where, const struct statx *st, int flags,
	      struct file **ret);
/* Unix sockets bound in the file system are found by the identity of their inode (net/unix.c). */
