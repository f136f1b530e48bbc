/* SPDX-License-Identifier: Apache-2.0 */
/* Beside the database: what is found by which name, who has the host's ids, and that nothing is left. */
#include "engine/engine_int.h"

#include "base/file.h"

#include <sys/stat.h>

#include "test.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "aaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static struct engine *e;

static char *text_of(const char *s)
{
	return (char *)(uintptr_t)s; /* engine_insert() only reads */
}

static int insert(const char *id, const char *name, int64_t slot)
{
	struct err err = {0};
	const struct engine_container c = {
		.id = text_of(id),
		.name = text_of(name),
		.image = text_of("x"),
		.slot = slot,
		.lock = -1,
		.record = {.version = ENGINE_RECORD_VERSION, .image_id = "sha256:x", .isolation = "ns"}};

	return engine_insert(e, &c, &err);
}

static const char *found(const char *word)
{
	static char ret[ENGINE_ID_LEN + 1];
	struct err err = {0};
	autofree char *id = NULL;

	if (engine_resolve(e, word, &id, &err) < 0)
		return err.code == ENOENT ? "none" : "many";
	(void)snprintf(ret, sizeof(ret), "%s", id); /* fits */
	return ret;
}

/* As Docker: a whole id, a name, the beginning of an id. */
static void order(void)
{
	CHECK_INT(insert(ID_A, "one", 1), 0);
	CHECK_INT(insert(ID_B, ID_A, 2), 0);
	CHECK_INT(insert(ID_C, "aaaa", 3), 0);
	CHECK_STR(found(ID_A), ID_A);
	CHECK_STR(found("/" ID_A), ID_B);
	CHECK_STR(found("/" ID_C), "none");
	CHECK_STR(found("aaaa"), ID_C);
	CHECK_STR(found("aaaaa"), ID_A);
	CHECK_STR(found("aaaab"), ID_B);
	CHECK_STR(found("aaa"), "many");
	CHECK_STR(found("/one"), ID_A);
	CHECK_STR(found("d"), "none");
	CHECK_STR(found(""), "none");
}

static bool there(int at, const char *path)
{
	return faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of one that is removed meanwhile. */
static void keep_leaves_nothing(void)
{
	engine_running_keep(e, ID_A);
	CHECK(!there(e->data_fd, ID_A));
}

static void marks(void)
{
	struct err err = {0};

	CHECK_INT(insert(ID_A, "one", 1), 0);
	CHECK_INT(insert(ID_B, "two", -1), 0);
	CHECK_INT(insert(ID_C, "three", -1), 0);
	CHECK_INT(mkdirat(e->run_fd, ID_A, 0700), 0);
	CHECK(!engine_host_ids_used(e)); /* nothing runs that has them */
	CHECK(!there(e->data_fd, ID_B));
	/* As an earlier version has started it. */
	CHECK_INT(unlinkat(e->run_fd, "../hostids/.counted", 0), 0);
	CHECK_INT(mkdirat(e->run_fd, ID_B, 0700), 0);
	/* Somebody is about to change it: that is waited for by nobody, and not passed over. */
	int lock = engine_lock(e, ID_B, true, &err);
	CHECK(lock >= 0);
	CHECK(engine_host_ids_used(e));
	CHECK(!there(e->run_fd, "../hostids/" ID_B));
	fd_drop(&lock);
	CHECK(engine_host_ids_used(e));
	CHECK(there(e->run_fd, "../hostids/" ID_B) && !there(e->run_fd, "../hostids/" ID_C));
	engine_host_ids_forget(e, ID_B);
	CHECK(!engine_host_ids_used(e));
	CHECK_INT(engine_host_ids_note(e, ID_C, &err), 0);
	CHECK(engine_host_ids_used(e));
	engine_host_ids_forget(e, ID_C);
	CHECK(!engine_host_ids_used(e));
}

/* In a store of its own. */
static void run_in_store(void (*test)(void))
{
	char root[] = "/tmp/test_engine_running.XXXXXX", run[64];
	struct err err = {0};

	CHECK(mkdtemp(root) != NULL);
	(void)snprintf(run, sizeof(run), "%s/run", root); /* fits */
	const struct engine_options o = {.data_root = root, .run_root = run};
	int r = engine_open(&o, &e, &err);
	CHECK_INT(r, 0);
	if (r == 0) {
		test();
		engine_close(e);
	}
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + strlen("/tmp/")), 0);
	(void)close(tmp); /* read only */
}

int main(void)
{
	run_in_store(order);
	run_in_store(keep_leaves_nothing);
	run_in_store(marks);
	return test_end();
}
