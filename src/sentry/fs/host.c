/* SPDX-License-Identifier: Apache-2.0 */
/* What the file room's calls to the host have in common: transfer buffers, and the two shapes of stat. */
#include "sentry/fs/host.h"

#include <pthread.h>
#include <sys/sysmacros.h>

/* Freed as its thread ends. */
static pthread_key_t xfer_key;
static pthread_once_t xfer_once = PTHREAD_ONCE_INIT;
static __thread char *xfer_mine;

static void make_key(void)
{
	(void)pthread_key_create(&xfer_key, free); /* without a key the buffer lives as long as the program */
}

char *xfer_buffer(void)
{
	if (!xfer_mine) {
		(void)pthread_once(&xfer_once, make_key);
		xfer_mine = aligned_alloc(XFER_ALIGN, XFER_SIZE); /* O_DIRECT wants that */
		(void)pthread_setspecific(xfer_key, xfer_mine);
	}
	return xfer_mine;
}

static struct statx_timestamp statx_time(struct timespec t)
{
	return (struct statx_timestamp){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

static struct timespec stat_time(struct statx_timestamp t)
{
	return (struct timespec){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

void statx_from_stat(const struct stat *st, struct statx *ret)
{
	*ret = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = (uint32_t)st->st_blksize,
		.stx_nlink = (uint32_t)st->st_nlink,
		.stx_uid = st->st_uid,
		.stx_gid = st->st_gid,
		.stx_mode = (uint16_t)st->st_mode,
		.stx_ino = st->st_ino,
		.stx_size = (uint64_t)st->st_size,
		.stx_blocks = (uint64_t)st->st_blocks,
		.stx_atime = statx_time(st->st_atim),
		.stx_ctime = statx_time(st->st_ctim),
		.stx_mtime = statx_time(st->st_mtim),
		.stx_rdev_major = major(st->st_rdev),
		.stx_rdev_minor = minor(st->st_rdev),
		.stx_dev_major = major(st->st_dev),
		.stx_dev_minor = minor(st->st_dev),
	};
}

void stat_from_statx(const struct statx *x, struct stat *ret)
{
	*ret = (struct stat){
		.st_dev = makedev(x->stx_dev_major, x->stx_dev_minor),
		.st_ino = x->stx_ino,
		.st_nlink = x->stx_nlink,
		.st_mode = x->stx_mode,
		.st_uid = x->stx_uid,
		.st_gid = x->stx_gid,
		.st_rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor),
		.st_size = (off_t)x->stx_size,
		.st_blksize = x->stx_blksize,
		.st_blocks = (blkcnt_t)x->stx_blocks,
		.st_atim = stat_time(x->stx_atime),
		.st_mtim = stat_time(x->stx_mtime),
		.st_ctim = stat_time(x->stx_ctime),
	};
}
