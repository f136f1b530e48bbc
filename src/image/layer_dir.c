/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer as a directory, layers/HEX/diff: where the kernel mounts no EROFS
 * from files, for rootless engines, and on request.  It grows in ingest/ under a
 * lock, which tells the sweep that somebody is at work; one sync covers it.
 */
#include "image/layer_target.h"
#include "image/layer_usage.h"
#include "image/remove_tree.h"
#include "image/unpack.h"

#include "base/file.h"
#include "base/sys.h"

#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

struct dir_layer {
	struct image_store *store;
	char name[48]; /* in the store */
	int dir, diff; /* dir is locked */
	struct tar_events events;
	struct unpack *unpack;
};

static int dir_entry(void *data, const struct tar_entry *e, struct err *err)
{
	struct dir_layer *l = data;

	return l->events.entry(l->events.data, e, err);
}

static int dir_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	struct dir_layer *l = data;

	return l->events.bytes(l->events.data, bytes, len, err);
}

static int dir_entry_end(void *data, struct err *err)
{
	struct dir_layer *l = data;

	return l->events.entry_end(l->events.data, err);
}

static int dir_finish(void *data, const char *diff_id unused, uint64_t *ret_disk, struct err *err)
{
	struct dir_layer *l = data;
	int r = unpack_finish(l->unpack, err);

	uint64_t inodes;

	if (r == 0)
		r = layer_usage(l->diff, ret_disk, &inodes, err);
	if (r == 0 && syncfs(l->diff) < 0)
		r = err_sys(err, "cannot write a layer to the disk");
	return r;
}

static int dir_publish(void *data, const char *diff_id, struct err *err)
{
	struct dir_layer *l = data;
	autoclose int to = layer_open_dir(l->store, diff_id, true, err);

	if (to < 0)
		return to;
	if (renameat2(l->dir, LAYER_DIFF, to, LAYER_DIFF, RENAME_NOREPLACE) < 0) {
		if (errno == EEXIST)
			return 1;
		return err_sys(err, "cannot put layer %s in its place", diff_id);
	}
	return fsync(to) < 0 ? err_sys(err, "cannot write layer %s to the disk", diff_id) : 0;
}

static void dir_destroy(void *data)
{
	struct dir_layer *l = data;

	unpack_free(l->unpack);
	fd_drop(&l->diff);
	if (l->dir >= 0) /* what remains is the sweep's: nobody locks it any more */
		ignore_result(image_remove_tree_at(image_store_dirfd(l->store), l->name) < 0);
	fd_drop(&l->dir);
	free(l);
}

static int make_ingest_dir(struct dir_layer *l, struct err *err)
{
	int root = image_store_dirfd(l->store);
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, "cannot get a random number");
	(void)snprintf(l->name, sizeof(l->name), "ingest/%016llx.layer",
		       (unsigned long long)random); /* always fits */
	if (mkdirat(root, l->name, 0700) < 0)
		return err_sys(err, "cannot make %s/%s", image_store_root(l->store), l->name);
	l->dir = openat(root, l->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0 || flock(l->dir, LOCK_EX | LOCK_NB) < 0)
		return err_sys(err, "cannot lock %s/%s", image_store_root(l->store), l->name);
	if (mkdirat(l->dir, LAYER_DIFF, 0755) < 0)
		return err_sys(err, "cannot make %s/%s/diff", image_store_root(l->store), l->name);
	l->diff = openat(l->dir, LAYER_DIFF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->diff < 0 || fchmod(l->diff, 0755) < 0)
		return err_sys(err, "cannot open %s/%s/diff", image_store_root(l->store), l->name);
	return 0;
}

int layer_target_directory(struct image_store *s, const struct layer_limits *limits, bool rootless,
			   struct layer_target *ret, struct err *err)
{
	struct dir_layer *l = calloc(1, sizeof(*l));

	if (!l)
		return err_oom(err);
	*l = (struct dir_layer){.store = s, .dir = -1, .diff = -1};
	int r = make_ingest_dir(l, err);
	struct unpack_options o = {
		.root = l->diff, .limits = limits, .layer = true, .same_owner = true, .rootless = rootless};
	if (r == 0)
		r = unpack_new(&o, &l->events, &l->unpack, err);
	if (r < 0) {
		dir_destroy(l);
		return r;
	}
	*ret = (struct layer_target){
		.events = {.entry = dir_entry, .bytes = dir_bytes, .entry_end = dir_entry_end, .data = l},
		.finish = dir_finish,
		.publish = dir_publish,
		.destroy = dir_destroy};
	return 0;
}
