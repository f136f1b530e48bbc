/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "host/resolve.h"

#include <signal.h>
#include <sys/stat.h>

static int root = -1;
static char dir[64];

static void link_to(const char *text, const char *name)
{
	if (symlinkat(text, root, name) < 0)
		CHECK(!"symlink");
}

/* What `path` resolves to, made where missing: "real" or the error's text. */
static const char *resolve(const char *path, enum resolve_make make)
{
	static char out[PATH_MAX];
	autofree char *clean = resolve_clean(path), *real = NULL;
	autoclose int fd = resolve_in_root(root, clean, make, &real);

	(void)snprintf(out, sizeof(out), "%s", fd < 0 ? err_text(fd) : real ? real : clean);
	return out;
}

static bool is_dir(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void test_clean(void)
{
	static const char *const cases[][2] = {
		{"/", "/"},
		{"", "/"},
		{"a", "/a"},
		{"//a//b/", "/a/b"},
		{"/a/./b/../c", "/a/c"},
		{"/../..", "/"},
		{"/../../a", "/a"},
		{"/a/../../b", "/b"},
		{"/a...", "/a..."},
		{"/a/..", "/"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autofree char *got = resolve_clean(cases[i][0]);
		CHECK_STR(got, cases[i][1]);
	}
}

static void test_existing(void)
{
	CHECK_STR(resolve("/etc", RESOLVE_EXISTING), "/etc");
	CHECK_STR(resolve("/nope", RESOLVE_EXISTING), "No such file or directory");
	CHECK_STR(resolve("/etc/nope/x", RESOLVE_EXISTING), "No such file or directory");
	CHECK_STR(resolve("/etc/file/x", RESOLVE_DIR), "Not a directory");
	CHECK_STR(resolve("/", RESOLVE_EXISTING), "/");
}

static void test_links(void)
{
	link_to("/etc", "absolute");
	link_to("../../../../../../etc", "climbing");
	link_to("loop", "loop");
	link_to("/", "top");
	link_to("absolute/../etc/./file", "winding");
	CHECK_STR(resolve("/absolute/file", RESOLVE_EXISTING), "/etc/file");
	CHECK_STR(resolve("/climbing/file", RESOLVE_EXISTING), "/etc/file");
	CHECK_STR(resolve("/climbing", RESOLVE_EXISTING), "/etc");
	CHECK_STR(resolve("/winding", RESOLVE_EXISTING), "/etc/file");
	CHECK_STR(resolve("/top", RESOLVE_EXISTING), "/");
	CHECK_STR(resolve("/top/top/top/etc", RESOLVE_EXISTING), "/etc");
	CHECK_STR(resolve("/loop", RESOLVE_EXISTING), "Too many levels of symbolic links");
	CHECK_STR(resolve("/loop/x", RESOLVE_DIR), "Too many levels of symbolic links");
	autoclose int fd = resolve_literally(root, "/absolute/file", RESOLVE_EXISTING);
	CHECK_INT(fd, -ELOOP);
	autoclose int missing = resolve_literally(root, "/absolute/new/dir", RESOLVE_DIR);
	CHECK_INT(missing, -ELOOP);
	CHECK(!is_dir("etc/new"));
}

static void test_making(void)
{
	struct stat st;

	CHECK_STR(resolve("/new/a/b/c", RESOLVE_DIR), "/new/a/b/c");
	CHECK(is_dir("new/a/b/c"));
	CHECK_STR(resolve("/new/f", RESOLVE_FILE), "/new/f");
	CHECK(fstatat(root, "new/f", &st, 0) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0644);
	CHECK_STR(resolve("/deep/er/f", RESOLVE_FILE), "/deep/er/f");
	CHECK(is_dir("deep/er"));
	CHECK_STR(resolve("/new/f", RESOLVE_FILE), "/new/f");
	/* /var/run -> /run, and no /run. */
	link_to("/run/inner", "dangling");
	CHECK_STR(resolve("/dangling/x", RESOLVE_DIR), "/run/inner/x");
	CHECK(is_dir("run/inner/x"));
	link_to("../../../../../tmp/coffer-escape", "escape");
	CHECK_STR(resolve("/escape/x", RESOLVE_DIR), "/tmp/coffer-escape/x");
	CHECK(is_dir("tmp/coffer-escape/x"));
	CHECK(access("/tmp/coffer-escape", F_OK) < 0);
	link_to("tmp/target", "tofile");
	CHECK_STR(resolve("/tofile", RESOLVE_FILE), "/tmp/target");
	autoclose int fd = resolve_literally(root, "/lit/er/al", RESOLVE_DIR);
	CHECK(fd >= 0 && is_dir("lit/er/al"));
}

/* Somebody exchanges a directory and a link that leads out, over and over, while we make things below it. */
static void test_race(void)
{
	char outside[80];
	int made = 0;

	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	CHECK(mkdirat(root, "outside", 0755) == 0 && mkdirat(root, "jail", 0755) == 0);
	autoclose int jail = openat(root, "jail", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(jail, "swap", 0755) == 0 && symlinkat(outside, jail, "link") == 0 &&
	      symlinkat("../outside", jail, "up") == 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (;;) {
			(void)renameat2(jail, "swap", jail, "link", RENAME_EXCHANGE);
			(void)renameat2(jail, "swap", jail, "up", RENAME_EXCHANGE);
		}
	}
	for (int i = 0; i < 2000; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "/swap/d%d/e", i);
		autoclose int fd = resolve_in_root(jail, path, RESOLVE_DIR, NULL);
		made += fd >= 0;
	}
	CHECK(pid > 0 && kill(pid, SIGKILL) == 0); /* kill(-1) is everybody */
	CHECK(proc_wait(pid) >= 0);
	CHECK(made > 0);
	/* Empty still: only an empty directory can be removed. */
	CHECK(unlinkat(root, "outside", AT_REMOVEDIR) == 0);
}

int main(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/coffer-test-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)umask(022);
	CHECK(mkdirat(root, "etc", 0755) == 0);
	CHECK(mknodat(root, "etc/file", S_IFREG | 0644, 0) == 0);
	test_clean();
	test_existing();
	test_links();
	test_making();
	test_race();
	autoclose int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(file_remove_tree_at(tmp, dir + 5) == 0);
	return test_end();
}
