/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking images up.  This is on the path of every start of a container: one
 * statement brings all there is to know of an image, its other names and its
 * configuration included.
 */
#include "image/store_int.h"

#include "base/str.h"

#define FIND_COLUMNS                                                                                         \
	"SELECT i.id, i.manifest, i.platform, i.size, i.created, i.pulled, i.layers, i.config,"              \
	" (SELECT group_concat(name, char(10)) || char(10) FROM name WHERE image = i.id) "

enum {
	COL_ID,
	COL_MANIFEST,
	COL_PLATFORM,
	COL_SIZE,
	COL_CREATED,
	COL_PULLED,
	COL_LAYERS,
	COL_CONFIG,
	COL_NAMES
};

static struct timespec time_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Names come as lines: those with a digest are `digests`. */
static int split_names(const char *text, struct image *i, struct err *err)
{
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		size_t len = (size_t)(end - text);
		int r = store_list_add(memchr(text, '@', len) ? &i->digests : &i->tags, text, len, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_image(const struct db_row *q, struct image *i, struct err *err)
{
	const char *config = db_text(q, COL_CONFIG);

	i->id = strdup(db_text(q, COL_ID));
	i->manifest_digest = strdup(db_text(q, COL_MANIFEST));
	i->platform = strdup(db_text(q, COL_PLATFORM));
	i->config_text = strdup(config);
	if (!i->id || !i->manifest_digest || !i->platform || !i->config_text)
		return err_oom(err);
	i->config_len = strlen(config);
	i->size = (uint64_t)db_int(q, COL_SIZE);
	i->created = time_of(db_int(q, COL_CREATED));
	i->pulled = time_of(db_int(q, COL_PULLED));
	int r = store_split(db_text(q, COL_LAYERS), &i->layer_digests, err);
	if (r == 0)
		r = split_names(db_text(q, COL_NAMES), i, err);
	if (r == 0)
		r = oci_image_config_decode(i->config_text, i->config_len, i->id, &i->config_doc, &i->config,
					    err);
	i->diff_ids = i->config.diff_ids;
	return r;
}

static int from_row(const struct db_row *q, struct image *ret, struct err *err)
{
	struct image i = {0};
	int r = fill_image(q, &i, err);

	if (r < 0) {
		image_free(&i);
		return r;
	}
	*ret = i;
	return 0;
}

void image_free(struct image *i)
{
	free(i->id);
	free(i->manifest_digest);
	free(i->reference);
	store_list_free(&i->tags);
	store_list_free(&i->digests);
	free(i->config_text);
	json_doc_free(&i->config_doc);
	store_list_free(&i->layer_digests);
	free(i->platform);
	*i = (struct image){0};
}

static int score_row(const char *want, const char *have)
{
	struct platform_text p;
	struct err err;

	if (store_platform_parse(have, &p, &err) < 0)
		return 0;
	return image_platform_score(want, &(struct oci_platform){.os = p.os,
								 .architecture = p.architecture,
								 .variant = *p.variant ? p.variant : NULL});
}

/* The best of the rows; 1, or 0 where there is none; *ret_other is a platform that was there and did not do.
 */
static int pick_platform(struct db_row *q, const char *platform, struct image *ret, char ret_other[static 64],
			 struct err *err)
{
	const char *want = platform ? platform : image_platform_here();
	int best = platform ? 0 : -1, r;

	while ((r = db_next(q, err)) > 0) {
		int score = score_row(want, db_text(q, COL_PLATFORM));
		if (score <= best) {
			(void)snprintf(ret_other, 64, "%s", db_text(q, COL_PLATFORM)); /* for a message */
			continue;
		}
		if (best > (platform ? 0 : -1))
			image_free(ret);
		best = score;
		r = from_row(q, ret, err);
		if (r < 0)
			return r;
	}
	if (r < 0 && best > (platform ? 0 : -1))
		image_free(ret);
	return r < 0 ? r : best > (platform ? 0 : -1);
}

/* By the digest of one platform's manifest where the name was recorded with that of the index. */
static int find_by_manifest(struct image_store *s, const struct reference *r, const char *platform,
			    struct image *ret, char ret_other[static 64], struct err *err)
{
	autofree char *repository = str_format("%s/%s", r->domain, r->path);
	struct db_row q autodbrow;

	if (!repository)
		return err_oom(err);
	int e = db_query(image_store_db(s), &q, err,
			 FIND_COLUMNS "FROM image i WHERE (manifest = ?1 OR index_digest = ?1) AND EXISTS "
				      "(SELECT 1 FROM name WHERE image = i.id AND "
				      "substr(name, 1, length(?2) + 1) IN (?2 || ':', ?2 || '@'))",
			 "ss", r->digest, repository);
	return e < 0 ? e : pick_platform(&q, platform, ret, ret_other, err);
}

static int find_by_name(struct image_store *s, const struct reference *r, const char *platform,
			struct image *ret, char ret_other[static 64], struct err *err)
{
	struct db_row q autodbrow;
	/* A tag beside a digest says nothing more. */
	autofree char *name = str_format("%s/%s%s%s", r->domain, r->path, r->digest ? "@" : ":",
					 r->digest ? r->digest : r->tag);

	if (!name)
		return err_oom(err);
	int e = db_query(image_store_db(s), &q, err,
			 FIND_COLUMNS "FROM name n JOIN image i ON i.id = n.image WHERE n.name = ?", "s",
			 name);
	if (e == 0)
		e = pick_platform(&q, platform, ret, ret_other, err);
	if (e == 0 && r->digest)
		e = find_by_manifest(s, r, platform, ret, ret_other, err);
	if (e > 0)
		ret->reference = take_ptr(&name);
	return e;
}

/* Hex digits that an ID begins with, or NULL where `name` is no such thing. */
static const char *id_digits(const char *name)
{
	const char *hex = str_starts(name, "sha256:") ? name + 7 : name;
	size_t n = strlen(hex);

	return n > 0 && n <= 64 && strspn(hex, "0123456789abcdef") == n ? hex : NULL;
}

static int find_by_id(struct image_store *s, const char *hex, const char *platform, struct image *ret,
		      char ret_other[static 64], struct err *err)
{
	struct db_row q autodbrow;
	autofree char *from = str_format("sha256:%s", hex), *to = str_format("sha256:%sg", hex);
	bool found = false;
	int r;

	if (!from || !to)
		return err_oom(err);
	r = db_query(image_store_db(s), &q, err, FIND_COLUMNS "FROM image i WHERE id >= ? AND id < ? LIMIT 2",
		     "ss", from, to);
	while (r == 0 && (r = db_next(&q, err)) > 0) {
		if (found) {
			image_free(ret);
			return err_set(err, EINVAL, "the image ID \"%s\" is ambiguous: several begin with it",
				       hex);
		}
		if (platform && score_row(platform, db_text(&q, COL_PLATFORM)) == 0) {
			(void)snprintf(ret_other, 64, "%s", db_text(&q, COL_PLATFORM)); /* for a message */
			r = 0;
			continue;
		}
		r = from_row(&q, ret, err);
		found = r == 0;
	}
	if (r < 0 && found)
		image_free(ret);
	return r < 0 ? r : found;
}

static int no_such_image(const struct image_store *s, const char *name, const struct reference *ref,
			 const char *platform, const char *other, struct err *err)
{
	autofree char *familiar = ref->path ? reference_familiar_short(ref, image_store_rules(s)) : NULL;

	if (*other)
		return err_set(err, ENOENT,
			       "image with reference %s was found but does not match the specified platform: "
			       "wanted %s, actual: %s",
			       familiar ? familiar : name, platform, other);
	return err_set(err, ENOENT, "No such image: %s", familiar ? familiar : name);
}

int image_find(struct image_store *s, const char *name, const char *platform, struct image *ret,
	       struct err *err)
{
	struct reference ref autoreference = {0};
	struct platform_text checked;
	struct image i = {0};
	char other[64] = "";
	const char *hex = id_digits(name);
	int r = 0;

	if (platform) {
		r = store_platform_parse(platform, &checked, err);
		if (r < 0)
			return r;
	}
	if (hex && (strlen(hex) == 64 || hex != name)) {
		r = find_by_id(s, hex, platform, &i, other, err);
	} else {
		r = reference_parse_short(name, image_store_rules(s), &ref, err);
		if (r == 0)
			r = find_by_name(s, &ref, platform, &i, other, err);
		if (r == 0 && hex && !*other)
			r = find_by_id(s, hex, platform, &i, other, err);
	}
	if (r < 0)
		return r;
	if (r == 0)
		return no_such_image(s, name, &ref, platform, other, err);
	*ret = i;
	return 0;
}

int image_list_all(struct image_store *s, image_list *ret, struct err *err)
{
	struct db_row q autodbrow;
	image_list l = {0};
	int r = db_query(image_store_db(s), &q, err,
			 FIND_COLUMNS "FROM image i ORDER BY i.created DESC, i.pulled DESC, i.id", "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		if ((l.n & (l.n - 1)) == 0) {
			struct image *v = realloc(l.v, (l.n ? l.n * 2 : 1) * sizeof(*v));
			if (!v) {
				r = err_oom(err);
				break;
			}
			l.v = v;
		}
		r = from_row(&q, &l.v[l.n], err);
		if (r == 0)
			l.n++;
	}
	if (r < 0) {
		image_list_free(&l);
		return r;
	}
	*ret = l;
	return 0;
}

void image_list_free(image_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		image_free(&l->v[i]);
	free(l->v);
	*l = (image_list){0};
}
