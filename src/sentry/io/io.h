/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of io: what pipes, terminals, epoll and their kin offer to the other rooms.
 * How files are made of them is file.h's (file_from_host, device_open, fifo_open).
 */
#pragma once

#include "sentry/task.h"
#include "sentry/file.h"
#include "sentry/fs/hostfile.h"

/* ---- pipes (pipe.c) ---- */

/* Both ends of a new pipe; flags: O_NONBLOCK, O_DIRECT.  0, -ENOMEM. */
int pipe_make(struct task *t, int flags, struct file *ret[2]);
/* Pipes and FIFOs. */
bool file_is_pipe(const struct file *f);
bool pipe_same(const struct file *a, const struct file *b); /* two ends of one pipe */
/* F_GETPIPE_SZ and F_SETPIPE_SZ: the size in bytes, or -EBADF where it is no pipe. */
long pipe_size(const struct file *f);
long pipe_resize(struct task *t, struct file *f, uint64_t size);
/*
 * For splice, tee and vmsplice, which move data through a buffer of the sentry's.  0: the pipe is the
 * sentry's own from now on, which the others count on; CALL_PARK: the call is run again when it is; -ENOMEM.
 */
long pipe_keep_here(struct task *t, struct file *f);
ssize_t pipe_peek(struct file *f, void *buf, size_t n, size_t skip); /* 0 = empty and no writer; -EAGAIN */
void pipe_discard(struct file *f, size_t n);			     /* not more than was peeked at */
size_t pipe_room(const struct file *f); /* bytes that a write takes now, at least */
/* From a look until what was seen is discarded, over times without the lock: nobody else reads. */
void pipe_hold(struct file *f, bool on);

/* The inode that a FIFO was opened by (fifo.c); false: it is none.  Asks nobody. */
bool fifo_id(const struct file *f, struct file_id *ret);

/* ---- epoll (epoll_host.c) ---- */

/* A call has been done and is not answered yet: what a guest sees by itself in sets of epoll is true of all
 * files. */
void epoll_settle(void);
/* Whether that would not come to be true of this file if guests read it by themselves. */
bool epoll_has_proxy(const struct file *f);

/* ---- signalfd (signalfd.c) ---- */

/* A signal may have become pending for the process: who waits for its signalfds looks. */
void signalfd_recheck(const struct process *p);
bool file_is_signalfd(const struct file *f);
void signalfd_released(struct process *p); /* it has ended */

/* ---- asynchronous input and output (aio.c) ---- */

void aio_released(struct process *p); /* its memory has ended: contexts go */
unsigned aio_in_use(void);	      /* what all contexts together were made for: fs.aio-nr */

/* ---- eventfd (eventfd.c) ---- */

bool file_is_eventfd(const struct file *f);
void eventfd_signal(struct file *f); /* one more, as far as there are numbers */

/* ---- devices (devices.c) ---- */

/* The host's node of this name in the container's /dev, if it is this device: a descriptor or -errno. */
int device_host_open(const char *name, dev_t dev, mode_t type, int flags);

/* ---- terminals (tty.c) ---- */

bool file_is_tty(const struct file *f);
/*
 * What open(2) without O_NOCTTY does after the descriptor is there: a session leader without a terminal gets
 * this one. Returns what the handler returns: fd, or CALL_GONE with the fd to come.
 */
long tty_opened(struct task *t, struct call *c, struct file *f, int fd, int flags);

/* ---- what the room's files share (io.c) ---- */

/* Inode numbers of anonymous objects: never 0, never again. */
uint64_t io_new_inode(void);
/* Which of the file systems without a mount an anonymous object is on: its st_dev is 0:this. */
enum { IO_DEV_ANON = 13, IO_DEV_PIPE = 14 };
void io_stat_anonymous(struct statx *st, mode_t mode, uint64_t ino, unsigned dev_minor, uid_t uid, gid_t gid);
/* An answer of an ioctl that is an int. */
long io_put_int(struct task *t, uint64_t to, int value);
/* Reads and writes of host descriptors: from and to the guest through a buffer, by `move`, which is one host
 * call. */
typedef ssize_t io_host_call(void *data, void *buf, size_t n);
ssize_t io_from_host(struct io *io, io_host_call *move, void *data);
ssize_t io_to_host(struct io *io, io_host_call *move, void *data);
/* A descriptor's readiness as the host's poll sees it. */
uint32_t io_host_poll(int fd);
/* Operations of files whose host descriptor is what they stand for. */
int64_t io_host_seek(struct file *f, int64_t offset, int whence);
int io_host_stat(struct file *f, struct statx *st);
/* ret = a descriptor for a new file, whose reference passes over. */
long io_install(struct task *t, struct file *f, bool cloexec);

/* Waits with another signal mask (sigmask.c): ppoll, pselect6, epoll_pwait. */
struct wait_mask {
	bool set; /* there is a mask */
	uint64_t bits;
};
/* -EINVAL, -EFAULT. */
int wait_mask_get(struct task *t, struct wait_mask *ret, uint64_t at, uint64_t size);
/*
 * What a handler of a waiting call returns instead of CALL_PARK, its task being on the queues: as park, but
 * signals are let in by this mask while it waits.
 */
long wait_mask_park(struct task *t, struct call *c, const struct wait_mask *mask);
