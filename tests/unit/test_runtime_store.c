/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/store.h"
#include "base/file.h"
#include "base/str.h"
#include "test.h"

#include <sys/stat.h>

static void test_ids(void)
{
	static const char *const good[] = {"a", "A-b_c.9+", ".x", "-", "..."};
	static const char *const bad[] = {"", ".", "..", "a/b", "../x", "a b", "a\nb", "\xc3\xa9", "@cache"};
	struct err err = {0};
	char longest[NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(store_check_id(good[i], &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(store_check_id(bad[i], &err), -EINVAL);
	CHECK_INT(store_check_id("a/b", &err), -EINVAL);
	CHECK_STR(err.msg, "invalid container ID format");
	memset(longest, 'x', sizeof(longest));
	longest[NAME_MAX + 1] = '\0';
	CHECK_INT(store_check_id(longest, &err), -EINVAL);
	longest[NAME_MAX] = '\0';
	CHECK_INT(store_check_id(longest, &err), 0);
}

static void test_claim(const char *root)
{
	struct err err = {0};
	autofree char *deep = str_format("%s/not/there", root);

	autoclose int fd = store_claim(deep, "one", &err);
	CHECK(fd >= 0);
	CHECK_INT(store_claim(deep, "one", &err), -EEXIST);
	CHECK_STR(err.msg, "container with given ID already exists");
	autoclose int again = store_open(deep, "one", &err);
	CHECK(again >= 0);
	CHECK(store_busy(again));
	CHECK(!store_try_lock(again));
	store_unlock(fd);
	CHECK(!store_busy(again));
	CHECK(store_try_lock(again));
	CHECK_INT(store_open(deep, "two", &err), -ENOENT);
	CHECK_STR(err.msg, "container does not exist");
	CHECK_INT(store_remove(deep, "one", again, &err), 0);
	CHECK_INT(store_open(deep, "one", &err), -ENOENT);
	/* Who waited for the lock finds that there is nothing left. */
	store_unlock(again);
	CHECK_INT(store_lock(fd, &err), -ENOENT);
	CHECK_INT(store_remove(deep, "one", again, &err), 0);
}

static void test_init(const char *root)
{
	struct store_init in = {.pid = 123, .start_time = UINT64_MAX, .phase = STORE_CREATING}, out;
	struct err err = {0};

	autoclose int fd = store_claim(root, "c", &err);
	CHECK(fd >= 0);
	CHECK_INT(store_read_init(fd, &out), -ENOENT);
	CHECK_INT(store_write_init(fd, &in, &err), 0);
	CHECK_INT(store_read_init(fd, &out), 0);
	CHECK_INT(out.pid, 123);
	CHECK(out.start_time == UINT64_MAX && out.phase == STORE_CREATING);
	CHECK_INT(store_set_phase(fd, STORE_STARTED, &err), 0);
	CHECK_INT(store_read_init(fd, &out), 0);
	CHECK(out.pid == 123 && out.phase == STORE_STARTED);

	static const char *const broken[] = {"x 1 2\n", "c -1 2\n", "c 0 2\n", "c\n", "c 1\n", "garbage"};
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		CHECK_INT(file_replace_at(fd, "init", broken[i], strlen(broken[i]), 0600, false), 0);
		CHECK_INT(store_read_init(fd, &out), -EINVAL);
	}
	CHECK_INT(file_replace_at(fd, "init", "", 0, 0600, false), 0);
	CHECK_INT(store_read_init(fd, &out), -ENOENT);

	/* Whatever lies in the directory goes with it. */
	CHECK_INT(mkdirat(fd, "notify", 0755), 0);
	CHECK_INT(file_replace_at(fd, "notify/x", "y", 1, 0600, false), 0);
	CHECK_INT(store_remove(root, "c", fd, &err), 0);
	CHECK_INT(store_open(root, "c", &err), -ENOENT);
}

int main(void)
{
	char root[] = "/tmp/coffer-store-XXXXXX";

	if (!mkdtemp(root))
		return 1;
	test_ids();
	test_claim(root);
	test_init(root);
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + strlen("/tmp/")), 0);
	return test_end();
}
