/* SPDX-License-Identifier: Apache-2.0 */
/* `cp` into a root that fights back. */
#include "test_image_layers.h"

#include <signal.h>
#include <sys/wait.h>

enum { FIRST = 300000 };

static int root = -1;

static int to_buffer(void *data, const void *bytes, size_t len, struct err *err)
{
	str_put_n(data, bytes, len);
	return ((struct str *)data)->failed ? err_oom(err) : 0;
}

struct item {
	enum tar_type type;
	const char *name, *text;
};

/* The archive of these items, extracted; 0 or the error's text in `err`. */
static int extract(const struct item *v, size_t n, bool same_owner, struct err *err)
{
	static struct oci_idmap map = {0, FIRST, 65536};
	idmap_list maps = {&map, 1};
	struct str b autostr = {0};
	struct tar_writer w = {.sink = to_buffer, .data = &b};

	for (size_t i = 0; i < n; i++) {
		struct tar_entry e = {.type = v[i].type,
				      .name = v[i].name,
				      .link = "",
				      .mode = 0640,
				      .uid = 7,
				      .gid = 8,
				      .mtime = 99};
		if (e.type == TAR_SYMLINK || e.type == TAR_HARDLINK)
			e.link = v[i].text;
		else if (v[i].text)
			e.size = strlen(v[i].text);
		CHECK_INT(tar_write_entry(&w, &e, err), 0);
		if (e.size)
			CHECK_INT(tar_write_bytes(&w, v[i].text, e.size, err), 0);
	}
	CHECK_INT(tar_write_end(&w, err), 0);
	autofree char *path = str_format("%s/in.tar", scratch);
	CHECK_INT(file_replace_at(AT_FDCWD, path, b.s, b.len, 0600, false), 0);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	*err = (struct err){0};
	return layer_extract(fd, root, &maps, &maps, same_owner, NULL, err);
}
#define EXTRACT(err, same_owner, ...)                                                                        \
	({                                                                                                   \
		const struct item v_[] = {__VA_ARGS__};                                                      \
		extract(v_, ARRAY_LEN(v_), same_owner, err);                                                 \
	})

static bool text_at(const char *path, const char *want)
{
	autofree char *data = NULL;

	return file_read_at(root, path, 4096, &data, NULL) == 0 && streq(data, want);
}

static void test_owners(void)
{
	struct err err = {0};
	struct stat st;

	CHECK_INT(EXTRACT(&err, false, {TAR_FILE, "new/dir/a", "x"}, {TAR_DIR, "d"}, {TAR_SYMLINK, "l", "a"}),
		  0);
	CHECK(fstatat(root, "new/dir/a", &st, 0) == 0 && st.st_uid == FIRST &&
	      st.st_mode == (S_IFREG | 0640));
	CHECK(st.st_mtim.tv_sec == 99);
	CHECK(fstatat(root, "new/dir", &st, 0) == 0 && st.st_uid == FIRST && st.st_mode == (S_IFDIR | 0755));
	CHECK(fstatat(root, "d", &st, 0) == 0 && st.st_uid == FIRST && st.st_mtim.tv_sec == 99);
	CHECK_INT(EXTRACT(&err, true, {TAR_FILE, "new/dir/a", "y"}, {TAR_FILE, "d/.wh.x", "z"}), 0);
	CHECK(fstatat(root, "new/dir/a", &st, 0) == 0 && st.st_uid == FIRST + 7 && st.st_gid == FIRST + 8);
	CHECK(text_at("new/dir/a", "y") && text_at("d/.wh.x", "z"));
}

static void test_refused(void)
{
	struct err err = {0};

	CHECK(EXTRACT(&err, false, {TAR_FILE, "../out", "x"}) < 0);
	CHECK(strstr(err.msg, "\"..\"") != NULL);
	CHECK_INT(EXTRACT(&err, false, {TAR_FILE, "d", "x"}), -EISDIR);
	CHECK_INT(EXTRACT(&err, false, {TAR_DIR, "new/dir/a"}), -ENOTDIR);
	CHECK(EXTRACT(&err, false, {TAR_HARDLINK, "h", "nothing"}) < 0);
	CHECK(EXTRACT(&err, false, {TAR_HARDLINK, "h", "../../etc/passwd"}) < 0);
}

/* Links that point out of the root lead to places within. */
static void test_links(void)
{
	struct err err = {0};

	CHECK_INT(
		shell("mkdir -p outside root/safe; echo untouched > outside/victim; ln -s ../outside root/up;"
		      " ln -s \"$PWD/outside\" root/abs; ln -s ../../../../../../outside root/far"),
		0);
	CHECK_INT(EXTRACT(&err, false, {TAR_FILE, "up/victim", "got"}, {TAR_FILE, "abs/victim", "got"},
			  {TAR_FILE, "far/victim", "got"}, {TAR_SYMLINK, "mine", "../outside"},
			  {TAR_FILE, "mine/victim", "got"}),
		  0);
	CHECK_INT(shell("test \"$(cat outside/victim)\" = untouched && test $(ls outside | wc -l) = 1"), 0);
	CHECK(text_at("outside/victim", "got"));
	/* The last component of a name is replaced, not followed. */
	CHECK_INT(EXTRACT(&err, false, {TAR_SYMLINK, "f", "outside/victim"}, {TAR_FILE, "f", "plain"}), 0);
	CHECK(text_at("f", "plain") && text_at("outside/victim", "got"));
}

/* Somebody swaps a directory for a link to the outside all the time. */
static void test_race(void)
{
	static const struct item v[] = {{TAR_FILE, "swap/sub/file", "x"},
					{TAR_DIR, "swap/sub"},
					{TAR_FILE, "swap/sub/other", "y"},
					{TAR_HARDLINK, "swap/sub/link", "swap/sub/file"},
					{TAR_SYMLINK, "swap/sub/s", "t"}};

	CHECK_INT(shell("mkdir -p root/swap/sub outside/sub; ln -sfn ../outside root/swap2"), 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (;;)
			if (renameat2(root, "swap", root, "swap2", RENAME_EXCHANGE) < 0)
				_exit(1);
	}
	for (int i = 0; i < 300; i++) {
		struct err err = {0};
		ignore_result(extract(v, ARRAY_LEN(v), false, &err) < 0); /* it may fail, but not get out */
	}
	(void)kill(pid, SIGKILL); /* ours, not waited for yet */
	(void)waitpid(pid, NULL, 0);
	CHECK_INT(shell("test -z \"$(ls -A outside/sub)\""), 0);
}

int main(void)
{
	scratch_begin();
	CHECK_INT(shell("mkdir root"), 0);
	autofree char *path = str_format("%s/root", scratch);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_owners();
	test_refused();
	test_links();
	test_race();
	(void)close(root); /* read only */
	scratch_end();
	return test_end();
}
