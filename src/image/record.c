/* SPDX-License-Identifier: Apache-2.0 */
/* An image whose content is in the store gets its row and its name. */
#include "image/store_int.h"

#include "base/clock.h"
#include "base/str.h"

#include <time.h>

/* "DD" of exactly `n` digits; -1 where it is something else. */
static int digits(const char **p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		v = v * 10 + (**p - '0');
	}
	return v;
}

static bool parse_zone(const char *p, int *ret_seconds)
{
	int sign = *p == '-' ? -1 : 1;

	*ret_seconds = 0;
	if (*p == 'Z' || *p == 'z')
		return !p[1];
	if (*p != '+' && *p != '-')
		return false;
	p++;
	int h = digits(&p, 2);
	if (h < 0 || *p++ != ':')
		return false;
	int m = digits(&p, 2);
	*ret_seconds = sign * (h * 3600 + m * 60);
	return m >= 0 && h < 24 && m < 60 && !*p;
}

bool store_parse_time(const char *text, struct timespec *ret)
{
	struct tm tm = {0};
	const char *p = text;
	long nsec = 0;
	int zone;

	tm.tm_year = digits(&p, 4) - 1900;
	if (tm.tm_year < 0 - 1900 || *p++ != '-')
		return false;
	tm.tm_mon = digits(&p, 2) - 1;
	if (tm.tm_mon < 0 || tm.tm_mon > 11 || *p++ != '-')
		return false;
	tm.tm_mday = digits(&p, 2);
	if (tm.tm_mday < 1 || tm.tm_mday > 31 || (*p != 'T' && *p != 't'))
		return false;
	p++;
	tm.tm_hour = digits(&p, 2);
	if (tm.tm_hour < 0 || tm.tm_hour > 23 || *p++ != ':')
		return false;
	tm.tm_min = digits(&p, 2);
	if (tm.tm_min < 0 || tm.tm_min > 59 || *p++ != ':')
		return false;
	tm.tm_sec = digits(&p, 2);
	if (tm.tm_sec < 0 || tm.tm_sec > 60)
		return false;
	if (*p == '.') {
		long unit = 100000000;
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			nsec += (*p - '0') * unit;
	}
	if (!parse_zone(p, &zone))
		return false;
	*ret = (struct timespec){.tv_sec = timegm(&tm) - zone, .tv_nsec = nsec};
	return true;
}

/* Nanoseconds as the database has them; what lies beyond their range (1677 to 2262) is 0, unknown. */
static int64_t created_ns(const char *text)
{
	struct timespec t;
	int64_t ns;

	if (!text || !store_parse_time(text, &t) || __builtin_mul_overflow(t.tv_sec, 1000000000, &ns) ||
	    __builtin_add_overflow(ns, t.tv_nsec, &ns) || ns < 0)
		return 0;
	return ns;
}

/* What the row will say, as it is gathered. */
struct row {
	const struct image_record *r;
	char *config;
	size_t config_len;
	struct json_doc doc;
	struct oci_image_config c;
	char platform[100];
	char *layers, *diffs;
};

static void record_row_free(struct row *w)
{
	free(w->config);
	json_doc_free(&w->doc);
	free(w->layers);
	free(w->diffs);
}

static bool same_list(const str_list *a, const str_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!streq(a->v[i], b->v[i]))
			return false;
	return true;
}

static int check_layer(struct image_store *s, const char *diff_id, const char *digest, struct err *err)
{
	if (faccessat(image_store_dirfd(s), store_layer_path(diff_id).s, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "the layer %s is not in the store", diff_id);
	if (!*digest)
		return 0;
	int r = blob_exists(s, digest, NULL, err);
	return r == 0 ? err_set(err, ENOENT, "the blob %s of a layer is not in the store", digest)
		      : MIN_OF(r, 0);
}

static int record_gather(struct image_store *s, struct row *w, struct err *err)
{
	const struct image_record *r = w->r;
	int e = blob_read(s, r->config_digest, OCI_IMAGE_CONFIG_MAX, &w->config, &w->config_len, err);

	if (e == 0)
		e = oci_image_config_decode(w->config, w->config_len, r->config_digest, &w->doc, &w->c, err);
	if (e < 0)
		return e;
	if ((r->diff_ids && !same_list(r->diff_ids, &w->c.diff_ids)) ||
	    r->layer_digests->n != w->c.diff_ids.n)
		return err_set(err, EBADMSG,
			       "the configuration %s is of %zu layers (rootfs.diff_ids), the manifest of %zu "
			       "others",
			       r->config_digest, w->c.diff_ids.n, r->layer_digests->n);
	for (size_t i = 0; e == 0 && i < w->c.diff_ids.n; i++)
		e = check_layer(s, w->c.diff_ids.v[i], r->layer_digests->v[i], err);
	e = e < 0 ? e : blob_exists(s, r->manifest_digest, NULL, err);
	if (e == 0)
		return err_set(err, ENOENT, "the manifest %s is not in the store", r->manifest_digest);
	if (e > 0)
		e = r->index_digest ? digest_check(r->index_digest, err) : 0;
	if (e < 0)
		return e;
	if (r->platform) {
		struct platform_text p;
		e = store_platform_parse(r->platform, &p, err);
		(void)snprintf(w->platform, sizeof(w->platform), "%s/%s%s%s", p.os, p.architecture,
			       *p.variant ? "/" : "", p.variant); /* fits */
	} else {
		e = store_platform_of(&w->c, w->platform, err);
	}
	w->layers = store_join(r->layer_digests);
	w->diffs = store_join(&w->c.diff_ids);
	return e < 0 ? e : w->layers && w->diffs ? 0 : err_oom(err);
}

/* The layers' sizes, and their sum from what is known. */
static int record_sizes(struct db *db, const struct row *w, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && w->r->layer_sizes && i < w->c.diff_ids.n; i++)
		r = w->r->layer_sizes[i] == 0
			    ? 0
			    : db_exec(db, err, "INSERT OR REPLACE INTO layer_size VALUES (?, ?)", "si",
				      w->c.diff_ids.v[i],
				      (int64_t)MIN_OF(w->r->layer_sizes[i], (uint64_t)INT64_MAX));
	return MIN_OF(r, 0);
}

static int record_sum(struct db *db, const struct row *w, int64_t *ret, struct err *err)
{
	uint64_t sum = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < w->c.diff_ids.n; i++) {
		uint64_t size;
		r = store_layer_size(db, w->c.diff_ids.v[i], &size, err);
		if (r == 0 && __builtin_add_overflow(sum, size, &sum))
			sum = INT64_MAX;
	}
	*ret = (int64_t)MIN_OF(sum, (uint64_t)INT64_MAX);
	return MIN_OF(r, 0);
}

static int record_name(struct db *db, const char *name, const struct row *w, struct err *err)
{
	return store_done(db_exec(db, err, "INSERT OR REPLACE INTO name VALUES (?, ?, ?)", "sss", name,
				  w->platform, w->r->config_digest));
}

static int record_all_names(struct db *db, const struct row *w, struct err *err)
{
	struct reference ref autoreference = {0};

	if (!w->r->reference)
		return 0;
	int r = reference_parse(w->r->reference, &ref, err);
	if (r < 0)
		return r;
	const char *digest = w->r->index_digest ? w->r->index_digest : w->r->manifest_digest;
	autofree char *tag = str_format("%s/%s:%s", ref.domain, ref.path, ref.tag ? ref.tag : ""),
		      *by_digest = str_format("%s/%s@%s", ref.domain, ref.path, digest);
	if (!tag || !by_digest)
		return err_oom(err);
	if (!ref.digest)
		r = record_name(db, tag, w, err);
	if (r == 0 && !w->r->local)
		r = record_name(db, by_digest, w, err);
	return r;
}

static int record_write(struct db *db, const struct row *w, struct err *err)
{
	int64_t size = 0;
	int r = record_sizes(db, w, err);

	if (r == 0)
		r = record_sum(db, w, &size, err);
	if (r < 0)
		return r;
	r = db_exec(db, err,
		    "INSERT INTO image (id, manifest, index_digest, platform, size, created, pulled, layers, "
		    "diffs, config) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
		    "manifest = excluded.manifest, index_digest = excluded.index_digest, platform = "
		    "excluded.platform, size = excluded.size, pulled = excluded.pulled, layers = "
		    "excluded.layers",
		    "ssssiiisss", w->r->config_digest, w->r->manifest_digest, w->r->index_digest, w->platform,
		    size, created_ns(w->c.created), clock_ns(CLOCK_REALTIME), w->layers, w->diffs, w->config);
	return r < 0 ? r : record_all_names(db, w, err);
}

int image_record(struct image_store *s, const struct image_record *r, struct err *err)
{
	struct db *db = image_store_db(s);
	struct row w = {.r = r};
	int e = record_gather(s, &w, err);

	if (e == 0)
		e = db_begin(db, err);
	if (e == 0) {
		e = record_write(db, &w, err);
		if (e == 0)
			e = db_commit(db, err);
		if (e < 0)
			db_rollback(db);
	}
	record_row_free(&w);
	return e < 0 ? err_prefix(err, "cannot record the image %s",
				  r->reference ? r->reference : r->config_digest)
		     : 0;
}
