/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes: DATA_ROOT/volumes/NAME/_data, and a row each. */
#include "engine/rootless.h"

#include "base/file.h"

#include <dirent.h>
#include <sys/stat.h>

char *engine_volume_path(const struct engine *e, const char *name)
{
	return str_format("%s/volumes/%s/_data", e->data_root, name);
}

static int make_volume_dir(const struct engine *e, const char *name, struct err *err)
{
	autofree char *path = engine_volume_path(e, name);
	int r = path ? file_mkdir_all(path, 0755) : -ENOMEM;

	if (r == 0) {
		/* Only root comes to other people's volumes. */
		autofree char *volumes = str_format("%s/volumes", e->data_root);
		if (volumes)
			(void)chmod(volumes, 0701); /* it may be another's file system; then it is as it is */
	}
	return r < 0 ? err_num(err, r, "cannot make the volume \"%s\"", name) : 0;
}

static char *pairs_json(const pair_list *l)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(&out, l->v[i].key, l->v[i].value);
	json_end(&out);
	return json_take(&out);
}

static void tell_volume(struct engine *e, const char *name, const char *action)
{
	static const struct oci_pair driver = {.key = "driver", .value = "local"};

	engine_tell(e, &(struct engine_event){
			       .type = "volume",
			       .action = action,
			       .id = name,
			       .attributes = {.v = (struct oci_pair *)(uintptr_t)&driver, .n = 1}});
}

static int insert_volume(struct engine *e, const struct engine_volume *v, struct err *err)
{
	autofree char *labels = pairs_json(&v->labels), *options = pairs_json(&v->options);

	if (!labels || !options)
		return err_oom(err);
	return db_exec(e->db, err, "INSERT OR IGNORE INTO volume VALUES (?, ?, ?, ?, ?)", "siiss", v->name,
		       engine_now(), (int64_t)v->anonymous, labels, options);
}

static int check_volume(const struct engine *e, const struct engine_volume *v, struct err *err)
{
	if (v->driver && *v->driver && !streq(v->driver, "local"))
		return err_set(err, EINVAL,
			       "error looking up volume plugin %s: only the driver \"local\" exists",
			       v->driver);
	return engine_volume_options_check(e, &v->options, err);
}

int engine_volume_ensure(struct engine *e, const struct engine_volume *v, struct err *err)
{
	int r = check_volume(e, v, err);

	if (r == 0)
		r = insert_volume(e, v, err);
	if (r < 0)
		return r;
	bool made = r > 0;
	r = make_volume_dir(e, v->name, err);
	/* One that was there keeps what it had. */
	if (r == 0 && made) {
		autofree char *json = v->options.n ? pairs_json(&v->options) : NULL;
		r = json || !v->options.n ? engine_volume_options_write(e, v->name, json, err) : err_oom(err);
	}
	if (r == 0 && made)
		tell_volume(e, v->name, "create");
	return r;
}

int engine_volume_create(struct engine *e, const struct engine_volume *q, char **ret_name, struct err *err)
{
	char id[ENGINE_ID_LEN + 1];
	struct engine_volume v = *q;
	int r = 0;

	if (!v.name || !*v.name) {
		engine_random_id(id);
		v.name = id;
		v.anonymous = true;
	} else {
		r = engine_volume_name_check(v.name, err);
	}
	if (r < 0)
		return r;
	char *name = strdup(v.name);
	if (!name)
		return err_oom(err);
	r = engine_volume_ensure(e, &v, err);
	if (r < 0) {
		free(name);
		return r;
	}
	*ret_name = name;
	return 0;
}

/* Bytes below a directory, links not followed, other file systems not entered. */
uint64_t engine_tree_bytes(int dirfd_, const char *name, int depth)
{
	enum { DEPTH_MAX = 256 };
	int fd = openat(dirfd_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;

	if (!d) {
		if (fd >= 0)
			(void)close(fd); /* read only */
		return 0;
	}
	for (const struct dirent *e; depth < DEPTH_MAX && (e = readdir(d));) {
		struct stat st;
		if (streq(e->d_name, ".") || streq(e->d_name, "..") ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			bytes += engine_tree_bytes(dirfd(d), e->d_name, depth + 1);
		else
			bytes += (uint64_t)st.st_blocks * 512;
	}
	(void)closedir(d); /* read only */
	return bytes;
}

/* Strings of the list live in one document's memory, which the list carries behind its last element. */
struct volume_rows {
	struct json_doc doc;
	size_t n, cap;
	struct engine_volume *v; /* v[-1] is not there: see engine_volume_list_free() */
};

static const char *volumes_keep_text(struct json_doc *doc, const char *text)
{
	size_t n = strlen(text) + 1;
	char *s = json_doc_alloc(doc, n);

	return s ? memcpy(s, text, n) : NULL;
}

struct pairs_holder {
	pair_list pairs;
};
static int take_pair_list(struct json_in *in, void *object)
{
	static const struct json_field field = {.kind = JSON_PAIRS};
	struct pairs_holder *h = object;

	return json_decode_value(in, &field, &h->pairs);
}
static const struct json_field wrapped_fields[] = {F_CUSTOM("p", take_pair_list)};
static const struct json_table wrapped_table = JSON_TABLE(struct pairs_holder, wrapped_fields);

int engine_pairs_read(struct json_doc *doc, const char *text, pair_list *ret, struct err *err)
{
	struct pairs_holder h = {0};
	autofree char *wrapped = str_format("{\"p\":%s}", *text ? text : "{}");

	if (!wrapped)
		return err_oom(err);
	int r = json_decode(doc, wrapped, strlen(wrapped), "labels", &wrapped_table, &h, err);
	if (r == 0)
		*ret = h.pairs;
	return r;
}

static int add_volume(struct volume_rows *l, const struct engine *e, const struct db_row *q, bool sizes,
		      struct err *err)
{
	char created[40];

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct engine_volume *v = realloc(l->v, (cap + 1) * sizeof(*v));
		if (!v)
			return err_oom(err);
		l->v = v;
		l->cap = cap;
	}
	struct engine_volume *v = &l->v[l->n];
	autofree char *path = engine_volume_path(e, db_text(q, 0));
	if (!path)
		return err_oom(err);
	engine_time_text(db_int(q, 1), created);
	*v = (struct engine_volume){
		.name = volumes_keep_text(&l->doc, db_text(q, 0)),
		.driver = "local",
		.mountpoint = volumes_keep_text(&l->doc, path),
		.created = volumes_keep_text(&l->doc, created),
		.anonymous = db_int(q, 2) != 0,
		.users = (uint32_t)db_int(q, 4),
	};
	if (!v->name || !v->mountpoint || !v->created)
		return err_oom(err);
	if (sizes)
		v->size = engine_tree_bytes(AT_FDCWD, v->mountpoint, 0);
	l->n++;
	int r = engine_pairs_read(&l->doc, db_text(q, 3), &v->labels, err);
	return r < 0 ? r : engine_pairs_read(&l->doc, db_text(q, 5), &v->options, err);
}

int engine_volume_list(struct engine *e, bool sizes, volume_list *ret, struct err *err)
{
	struct volume_rows l = {0};
	struct db_row q autodbrow;
	int r = db_query(
		e->db, &q, err,
		"SELECT name, created, anonymous, labels, (SELECT count(*) FROM volume_use WHERE volume = "
		"name), options FROM volume ORDER BY name",
		"");

	while (r == 0 && (r = db_next(&q, err)) > 0)
		r = add_volume(&l, e, &q, sizes, err);
	if (r == 0 && !l.v) {
		l.v = calloc(1, sizeof(*l.v));
		r = l.v ? 0 : err_oom(err);
	}
	if (r < 0) {
		json_doc_free(&l.doc);
		free(l.v);
		return r;
	}
	/* The element behind the last keeps what owns the strings. */
	_Static_assert(sizeof(struct json_doc) <= sizeof(struct engine_volume), "room for the document");
	memcpy(&l.v[l.n], &l.doc, sizeof(l.doc));
	*ret = (volume_list){.v = l.v, .n = l.n};
	return 0;
}

void engine_volume_list_free(volume_list *l)
{
	struct json_doc doc;

	if (!l->v)
		return;
	memcpy(&doc, &l->v[l->n], sizeof(doc));
	json_doc_free(&doc);
	free(l->v);
	*l = (volume_list){0};
}

#define ASIDE ".removed-" /* no volume is called so */

/* Its own, and what a removal that was killed left. */
static int sweep_aside(const struct engine *e, int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd); /* read only */
		return r;
	}
	for (const struct dirent *x; (x = readdir(d));) {
		int one = str_starts(x->d_name, ASIDE) ? engine_remove_tree(e, dir, x->d_name) : 0;
		if (one < 0 && one != -ENOENT) /* another removal is at it */
			r = one;
	}
	(void)closedir(d); /* read only */
	return r;
}

/* 0: it is there, and nobody has it.  -ENOENT, -EBUSY, another -errno. */
static int check_unused(struct engine *e, const char *name, struct err *err)
{
	struct str users autostr = {0};
	struct db_row q autodbrow;
	bool found = false;
	int r = db_query(e->db, &q, err,
			 "SELECT container FROM volume LEFT JOIN volume_use ON volume = name WHERE name = ?",
			 "s", name);

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		found = true;
		if (!db_is_null(&q, 0))
			str_putf(&users, "%s%s", users.len ? ", " : "", db_text(&q, 0));
		r = 0;
	}
	if (r < 0)
		return r;
	if (!found)
		return err_set(err, ENOENT, "get %s: no such volume", name);
	return users.len ? err_set(err, EBUSY, "remove %s: volume is in use - [%s]", name, users.s) : 0;
}

/* Under the database's lock, which who makes a container takes too. */
static int put_aside(struct engine *e, int dir, const char *name, const char *aside, struct err *err)
{
	int r = check_unused(e, name, err);
	bool moved = false;

	/* What is mounted is not the volume's to empty. */
	if (r == 0 && dir >= 0)
		r = engine_volume_unmount(e, name, err);
	if (r == 0 && dir >= 0) {
		moved = renameat(dir, name, dir, aside) == 0;
		if (!moved && errno != ENOENT)
			r = err_sys(err, "cannot remove the volume \"%s\"", name);
	}
	if (r == 0)
		r = MIN_OF(db_exec(e->db, err, "DELETE FROM volume WHERE name = ?", "s", name), 0);
	if (r == 0)
		r = db_commit(e->db, err);
	if (r < 0 && moved)
		ignore_result(renameat(dir, aside, dir, name) < 0); /* the first error is told */
	return r;
}

/* The row and the directory, which is not to be another's by the time that it is emptied.  As check_unused().
 */
static int drop_volume(struct engine *e, const char *name, struct err *err)
{
	autofree char *volumes = str_format("%s/volumes", e->data_root);
	char id[ENGINE_ID_LEN + 1], aside[sizeof(ASIDE) + ENGINE_ID_LEN];

	if (!volumes)
		return err_oom(err);
	autoclose int dir = open(volumes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	engine_random_id(id);
	(void)snprintf(aside, sizeof(aside), ASIDE "%s", id); /* fits */
	int r = db_begin(e->db, err);
	if (r < 0)
		return r;
	r = put_aside(e, dir, name, aside, err);
	db_rollback(e->db);
	if (r < 0)
		return r;
	tell_volume(e, name, "destroy");
	r = dir >= 0 ? sweep_aside(e, dir) : 0;
	return r < 0 ? err_num(err, r, "cannot remove the volume \"%s\"", name) : 0;
}

int engine_volume_remove(struct engine *e, const char *name, bool force, struct err *err)
{
	int r = drop_volume(e, name, err);

	if (r != -ENOENT || !force)
		return r;
	*err = (struct err){0};
	return 0;
}

int engine_volume_release(struct engine *e, const struct engine_container *c, bool remove, struct err *err)
{
	int r = MIN_OF(db_exec(e->db, err, "DELETE FROM volume_use WHERE container = ?", "s", c->id), 0);

	for (size_t i = 0; r == 0 && remove && i < c->record.mounts.n; i++) {
		const struct engine_record_mount *m = &c->record.mounts.v[i];
		struct err busy = {0};
		if (!m->anonymous || !m->name)
			continue;
		/* --volumes-from: somebody else may still use it. */
		r = engine_volume_remove(e, m->name, true, &busy);
		if (r < 0 && r != -EBUSY)
			*err = busy;
		else
			r = 0;
	}
	return r;
}
