/* SPDX-License-Identifier: Apache-2.0 */
#include "test_image_case.h"

#include <dirent.h>
#include <sys/file.h>

static struct store_case c;
static struct str told;
static int use;
static const char *use_id;

static void on_told(void *data, const char *line)
{
	(void)data;
	str_putf(&told, "%s\n", line);
}

static int on_use(void *data, const char *id, char container[static 65])
{
	(void)data;
	if (!use || !streq(id, use_id))
		return 0;
	memset(container, 'c', 64);
	container[64] = '\0';
	return use;
}

static int rmi(const char *name, bool force)
{
	c.err = (struct err){0};
	str_free(&told);
	str_put(&told, "");
	return image_remove(
		c.s, &(struct image_remove){.name = name, .force = force, .in_use = on_use, .told = on_told},
		&c.err);
}

static bool there(const char *name)
{
	struct image i autoimage = {0};
	struct err err;

	return image_find(c.s, name, NULL, &i, &err) == 0;
}

static void test_tag(void)
{
	char a[DIGEST_MAX], b[DIGEST_MAX];
	struct image i autoimage = {0};

	case_image(&c, "docker.io/library/a:latest", "linux/amd64", "a", false, a);
	case_image(&c, "docker.io/library/b:latest", "linux/amd64", "b", true, b);
	CHECK_INT(image_tag(c.s, "a", "localhost:5000/x:1", &c.err), 0);
	CHECK_INT(image_tag(c.s, "a", "a", &c.err), 0);
	CHECK_INT(image_tag(c.s, a, "b", &c.err), 0);
	CHECK_INT(image_find(c.s, "b", NULL, &i, &c.err), 0);
	CHECK_STR(i.id, a);
	CHECK_INT(i.tags.n, 3);
	CHECK_INT(image_tag(c.s, "nothing", "x", &c.err), -ENOENT);
	CHECK_INT(image_tag(c.s, "a", "UPPER", &c.err), -EINVAL);
	autofree char *digest = str_format("x@%s", a);
	CHECK_INT(image_tag(c.s, "a", digest, &c.err), -EINVAL);
	CHECK_STR(c.err.msg, "refusing to create a tag with a digest reference");

	CHECK_INT(rmi("nothing", false), -ENOENT);
	CHECK_STR(c.err.msg, "No such image: nothing:latest");
	CHECK_INT(rmi(a, false), -EBUSY);
	CHECK(strstr(c.err.msg, "(must be forced) - image is referenced in multiple repositories") != NULL);
	CHECK_INT(rmi("b", false), 0);
	CHECK_STR(told.s, "Untagged: b:latest\n");
	CHECK_INT(rmi("localhost:5000/x:1", false), 0);
	/* The last tag takes the digest along, and the image. */
	CHECK_INT(rmi("a", false), 0);
	autofree char *want =
		str_format("Untagged: a:latest\nUntagged: a@%s\nDeleted: %s\n", i.manifest_digest, a);
	CHECK_STR(told.s, want);
	CHECK(!there(a));
	/* Without a name, by its ID. */
	CHECK(there(b));
	CHECK_INT(rmi(b, false), 0);
	CHECK(!there(b));
}

static void test_use(void)
{
	char a[DIGEST_MAX], text[16];

	case_image(&c, "docker.io/library/a:latest", "linux/amd64", "a", true, a);
	use = 1;
	use_id = a;
	CHECK_INT(rmi("a", false), -EBUSY);
	CHECK(strstr(c.err.msg,
		     "conflict: unable to remove repository reference \"a\" (must force) - container "
		     "cccccccccccc is using its referenced image") != NULL);
	(void)snprintf(text, sizeof(text), "%.12s", a + 7);
	CHECK_INT(rmi(text, false), -EBUSY);
	CHECK(strstr(c.err.msg, "(must be forced) - image is being used by stopped container cccccccccccc") !=
	      NULL);
	use = 2;
	CHECK_INT(rmi(text, true), -EBUSY);
	CHECK(strstr(c.err.msg, "(cannot be forced) - image is being used by running container") != NULL);
	CHECK_INT(rmi("a", true), 0);
	CHECK_STR(told.s, "Untagged: a:latest\n");
	CHECK(there(a) && !there("a"));
	use = 1;
	CHECK_INT(rmi(a, true), 0);
	CHECK(!there(a));
	use = 0;
	case_image(&c, "docker.io/library/a:1", "linux/amd64", "a", true, a);
	CHECK_INT(image_tag(c.s, "a:1", "a:2", &c.err), 0);
	CHECK_INT(image_tag(c.s, "a:1", "z", &c.err), 0);
	CHECK_INT(rmi(a, true), 0);
	CHECK(strstr(told.s, "Untagged: a:1\nUntagged: a:2\nUntagged: z:latest\nDeleted: ") != NULL);
}

static bool keep_all(void *data, const char *diff_id)
{
	(void)data;
	return str_starts(diff_id, "sha256:");
}

static int entries(const char *folder)
{
	autofree char *cmd = str_format("%s/%s", c.root, folder);
	int n = 0;
	autoclose int dir = open(cmd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(dup(dir));

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

static void test_gc(void)
{
	char a[DIGEST_MAX], b[DIGEST_MAX];
	struct image_gc_result res;
	struct ingest in;
	uint64_t offset;

	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(entries("blobs/sha256"), 0);
	CHECK_INT(entries("layers"), 0);
	case_image(&c, "docker.io/library/a:1", "linux/amd64", "a", true, a);
	case_image(&c, "docker.io/library/b:1", "linux/amd64", "b", true, b);
	CHECK_INT(entries("blobs/sha256"), 7);
	CHECK_INT(entries("layers"), 3);
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(res.blobs + res.layers, 0);
	CHECK_INT(rmi("b:1", false), 0);
	/* What somebody writes stays; what nobody does goes. */
	CHECK_INT(ingest_begin(c.s, b, UINT64_MAX, &in, &offset, &c.err), 0);
	CHECK(in.exists);
	CHECK_INT(ingest_begin(c.s, "sha256:00000000000000000000000000000000000000000000000000000000000000aa",
			       10, &in, &offset, &c.err),
		  0);
	CHECK_INT(mkdirat(image_store_dirfd(c.s), "ingest/left", 0700), 0);
	CHECK_INT(symlinkat("/etc/passwd", image_store_dirfd(c.s), "ingest/link"), 0);
	CHECK_INT(image_gc(c.s, keep_all, NULL, &res, &c.err), 0);
	CHECK_INT(res.layers, 0);
	CHECK_INT(res.blobs, 3);
	CHECK(res.bytes > 100);
	CHECK_INT(entries("ingest"), 1);
	ingest_close(&in);
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(res.layers, 1);
	CHECK_INT(entries("ingest"), 0);
	CHECK_INT(entries("blobs/sha256"), 4);
	CHECK_INT(entries("layers"), 2);
	CHECK(there("a:1"));
	/* The sweep waits for who uses content, and the other way about. */
	int held = content_use(c.s, &c.err);
	CHECK(held >= 0);
	autoclose int lock = openat(image_store_dirfd(c.s), "gc.lock", O_RDWR | O_CLOEXEC);
	CHECK(flock(lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	CHECK_INT(image_gc_try(c.s, NULL, NULL, &res, &c.err), -EAGAIN);
	(void)close(held);
	CHECK_INT(image_gc_try(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(flock(lock, LOCK_EX | LOCK_NB), 0);
}

int main(void)
{
	case_begin(&c);
	test_tag();
	test_use();
	test_gc();
	case_end(&c);
	str_free(&told);
	return test_end();
}
