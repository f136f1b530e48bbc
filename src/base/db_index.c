/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  The index of SQLite's write-ahead log is a file that
 * all connections map.  It is not written with any care for a power failure:
 * the first connection of all cuts it to nothing and reads the whole log to
 * make it anew, at some microseconds a page.  A daemon pays for that once;
 * here each command is the first.
 *
 * What SQLite is afraid of is the machine that went down.  That a process is
 * killed at any instruction it copes with at any time: the others go on with
 * the same index, whose header is written twice and checked.  So within one
 * boot the index need not be made anew, no matter who has died: it is marked,
 * by an attribute of the file, with the boot that it belongs to.
 *
 * "The first of all" is who can lock byte 128 of the index exclusively (the
 * "dead man's switch" of its documented format; all others hold it shared).
 * Where the mark is right we hold it shared, by an open file description of
 * our own, before SQLite looks.
 *
 * The mark alone says nothing of a log that somebody took away, or of files
 * that were copied or rolled back under us.  So the index must also fit the
 * log, by the format that SQLite documents: the same salts, a log that is
 * long enough, and no frame of that generation behind the last that the index
 * knows.  Whatever is in doubt, SQLite makes it anew.
 *
 * Closing any descriptor of a file drops the POSIX locks that a process has on
 * it, SQLite's too.  Hence ours is closed, and the mark made, after the
 * connection's end, and a process has one connection to a database at a time.
 */
#include "base/db_index.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#define MARK_NAME "user.coffer.boot"
enum { MARK_MAX = 80, DEAD_MAN = 128, FRAME_HEADER = 24, LOG_HEADER = 32 };

/* The header of the index, twice in a row at its beginning; in the machine's byte order but for the salts. */
struct index_header {
	uint32_t version, unused_, change;
	uint8_t is_init, big_end_checksum;
	uint16_t page_size; /* 1 = 65536 */
	uint32_t last_frame, pages;
	uint32_t frame_checksum[2], salt[2], checksum[2];
};
_Static_assert(sizeof(struct index_header) == 48, "the file format says so");

static int open_beside(const char *path, const char *suffix, int flags)
{
	autofree char *whole = str_format("%s%s", path, suffix);

	return whole ? open(whole, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
}

/* "BOOT_ID INODE": a copy of the file is none of this boot's. */
static bool mark_of(int index, char ret[static MARK_MAX])
{
	char id[40];
	struct stat st;
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, id, sizeof(id) - 1);

	if (n < 36 || fstat(index, &st) < 0)
		return false;
	id[36] = '\0';
	return snprintf(ret, MARK_MAX, "%s %llu", id, (unsigned long long)st.st_ino) < MARK_MAX;
}

static bool read_at(int fd, void *buf, size_t len, uint64_t at)
{
	return at < INT64_MAX && pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

static bool fits_log(int index, int log)
{
	struct index_header h[2];
	uint32_t salt[2], next[2];

	if (!read_at(index, h, sizeof(h), 0) || memcmp(&h[0], &h[1], sizeof(h[0])) != 0 || h[0].is_init != 1)
		return false;
	uint64_t page = h[0].page_size == 1 ? 65536 : h[0].page_size;
	uint64_t end = LOG_HEADER + h[0].last_frame * (FRAME_HEADER + page);
	struct stat st;
	if (fstat(log, &st) < 0 || (uint64_t)st.st_size < end)
		return false;
	if (!read_at(log, salt, sizeof(salt), 16) || memcmp(salt, h[0].salt, sizeof(salt)) != 0)
		return false;
	return !read_at(log, next, sizeof(next), end + 8) || memcmp(next, salt, sizeof(salt)) != 0;
}

int db_index_hold(const char *path)
{
	char want[MARK_MAX], have[MARK_MAX];
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = DEAD_MAN, .l_len = 1};
	autoclose int index = open_beside(path, "-shm", O_RDWR);

	if (index < 0 || !mark_of(index, want))
		return -1;
	ssize_t n = fgetxattr(index, MARK_NAME, have, sizeof(have));
	if (n != (ssize_t)strlen(want) || memcmp(have, want, (size_t)n) != 0)
		return -1;
	autoclose int log = open_beside(path, "-wal", O_RDONLY);
	if (log < 0 || !fits_log(index, log) || fcntl(index, F_OFD_SETLK, &lock) < 0)
		return -1;
	return take_fd(&index);
}

void db_index_mark(const char *path)
{
	char mark[MARK_MAX];
	autoclose int index = open_beside(path, "-shm", O_RDWR);

	/* Where the file system keeps no attributes the next one makes it anew, as ever. */
	if (index >= 0 && mark_of(index, mark))
		ignore_result(fsetxattr(index, MARK_NAME, mark, strlen(mark), 0) < 0);
}
