/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, reached by process_vm_readv/writev, which check every
 * address themselves: a bad one is -EFAULT, never a fault of ours.  The guest's
 * other threads may change it at any time: read once, use the copy.
 */
#pragma once

#include "sentry/kernel.h"

#include <limits.h>
#include <sys/uio.h>

/* 0 or -EFAULT; nothing or all (write: what was written before the fault stays, as with Linux). */
int guest_read(const struct task *t, void *to, uint64_t from, size_t n);
int guest_write(const struct task *t, uint64_t to, const void *from, size_t n);
/* Gets what can be had up to the first bad page: > 0, or -EFAULT. */
ssize_t guest_read_some(const struct task *t, void *to, uint64_t from, size_t n);
ssize_t guest_write_some(const struct task *t, uint64_t to, const void *from, size_t n);
/* The rest of a structure of a caller that is newer than we are: -E2BIG where it is not all zeros; -EFAULT.
 */
int guest_zeros(const struct task *t, uint64_t from, size_t n);
/* A string with its NUL: length without it; -ENAMETOOLONG where it does not end within size; -EFAULT. */
ssize_t guest_string(const struct task *t, char *to, uint64_t from, size_t size);
/* A path for a path argument: as above, and -ENOENT where it is empty. buf of PATH_MAX. */
ssize_t guest_path(const struct task *t, char *to, uint64_t from);

/*
 * A part of the guest's memory that is here already, for the calling thread's handler of one task: the string
 * at path_at, and what is written to put_at, all at once, where that is not 0 and it fits.
 */
struct guest_window {
	const struct task *task;
	uint64_t path_at;
	size_t path_size; /* with its NUL; 0 = none */
	uint64_t put_at;
	size_t put_size; /* what has been written; 0 = nothing */
	char path[256];
	unsigned char put[256];
};
void guest_use_window(struct guest_window *w); /* NULL = no more */

#define guest_get(t, to, from) guest_read((t), (to), (from), sizeof(*(to)))
#define guest_put(t, to, from) guest_write((t), (to), (from), sizeof(*(from)))

/*
 * Data on its way between a file and the guest (or a buffer of the sentry's: splice, sendfile).  io_get and
 * io_put advance by what they moved; `left` is what remains.
 */
struct io {
	struct task *task; /* NULL: iov points to memory of the sentry */
	struct iovec *iov; /* bases are guest addresses where task is set */
	size_t niov;
	size_t left;	     /* bytes to go in all of iov; at most MAX_RW_COUNT */
	int64_t pos;	     /* offset in the file for pread and the like; -1 = the file's own position */
	unsigned flags;	     /* RWF_*, and MSG_DONTWAIT (IO_NOWAIT) where the caller must not wait */
	struct iovec one;    /* what iov points to for a single buffer */
	struct iovec *owned; /* freed by io_end */
};
enum { IO_MAX = 0x7ffff000 };
enum { IO_NOWAIT = 1 << 16 };

void io_begin(struct io *io, struct task *t, uint64_t base, size_t n);
/* From a guest's iovec array: -EINVAL (count, sums), -EFAULT, -ENOMEM.  io_end in any case of success. */
int io_begin_vector(struct io *io, struct task *t, uint64_t iov, size_t n);
void io_begin_buffer(struct io *io, void *buf, size_t n);
void io_end(struct io *io);
/* Bytes moved (0 = nothing left or n = 0), or -EFAULT where not even one could be. */
ssize_t io_get(struct io *io, void *to, size_t n);	   /* data that the guest writes */
ssize_t io_put(struct io *io, const void *from, size_t n); /* data that the guest reads */
