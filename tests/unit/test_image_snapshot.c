/* SPDX-License-Identifier: Apache-2.0 */
#include "test_image_layers.h"

#include "host/held_mounts.h"
#include "host/mount.h"
#include "image/snapshot_int.h"

#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/wait.h>

enum { SLOT = 524288 };

struct snap_case {
	struct image_store *s;
	char ids[2][72];
	const char *v[2];
	str_list diff_ids;
	char dir[128];
	struct oci_idmap map;
	idmap_list maps;
	struct snapshot q;
};

static void snap_begin(struct snap_case *c, const char *name, enum image_layers layers)
{
	struct layer_result r = {0};
	autofree char *script = str_format("mkdir -p snap-%s", name);

	*c = (struct snap_case){.s = scratch_store(name, layers), .map = {0, SLOT, 65536}};
	CHECK_INT(shell("rm -rf l && mkdir -p l/etc l/usr/bin l/gone && echo one > l/etc/conf && echo x > "
			"l/gone/x"
			" && echo bin > l/usr/bin/prog && chown 7:8 l/etc/conf && echo d > l/usr/drop"
			" && tar -C l -cf l0.tar . && rm -rf l && mkdir -p l/etc l/gone l/usr"
			" && echo two > l/etc/conf && : > l/usr/.wh.drop && : > l/gone/.wh..wh..opq && echo "
			"y > l/gone/y"
			" && chmod 751 l && chown 0:4 l && touch -d @77 l && tar -C l -cf l1.tar ."),
		  0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(build_file(c->s, i ? "l1.tar" : "l0.tar", 65536, &r), 0);
		memcpy(c->ids[i], r.diff_id, sizeof(c->ids[i]));
		c->v[i] = c->ids[i];
	}
	CHECK_INT(shell(script), 0);
	(void)snprintf(c->dir, sizeof(c->dir), "%s/snap-%s", scratch, name);
	c->diff_ids = (str_list){c->v, 2};
	c->maps = (idmap_list){&c->map, 1};
	c->q = (struct snapshot){.dir = c->dir, .diff_ids = &c->diff_ids, .uids = &c->maps, .gids = &c->maps};
}

static void snap_end(struct snap_case *c)
{
	struct err err = {0};

	CHECK_INT(snapshot_remove(&c->q, &err), 0);
	CHECK_INT(snapshot_remove(&c->q, &err), 0);
	image_store_close(c->s);
}

static int mount_it(struct snap_case *c, enum snapshot_how how)
{
	struct err err = {0};
	int fd = snapshot_prepare(c->s, &c->q, &err);

	if (fd == 0)
		fd = snapshot_mount_how(c->s, &c->q, how, &err);
	if (fd < 0)
		fprintf(stderr, "%s\n", err.msg);
	return fd;
}

static bool text_is(int fd, const char *path, const char *want)
{
	autofree char *data = NULL;

	return file_read_at(fd, path, 4096, &data, NULL) == 0 && streq(data, want);
}

static void check_layers(int fd, uid_t shift)
{
	struct stat st;

	CHECK(text_is(fd, "etc/conf", "two\n"));
	CHECK(text_is(fd, "usr/bin/prog", "bin\n"));
	CHECK(faccessat(fd, "usr/drop", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(faccessat(fd, "gone/x", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(text_is(fd, "gone/y", "y\n"));
	CHECK(fstatat(fd, "usr/bin/prog", &st, 0) == 0 && st.st_uid == shift && st.st_gid == shift);
	CHECK(fstat(fd, &st) == 0 && st.st_mode == (S_IFDIR | 0751) && st.st_uid == shift &&
	      st.st_gid == shift + 4);
	CHECK(st.st_mtim.tv_sec == 77);
}

/* As the container's root would, by the ids of its slot. */
static void change(int fd)
{
	struct stat st;

	(void)setfsuid(SLOT); /* the checks below tell */
	(void)setfsgid(SLOT);
	CHECK_INT(mkdirat(fd, "new", 0755), 0);
	autoclose int f = openat(fd, "new/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(f >= 0 && write(f, "hello", 5) == 5);
	autoclose int g = openat(fd, "etc/conf", O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK(g >= 0 && write(g, "three\n", 6) == 6);
	CHECK_INT(unlinkat(fd, "usr/bin/prog", 0), 0);
	CHECK_INT(unlinkat(fd, "gone/y", 0), 0);
	CHECK_INT(unlinkat(fd, "gone", AT_REMOVEDIR), 0);
	CHECK_INT(mkdirat(fd, "gone", 0700), 0);
	(void)setfsuid(0);
	(void)setfsgid(0);
	CHECK(fstatat(fd, "new/file", &st, 0) == 0 && st.st_uid == SLOT);
}

static void test_mounts(struct snap_case *c)
{
	static const enum snapshot_how hows[] = {SNAPSHOT_BY_FD, SNAPSHOT_BY_NAME, SNAPSHOT_BY_LIST,
						 SNAPSHOT_APART};

	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		autoclose int fd = mount_it(c, hows[i]);
		CHECK(fd >= 0);
		if (fd < 0)
			continue;
		if (i == 0) {
			check_layers(fd, SLOT);
			change(fd);
		}
		CHECK(text_is(fd, "new/file", "hello"));
		CHECK(text_is(fd, "etc/conf", "two\nthree\n"));
		struct stat st;
		CHECK(fstatat(fd, "usr/bin", &st, 0) == 0 && st.st_uid == SLOT);
	}
	c->q.is_volatile = true;
	for (int i = 0; i < 2; i++) {
		autoclose int fd = mount_it(c, SNAPSHOT_BY_FD);
		CHECK(fd >= 0 && text_is(fd, "new/file", "hello"));
	}
	c->q.is_volatile = false;
}

static void test_read_only(struct snap_case *c)
{
	struct snapshot q = c->q;
	str_list one = {c->v, 1};
	struct err err = {0};

	q.read_only = true;
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	CHECK(fd >= 0);
	check_layers(fd, SLOT);
	CHECK(mkdirat(fd, "x", 0755) < 0 && errno == EROFS);
	autoclose int apart = snapshot_mount_how(c->s, &q, SNAPSHOT_APART, &err);
	CHECK(apart >= 0);
	check_layers(apart, SLOT);
	q.diff_ids = &one;
	autoclose int alone = snapshot_mount(c->s, &q, &err);
	CHECK(alone >= 0 && text_is(alone, "etc/conf", "one\n"));
	CHECK(mkdirat(alone, "x", 0755) < 0 && errno == EROFS);
	q.uids = q.gids = NULL;
	autoclose int plain = snapshot_mount(c->s, &q, &err);
	struct stat st;
	CHECK(plain >= 0 && fstatat(plain, "etc/conf", &st, 0) == 0 && st.st_uid == 7);
	CHECK(mkdirat(plain, "x", 0755) < 0 && errno == EROFS);
}

static void test_nothing(struct snap_case *c)
{
	autofree char *script = str_format("mkdir -p %s/none", c->dir), *dir = str_format("%s/none", c->dir);
	struct snapshot q = c->q;
	str_list none = {0};
	struct err err = {0};

	CHECK_INT(shell(script), 0);
	q.dir = dir;
	q.diff_ids = &none;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	CHECK(fd >= 0 && mkdirat(fd, "x", 0755) == 0);
	CHECK_INT(snapshot_remove(&q, &err), 0);
}

static int collect(void *data, const struct snapshot_change *c, struct err *err)
{
	struct str *b = data;

	str_putf(b, "%c %s\n", c->kind, c->path);
	return b->failed ? err_oom(err) : 0;
}

static void test_diff(struct snap_case *c)
{
	struct str b autostr = {0};
	struct err err = {0};
	uint64_t bytes = 0, inodes = 0;

	CHECK_INT(snapshot_diff(c->s, &c->q, collect, &b, &err), 0);
	CHECK_STR(b.s, "C /etc/conf\nC /gone\nD /gone/y\nA /new\nA /new/file\nC /usr/bin\nD "
		       "/usr/bin/prog\n");
	CHECK_INT(snapshot_usage(&c->q, &bytes, &inodes, &err), 0);
	CHECK_INT(bytes, 5 + 10);
	CHECK(inodes >= 8);
}

static int sink_str(void *data, const void *bytes, size_t len, struct err *err)
{
	str_put_n(data, bytes, len);
	return ((struct str *)data)->failed ? err_oom(err) : 0;
}

/* Places that were made to mount something on, as long as nothing else is in them. */
static void test_scaffold(struct snap_case *c)
{
	static const char *const names[] = {"etc",  "etc/hosts", "etc/conf", "proc", "dev",
					    "made", "made/x",	 "usr",	     NULL};
	struct str b autostr = {0};
	struct snapshot q = c->q;
	struct err err = {0};
	autofree char *dir = str_format("%s/scaffold", c->dir), *script = str_format("mkdir -p %s", dir);

	CHECK_INT(shell(script), 0);
	q.dir = dir;
	q.scaffold = names;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	(void)setfsuid(SLOT); /* the checks tell */
	(void)setfsgid(SLOT);
	autoclose int hosts = openat(fd, "etc/hosts", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(hosts >= 0 && mkdirat(fd, "proc", 0755) == 0 && mkdirat(fd, "dev", 0755) == 0 &&
	      mkdirat(fd, "made", 0755) == 0 && mkdirat(fd, "made/x", 0755) == 0);
	(void)setfsuid(0);
	(void)setfsgid(0);
	CHECK_INT(snapshot_diff(c->s, &q, collect, &b, &err), 0);
	CHECK(!b.s || streq(b.s, ""));
	/* Something is in them, or they are the image's. */
	(void)setfsuid(SLOT);
	(void)setfsgid(SLOT);
	CHECK(write(hosts, "x", 1) == 1 && mkdirat(fd, "dev/sub", 0755) == 0 &&
	      mkdirat(fd, "made/y", 0755) == 0 && fchmodat(fd, "usr", 0711, 0) == 0);
	autoclose int conf = openat(fd, "etc/conf", O_WRONLY | O_TRUNC | O_CLOEXEC);
	(void)setfsuid(0);
	(void)setfsgid(0);
	CHECK(conf >= 0);
	CHECK_INT(snapshot_diff(c->s, &q, collect, &b, &err), 0);
	CHECK_STR(b.s, "A /dev\nA /dev/sub\nC /etc\nC /etc/conf\nA /etc/hosts\nA /made\nA /made/y\nC /usr\n");
	struct str tar autostr = {0};
	CHECK_INT(layer_write_changes(c->s, &q, sink_str, &tar, &err), 0);
	static const char *const in[] = {"dev/sub/", "etc/conf", "etc/hosts", "made/y/"};
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		CHECK(tar.s && memmem(tar.s, tar.len, in[i], strlen(in[i])));
	CHECK(tar.s && !memmem(tar.s, tar.len, "proc", 4) && !memmem(tar.s, tar.len, "made/x", 6));
	CHECK_INT(snapshot_remove(&q, &err), 0);
}

/* The layer below all others: nothing is made in the upper one for what it has. */
static void test_places(struct snap_case *c)
{
	static const enum snapshot_how hows[] = {SNAPSHOT_BY_FD, SNAPSHOT_BY_NAME, SNAPSHOT_BY_LIST,
						 SNAPSHOT_APART};
	autofree char *dir = str_format("%s/under", c->dir), *places = str_format("%s/places", c->dir),
		      *none = str_format("%s/missing", c->dir),
		      *script = str_format("mkdir -p %s %s/etc %s/proc %s/gone && : > %s/etc/hosts && "
					   ": > %s/gone/z && echo no > %s/etc/conf && chmod -R a+rX %s",
					   dir, places, places, places, places, places, places, places);
	struct snapshot q = c->q;
	struct err err = {0};
	struct stat st;

	CHECK_INT(shell(script), 0);
	q.dir = dir;
	q.places = places;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		autoclose int fd = snapshot_mount_how(c->s, &q, hows[i], &err);
		CHECK(fd >= 0);
		check_layers(fd, SLOT);
		CHECK(fstatat(fd, "etc/hosts", &st, 0) == 0 && st.st_size == 0 && st.st_uid == SLOT);
		CHECK(fstatat(fd, "proc", &st, 0) == 0 && S_ISDIR(st.st_mode) && st.st_uid == SLOT);
		CHECK(faccessat(fd, "gone/z", F_OK, AT_SYMLINK_NOFOLLOW) < 0); /* the image says so */
	}
	autofree char *upper = str_format("rmdir %s/upper", dir);
	CHECK_INT(shell(upper), 0); /* it is empty */
	q.read_only = true;
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	CHECK(fd >= 0 && faccessat(fd, "etc/hosts", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	/* A directory that is not there is no reason to fail. */
	q.read_only = false;
	q.places = none;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	autoclose int without = snapshot_mount(c->s, &q, &err);
	CHECK(without >= 0 && text_is(without, "etc/conf", "two\n"));
	CHECK_INT(snapshot_remove(&q, &err), 0);
}

/* Directories of one file system, and places on another: files keep the number of their directories' device.
 */
static void test_places_elsewhere(struct snap_case *c)
{
	static const struct mount_request tmpfs = {.type = "tmpfs", .source = "places", .data = "mode=0755"};
	autofree char *dir = str_format("%s/apart", c->dir), *script = str_format("mkdir -p %s", dir);
	struct snapshot q = c->q;
	struct err err = {0};
	struct stat file, top;

	CHECK_INT(shell(script), 0);
	autoclose int fs = mount_new(&tmpfs, &err);
	CHECK(fs >= 0 && mkdirat(fs, "tree", 0755) == 0 && mkdirat(fs, "tree/proc", 0755) == 0);
	autofree char *places = str_format("/proc/self/fd/%d/tree", fs);
	q.dir = dir;
	q.places = places;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	CHECK(fd >= 0 && faccessat(fd, "proc", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(fstat(fd, &top) == 0 && fstatat(fd, "etc/conf", &file, 0) == 0 && file.st_dev == top.st_dev);
	CHECK_INT(snapshot_remove(&q, &err), 0);
}

/* Changes as a layer, on top of the others, are the container's root. */
static void test_commit(struct snap_case *c)
{
	struct str b autostr = {0}, again autostr = {0};
	struct err err = {0};
	struct layer_result r;
	autofree char *dir = str_format("%s/three", c->dir), *script = str_format("mkdir -p %s", dir);

	CHECK_INT(layer_write_changes(c->s, &c->q, sink_str, &b, &err), 0);
	CHECK_INT(layer_write_changes(c->s, &c->q, sink_str, &again, &err), 0);
	CHECK(b.len == again.len && memcmp(b.s, again.s, b.len) == 0);
	CHECK_INT(build_bytes(c->s, b.s, b.len, 5000, false, NULL, &r, &err), 0);
	const char *ids[] = {c->v[0], c->v[1], r.diff_id};
	str_list three = {ids, 3};
	struct snapshot q = c->q;
	CHECK_INT(shell(script), 0);
	q.dir = dir;
	q.diff_ids = &three;
	CHECK_INT(snapshot_prepare(c->s, &q, &err), 0);
	autoclose int fd = snapshot_mount(c->s, &q, &err), was = snapshot_mount(c->s, &c->q, &err);
	CHECK(fd >= 0 && was >= 0);
	autoclose int ea = openat(fd, "etc", O_RDONLY | O_CLOEXEC),
		      eb = openat(was, "etc", O_RDONLY | O_CLOEXEC);
	CHECK_INT(compare_trees(was, fd, "etc"), 0);
	CHECK_INT(compare_trees(was, fd, "new"), 0);
	CHECK_INT(compare_trees(was, fd, "gone"), 0);
	CHECK_INT(compare_trees(was, fd, "usr"), 0);
	CHECK_INT(snapshot_remove(&q, &err), 0);
}

/* An unprivileged user: a user namespace with one id, directories, user.overlay.* attributes. */
static int rootless(void)
{
	struct layer_result r = {0};
	struct err err = {0};
	struct oci_idmap own = {0, 0, 1};
	idmap_list maps = {&own, 1};

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return 2;
	CHECK_INT(file_write_at(AT_FDCWD, "/proc/self/setgroups", "deny"), 0);
	CHECK_INT(file_write_at(AT_FDCWD, "/proc/self/uid_map", "0 0 1"), 0);
	CHECK_INT(file_write_at(AT_FDCWD, "/proc/self/gid_map", "0 0 1"), 0);
	struct image_store *s = scratch_store("rootless", IMAGE_LAYERS_AUTO);
	char ids[2][72];
	const char *v[2] = {ids[0], ids[1]};
	str_list diff_ids = {v, 2};
	for (int i = 0; i < 2; i++) {
		autofree char *path = str_format("%s/l%d.tar", scratch, i), *data = NULL;
		size_t len = 0;
		struct layer_builder *b = NULL;
		CHECK_INT(file_read_at(AT_FDCWD, path, 1 << 24, &data, &len), 0);
		CHECK_INT(layer_builder_new(&(struct layer_builder_options){.store = s, .rootless = true}, &b,
					    &err),
			  0);
		CHECK_INT(layer_builder_feed(b, data, len, &err), 0);
		CHECK_INT(layer_commit(b, &r, &err), 0);
		layer_builder_free(b);
		memcpy(ids[i], r.diff_id, sizeof(ids[i]));
	}
	autofree char *dir = str_format("%s/snap-rootless", scratch);
	CHECK_INT(mkdir(dir, 0700), 0);
	struct snapshot q = {
		.dir = dir, .diff_ids = &diff_ids, .uids = &maps, .gids = &maps, .rootless = true};
	CHECK_INT(snapshot_prepare(s, &q, &err), 0);
	int fd = snapshot_mount(s, &q, &err);
	CHECK(fd >= 0);
	CHECK(text_is(fd, "etc/conf", "two\n") && text_is(fd, "gone/y", "y\n"));
	CHECK(faccessat(fd, "gone/x", F_OK, 0) < 0 && faccessat(fd, "usr/drop", F_OK, 0) < 0);
	CHECK_INT(mkdirat(fd, "made", 0755), 0);
	CHECK_INT(unlinkat(fd, "gone/y", 0), 0);
	(void)close(fd); /* the mount */
	struct str b autostr = {0};
	CHECK_INT(snapshot_diff(s, &q, collect, &b, &err), 0);
	CHECK_STR(b.s, "C /gone\nD /gone/y\nA /made\n");
	CHECK_INT(snapshot_remove(&q, &err), 0);
	image_store_close(s);
	return test_failures ? 1 : 0;
}

static void test_rootless(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int r = rootless();
		_exit(r);
	}
	int status = proc_wait(pid);
	if (proc_exit_code(status) == 2)
		printf("no user namespaces: the rootless part is left out\n");
	else
		CHECK_INT(status, 0);
}

/* Directories in one another until nobody can name them: they are removed all the same. */
static void test_deep(struct snap_case *c)
{
	autofree char *upper = str_format("%s/upper", c->dir);
	struct err err = {0};
	uint64_t bytes, inodes;
	int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < 400; i++) {
		CHECK(mkdirat(fd, "deep", 0755) == 0 && mkdirat(fd, "beside", 0755) == 0);
		int next = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd); /* one at a time */
		fd = next;
	}
	(void)close(fd); /* the last */
	CHECK_INT(snapshot_usage(&c->q, &bytes, &inodes, &err), 0);
	CHECK_INT(snapshot_remove(&c->q, &err), 0);
	CHECK(faccessat(AT_FDCWD, upper, F_OK, 0) < 0);
	CHECK_INT(snapshot_usage(&c->q, &bytes, &inodes, &err), 0);
	CHECK_INT(bytes + inodes, 0);
	CHECK_INT(snapshot_diff(c->s, &c->q, collect, NULL, &err), 0);
}

/* The device of one layer's super block, as it is mounted now; `held` as of struct snapshot. */
static dev_t layer_device(struct snap_case *c, struct held_mounts *held)
{
	str_list one = {c->v, 1};
	struct snapshot q = c->q;
	struct err err = {0};
	struct stat st = {0};

	q.diff_ids = &one;
	q.read_only = true;
	q.held = held;
	autoclose int fd = snapshot_mount(c->s, &q, &err);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	CHECK(fstatat(fd, "etc/conf", &st, 0) == 0 && st.st_uid == SLOT + 7);
	return st.st_dev;
}

/* Holds the mounts of a snapshot as a monitor does; with another layer's mounts in their place where `wrong`.
 */
static pid_t hold(struct snap_case *c, bool wrong, dev_t *ret_device)
{
	int ready[2];

	CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct held_mounts h = {0};
		struct snapshot q = c->q;
		struct err err = {0};
		struct stat st = {0};
		q.held = &h;
		int root = snapshot_mount(c->s, &q, &err);
		if (root < 0 || h.n != 4 || h.n_spent != 2 || fstat(h.fd[3], &st) < 0)
			_exit(1);
		int mount = h.fd[3]; /* the topmost layer is the first */
		if (wrong) {
			h.fd[3] = h.fd[1];
			h.fd[1] = mount;
		}
		if (held_mounts_offer(&h) < 0 || write(ready[1], &st.st_dev, sizeof(st.st_dev)) < 0)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	(void)close(ready[1]);
	CHECK(fd_read_full(ready[0], ret_device, sizeof(*ret_device)) == sizeof(*ret_device));
	(void)close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* Who starts beside a holder stands on the same super blocks, and on new ones when it has gone. */
static void test_shared(struct snap_case *c)
{
	struct err err = {0};
	dev_t device = 0, other = 0;

	CHECK_INT(snapshot_prepare(c->s, &c->q, &err), 0);
	pid_t pid = hold(c, false, &device);
	struct held_mounts mine = {0};
	CHECK(layer_device(c, NULL) == device);
	CHECK(layer_device(c, &mine) == device && mine.n == 2);
	autoclose int whole = snapshot_mount(c->s, &c->q, &err), apart;
	CHECK(whole >= 0 && text_is(whole, "new/file", "hello"));
	apart = snapshot_mount_how(c->s, &c->q, SNAPSHOT_APART, &err);
	CHECK(apart >= 0 && text_is(apart, "new/file", "hello"));
	end(pid);
	CHECK(layer_device(c, NULL) != device); /* held, but not offered by us */
	held_mounts_drop(&mine);
	/* A mount that is not the layer's is not taken for it, whoever offers it. */
	pid = hold(c, true, &other);
	dev_t fresh = layer_device(c, NULL);
	CHECK(fresh != other && fresh != device);
	end(pid);
}

static bool mounted_here(void)
{
	autofree char *text = NULL;

	return file_read_named("/proc/self/mountinfo", 1 << 24, &text, NULL) == 0 && strstr(text, scratch);
}

int main(void)
{
	static const enum image_layers kinds[] = {IMAGE_LAYERS_EROFS, IMAGE_LAYERS_DIRECTORY};

	scratch_begin();
	if (scratch_on_overlay()) {
		printf("on overlayfs: no snapshots can be made (TMPDIR=/var/tmp?)\n");
		scratch_end();
		return 0;
	}
	(void)umask(027); /* nobody's business here */
	struct image_store *s = scratch_store("probe", IMAGE_LAYERS_AUTO);
	bool erofs = layer_makes_erofs(s);
	image_store_close(s);
	for (size_t i = erofs ? 0 : 1; i < ARRAY_LEN(kinds); i++) {
		struct snap_case c;
		snap_begin(&c, i ? "d" : "e", kinds[i]);
		test_mounts(&c);
		test_read_only(&c);
		test_nothing(&c);
		test_diff(&c);
		test_commit(&c);
		test_scaffold(&c);
		test_places(&c);
		if (kinds[i] == IMAGE_LAYERS_DIRECTORY)
			test_places_elsewhere(&c);
		if (kinds[i] == IMAGE_LAYERS_EROFS)
			test_shared(&c);
		test_deep(&c);
		snap_end(&c);
	}
	test_rootless();
	CHECK(!mounted_here());
	scratch_end();
	return test_end();
}
