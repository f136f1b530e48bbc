/* SPDX-License-Identifier: Apache-2.0 */
/* import, commit's configuration, compression for push, and the check of it all. */
#include "test_image_case.h"

#include "image/tar.h"

#include <sys/mman.h>
#include <sys/stat.h>

static struct store_case c;
static struct str lines;

static void on_line(void *data, const char *line)
{
	(void)data;
	str_putf(&lines, "%s\n", line);
}

static int to_fd(void *data, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	return fd_write_all(*(int *)data, bytes, len);
}

static int tar_fd(void)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct tar_writer w = {.sink = to_fd, .data = &fd};
	struct tar_entry dir = {.type = TAR_DIR, .name = "etc/", .link = "", .mode = 0755};
	struct tar_entry file = {
		.type = TAR_FILE, .name = "etc/hi", .link = "", .mode = 0644, .size = 100000};
	autofree char *text = calloc(1, 100000);

	memset(text, 'h', 100000);
	CHECK_INT(tar_write_entry(&w, &dir, &c.err), 0);
	CHECK_INT(tar_write_entry(&w, &file, &c.err), 0);
	CHECK_INT(tar_write_bytes(&w, text, 100000, &c.err), 0);
	CHECK_INT(tar_write_end(&w, &c.err), 0);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void test_import(void)
{
	struct image i autoimage = {0}, next autoimage = {0};
	autofree char *id = NULL, *id2 = NULL;
	autoclose int fd = tar_fd();
	const char *cmd[] = {"/bin/sh"};
	struct image_make q = {
		.store = c.s,
		.tar_fd = fd,
		.config = {.cmd = {cmd, 1}},
		.name = "imported",
		.comment = "Imported from -",
		.author = "me",
	};

	CHECK_INT(image_make(&q, &id, &c.err), 0);
	CHECK_INT(image_find(c.s, "imported", NULL, &i, &c.err), 0);
	CHECK_STR(i.id, id);
	CHECK_STR(i.platform, image_platform_here());
	CHECK_STR(i.config.author, "me");
	CHECK_STR(i.config.history.v[0].comment, "Imported from -");
	CHECK_INT(i.diff_ids.n, 1);
	CHECK_STR(i.layer_digests.v[0], i.diff_ids.v[0]);
	CHECK(i.created.tv_sec > 1700000000);
	CHECK(i.digests.n == 0);
	/* On top of it, no more than another configuration. */
	struct image_make m = {
		.store = c.s,
		.base = &i,
		.tar_fd = -1,
		.config = i.config,
		.name = "localhost/second:2",
		.created_by = "USER nobody",
	};
	m.config.user = "nobody";
	CHECK_INT(image_make(&m, &id2, &c.err), 0);
	CHECK_INT(image_find(c.s, id2, NULL, &next, &c.err), 0);
	CHECK_STR(next.config.user, "nobody");
	CHECK_STR(next.config.cmd.v[0], "/bin/sh");
	CHECK_INT(next.diff_ids.n, 1);
	CHECK_INT(next.config.history.n, 2);
	CHECK(next.config.history.v[1].empty_layer && !next.config.history.v[0].empty_layer);
	CHECK_INT(next.size, i.size);
	CHECK_STR(next.tags.v[0], "localhost/second:2");

	m.name = "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	CHECK_INT(image_make(&m, &id2, &c.err), -EINVAL);
	m.name = "UPPER";
	CHECK_INT(image_make(&m, &id2, &c.err), -EINVAL);
	autoclose int junk = memfd_create("junk", MFD_CLOEXEC);
	CHECK_INT(fd_write_all(junk,
			       "\xfd"
			       "7zXZ\0 and so on",
			       16),
		  0);
	CHECK_INT(lseek(junk, 0, SEEK_SET), 0);
	q.tar_fd = junk;
	CHECK_INT(image_make(&q, &id2, &c.err), -EBADMSG);
	CHECK(strstr(c.err.msg, "damaged xz stream") != NULL);
}

/* What a container changed becomes a layer on top of its image's. */
static void test_commit(void)
{
	struct image base autoimage = {0}, i autoimage = {0};
	autofree char *dir = str_format("%s/box", c.root), *upper = str_format("%s/box/upper/new", c.root),
		      *id = NULL;

	CHECK_INT(image_find(c.s, "imported", NULL, &base, &c.err), 0);
	struct snapshot snap = {.dir = dir, .diff_ids = &base.diff_ids};
	CHECK_INT(mkdir(dir, 0700), 0);
	CHECK_INT(snapshot_prepare(c.s, &snap, &c.err), 0);
	CHECK_INT(file_replace_at(AT_FDCWD, upper, "fresh", 5, 0644, false), 0);
	struct image_make q = {
		.store = c.s,
		.base = &base,
		.changes = &snap,
		.tar_fd = -1,
		.config = base.config,
		.name = "committed",
		.comment = "c",
	};
	if (image_make(&q, &id, &c.err) < 0)
		fprintf(stderr, "%s\n", c.err.msg);
	CHECK_INT(image_find(c.s, "committed", NULL, &i, &c.err), 0);
	CHECK_STR(i.id, id);
	CHECK_INT(i.diff_ids.n, 2);
	CHECK_STR(i.diff_ids.v[0], base.diff_ids.v[0]);
	CHECK_STR(i.layer_digests.v[1], i.diff_ids.v[1]);
	CHECK_INT(i.config.history.n, 2);
	CHECK(i.size > base.size);
	CHECK_INT(image_remove(c.s, &(struct image_remove){.name = "committed"}, &c.err), 0);
	CHECK_INT(snapshot_remove(&snap, &c.err), 0);
}

static void test_compress(void)
{
	struct image i autoimage = {0}, again autoimage = {0}, other autoimage = {0};
	uint64_t size;

	CHECK_INT(image_find(c.s, "imported", NULL, &i, &c.err), 0);
	CHECK_INT(image_compress(c.s, &i, NULL, &c.err), 0);
	CHECK(!streq(i.layer_digests.v[0], i.diff_ids.v[0]));
	CHECK_INT(blob_exists(c.s, i.layer_digests.v[0], &size, &c.err), 1);
	CHECK(size < 1000);
	CHECK_INT(image_find(c.s, "imported", NULL, &again, &c.err), 0);
	CHECK_STR(again.manifest_digest, i.manifest_digest);
	CHECK_STR(again.layer_digests.v[0], i.layer_digests.v[0]);
	CHECK_INT(image_compress(c.s, &again, NULL, &c.err), 0);
	CHECK_STR(again.manifest_digest, i.manifest_digest);
	/* Another image of the same layer gets the same blob. */
	CHECK_INT(image_find(c.s, "localhost/second:2", NULL, &other, &c.err), 0);
	CHECK_INT(image_compress(c.s, &other, NULL, &c.err), 0);
	CHECK_STR(other.layer_digests.v[0], i.layer_digests.v[0]);
	/* The plain tar is garbage now. */
	struct image_gc_result res;
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(blob_exists(c.s, i.diff_ids.v[0], &size, &c.err), 0);
	CHECK_INT(blob_exists(c.s, i.layer_digests.v[0], &size, &c.err), 1);
}

static uint64_t check(bool deep, bool repair)
{
	uint64_t n = 1000;

	str_free(&lines);
	str_put(&lines, "");
	c.err = (struct err){0};
	if (image_check(c.s, deep, repair, on_line, NULL, &n, &c.err) < 0)
		fprintf(stderr, "%s\n", c.err.msg);
	return n;
}

static void path_of(char ret[static 128], const char *folder, const char *digest, const char *suffix)
{
	(void)snprintf(ret, 128, "%s/%s%s", folder, digest + 7, suffix);
}

static void test_check(void)
{
	struct image i autoimage = {0}, after autoimage = {0};
	char path[128];

	CHECK_INT(image_find(c.s, "imported", NULL, &i, &c.err), 0);
	CHECK_INT(check(true, false), 0);
	/* A layer is unpacked again from its blob. */
	path_of(path, "layers", i.diff_ids.v[0], "");
	CHECK_INT(file_remove_tree_at(image_store_dirfd(c.s), path), 0);
	CHECK_INT(check(false, false), 2); /* both images */
	CHECK_INT(check(false, true), 1);
	CHECK(strstr(lines.s, "unpacked again") != NULL);
	CHECK_INT(check(true, false), 0);
	/* A configuration stands in the row as well, a manifest in what it speaks of. */
	path_of(path, "blobs/sha256", i.id, "");
	CHECK_INT(file_replace_at(image_store_dirfd(c.s), path, "bad", 3, 0400, false), 0);
	path_of(path, "blobs/sha256", i.manifest_digest, "");
	CHECK_INT(unlinkat(image_store_dirfd(c.s), path, 0), 0);
	CHECK_INT(check(true, true), 3);
	CHECK_INT(check(true, false), 0);
	CHECK_INT(image_find(c.s, "imported", NULL, &after, &c.err), 0);
	CHECK_STR(after.manifest_digest, i.manifest_digest);
	/* A damaged blob of a layer that is there: the image runs on. */
	path_of(path, "blobs/sha256", i.layer_digests.v[0], "");
	CHECK_INT(file_replace_at(image_store_dirfd(c.s), path, "bad", 3, 0400, false), 0);
	CHECK_INT(check(false, false), 0);
	CHECK_INT(check(true, false), 3);
	CHECK_INT(check(true, true), 3);
	CHECK_INT(check(true, true), 0);
	image_free(&after);
	CHECK_INT(image_find(c.s, "imported", NULL, &after, &c.err), 0);
	CHECK_STR(after.layer_digests.v[0], "");
	/* Now nothing can be made from anything. */
	path_of(path, "layers", i.diff_ids.v[0], "");
	CHECK_INT(file_remove_tree_at(image_store_dirfd(c.s), path), 0);
	CHECK_INT(check(false, true), 2);
	CHECK(strstr(lines.s, "pull it again") != NULL);
	CHECK_INT(check(true, true), 0);
	image_free(&after);
	CHECK_INT(image_find(c.s, "imported", NULL, &after, &c.err), -ENOENT);
	/* What a killed process left is swept and is no finding. */
	CHECK_INT(mkdirat(image_store_dirfd(c.s), "ingest/dead.new", 0700), 0);
	CHECK_INT(check(false, true), 0);
	CHECK(faccessat(image_store_dirfd(c.s), "ingest/dead.new", F_OK, 0) < 0);
}

int main(void)
{
	case_begin(&c);
	test_import();
	test_commit();
	test_compress();
	test_check();
	case_end(&c);
	str_free(&lines);
	return test_end();
}
