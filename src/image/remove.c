/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names given and taken away.  `rmi` follows Docker's rules, for scripts know
 * them: a name takes itself away, and with the last tag of a repository its
 * digests; the image goes with its last name.  By ID all names go, where they
 * are one tag of one repository, or by force.
 */
#include "image/store_int.h"

#include "base/str.h"

static int check_tag_target(struct image_store *s, const char *target, struct reference *ret, struct err *err)
{
	int r = reference_parse_short(target, image_store_rules(s), ret, err);

	if (r < 0)
		return err_prefix(err, "Error parsing reference: \"%.255s\" is not a valid repository/tag",
				  target);
	if (ret->digest)
		return err_set(err, EINVAL, "refusing to create a tag with a digest reference");
	return 0;
}

/* Every platform that the source's name has, or the one image that an ID means. */
static int copy_names(struct db *db, const struct image *i, const char *name, struct err *err)
{
	/* The source may be the target. */
	if (i->reference && streq(i->reference, name))
		return 0;
	int r = db_exec(db, err, "DELETE FROM name WHERE name = ?", "s", name);
	if (r >= 0 && i->reference)
		r = db_exec(db, err, "INSERT INTO name SELECT ?, platform, image FROM name WHERE name = ?",
			    "ss", name, i->reference);
	if (r == 0 || (r > 0 && !i->reference))
		r = db_exec(db, err, "INSERT INTO name SELECT ?, platform, id FROM image WHERE id = ?", "ss",
			    name, i->id);
	if (r < 0)
		return r;
	return r == 0 ? err_set(err, ENOENT, "the image %s was removed meanwhile", i->id) : 0;
}

int image_tag(struct image_store *s, const char *source, const char *target, struct err *err)
{
	struct reference ref autoreference = {0};
	struct db *db = image_store_db(s);
	struct image i autoimage = {0};

	int r = image_find(s, source, NULL, &i, err);
	if (r == 0)
		r = check_tag_target(s, target, &ref, err);
	autofree char *name = r == 0 ? reference_full(&ref) : NULL;
	if (r == 0 && !name)
		return err_oom(err);
	if (r == 0)
		r = db_begin(db, err);
	if (r < 0)
		return r;
	r = copy_names(db, &i, name, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

/* ---- rmi ---- */

struct removal {
	struct image_store *s;
	const struct image_remove *q;
	str_list names; /* of the image in hand */
	str_list lines; /* told when the transaction stands */
};

static int say_removed(struct removal *m, const char *what, const char *text, struct err *err)
{
	autofree char *line = str_format("%s: %s", what, text);

	return line ? store_list_add(&m->lines, line, strlen(line), err) : err_oom(err);
}

/* Bytes of the repository's name before ":tag" or "@digest". */
static size_t repository_len(const char *name)
{
	const char *at = strchr(name, '@'), *slash = strrchr(name, '/');

	return at ? (size_t)(at - name) : (size_t)(strchr(slash ? slash : name, ':') - name);
}

static bool same_repository(const char *a, const char *b)
{
	size_t n = repository_len(a);

	return n == repository_len(b) && memcmp(a, b, n) == 0;
}

/* One tag at most, and nothing of other repositories. */
static bool is_single(const str_list *names)
{
	size_t tags = 0;

	for (size_t i = 0; i < names->n; i++) {
		if (!same_repository(names->v[0], names->v[i]))
			return false;
		tags += !strchr(names->v[i], '@');
	}
	return tags <= 1;
}

static int load_names(struct removal *m, const char *id, struct err *err)
{
	struct db_row q autodbrow;

	store_list_free(&m->names);
	int r = db_query(image_store_db(m->s), &q, err,
			 "SELECT DISTINCT name FROM name WHERE image = ? ORDER BY name", "s", id);
	while (r == 0 && (r = db_next(&q, err)) > 0)
		r = store_list_add(&m->names, db_text(&q, 0), strlen(db_text(&q, 0)), err);
	return r;
}

static int untag(struct removal *m, const char *name, const char *id, struct err *err)
{
	struct reference ref autoreference = {0};
	int r = db_exec(image_store_db(m->s), err, "DELETE FROM name WHERE name = ? AND image = ?", "ss",
			name, id);

	if (r >= 0)
		r = reference_parse(name, &ref, err);
	if (r < 0)
		return r;
	autofree char *familiar = reference_familiar_short(&ref, image_store_rules(m->s));
	return familiar ? say_removed(m, "Untagged", familiar, err) : err_oom(err);
}

static int untag_all(struct removal *m, const char *id, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->names.n; i++)
		r = untag(m, m->names.v[i], id, err);
	return r;
}

static int used_by(const struct removal *m, const char *id, char container[static 65])
{
	return m->q->in_use ? m->q->in_use(m->q->data, id, container) : 0;
}

/* What forbids deleting the image; texts as scripts know them. */
static int check_use(const struct removal *m, const char *id, bool force, struct err *err)
{
	char container[65] = "";
	int use = used_by(m, id, container);

	if (use == 2)
		return err_set(err, EBUSY,
			       "conflict: unable to delete %.12s (cannot be forced) - image is being used by "
			       "running "
			       "container %.12s",
			       id + 7, container);
	if (use == 1 && !force)
		return err_set(
			err, EBUSY,
			"conflict: unable to delete %.12s (must be forced) - image is being used by stopped "
			"container %.12s",
			id + 7, container);
	return 0;
}

static int delete_image(struct removal *m, const char *id, struct err *err)
{
	int r = db_exec(image_store_db(m->s), err, "DELETE FROM image WHERE id = ?", "s", id);

	return r < 0 ? r : say_removed(m, "Deleted", id, err);
}

static int remove_by_id(struct removal *m, const char *id, struct err *err)
{
	int r = load_names(m, id, err);

	if (r == 0)
		r = check_use(m, id, m->q->force, err);
	if (r < 0)
		return r;
	if (m->names.n && !is_single(&m->names) && !m->q->force)
		return err_set(
			err, EBUSY,
			"conflict: unable to delete %.12s (must be forced) - image is referenced in multiple "
			"repositories",
			id + 7);
	r = untag_all(m, id, err);
	return r < 0 ? r : delete_image(m, id, err);
}

/* After its name went: what remains of the repository's digests, and of the image. */
static int after_untag(struct removal *m, const char *name, const char *id, struct err *err)
{
	bool tag_left = strchr(name, '@') != NULL;
	char container[65] = "";

	int r = load_names(m, id, err);
	for (size_t i = 0; r == 0 && i < m->names.n; i++)
		tag_left = tag_left || (!strchr(m->names.v[i], '@') && same_repository(m->names.v[i], name));
	for (size_t i = 0; r == 0 && !tag_left && i < m->names.n; i++)
		if (same_repository(m->names.v[i], name))
			r = untag(m, m->names.v[i], id, err);
	if (r == 0)
		r = load_names(m, id, err);
	if (r < 0 || m->names.n)
		return r;
	/* By force, of an image in use: it stays without a name for as long. */
	return used_by(m, id, container) == 2 ? 0 : delete_image(m, id, err);
}

static int remove_by_name(struct removal *m, const char *name, const char *id, struct err *err)
{
	char container[65] = "";
	int r = load_names(m, id, err);

	if (r < 0)
		return r;
	if (!m->q->force && is_single(&m->names) && used_by(m, id, container))
		return err_set(
			err, EBUSY,
			"conflict: unable to remove repository reference \"%s\" (must force) - container "
			"%.12s is using its referenced image %.12s",
			m->q->name, container, id + 7);
	r = untag(m, name, id, err);
	return r < 0 ? r : after_untag(m, name, id, err);
}

/* A name may lead to an image a platform. */
static int remove_name(struct removal *m, const char *name, struct err *err)
{
	str_list ids = {0};
	int r;
	{
		struct db_row q autodbrow;
		r = db_query(image_store_db(m->s), &q, err, "SELECT DISTINCT image FROM name WHERE name = ?",
			     "s", name);
		while (r == 0 && (r = db_next(&q, err)) > 0)
			r = store_list_add(&ids, db_text(&q, 0), strlen(db_text(&q, 0)), err);
	}
	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = remove_by_name(m, name, ids.v[i], err);
	store_list_free(&ids);
	return r;
}

int image_remove(struct image_store *s, const struct image_remove *q, struct err *err)
{
	struct removal m = {.s = s, .q = q};
	struct db *db = image_store_db(s);
	struct image i autoimage = {0};

	int r = db_begin(db, err);
	if (r == 0)
		r = image_find(s, q->name, NULL, &i, err);
	if (r == 0)
		r = i.reference ? remove_name(&m, i.reference, err) : remove_by_id(&m, i.id, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	for (size_t n = 0; r == 0 && q->told && n < m.lines.n; n++)
		q->told(q->data, m.lines.v[n]);
	store_list_free(&m.names);
	store_list_free(&m.lines);
	return r;
}
