/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share; of no use outside image/. */
#pragma once

#include "base/fd.h"
#include "image/content.h"
#include "image/sha256.h"

#define STORE_INGEST "ingest"

/* A count or -errno as 0 or -errno. */
static inline int store_done(int r)
{
	return r < 0 ? r : 0;
}

/* "blobs/sha256/HEX" or "ingest/HEX.part": the digest has been checked before it comes here. */
struct store_path {
	char s[96];
};
struct store_path store_blob_path(const char *digest);
struct store_path store_layer_path(const char *diff_id);
struct store_path store_ingest_path(const char *digest);

/*
 * A fresh file of a random name in ingest/, locked: what nobody locks is
 * swept.  `ret` is its path in the store.  A descriptor.
 */
must_use int store_temp(struct image_store *s, struct store_path *ret, struct err *err);
/* Synced and renamed to the blob's name; a blob that is there already is as good. */
must_use int store_publish(struct image_store *s, int fd, const char *from, const char *digest,
			   struct err *err);
/* Whether `name` (in the store) is the very file that `fd` holds. */
bool store_same_file(const struct image_store *s, int fd, const char *name);

/* Reads RFC 3339 ("2024-01-02T03:04:05.678Z", "+02:00"); false where it is something else. */
bool store_parse_time(const char *text, struct timespec *ret);

/* A list of texts in one column, each on its line ("" is an empty line). */
must_use char *store_join(const str_list *l);
must_use int store_split(const char *text, str_list *ret, struct err *err);
/* An owned copy at the end; the list's array and texts are malloc'ed. */
/* *ret is 0 where it is not known. */
must_use int store_layer_size(struct db *db, const char *diff_id, uint64_t *ret, struct err *err);
must_use int store_list_add(str_list *l, const char *text, size_t len, struct err *err);
void store_list_free(str_list *l);

/* "linux/arm/v7" -> its parts, in Docker's spelling of them; strings in `buf`.  0 or -EINVAL. */
struct platform_text {
	char os[32], architecture[32], variant[32];
};
must_use int store_platform_parse(const char *text, struct platform_text *ret, struct err *err);
/* "linux/arm/v7" of a configuration. */
must_use int store_platform_of(const struct oci_image_config *c, char ret[static 100], struct err *err);

/* gc.lock, exclusive: waits until nobody holds content that has no name.  A descriptor. */
must_use int store_gc_lock(struct image_store *s, struct err *err);
/* The same without waiting: -EAGAIN. */
must_use int store_gc_try_lock(struct image_store *s, struct err *err);
/* Each entry of a folder of the store but "." and ".."; what `each` returns but 0 ends it. */
typedef int (*store_entry_fn)(void *data, int dirfd, const char *name, struct err *err);
must_use int store_each_entry(struct image_store *s, const char *folder, store_entry_fn each, void *data,
			      struct err *err);
/* No living process holds it locked. */
bool store_is_stale(int dirfd, const char *name);
/* What killed processes left in ingest/, but for partial blobs, from which a pull goes on. */
must_use int store_sweep_left(struct image_store *s, struct err *err);
