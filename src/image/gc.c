/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  What is needed is what the rows of images name, and
 * the layers that containers stand on.  gc.lock, exclusive, keeps everyone
 * out who holds content without a name as yet (pulls, loads, builds, starts
 * of containers: content_use()), so that a list of names taken under it is
 * complete.  Files in ingest/ that a living process holds locked stay all the
 * same: a lock costs nothing to ask for.
 *
 * Killed at any instant the sweep leaves content that the next one takes:
 * nothing is marked, rows are only read.
 */
#include "image/store_int.h"

#include "image/remove_tree.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>

struct sweep {
	struct image_store *s;
	str_list blobs, layers; /* wanted, as hex digits, sorted */
	bool (*uses_layer)(void *data, const char *diff_id);
	void *data;
	struct image_gc_result done;
};

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_text(const str_list *l, const char *text)
{
	return l->n && bsearch(&text, l->v, l->n, sizeof(*l->v), compare_texts) != NULL;
}

static void sort_texts(str_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare_texts);
}

/* Lines of "sha256:HEX", or nothing. */
static int want_lines(str_list *l, const char *text, struct err *err)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		if (n > 7) {
			int r = store_list_add(l, text + 7, n - 7, err);
			if (r < 0)
				return r;
		}
		text += n + (text[n] == '\n');
	}
	return 0;
}

static int gather_wanted(struct sweep *w, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(image_store_db(w->s), &q, err,
			 "SELECT id, manifest, index_digest, layers, diffs FROM image", "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		r = 0;
		for (int c = 0; r == 0 && c < 4; c++)
			r = want_lines(&w->blobs, db_text(&q, c), err);
		if (r == 0)
			r = want_lines(&w->layers, db_text(&q, 4), err);
	}
	sort_texts(&w->blobs);
	sort_texts(&w->layers);
	return r;
}

/* Bytes on disk of a tree, hard links counted as often as they are met. */
static uint64_t tree_bytes(int dirfd, const char *name, int depth)
{
	struct stat st;
	uint64_t sum;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	sum = (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode) || depth == 0)
		return sum;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		cleanup_close(&fd);
		return sum;
	}
	for (struct dirent *e; (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			sum += tree_bytes(fd, e->d_name, depth - 1);
	(void)closedir(d);
	return sum;
}

int store_each_entry(struct image_store *s, const char *folder, store_entry_fn each, void *data,
		     struct err *err)
{
	int fd = openat(image_store_dirfd(s), folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		r = err_sys(err, "cannot read \"%s/%s\"", image_store_root(s), folder);
		cleanup_close(&fd);
		return r;
	}
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = each(data, fd, e->d_name, err);
	(void)closedir(d);
	return r;
}

static int sweep_blob(void *data, int dirfd, const char *name, struct err *err)
{
	struct sweep *w = data;
	struct stat st;

	if (has_text(&w->blobs, name) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int r = image_remove_tree_at(dirfd, name);
	if (r < 0)
		return err_num(err, r, "cannot remove the blob %s", name);
	w->done.blobs++;
	w->done.bytes += (uint64_t)st.st_size;
	return 0;
}

static int sweep_layer(void *data, int dirfd, const char *name, struct err *err)
{
	struct sweep *w = data;
	char diff_id[DIGEST_MAX];

	if (has_text(&w->layers, name))
		return 0;
	(void)snprintf(diff_id, sizeof(diff_id), "sha256:%.64s", name); /* a longer name is no layer's */
	if (w->uses_layer && w->uses_layer(w->data, diff_id))
		return 0;
	uint64_t bytes = tree_bytes(dirfd, name, 64);
	int r = image_remove_tree_at(dirfd, name);
	if (r < 0)
		return err_num(err, r, "cannot remove the layer %s", name);
	w->done.layers++;
	w->done.bytes += bytes;
	return 0;
}

bool store_is_stale(int dirfd, const char *name)
{
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	/* What cannot be opened (a link, a socket) nobody of us has made. */
	return fd < 0 || fd_flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int sweep_ingest(void *data, int dirfd, const char *name, struct err *err)
{
	struct sweep *w = data;

	if (!store_is_stale(dirfd, name))
		return 0;
	uint64_t bytes = tree_bytes(dirfd, name, 64);
	int r = image_remove_tree_at(dirfd, name);
	if (r < 0 && r != -ENOENT) /* who left it may have come back to it meanwhile */
		return err_num(err, r, "cannot remove \"" STORE_INGEST "/%s\"", name);
	w->done.bytes += bytes;
	return 0;
}

static int gc_lock(struct image_store *s, bool wait, struct err *err)
{
	autoclose int fd =
		openat(image_store_dirfd(s), "gc.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, "cannot open \"%s/gc.lock\"", image_store_root(s));
	int r = fd_flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	if (r == -EWOULDBLOCK)
		return err_set(err, EAGAIN, "content of \"%s\" is being moved", image_store_root(s));
	if (r < 0)
		return err_num(err, r, "cannot lock \"%s/gc.lock\"", image_store_root(s));
	return take_fd(&fd);
}

int store_gc_lock(struct image_store *s, struct err *err)
{
	return gc_lock(s, true, err);
}

int store_gc_try_lock(struct image_store *s, struct err *err)
{
	return gc_lock(s, false, err);
}

static int sweep_all(struct sweep *w, struct err *err)
{
	int r = gather_wanted(w, err);

	if (r == 0)
		r = store_each_entry(w->s, "blobs/sha256", sweep_blob, w, err);
	if (r == 0)
		r = store_each_entry(w->s, "layers", sweep_layer, w, err);
	if (r == 0)
		r = store_each_entry(w->s, STORE_INGEST, sweep_ingest, w, err);
	if (r == 0)
		r = store_done(db_exec(image_store_db(w->s), err,
				       "DELETE FROM layer_size WHERE NOT EXISTS (SELECT 1 FROM image WHERE "
				       "instr(diffs, diff_id))",
				       ""));
	if (r == 0)
		r = store_done(db_exec(image_store_db(w->s), err,
				       "DELETE FROM layer_gzip WHERE NOT EXISTS (SELECT 1 FROM image WHERE "
				       "instr(layers, digest))",
				       ""));
	store_list_free(&w->blobs);
	store_list_free(&w->layers);
	return r;
}

static int sweep_locked(struct image_store *s, bool wait, bool (*uses_layer)(void *data, const char *diff_id),
			void *data, struct image_gc_result *ret, struct err *err)
{
	struct sweep w = {.s = s, .uses_layer = uses_layer, .data = data};
	autoclose int lock = gc_lock(s, wait, err);

	if (lock < 0)
		return lock;
	int r = sweep_all(&w, err);
	if (r == 0)
		*ret = w.done;
	return r;
}

int image_gc(struct image_store *s, bool (*uses_layer)(void *data, const char *diff_id), void *data,
	     struct image_gc_result *ret, struct err *err)
{
	return sweep_locked(s, true, uses_layer, data, ret, err);
}

int image_gc_try(struct image_store *s, bool (*uses_layer)(void *data, const char *diff_id), void *data,
		 struct image_gc_result *ret, struct err *err)
{
	return sweep_locked(s, false, uses_layer, data, ret, err);
}
