/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include "base/file.h"

#include <sys/stat.h>

#include "test.h"

static int root;

static void put(const char *path, const char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
	(void)close(fd); /* written */
}

static int find(const char *user, const char *group, struct engine_user *u, struct err *err)
{
	const str_list add = {.v = &group, .n = group ? 1 : 0};

	return engine_user_find(root, user, &add, u, err);
}

static void found(void)
{
	struct engine_user u;
	struct err err = {0};

	CHECK_INT(find(NULL, NULL, &u, &err), 0);
	CHECK_INT(u.uid, 0);
	CHECK_INT(u.n_groups, 2);
	CHECK_INT(u.groups[0], 0);
	CHECK_INT(u.groups[1], 10);
	CHECK_INT(find("app", NULL, &u, &err), 0);
	CHECK_INT(u.uid, 1000);
	CHECK_INT(u.gid, 1001);
	CHECK_INT(u.n_groups, 3);
	CHECK_INT(find("1000", "wheel", &u, &err), 0);
	CHECK_INT(u.gid, 1001);
	CHECK_INT(u.n_groups, 3);
	CHECK_INT(find("app:wheel", NULL, &u, &err), 0);
	CHECK_INT(u.gid, 10);
	CHECK_INT(u.n_groups, 1);
	CHECK_INT(u.groups[0], 10);
	CHECK_INT(find("4711:4712", "99", &u, &err), 0);
	CHECK_INT(u.uid, 4711);
	CHECK_INT(u.gid, 4712);
	CHECK_INT(u.groups[0], 4712);
	CHECK_INT(u.groups[1], 99);
	CHECK_INT(find("4711", NULL, &u, &err), 0);
	CHECK_INT(u.gid, 0);
}

static void refused(void)
{
	struct engine_user u;
	struct err err = {0};

	CHECK(find("nobody-here", NULL, &u, &err) < 0);
	CHECK_STR(err.msg, "unable to find user nobody-here: no matching entries in passwd file");
	CHECK(find("app:none", NULL, &u, &err) < 0);
	CHECK_STR(err.msg, "unable to find group none: no matching entries in group file");
	CHECK(find("app", "none", &u, &err) < 0);
	CHECK_STR(err.msg, "Unable to find group none: no matching entries in group file");
	CHECK(find("4294967295", NULL, &u, &err) < 0);
	CHECK(find("-1", NULL, &u, &err) < 0);
}

/* The container's files are its own: a link leads inside, a pipe blocks nobody. */
static void hostile(void)
{
	struct engine_user u;
	struct err err = {0};

	CHECK(renameat(root, "etc/passwd", root, "real") == 0);
	CHECK(symlinkat("/real", root, "etc/passwd") == 0);
	CHECK_INT(find("app", NULL, &u, &err), 0);
	CHECK(unlinkat(root, "etc/passwd", 0) == 0);
	CHECK(mkfifoat(root, "etc/passwd", 0644) == 0);
	CHECK(find("app", NULL, &u, &err) < 0);
	CHECK_INT(find("7", NULL, &u, &err), 0);
	CHECK(unlinkat(root, "etc/passwd", 0) == 0);
	CHECK(symlinkat("../../../../../../etc/passwd", root, "etc/passwd") == 0);
	CHECK(find("daemon", NULL, &u, &err) < 0);
	CHECK(unlinkat(root, "etc/passwd", 0) == 0);
	put("etc/passwd", ":::\n::::::\nroot:x:abc:0\nx:y\n\n\nlast:x:5:6");
	CHECK_INT(find("last", NULL, &u, &err), 0);
	CHECK_INT(u.uid, 5);
	CHECK(find("root", NULL, &u, &err) < 0);
}

int main(void)
{
	char dir[] = "/tmp/test_engine_users.XXXXXX";

	CHECK(mkdtemp(dir) != NULL);
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0 && mkdirat(root, "etc", 0755) == 0);
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n");
	put("etc/group", "root:x:0:\nwheel:x:10:root,app\napp:x:1001:\nmore:x:11:x,app\n");
	found();
	refused();
	hostile();
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	(void)close(tmp); /* read only */
	return test_end();
}
