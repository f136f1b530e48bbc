/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/str.h"

#include <sys/stat.h>

static char dir_name[] = "/tmp/coffer-unit-XXXXXX";
static int dir_fd;

static void test_read(void)
{
	char *data = NULL;
	size_t len;

	CHECK_INT(file_replace_at(dir_fd, "f", "text", 4, 0600, true), 0);
	CHECK_INT(file_read_at(dir_fd, "f", 4, &data, &len), 0);
	CHECK_STR(data, "text");
	CHECK_INT(len, 4);
	free(data);
	data = NULL;
	CHECK_INT(file_read_at(dir_fd, "f", 3, &data, &len), -EFBIG);
	CHECK_INT(file_read_at(dir_fd, "none", 3, &data, &len), -ENOENT);
	CHECK(!data);
}

static void test_write(void)
{
	char *data = NULL;

	CHECK_INT(file_write_at(dir_fd, "none", "x"), -ENOENT); /* never makes one */
	CHECK_INT(file_write_at(dir_fd, "f", "TE"), 0);
	CHECK_INT(file_read_at(dir_fd, "f", 100, &data, NULL), 0);
	CHECK_STR(data, "TExt"); /* and never cuts one */
	free(data);
	CHECK_INT(file_write_at(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
}

static void test_replace(void)
{
	struct stat st;
	char *data = NULL;

	CHECK_INT(file_replace_at(dir_fd, "f", "new", 3, 0640, false), 0);
	CHECK(fstatat(dir_fd, "f", &st, 0) == 0 && st.st_size == 3);
	CHECK_INT(file_read_at(dir_fd, "f", 100, &data, NULL), 0);
	CHECK_STR(data, "new");
	free(data);
	CHECK_INT(file_replace_at(dir_fd, "no/f", "new", 3, 0600, false), -ENOENT);
	/* What cannot be replaced leaves no temporary file. */
	CHECK_INT(mkdirat(dir_fd, "d", 0700), 0);
	CHECK_INT(mkdirat(dir_fd, "d/x", 0700), 0);
	CHECK(file_replace_at(dir_fd, "d", "new", 3, 0600, false) < 0);
	autofree char *temp = str_format("d.%d.new", getpid());
	CHECK(faccessat(dir_fd, temp, F_OK, 0) < 0);
	/* A link in the temporary file's place is not followed. */
	autofree char *trap = str_format("g.%d.new", getpid());
	CHECK_INT(symlinkat("f", dir_fd, trap), 0);
	CHECK_INT(file_replace_at(dir_fd, "g", "evil", 4, 0600, false), -ELOOP);
	CHECK(fstatat(dir_fd, "f", &st, 0) == 0 && st.st_size == 3);
}

static void test_mkdir(void)
{
	autofree char *deep = str_format("%s/m/a/b/c", dir_name);
	autofree char *slash = str_format("%s/m//x/y/", dir_name);
	autofree char *under_file = str_format("%s/f/x/y", dir_name);
	struct stat st;

	CHECK_INT(file_mkdir_all(deep, 0700), 0);
	CHECK(stat(deep, &st) == 0 && S_ISDIR(st.st_mode));
	CHECK_INT(file_mkdir_all(deep, 0700), 0);
	CHECK_INT(file_mkdir_all(slash, 0700), 0);
	CHECK(fstatat(dir_fd, "m/x/y", &st, 0) == 0);
	CHECK_INT(file_mkdir_all(under_file, 0700), -ENOTDIR);
	CHECK_INT(file_mkdir_all("", 0700), -ENOENT);
	CHECK_INT(file_mkdir_all("/", 0700), 0);
}

static void test_remove(void)
{
	struct stat st;

	CHECK_INT(file_remove_tree_at(dir_fd, "none"), 0);
	CHECK_INT(mkdirat(dir_fd, "t", 0700), 0);
	CHECK_INT(mkdirat(dir_fd, "t/empty", 0700), 0);
	CHECK_INT(mkdirat(dir_fd, "t/full", 0700), 0);
	CHECK_INT(file_replace_at(dir_fd, "t/full/f", "", 0, 0600, false), 0);
	/* Links go, their targets stay. */
	CHECK_INT(symlinkat("../m", dir_fd, "t/link"), 0);
	CHECK_INT(symlinkat("/nowhere", dir_fd, "t/full/dangling"), 0);
	for (int i = 0; i < 2000; i++) {
		autofree char *name = str_format("t/full/%d", i);
		(void)close(openat(dir_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	CHECK_INT(file_remove_tree_at(dir_fd, "t"), 0);
	CHECK(fstatat(dir_fd, "t", &st, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(fstatat(dir_fd, "m/a/b", &st, 0) == 0);
	CHECK_INT(symlinkat("m", dir_fd, "l"), 0);
	CHECK_INT(file_remove_tree_at(dir_fd, "l"), 0);
	CHECK(fstatat(dir_fd, "m/a/b", &st, 0) == 0);
	CHECK_INT(file_remove_tree_at(dir_fd, "f"), 0); /* a plain file will do */
	CHECK(fstatat(dir_fd, "f", &st, 0) < 0);
}

int main(void)
{
	if (!mkdtemp(dir_name))
		return 1;
	dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_read();
	test_write();
	test_replace();
	test_mkdir();
	test_remove();
	(void)close(dir_fd);
	autoclose int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(parent, strrchr(dir_name, '/') + 1), 0);
	CHECK(access(dir_name, F_OK) < 0);
	return test_end();
}
