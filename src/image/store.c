/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store_int.h"

#include "base/file.h"
#include "base/str.h"

#include <sys/file.h>
#include <sys/stat.h>

struct image_store {
	char *root;
	int dirfd;
	struct db *db;
	enum image_layers layers;
	const struct reference_rules *rules;
};

/*
 * A name is a tag ("docker.io/library/nginx:1.25") or a digest
 * ("docker.io/library/nginx@sha256:…"), and leads to one image a platform.
 * All that starting a container needs stands in the image's row.
 */
static const char store_schema[] =
	"CREATE TABLE IF NOT EXISTS image ("
	" id TEXT PRIMARY KEY, manifest TEXT NOT NULL, index_digest TEXT, platform TEXT NOT NULL,"
	" size INTEGER NOT NULL, created INTEGER NOT NULL, pulled INTEGER NOT NULL,"
	" layers TEXT NOT NULL, diffs TEXT NOT NULL, config TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS name ("
	" name TEXT NOT NULL, platform TEXT NOT NULL, image TEXT NOT NULL REFERENCES image(id),"
	" PRIMARY KEY (name, platform)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS name_image ON name (image);"
	"CREATE TABLE IF NOT EXISTS layer_size (diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT "
	"ROWID;"
	"CREATE TABLE IF NOT EXISTS layer_gzip (diff_id TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT "
	"ROWID";

static int open_store_root(const char *root, struct err *err)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		int r = file_mkdir_all(root, 0700);
		if (r < 0)
			return err_num(err, r, "cannot make the store \"%s\"", root);
		fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? err_sys(err, "cannot open the store \"%s\"", root) : fd;
}

static int make_folders(const struct image_store *s, struct err *err)
{
	/* The last one tells that all are there: mkdir would wait for the directory's lock at each start. */
	static const char *const folders[] = {"blobs", "blobs/sha256", "layers", STORE_INGEST};

	if (faccessat(s->dirfd, STORE_INGEST, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdirat(s->dirfd, folders[i], 0700) < 0 && errno != EEXIST)
			return err_sys(err, "cannot make \"%s/%s\"", s->root, folders[i]);
	return 0;
}

/* Who writes images comes rarely enough to clean up after who was killed, where nobody else is at it. */
static int clean_up(struct image_store *s, struct err *err)
{
	struct err busy;
	autoclose int lock = store_gc_try_lock(s, &busy);

	return lock < 0 ? 0 : store_sweep_left(s, err);
}

int image_store_open(const struct image_store_options *o, struct image_store **ret, struct err *err)
{
	struct image_store *s = calloc(1, sizeof(*s));

	if (!s || !(s->root = strdup(o->root))) {
		free(s);
		return err_oom(err);
	}
	s->layers = o->layers;
	s->rules = o->rules;
	s->dirfd = open_store_root(o->root, err);
	int r = MIN_OF(s->dirfd, 0);
	if (r == 0)
		r = make_folders(s, err);
	if (r == 0)
		r = db_open(s->dirfd, s->root, "coffer.db", o->sync ? DB_SYNC : DB_FAST, &s->db, err);
	if (r == 0)
		r = db_schema(s->db, "image", 1, store_schema, err);
	if (r == 0 && o->sync)
		r = clean_up(s, err);
	if (r < 0) {
		image_store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void image_store_close(struct image_store *s)
{
	if (!s)
		return;
	if (s->db)
		db_close(s->db);
	cleanup_close(&s->dirfd);
	free(s->root);
	free(s);
}

struct db *image_store_db(struct image_store *s)
{
	return s->db;
}

int image_store_dirfd(const struct image_store *s)
{
	return s->dirfd;
}

const char *image_store_root(const struct image_store *s)
{
	return s->root;
}

enum image_layers image_store_layers(const struct image_store *s)
{
	return s->layers;
}

const struct reference_rules *image_store_rules(const struct image_store *s)
{
	return s->rules;
}

int content_use(struct image_store *s, struct err *err)
{
	autoclose int fd = openat(s->dirfd, "gc.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, "cannot open \"%s/gc.lock\"", s->root);
	int r = fd_flock(fd, LOCK_SH);
	return r < 0 ? err_num(err, r, "cannot lock \"%s/gc.lock\"", s->root) : take_fd(&fd);
}

/* ---- lists in a column ---- */

int store_list_add(str_list *l, const char *text, size_t len, struct err *err)
{
	/* Doubles at each power of two. */
	if ((l->n & (l->n - 1)) == 0) {
		const char **v = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*v));
		if (!v)
			return err_oom(err);
		l->v = v;
	}
	char *copy = strndup(text, len);
	if (!copy)
		return err_oom(err);
	l->v[l->n++] = copy;
	return 0;
}

void store_list_free(str_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((char *)l->v[i]);
	free(l->v);
	*l = (str_list){0};
}

char *store_join(const str_list *l)
{
	struct str b autostr = {0};

	str_put(&b, "");
	for (size_t i = 0; i < l->n; i++)
		str_putf(&b, "%s\n", l->v[i]);
	return str_take(&b);
}

int store_split(const char *text, str_list *ret, struct err *err)
{
	str_list l = {0};

	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		int r = store_list_add(&l, text, (size_t)(end - text), err);
		if (r < 0) {
			store_list_free(&l);
			return r;
		}
	}
	*ret = l;
	return 0;
}
