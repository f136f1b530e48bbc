/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A blob of a known digest comes in as ingest/HEX.part,
 * which whoever fetches it holds locked (flock: the kernel lets go of it when
 * the process dies).  A second one waits for the lock, and finds the blob
 * published or the file as far as the first one came.  Ranges may be written
 * in any order, so that only what lies before the first hole counts as there:
 * a block that was written in part looks whole to the file system, therefore
 * the last block before a hole is not trusted.
 */
#include "image/store_int.h"

#include <sys/file.h>
#include <sys/stat.h>

enum { INGEST_BLOCK = 64 << 10, INGEST_BUFFER = 1 << 20 };

/* The locked file, whose name still leads to it. */
static int open_locked(struct image_store *s, const struct store_path *path, struct err *err)
{
	for (;;) {
		autoclose int fd = openat(image_store_dirfd(s), path->s,
					  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(err, "cannot open \"%s/%s\"", image_store_root(s), path->s);
		int r = fd_flock(fd, LOCK_EX);
		if (r < 0)
			return err_num(err, r, "cannot lock \"%s/%s\"", image_store_root(s), path->s);
		/* While we waited, it was published under its other name, or swept. */
		if (store_same_file(s, fd, path->s))
			return take_fd(&fd);
	}
}

/* How much from the start is there without a hole. */
static int usable(const struct ingest *i, uint64_t *ret, struct err *err)
{
	struct stat st;

	if (fstat(i->fd, &st) < 0)
		return err_sys(err, "cannot look at what an earlier try left of %s", i->digest);
	off_t hole = st.st_size ? lseek(i->fd, 0, SEEK_HOLE) : 0;
	if (hole < 0)
		hole = 0;
	if (hole < st.st_size)
		hole = hole > INGEST_BLOCK ? (hole - INGEST_BLOCK) & ~(off_t)(INGEST_BLOCK - 1) : 0;
	if (i->size != UINT64_MAX && (uint64_t)hole > i->size)
		hole = 0;
	if (ftruncate(i->fd, hole) < 0)
		return err_sys(err, "cannot cut what an earlier try left of %s", i->digest);
	*ret = (uint64_t)hole;
	return 0;
}

int ingest_begin(struct image_store *s, const char *digest, uint64_t size, struct ingest *ret,
		 uint64_t *ret_offset, struct err *err)
{
	struct ingest i = {.store = s, .fd = -1, .size = size};
	struct store_path path;

	int r = blob_exists(s, digest, NULL, err);
	if (r < 0)
		return r;
	memcpy(i.digest, digest, strlen(digest) + 1);
	*ret_offset = 0;
	if (r > 0) {
		i.exists = true;
		*ret = i;
		return 0;
	}
	path = store_ingest_path(digest);
	autoclose int fd = open_locked(s, &path, err);
	if (fd < 0)
		return fd;
	r = blob_exists(s, digest, NULL, err);
	if (r < 0)
		return r;
	if (r > 0) {
		/* Another process was faster; the file that we made for nothing goes. */
		ignore_result(unlinkat(image_store_dirfd(s), path.s, 0)); /* else the sweep takes it */
		i.exists = true;
		*ret = i;
		return 0;
	}
	i.fd = fd;
	r = usable(&i, ret_offset, err);
	if (r < 0)
		return r;
	(void)take_fd(&fd);
	*ret = i;
	return 0;
}

int ingest_write(struct ingest *i, uint64_t offset, const void *data, size_t len, struct err *err)
{
	const char *p = data;
	uint64_t end;

	if (__builtin_add_overflow(offset, (uint64_t)len, &end) || end > INT64_MAX || end > i->size)
		return err_set(err, EMSGSIZE, "the blob %s is longer than the %llu bytes that it should have",
			       i->digest, (unsigned long long)i->size);
	while (len > 0) {
		ssize_t n = pwrite(i->fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write the blob %s to \"%s\"", i->digest,
				       image_store_root(i->store));
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int ingest_restart(struct ingest *i, struct err *err)
{
	if (ftruncate(i->fd, 0) < 0)
		return err_sys(err, "cannot begin the blob %s again", i->digest);
	return 0;
}

/* Reads it all again; what is wrong goes, for nobody can go on from there. */
static int verify(struct ingest *i, struct err *err)
{
	autofree char *buf = malloc(INGEST_BUFFER);
	char have[DIGEST_MAX];
	struct sha256 sum;
	ssize_t n;

	if (!buf)
		return err_oom(err);
	sha256_init(&sum);
	for (off_t at = 0; (n = pread(i->fd, buf, INGEST_BUFFER, at)) != 0; at += n) {
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot read the blob %s", i->digest);
		n = MAX_OF(n, 0);
		sha256_update(&sum, buf, (size_t)n);
	}
	sha256_digest(&sum, have);
	if (streq(have, i->digest))
		return 0;
	int r = ingest_restart(i, err);
	return r < 0 ? r
		     : err_set(err, EBADMSG, "the content of the blob %s has another digest: %s", i->digest,
			       have);
}

int ingest_commit(struct ingest *i, bool verified, struct err *err)
{
	struct store_path path = store_ingest_path(i->digest);
	struct stat st;

	if (i->exists)
		return 0;
	if (fstat(i->fd, &st) < 0)
		return err_sys(err, "cannot look at the blob %s", i->digest);
	if (i->size != UINT64_MAX && (uint64_t)st.st_size != i->size)
		return err_set(err, EBADMSG, "the blob %s is cut: %llu of %llu bytes came", i->digest,
			       (unsigned long long)st.st_size, (unsigned long long)i->size);
	int r = verified ? 0 : verify(i, err);
	if (r == 0)
		r = store_publish(i->store, i->fd, path.s, i->digest, err);
	if (r == 0)
		i->exists = true;
	return r;
}

void ingest_close(struct ingest *i)
{
	cleanup_close(&i->fd);
	i->fd = -1;
}
