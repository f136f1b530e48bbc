/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `system check`.  What an image needs is looked at piece by piece.  Pieces
 * that others can be made from are made again: the configuration stands in
 * the row, a layer in its blob, a manifest in its layers.  A blob that is
 * damaged goes; the image runs on without it as long as the layer is there,
 * and only a push or save asks for it.
 */
#include "image/intake.h"

#include "image/remove_tree.h"
#include "base/str.h"

#include <sys/file.h>
#include <sys/stat.h>

enum { CHECK_BUFFER = 1 << 20 };

struct checking {
	struct image_store *s;
	bool deep, repair;
	void (*finding)(void *data, const char *line);
	void *data;
	uint64_t n;
	str_list bad; /* blobs that are damaged; taken away where `repair` */
};

printf_like(2, 3) static void report_finding(struct checking *k, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		line[0] = '\0';
	va_end(ap);
	k->n++;
	if (k->finding)
		k->finding(k->data, line);
}

/* 1: content and name agree. */
static int blob_is_whole(int dirfd, const char *name, struct err *err)
{
	autofree char *buf = malloc(CHECK_BUFFER);
	char have[DIGEST_MAX];
	struct sha256 sum;
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (!buf)
		return err_oom(err);
	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ELOOP ? 0 : err_sys(err, "cannot open the blob %s", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	sha256_init(&sum);
	while ((n = fd_read_full(fd, buf, CHECK_BUFFER)) > 0)
		sha256_update(&sum, buf, (size_t)n);
	/* What the disk does not give back is damaged as well. */
	if (n < 0)
		return n == -EIO ? 0 : err_num(err, (int)n, "cannot read the blob %s", name);
	sha256_digest(&sum, have);
	return streq(have + 7, name);
}

static int check_blob_entry(void *data, int dirfd, const char *name, struct err *err)
{
	struct checking *k = data;
	int r = k->deep ? blob_is_whole(dirfd, name, err)
			: strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;

	if (r != 0)
		return MIN_OF(r, 0);
	report_finding(k, "the blob %s is damaged: its content has another digest%s", name,
		       k->repair ? "; removed" : "");
	r = store_list_add(&k->bad, name, strlen(name), err);
	if (r == 0 && k->repair) {
		r = image_remove_tree_at(dirfd, name);
		if (r < 0)
			return err_num(err, r, "cannot remove the blob %s", name);
	}
	return r;
}

static bool is_bad_blob(const struct checking *k, const char *digest)
{
	for (size_t i = 0; i < k->bad.n; i++)
		if (streq(k->bad.v[i], digest + 7))
			return true;
	return false;
}

/* 1 where the blob is there and not known to be damaged. */
static int check_has_blob(struct checking *k, const char *digest, struct err *err)
{
	return is_bad_blob(k, digest) ? 0 : blob_exists(k->s, digest, NULL, err);
}

static int check_has_layer(struct checking *k, const char *diff_id, struct err *err)
{
	struct store_path dir = store_layer_path(diff_id);
	char path[128];

	int r = layer_exists(k->s, diff_id, err);
	if (r <= 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/layer.erofs", dir.s); /* fits */
	if (faccessat(image_store_dirfd(k->s), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/diff", dir.s); /* fits */
	return faccessat(image_store_dirfd(k->s), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int unpack_again(struct checking *k, const char *diff_id, const char *blob, struct err *err)
{
	struct intake in;
	struct store_layer layer;
	autoclose int fd = blob_open(k->s, blob, err);

	if (fd < 0)
		return fd;
	int r = image_remove_tree_at(image_store_dirfd(k->s), store_layer_path(diff_id).s);
	if (r < 0)
		return err_num(err, r, "cannot remove the layer %s", diff_id);
	r = intake_begin(k->s, diff_id, &in, err);
	if (r < 0)
		return r;
	r = intake_feed_fd(&in, fd, err);
	if (r == 0)
		r = intake_finish(&in, &layer, err);
	intake_free(&in);
	return r;
}

/* What is known of an image while it is checked. */
struct suspect {
	struct image *i;
	const char *name;
	bool lost;	  /* cannot be mended */
	bool blobs_whole; /* all layers' blobs are there */
	bool changed;	  /* the row's list of blobs */
};

static int check_layer_of(struct checking *k, struct suspect *p, size_t n, struct err *err)
{
	const char *diff_id = p->i->diff_ids.v[n], *blob = p->i->layer_digests.v[n];
	int has = check_has_layer(k, diff_id, err), kept = *blob ? check_has_blob(k, blob, err) : 0;

	if (has < 0 || kept < 0)
		return MIN_OF(has, kept);
	if (has == 0 && kept == 0) {
		report_finding(k, "%s: the layer %s is lost, and its blob too%s", p->name, diff_id,
			       k->repair ? "; the image is removed: pull it again" : "");
		p->lost = true;
	} else if (has == 0) {
		report_finding(k, "%s: the layer %s is missing%s", p->name, diff_id,
			       k->repair ? "; unpacked again from its blob" : "");
		return k->repair ? unpack_again(k, diff_id, blob, err) : 0;
	} else if (kept == 0 && *blob) {
		report_finding(
			k, "%s: the blob %s of a layer is %s%s", p->name, blob,
			is_bad_blob(k, blob) ? "damaged" : "missing",
			k->repair ? "; the image runs, and can be pushed or saved when it was pulled again"
				  : "");
		if (k->repair) {
			((char *)p->i->layer_digests.v[n])[0] = '\0'; /* an owned copy */
			p->changed = true;
		}
	}
	p->blobs_whole = p->blobs_whole && kept > 0;
	return 0;
}

static int check_documents(struct checking *k, struct suspect *p, struct err *err)
{
	char digest[DIGEST_MAX];
	int r = check_has_blob(k, p->i->id, err);

	if (r == 0) {
		report_finding(k, "%s: the configuration %s is missing%s", p->name, p->i->id,
			       k->repair ? "; written again" : "");
		r = k->repair ? blob_write(k->s, p->i->config_text, p->i->config_len, digest, err) : 0;
		if (r == 0 && k->repair && !streq(digest, p->i->id)) {
			report_finding(
				k, "%s: its configuration is damaged; the image is removed: pull it again",
				p->name);
			p->lost = true;
		}
	}
	return r < 0 ? r : check_has_blob(k, p->i->manifest_digest, err);
}

static int update_row(struct checking *k, const struct suspect *p, const char *manifest, struct err *err)
{
	autofree char *column = store_join(&p->i->layer_digests);

	if (!column)
		return err_oom(err);
	return store_done(db_exec(image_store_db(k->s), err,
				  "UPDATE image SET manifest = ?, layers = ? WHERE id = ?", "sss", manifest,
				  column, p->i->id));
}

static int manifest_again(struct checking *k, struct suspect *p, struct err *err)
{
	autofree struct store_layer *layers = calloc(p->i->diff_ids.n + 1, sizeof(*layers));
	char digest[DIGEST_MAX];
	int r = 1;

	if (!layers)
		return err_oom(err);
	for (size_t n = 0; r > 0 && n < p->i->diff_ids.n; n++)
		r = store_layer_look(k->s, p->i->diff_ids.v[n], p->i->layer_digests.v[n], &layers[n], err);
	if (r > 0)
		r = store_write_manifest(k->s, p->i->id, p->i->config_len, layers, p->i->diff_ids.n, digest,
					 err);
	return r < 0 ? r : update_row(k, p, digest, err);
}

static int drop_image(struct checking *k, const struct suspect *p, struct err *err)
{
	struct db *db = image_store_db(k->s);
	int r = db_begin(db, err);

	if (r < 0)
		return r;
	r = db_exec(db, err, "DELETE FROM name WHERE image = ?", "s", p->i->id);
	if (r >= 0)
		r = db_exec(db, err, "DELETE FROM image WHERE id = ?", "s", p->i->id);
	if (r >= 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

static int check_image(struct checking *k, struct image *i, struct err *err)
{
	struct suspect p = {
		.i = i,
		.name = i->tags.n      ? i->tags.v[0]
			: i->digests.n ? i->digests.v[0]
				       : i->id,
		.blobs_whole = true,
	};
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->diff_ids.n; n++)
		r = check_layer_of(k, &p, n, err);
	if (r < 0)
		return r;
	r = check_documents(k, &p, err);
	if (r < 0)
		return r;
	bool no_manifest = r == 0;
	if (no_manifest) {
		report_finding(k, "%s: the manifest %s is missing%s", p.name, i->manifest_digest,
			       !k->repair      ? ""
			       : p.blobs_whole ? "; made again from its layers"
					       : "; the image is removed: pull it again");
		p.lost = p.lost || !p.blobs_whole;
	}
	if (!k->repair)
		return 0;
	if (p.lost)
		return drop_image(k, &p, err);
	return no_manifest ? manifest_again(k, &p, err)
	       : p.changed ? update_row(k, &p, i->manifest_digest, err)
			   : 0;
}

static int check_names(struct checking *k, struct err *err)
{
	static const char orphans[] = "FROM name WHERE image NOT IN (SELECT id FROM image)";
	struct db_row q autodbrow;
	autofree char *list = str_format("SELECT name %s", orphans),
		      *remove = str_format("DELETE %s", orphans);
	uint64_t before = k->n;

	if (!list || !remove)
		return err_oom(err);
	int r = db_query(image_store_db(k->s), &q, err, list, "");
	while (r == 0 && (r = db_next(&q, err)) > 0) {
		report_finding(k, "the name %s leads to no image%s", db_text(&q, 0),
			       k->repair ? "; removed" : "");
		r = 0;
	}
	db_row_end(&q);
	if (r == 0 && k->repair && k->n > before)
		r = store_done(db_exec(image_store_db(k->s), err, remove, ""));
	return r;
}

static int check_database(struct checking *k, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(image_store_db(k->s), &q, err, "PRAGMA quick_check(1)", "");

	if (r == 0)
		r = db_next(&q, err);
	if (r > 0 && !streq(db_text(&q, 0), "ok"))
		report_finding(k,
			       "the database \"%s/coffer.db\" is damaged (%s): put a copy of it back, or "
			       "move it away "
			       "and pull the images again",
			       image_store_root(k->s), db_text(&q, 0));
	return store_done(r);
}

/* Partial blobs stay: a pull goes on from them. */
static int sweep_left(void *data, int dirfd, const char *name, struct err *err)
{
	(void)data;
	if (str_ends(name, ".part") || !store_is_stale(dirfd, name))
		return 0;
	int r = image_remove_tree_at(dirfd, name);
	return r < 0 && r != -ENOENT ? err_num(err, r, "cannot remove \"" STORE_INGEST "/%s\"", name) : 0;
}

int store_sweep_left(struct image_store *s, struct err *err)
{
	return store_each_entry(s, STORE_INGEST, sweep_left, NULL, err);
}

static int check_all_images(struct checking *k, struct err *err)
{
	image_list l = {0};
	int r = image_list_all(k->s, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = check_image(k, &l.v[i], err);
	image_list_free(&l);
	return r;
}

int image_check(struct image_store *s, bool deep, bool repair, void (*finding)(void *data, const char *line),
		void *data, uint64_t *ret_findings, struct err *err)
{
	struct checking k = {.s = s, .deep = deep, .repair = repair, .finding = finding, .data = data};
	/* Nobody is to use what is taken away. */
	autoclose int lock = repair ? store_gc_lock(s, err) : content_use(s, err);

	if (lock < 0)
		return lock;
	int r = deep ? check_database(&k, err) : 0;
	if (r == 0)
		r = store_each_entry(s, "blobs/sha256", check_blob_entry, &k, err);
	if (r == 0)
		r = check_names(&k, err);
	if (r == 0)
		r = check_all_images(&k, err);
	if (r == 0 && repair)
		r = store_sweep_left(s, err);
	store_list_free(&k.bad);
	if (r < 0)
		return err_prefix(err, "cannot check the images");
	*ret_findings = k.n;
	return 0;
}
