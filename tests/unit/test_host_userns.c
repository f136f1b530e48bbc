/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/procfs.h"
#include "host/userns.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *format(const struct oci_idmap *v, size_t n)
{
	static char text[4096];
	idmap_list map = {.v = (void *)v, .n = n};
	struct err err = {0};
	autofree char *out = NULL;

	(void)snprintf(text, sizeof(text), "%s", userns_format_map(&map, &out, &err) < 0 ? err.msg : out);
	return text;
}

static void test_format(void)
{
	struct oci_idmap m[] = {{0, 100000, 65536}, {65536, 5, 1}}, bad, over[] = {{0, 10, 10}, {20, 19, 5}},
			 over2[] = {{0, 10, 10}, {9, 30, 5}};
	static struct oci_idmap many[341];

	CHECK_STR(format(m, 2), "0 100000 65536\n65536 5 1\n");
	CHECK_STR(format(m, 0), "id mapping is empty");
	CHECK_STR(format(over, 2), "id mapping 20:19:5 overlaps another");
	CHECK_STR(format(over2, 2), "id mapping 9:30:5 overlaps another");
	bad = (struct oci_idmap){0, 4294967295u, 1};
	CHECK_STR(format(&bad, 1), "id mapping 0:4294967295:1 is not a range of ids");
	bad = (struct oci_idmap){0, 0, 0};
	CHECK_STR(format(&bad, 1), "id mapping 0:0:0 is not a range of ids");
	bad = (struct oci_idmap){4294967290u, 0, 6};
	CHECK_STR(format(&bad, 1), "id mapping 4294967290:0:6 is not a range of ids");
	bad = (struct oci_idmap){0, 0, 4294967295u};
	CHECK_STR(format(&bad, 1), "0 0 4294967295\n");
	CHECK_STR(format(many, 341), "id mapping has 341 ranges; the kernel takes 340");
}

static void test_translate(void)
{
	struct oci_idmap m[] = {{0, 100000, 10}, {10, 5, 1}};
	idmap_list map = {.v = (void *)m, .n = 2};
	uint32_t id = 0;

	CHECK(userns_host_id(&map, 9, &id) == 0 && id == 100009);
	CHECK(userns_host_id(&map, 10, &id) == 0 && id == 5);
	CHECK_INT(userns_host_id(&map, 11, &id), -ENOENT);
	CHECK(userns_container_id(&map, 100003, &id) == 0 && id == 3);
	CHECK_INT(userns_container_id(&map, 6, &id), -ENOENT);
}

static void test_subids(void)
{
	static const char text[] = "root:1:2\nme:100000:65536\nbroken\nme:x:3\n1000:300000:5\nme:4294967295:"
				   "10\nmes:5:5\nme:7:0\nme:9:1";
	char path[] = "/tmp/coffer-subid-XXXXXX";
	struct userns_subids ids;
	struct err err = {0};
	int fd = mkstemp(path);

	CHECK_INT(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
	CHECK_INT(userns_subids(path, "me", 1000, &ids, &err), 0);
	CHECK_INT(ids.n, 3);
	if (ids.n == 3) {
		CHECK(ids.v[0].first == 100000 && ids.v[0].count == 65536);
		CHECK(ids.v[1].first == 300000 && ids.v[1].count == 5);
		CHECK(ids.v[2].first == 9 && ids.v[2].count == 1);
	}
	free(ids.v);
	unlink(path);
	CHECK_INT(userns_subids(path, "me", 1000, &ids, &err), 0);
	CHECK_INT(ids.n, 0);
}

/* A child in a new user namespace that waits for a byte, then tells whether it is root. */
static pid_t child(int go[2], uid_t as)
{
	int ready[2];
	char c;

	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (as && (setresgid(as, as, as) < 0 || setresuid(as, as, as) < 0))
			_exit(9);
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(9);
		_exit(setresuid(3, 3, 3) == 0 ? 3 : getuid() == 0 ? 0 : 1);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void test_write(void)
{
	struct oci_idmap m[] = {{0, 100000, 10}};
	idmap_list map = {.v = (void *)m, .n = 1};
	struct err err = {0};
	int go[2];
	autoclose int proc = procfs_open(&err);
	pid_t pid = child(go, 0);
	char rel[32];
	autofree char *text = NULL;

	CHECK_INT(userns_write_maps(proc, pid, &map, &map, false, NULL, &err), 0);
	(void)snprintf(rel, sizeof(rel), "%d/uid_map", pid);
	CHECK_INT(procfs_read(proc, rel, 256, &text, &err), 0);
	CHECK_STR(text, "         0     100000         10\n");
	/* Written once. */
	CHECK_INT(userns_write_maps(proc, pid, &map, &map, false, NULL, &err), -EPERM);
	(void)snprintf(rel, sizeof(rel), "failed to update /proc/%d", pid);
	CHECK(str_starts(err.msg, rel) && str_ends(err.msg, "/uid_map: Operation not permitted"));
	CHECK(write(go[1], "x", 1) == 1);
	CHECK_INT(proc_exit_code(proc_wait(pid)), 3);
	close(go[0]);
	close(go[1]);
}

/* As an unprivileged user with a single id of its own. */
static int rootless(void)
{
	struct oci_idmap own[] = {{0, 1234, 1}}, more[] = {{0, 1234, 1}, {1, 100000, 65536}};
	idmap_list single = {.v = (void *)own, .n = 1}, two = {.v = (void *)more, .n = 2};
	struct err err = {0};
	bool denied = false;
	int go[2], go2[2];

	if (setresgid(1234, 1234, 1234) < 0 || setresuid(1234, 1234, 1234) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1) < 0)
		return 1;
	int proc = procfs_open(&err);
	pid_t pid = child(go, 0), second = child(go2, 0);
	if (userns_write_maps(proc, pid, &single, &single, true, &denied, &err) < 0 || !denied) {
		fprintf(stderr, "%s\n", err.msg);
		return 2;
	}
	if (write(go[1], "x", 1) != 1 || proc_exit_code(proc_wait(pid)) != 0)
		return 3;
	/* Without ranges in /etc/subuid, or without the tools, it is refused in words. */
	int r = userns_write_maps(proc, second, &two, &two, true, &denied, &err);
	if (pid < 0 || second < 0) /* kill(-1) is everybody */
		return 6;
	kill(second, SIGKILL);
	ignore_result(proc_wait(second));
	if (r >= 0)
		return 4;
	printf("(refused with: %s)\n", err.msg);
	return strstr(err.msg, "newuidmap") ? 0 : 5;
}

static void test_fd(void)
{
	struct oci_idmap m[] = {{0, 100000, 10}}, bad[] = {{0, 0, 0}};
	idmap_list map = {.v = (void *)m, .n = 1}, wrong = {.v = (void *)bad, .n = 1};
	struct err err = {0};
	autoclose int proc = procfs_open(&err);
	autoclose int fd = userns_fd(proc, &map, &map, &err);

	CHECK(fd >= 0);
	CHECK(waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD);
	CHECK_INT(userns_fd(proc, &wrong, &map, &err), -EINVAL);
	CHECK_STR(err.msg, "uid_map: id mapping 0:0:0 is not a range of ids");
	CHECK(waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD);

	/* Its process ends beside what comes next, and stands on the caller's memory until then. */
	struct userns_holder h;
	autoclose int held = userns_hold(&h, proc, &map, &map, &err);
	CHECK(held >= 0 && h.pid > 0);
	userns_holder_end(&h);
	CHECK(h.pid == 0 && waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD);
	CHECK_INT(userns_hold(&h, proc, &wrong, &map, &err), -EINVAL);
	userns_holder_end(&h);
	CHECK(waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD);

	/* What it is for. */
	char dir[] = "/tmp/coffer-idmap-XXXXXX";
	CHECK(mkdtemp(dir) != NULL);
	int tree = sys_open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)fd};
	struct stat st;
	CHECK(tree >= 0);
	if (sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr) == 0)
		CHECK(fstat(tree, &st) == 0 && st.st_uid == 100000);
	else
		printf("no id-mapped mount on /tmp: %s\n", strerror(errno));
	close(tree);
	rmdir(dir);
}

int main(void)
{
	test_format();
	test_translate();
	test_subids();
	if (geteuid() == 0) {
		test_write();
		test_fd();
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			int r = rootless();
			fflush(stdout);
			_exit(r);
		}
		CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
	}
	return test_end();
}
