/* SPDX-License-Identifier: Apache-2.0 */
/* What tar(1) extracts, our layers show: mounted by the kernel, or as directories. */
#include "test_image_layers.h"

/* Everything that an archive can hold, around the edges of blocks. */
static const char make_tree[] =
	"mkdir tree && cd tree && umask 022\n"
	"mkdir -p usr/bin usr/lib/deep/er empty many big 'odd names'\n"
	"for n in 0 1 511 512 513 3071 3072 3073 4031 4032 4095 4096 4097 7000 8192 12000 300000; do\n"
	"  head -c $n /dev/zero | tr '\\0' x > big/$n; done\n"
	"head -c 5000000 /dev/urandom > big/random\n"
	"i=0; while [ $i -lt 700 ]; do echo $i > many/a-rather-long-name-of-a-file-number-$i; i=$((i+1)); "
	"done\n"
	"ln -s usr/bin bin; ln -s $(head -c 3500 /dev/zero | tr '\\0' l) long-link; ln -s x usr/bin/y\n"
	"ln big/4097 usr/hard; ln big/4097 usr/bin/harder; ln long-link usr/link-to-link\n"
	"mknod usr/null c 1 3; mknod usr/disk b 259 70000; mkfifo usr/fifo\n"
	"touch -d @-5.25 usr/old; touch -d @1234567890.123456789 usr/new; touch -d @4294967296 usr/late\n"
	"echo hi > usr/owned; chown 4000000000:3999999999 usr/owned; chown 1:2 empty; chmod 4711 usr/owned\n"
	"chmod 1777 empty; chmod 0 big/0; : > \"odd names/$(printf 'a\\001\\377b')\"; : > 'odd names/!'; : > "
	"odd,name\n"
	": > usr/$(head -c 255 /dev/zero | tr '\\0' n); chown -h 5:6 bin\n"
	"cp /bin/true usr/ping; chmod 755 .\n";

static void add_xattrs(void)
{
	/* cap_net_raw, effective and permitted (struct vfs_cap_data, revision 2) */
	static const uint8_t caps[20] = {1, 0, 0, 2, 0, 0x20};
	char big[1500];
	autofree char *path = str_format("%s/tree/usr", scratch), *ping = str_format("%s/ping", path),
		      *new = str_format("%s/new", path);

	memset(big, 'v', sizeof(big));
	CHECK_INT(setxattr(ping, "security.capability", caps, sizeof(caps), 0), 0);
	CHECK_INT(setxattr(new, "user.one", "1", 1, 0), 0);
	CHECK_INT(setxattr(new, "user.big", big, sizeof(big), 0), 0);
	CHECK_INT(setxattr(new, "user.empty", "", 0, 0), 0);
	CHECK_INT(setxattr(path, "user.dir", "d\0e", 3, 0), 0);
}

static void check_archive(struct image_store *s, const char *format, const char *pack)
{
	struct layer_result result = {0}, again = {0};
	autofree char *script = str_format("rm -rf out x.tar; %s; mkdir out; tar -C out -xpf x.tar --xattrs "
					   "'--xattrs-include=*' --numeric-owner",
					   pack);

	CHECK_INT(shell(script), 0);
	CHECK_INT(build_file(s, "x.tar", 4096, &result), 0);
	CHECK_INT(build_file(s, "x.tar", 100001, &again), 0);
	CHECK_STR(again.diff_id, result.diff_id);
	CHECK(again.existed);
	autofree char *path = str_format("%s/out", scratch);
	autoclose int out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int layer = open_layer(s, result.diff_id);
	CHECK(layer >= 0);
	if (layer >= 0 && compare_trees(out, layer, ".") > 0) {
		fprintf(stderr, "in %s\n", format);
		CHECK(!"the layer is what tar extracts");
	}
	autofree char *fsck = str_format(
		"f=store*/layers/%s/layer.erofs; [ ! -e $f ] || ! type fsck.erofs || fsck.erofs $f",
		result.diff_id + 7);
	CHECK_INT(shell(fsck), 0);
}

static void check_formats(enum image_layers layers)
{
	struct image_store *s = scratch_store(layers == IMAGE_LAYERS_EROFS ? "store-e" : "store-d", layers);

	check_archive(s, "pax", "tar -C tree -cf x.tar --format=pax --xattrs '--xattrs-include=*' .");
	check_archive(s, "gnu", "tar -C tree -cf x.tar --format=gnu .");
	check_archive(s, "gnu, names first",
		      "tar -C tree -cf x.tar --format=gnu --sort=name --no-recursion . && tar -C tree -rf "
		      "x.tar --format=gnu --sort=name usr big many");
	image_store_close(s);
}

/* ---- archives made by hand ---- */

static int to_str(void *data, const void *bytes, size_t len, struct err *err)
{
	struct str *b = data;

	str_put_n(b, bytes, len);
	return b->failed ? err_oom(err) : 0;
}

struct hand {
	enum tar_type type;
	const char *name, *text; /* contents, or a link's target */
	uint32_t mode;
};

static int build_hand(struct image_store *s, const struct hand *v, size_t n,
		      const struct layer_limits *limits, struct layer_result *ret, struct err *err)
{
	struct str b autostr = {0};
	struct tar_writer w = {.sink = to_str, .data = &b};

	for (size_t i = 0; i < n; i++) {
		struct tar_entry e = {.type = v[i].type,
				      .name = v[i].name,
				      .link = "",
				      .mode = v[i].mode ? v[i].mode : 0755};
		if (e.type == TAR_SYMLINK || e.type == TAR_HARDLINK)
			e.link = v[i].text;
		else if (v[i].text)
			e.size = strlen(v[i].text);
		CHECK_INT(tar_write_entry(&w, &e, err), 0);
		if (e.size)
			CHECK_INT(tar_write_bytes(&w, v[i].text, e.size, err), 0);
	}
	CHECK_INT(tar_write_end(&w, err), 0);
	return build_bytes(s, b.s, b.len, b.len, false, limits, ret, err);
}

#define BUILD(s, ret, err, ...)                                                                              \
	({                                                                                                   \
		const struct hand v_[] = {__VA_ARGS__};                                                      \
		build_hand(s, v_, ARRAY_LEN(v_), NULL, ret, err);                                            \
	})

static bool is_whiteout_at(int fd, const char *path)
{
	struct stat st;

	return fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static bool is_opaque_at(int fd, const char *path)
{
	autofree char *p = str_format("/proc/self/fd/%d/%s", fd, path);
	char c = 0;

	return lgetxattr(p, "trusted.overlay.opaque", &c, 1) == 1 && c == 'y';
}

static bool has_text_at(int fd, const char *path, const char *text)
{
	autofree char *data = NULL;

	return file_read_at(fd, path, 4096, &data, NULL) == 0 && streq(data, text);
}

static void test_whiteouts(struct image_store *s)
{
	struct layer_result r;
	struct err err = {0};

	CHECK_INT(BUILD(s, &r, &err, {TAR_FILE, "a/.wh.gone"}, {TAR_FILE, "a/.wh.back"},
			{TAR_FILE, "a/back", "1"}, {TAR_FILE, "a/kept", "2"}, {TAR_FILE, "a/.wh.kept"},
			{TAR_DIR, "b/d"}, {TAR_FILE, "b/.wh.d"}, {TAR_FILE, "b/.wh.e"}, {TAR_DIR, "b/e"},
			{TAR_FILE, "c/.wh..wh..opq"}, {TAR_FILE, "c/f", "3"},
			{TAR_FILE, ".wh..wh.plnk/1.2", "skip"}, {TAR_FILE, ".wh..wh.aufs"}),
		  0);
	autoclose int fd = open_layer(s, r.diff_id);
	CHECK(is_whiteout_at(fd, "a/gone"));
	CHECK(has_text_at(fd, "a/back", "1"));
	CHECK(has_text_at(fd, "a/kept", "2"));
	CHECK(is_opaque_at(fd, "b/d"));
	CHECK(is_opaque_at(fd, "b/e"));
	CHECK(is_opaque_at(fd, "c"));
	CHECK(!is_opaque_at(fd, "b"));
	CHECK(has_text_at(fd, "c/f", "3"));
	CHECK(faccessat(fd, ".wh..wh.plnk", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(faccessat(fd, "a/.wh.gone", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

/* Names through links of the same archive, and the same name again. */
static void test_replacing(struct image_store *s)
{
	struct layer_result r;
	struct err err = {0};

	CHECK_INT(BUILD(s, &r, &err, {TAR_SYMLINK, "lib", "usr/lib"}, {TAR_FILE, "lib/x", "through"},
			{TAR_SYMLINK, "abs", "/usr/lib/../up"}, {TAR_FILE, "abs/y", "absolute"},
			{TAR_FILE, "f", "old"}, {TAR_FILE, "f", "new"}, {TAR_HARDLINK, "g", "f"},
			{TAR_FILE, "/f2", "leading"}, {TAR_DIR, "dir/sub"}, {TAR_FILE, "dir/sub/z", "gone"},
			{TAR_FILE, "dir", "file now"}, {TAR_SYMLINK, "out", "../../../etc"},
			{TAR_FILE, "out/passwd", "mine"}, {TAR_HARDLINK, "h", "./g"},
			{TAR_FILE, "tmp/x", "1"}, {TAR_DIR, "var/tmp", NULL, 0755},
			{TAR_DIR, "./", NULL, 0711}),
		  0);
	autoclose int fd = open_layer(s, r.diff_id);
	struct stat st;
	CHECK(fstatat(fd, "tmp", &st, 0) == 0 && (st.st_mode & 07777) == 01777);
	CHECK(fstatat(fd, "var/tmp", &st, 0) == 0 && (st.st_mode & 07777) == 0755);
	CHECK(fstatat(fd, "var", &st, 0) == 0 && (st.st_mode & 07777) == 0755);
	CHECK(has_text_at(fd, "usr/lib/x", "through"));
	CHECK(has_text_at(fd, "usr/up/y", "absolute"));
	CHECK(has_text_at(fd, "f", "new"));
	CHECK(has_text_at(fd, "h", "new"));
	CHECK(fstatat(fd, "f", &st, 0) == 0 && st.st_nlink == 3);
	CHECK(has_text_at(fd, "dir", "file now"));
	CHECK(has_text_at(fd, "etc/passwd", "mine"));
	CHECK(has_text_at(fd, "f2", "leading"));
	CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0711);
}

static void refused(struct image_store *s, const char *why, const struct hand *v, size_t n)
{
	struct layer_result r;
	struct err err = {0};

	CHECK(build_hand(s, v, n, NULL, &r, &err) < 0);
	if (!strstr(err.msg, why))
		CHECK_STR(err.msg, why);
}
#define REFUSED(s, why, ...)                                                                                 \
	do {                                                                                                 \
		const struct hand v_[] = {__VA_ARGS__};                                                      \
		refused(s, why, v_, ARRAY_LEN(v_));                                                          \
	} while (0)

static void test_refused(struct image_store *s)
{
	static char deep[300];

	memset(deep, 'n', sizeof(deep) - 1);
	REFUSED(s, "may not hold \"..\"", {TAR_FILE, "../x"});
	REFUSED(s, "may not hold \"..\"", {TAR_FILE, "a/../../x"});
	REFUSED(s, "may not hold \"..\"", {TAR_DIR, "a"}, {TAR_HARDLINK, "a/x", "../../etc/shadow"});
	REFUSED(s, "not in this layer", {TAR_HARDLINK, "a", "b"}, {TAR_HARDLINK, "b", "a"});
	REFUSED(s, "is a directory", {TAR_DIR, "a"}, {TAR_HARDLINK, "b", "a"});
	REFUSED(s, "whiteout of no file", {TAR_FILE, "a/.wh.."});
	REFUSED(s, "whiteout of no file", {TAR_FILE, "a/.wh..."});
	REFUSED(s, "whiteout of no file", {TAR_FILE, ".wh."});
	REFUSED(s, "lie in a whiteout", {TAR_FILE, ".wh.a/b"});
	REFUSED(s, "Not a directory", {TAR_FILE, "a"}, {TAR_FILE, "a/b"});
	REFUSED(s, "symbolic links", {TAR_SYMLINK, "a", "b"}, {TAR_SYMLINK, "b", "a"}, {TAR_FILE, "a/c"});
	REFUSED(s, "255 bytes", {TAR_FILE, deep});
	REFUSED(s, "root can only be", {TAR_FILE, "./"}, {TAR_SYMLINK, "/", "x"});
}

static void test_limits(struct image_store *s)
{
	static const struct hand v[] = {{TAR_FILE, "a", "text"}, {TAR_FILE, "b", "text"}};
	static const struct {
		struct layer_limits l;
		const char *why;
	} cases[] = {
		{{1, 1 << 20, 10, 4095, 4096, 4096, 1 << 20}, "layer.entries"},
		{{9, 1024, 10, 4095, 4096, 4096, 1 << 20}, "layer.bytes"},
		{{9, 1 << 20, 10, 4095, 4096, 4096, 100}, "layer.memory"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct layer_result r;
		struct err err = {0};
		CHECK(build_hand(s, v, ARRAY_LEN(v), &cases[i].l, &r, &err) < 0);
		CHECK(strstr(err.msg, cases[i].why) != NULL);
	}
}

/* Compressed, in one piece, several members, cut short, and with rubbish behind. */
static void test_codecs(struct image_store *s)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{"gzip -c x.tar > y", NULL},
		{"zstd -q -c x.tar > y", NULL},
		{"(head -c 5000 x.tar | gzip -c; tail -c +5001 x.tar | gzip -c; head -c 700 /dev/zero) > y",
		 NULL},
		{"(head -c 5000 x.tar | zstd -c; tail -c +5001 x.tar | zstd -c) > y", NULL},
		{"gzip -c x.tar | head -c -4 > y", "too early"},
		{"zstd -q -c x.tar | head -c -9 > y", "too early"},
		{"(gzip -c x.tar; echo x) > y", "damaged"},
		{"(gzip -c x.tar | head -c 3000; head -c 3000 /dev/urandom) > y", "gzip stream"},
		{"xz -c x.tar > y", "xz"},
		{"head -c 1000000 x.tar > y", "ends in the middle"},
		{"head -c 5000 /dev/urandom > y", "no tar header"},
	};
	struct layer_result plain = {0}, r;

	CHECK_INT(shell("tar -C tree -cf x.tar big"), 0);
	CHECK_INT(build_file(s, "x.tar", 65536, &plain), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autofree char *path = str_format("%s/y", scratch), *data = NULL;
		struct err err = {0};
		size_t len = 0;
		CHECK_INT(shell(cases[i].script), 0);
		CHECK_INT(file_read_at(AT_FDCWD, path, 1 << 30, &data, &len), 0);
		int n = build_bytes(s, data, len, 77 + i * 5003, i & 1, NULL, &r, &err);
		CHECK_INT(n == 0, !cases[i].why);
		if (cases[i].why && !strstr(err.msg, cases[i].why))
			CHECK_STR(err.msg, cases[i].why);
		if (n == 0)
			CHECK_STR(r.diff_id, plain.diff_id);
	}
}

int main(void)
{
	scratch_begin();
	CHECK_INT(shell(make_tree), 0);
	add_xattrs();
	struct image_store *s = scratch_store("probe", IMAGE_LAYERS_AUTO);
	bool erofs = layer_makes_erofs(s);
	if (erofs)
		check_formats(IMAGE_LAYERS_EROFS);
	else
		printf("no EROFS: the kernel mounts none from a file here\n");
	check_formats(IMAGE_LAYERS_DIRECTORY);
	if (scratch_on_overlay())
		printf("on overlayfs: whiteouts are left out\n");
	for (int i = erofs ? 0 : 1; i < 2; i++) {
		struct image_store *t = scratch_store(i ? "hand-d" : "hand-e",
						      i ? IMAGE_LAYERS_DIRECTORY : IMAGE_LAYERS_EROFS);
		if (!scratch_on_overlay())
			test_whiteouts(t);
		else
			REFUSED(t, "overlayfs", {TAR_FILE, ".wh.a"});
		test_replacing(t);
		if (i == 0) {
			test_refused(t);
			test_limits(t);
			test_codecs(t);
		}
		image_store_close(t);
	}
	image_store_close(s);
	scratch_end();
	return test_end();
}
