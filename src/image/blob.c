/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store_int.h"

#include "base/str.h"

#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

int blob_exists(struct image_store *s, const char *digest, uint64_t *ret_size, struct err *err)
{
	struct stat st;
	int r = digest_check(digest, err);

	if (r < 0)
		return r;
	if (fstatat(image_store_dirfd(s), store_blob_path(digest).s, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot look at the blob %s", digest);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EUCLEAN, "the blob %s is no regular file", digest);
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return 1;
}

int blob_open(struct image_store *s, const char *digest, struct err *err)
{
	int r = digest_check(digest, err);

	if (r < 0)
		return r;
	int fd = openat(image_store_dirfd(s), store_blob_path(digest).s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENOENT, "the blob %s is not in the store \"%s\"", digest,
			       image_store_root(s));
	return fd < 0 ? err_sys(err, "cannot open the blob %s", digest) : fd;
}

int blob_read(struct image_store *s, const char *digest, size_t max, char **ret, size_t *ret_len,
	      struct err *err)
{
	char have[DIGEST_MAX];
	struct sha256 sum;
	size_t len = 0;
	autofree char *data = NULL;
	autoclose int fd = blob_open(s, digest, err);

	if (fd < 0)
		return fd;
	int r = fd_read_all(fd, max, &data, &len);
	if (r == -EFBIG)
		return err_set(err, EFBIG, "the blob %s is larger than %zu bytes", digest, max);
	if (r < 0)
		return err_num(err, r, "cannot read the blob %s", digest);
	sha256_init(&sum);
	sha256_update(&sum, data, len);
	sha256_digest(&sum, have);
	if (!streq(have, digest))
		return err_set(err, EBADMSG,
			       "the blob %s is damaged: its content has the digest %s; \"coffer system check "
			       "--repair\" removes it, then pull the image again",
			       digest, have);
	*ret = take_ptr(&data);
	*ret_len = len;
	return 0;
}

bool store_same_file(const struct image_store *s, int fd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(image_store_dirfd(s), name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int store_temp(struct image_store *s, struct store_path *ret, struct err *err)
{
	uint64_t random[2];

	for (;;) {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return err_sys(err, "cannot get random bytes");
		(void)snprintf(ret->s, sizeof(ret->s), STORE_INGEST "/%016llx%016llx.new",
			       (unsigned long long)random[0], (unsigned long long)random[1]); /* fits */
		autoclose int fd = openat(image_store_dirfd(s), ret->s,
					  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(err, "cannot make a file in \"%s/" STORE_INGEST "\"",
				       image_store_root(s));
		/* A sweep may have come between: then the file has no name any more. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && store_same_file(s, fd, ret->s))
			return take_fd(&fd);
	}
}

/* The name is on the disk when the directory is. */
static int sync_blobs(const struct image_store *s, struct err *err)
{
	autoclose int dir = openat(image_store_dirfd(s), "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || fsync(dir) < 0)
		return err_sys(err, "cannot sync \"%s/blobs/sha256\"", image_store_root(s));
	return 0;
}

int store_publish(struct image_store *s, int fd, const char *from, const char *digest, struct err *err)
{
	struct store_path to = store_blob_path(digest);
	int dir = image_store_dirfd(s);

	if (fchmod(fd, 0400) < 0 || fdatasync(fd) < 0)
		return err_sys(err, "cannot write the blob %s", digest);
	if (renameat2(dir, from, dir, to.s, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return err_sys(err, "cannot publish the blob %s", digest);
		if (unlinkat(dir, from, 0) < 0 && errno != ENOENT)
			return err_sys(err, "cannot remove \"%s/%s\"", image_store_root(s), from);
	}
	return sync_blobs(s, err);
}

int blob_write(struct image_store *s, const void *data, size_t len, char ret_digest[static DIGEST_MAX],
	       struct err *err)
{
	struct store_path temp;
	struct sha256 sum;
	char digest[DIGEST_MAX];

	sha256_init(&sum);
	sha256_update(&sum, data, len);
	sha256_digest(&sum, digest);
	int r = blob_exists(s, digest, NULL, err);
	if (r < 0)
		return r;
	if (r == 0) {
		autoclose int fd = store_temp(s, &temp, err);
		if (fd < 0)
			return fd;
		r = fd_write_all(fd, data, len);
		r = r < 0 ? err_num(err, r, "cannot write the blob %s", digest)
			  : store_publish(s, fd, temp.s, digest, err);
		if (r < 0) {
			ignore_result(
				unlinkat(image_store_dirfd(s), temp.s, 0)); /* else the sweep takes it */
			return r;
		}
	}
	memcpy(ret_digest, digest, DIGEST_MAX);
	return 0;
}
