/* SPDX-License-Identifier: Apache-2.0 */
/* The reader against the writer and against archives made wrong on purpose. */
#include "test_image_layers.h"

#include "image/sha256.h"
#include "image/tar_header.h"
#include "image/tar_int.h"

static int to_text(void *data, const void *bytes, size_t len, struct err *err)
{
	str_put_n(data, bytes, len);
	return ((struct str *)data)->failed ? err_oom(err) : 0;
}

/* Every entry as a line. */
static int show_entry(void *data, const struct tar_entry *e, struct err *err unused)
{
	static const char types[] = "fhlcbdp";
	struct str *b = data;

	str_putf(b, "%c %s>%s %o %u:%u %llu %lld.%u %u:%u", types[e->type], e->name, e->link, e->mode, e->uid,
		 e->gid, (unsigned long long)e->size, (long long)e->mtime, e->mtime_nsec, e->major, e->minor);
	for (size_t i = 0; i < e->nxattrs; i++)
		str_putf(b, " %s=%.*s", e->xattrs[i].name, (int)e->xattrs[i].len,
			 (const char *)e->xattrs[i].value);
	str_put(b, "\n");
	return 0;
}

static int show_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err unused)
{
	str_put_n(data, bytes, len);
	return 0;
}

static int show_end(void *data, struct err *err unused)
{
	str_put(data, ".\n");
	return 0;
}

/* What is read, or the error. */
static char *read_back(const void *archive, size_t len, size_t piece)
{
	struct str b = {0};
	struct tar_events events = {show_entry, show_bytes, show_end, &b};
	struct tar_reader *t;
	struct err err = {0};
	int r = tar_reader_new(&layer_limits_default, &events, &t, &err);

	for (size_t at = 0; at < len && r == 0; at += piece)
		r = tar_reader_feed(t, (const uint8_t *)archive + at, MIN_OF(piece, len - at), &err);
	if (r == 0)
		r = tar_reader_finish(t, &err);
	tar_reader_free(t);
	if (r < 0) {
		str_free(&b);
		return strdup(err.msg);
	}
	return str_take(&b);
}

static void test_round_trip(void)
{
	char long_name[700];
	const struct tar_xattr xattrs[] = {{"user.a", "x\ny=z", 5}, {"user.b", "", 0}};
	struct tar_entry v[] = {
		{.type = TAR_DIR, .name = "d", .link = "", .mode = 01755, .uid = 1, .gid = 2, .mtime = 5},
		{.type = TAR_FILE,
		 .name = "d/f",
		 .link = "",
		 .mode = 04644,
		 .size = 5,
		 .uid = 4000000000,
		 .gid = 4000000001,
		 .mtime = -2,
		 .mtime_nsec = 500000000,
		 .xattrs = xattrs,
		 .nxattrs = 2},
		{.type = TAR_FILE,
		 .name = long_name,
		 .link = "",
		 .mtime = 1234567890,
		 .mtime_nsec = 120000000},
		{.type = TAR_SYMLINK, .name = "l", .link = long_name, .mode = 0777, .mtime = 0x7fffffffffLL},
		{.type = TAR_HARDLINK, .name = "h", .link = "d/f"},
		{.type = TAR_CHAR, .name = "c", .link = "", .major = 4095, .minor = 1048575},
		{.type = TAR_BLOCK, .name = "b", .link = "", .major = 8, .minor = 1},
		{.type = TAR_FIFO, .name = "p", .link = "", .mtime = -5},
	};
	struct str archive autostr = {0}, want autostr = {0};
	struct tar_writer w = {.sink = to_text, .data = &archive};
	struct err err = {0};

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 200; i < 600; i += 200)
		long_name[i] = '/';
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct tar_entry e = v[i];
		CHECK_INT(tar_write_entry(&w, &e, &err), 0);
		if (e.size)
			CHECK_INT(tar_write_bytes(&w, "hello", 5, &err), 0);
		if (e.type == TAR_DIR)
			e.name = "d/";
		(void)show_entry(&want, &e, &err); /* always 0 */
		if (e.type == TAR_FILE)
			str_put(&want, e.size ? "hello.\n" : ".\n");
	}
	CHECK_INT(tar_write_bytes(&w, "x", 1, &err), -EINVAL);
	CHECK_INT(tar_write_end(&w, &err), 0);
	for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
		autofree char *got = read_back(archive.s, archive.len, piece);
		CHECK_STR(got, want.s);
	}
	/* A cut anywhere but between entries is told; nothing crashes. */
	for (size_t cut = 0; cut < archive.len - 1024; cut += 100) {
		autofree char *got = read_back(archive.s, cut, cut + !cut);
		CHECK(got != NULL);
	}
}

/* A header and a body of blocks; fields given as text. */
static void raw_header(struct str *b, char type, const char *name, const char *size, const char *mtime)
{
	struct tar_header h = {.typeflag = type};

	memcpy(h.name, name, MIN_OF(strlen(name), sizeof(h.name)));
	memcpy(h.mode, "0000644", 7);
	memcpy(h.size, size, MIN_OF(strlen(size), sizeof(h.size)));
	memcpy(h.mtime, mtime, MIN_OF(strlen(mtime), sizeof(h.mtime)));
	memcpy(h.magic, "ustar", 6);
	(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", tar_checksum(&h));
	str_put_n(b, &h, sizeof(h));
}

static void raw_body(struct str *b, const char *text)
{
	static const char zeros[TAR_BLOCK_SIZE];

	str_put(b, text);
	if (b->len % TAR_BLOCK_SIZE)
		str_put_n(b, zeros, TAR_BLOCK_SIZE - b->len % TAR_BLOCK_SIZE);
}

static void test_pax(void)
{
	static const struct {
		const char *records, *want;
	} cases[] = {
		{"12 path=abc\n", "f abc> 644 0:0 0 0.0 0:0\n.\n"},
		{"12 path=abc\n8 path=\n", "f x> 644 0:0 0 0.0 0:0\n.\n"},
		{"13 mtime=-1.5\n9 uid=42\n9 gid=43\n", NULL},
		{"14 mtime=-1.5\n10 uid=42\n10 gid=43\n", "f x> 644 42:43 0 -2.500000000 0:0\n.\n"},
		{"26 mtime=1.1234567899999\n20 hdrcharset=BINARY\n", NULL},
		{"25 mtime=1.1234567899999\n21 hdrcharset=BINARY\n", "f x> 644 0:0 0 1.123456789 0:0\n.\n"},
		{"10 path=a", NULL},
		{"99999999999999999999 path=a\n", NULL},
		{"5 a=\n", "f x> 644 0:0 0 0.0 0:0\n.\n"},
		{"4 =\n", NULL},
		{"18 uid=4294967295\n", "owner 4294967295:0"},
		{"17 uid=4294967295\n", NULL},
		{"12 uid=12x4\n", "is no number"},
		{"22 GNU.sparse.major=1\n", "does not fit together"},
		{"22 GNU.sparse.major=2\n", "version 2"},
		{"21 GNU.sparse.size=0\n22 GNU.sparse.map=0,0\n", "f x> 644 0:0 0 0.0 0:0\n.\n"},
		{"21 GNU.sparse.size=3\n22 GNU.sparse.map=3,0\n", "f x> 644 0:0 3 0.0 0:0\n"},
		{"21 GNU.sparse.size=2\n22 GNU.sparse.map=3,0\n", "behind the file's end"},
		{"21 GNU.sparse.size=9\n22 GNU.sparse.map=0,1\n", "does not fit the bytes"},
		{"21 GNU.sparse.size=9\n20 GNU.sparse.map=1\n", "in the middle"},
		{"21 GNU.sparse.size=9\n22 GNU.sparse.map=a,b\n", "a number that is none"},
		{"21 GNU.sparse.size=9\n26 GNU.sparse.map=4,0,2,0\n", "not in order"},
		{"21 GNU.sparse.size=9\n45 GNU.sparse.map=18446744073709551615,1,0,0\n", "not in order"},
		{"21 GNU.sparse.size=9\n46 GNU.sparse.map=184467440737095516150,1,0,0\n", "too large"},
		{"21 GNU.sparse.size=9\n26 GNU.sparse.numblocks=7\n", "as many pieces"},
		{"25 GNU.sparse.numbytes=1\n", NULL},
		{"23 GNU.sparse.offset=1\n23 GNU.sparse.offset=2\n", NULL},
		{"24 GNU.sparse.other=abc\n", NULL},
		{"32 GNU.sparse.size=999999999999\n", "layer.bytes"},
		{"31 GNU.sparse.size=99999999999\n", "layer.ratio"},
		{"30 SCHILY.xattr.user.a=b=c\nd\n", NULL},
		{"29 SCHILY.xattr.user.a=b=c\nd\n", "f x> 644 0:0 0 0.0 0:0 user.a=b=c\nd\n.\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str b autostr = {0};
		char size[16];
		(void)snprintf(size, sizeof(size), "%o", (unsigned)strlen(cases[i].records));
		raw_header(&b, 'x', "pax", size, "0");
		raw_body(&b, cases[i].records);
		raw_header(&b, '0', "x", "0", "0");
		autofree char *got = read_back(b.s, b.len, b.len);
		const char *want = cases[i].want ? cases[i].want : "damaged PAX header";
		if (!got || !strstr(got, want)) {
			fprintf(stderr, "case %zu\n", i);
			CHECK_STR(got, want);
		}
		CHECK(true);
	}
}

/* So many names of one file take nobody long: there is an end to them before they are compared with each
 * other. */
static void test_many_xattrs(void)
{
	for (int n = TAR_XATTRS_MAX; n <= TAR_XATTRS_MAX + 1; n++) {
		struct str b autostr = {0}, records autostr = {0};
		char size[16];
		for (int i = 0; i < n; i++)
			str_putf(&records, "28 SCHILY.xattr.user.%05d=\n", i);
		(void)snprintf(size, sizeof(size), "%o", (unsigned)records.len);
		raw_header(&b, 'x', "pax", size, "0");
		raw_body(&b, records.s);
		raw_header(&b, '0', "x", "0", "0");
		autofree char *got = read_back(b.s, b.len, b.len);
		const char *want = n > TAR_XATTRS_MAX ? "more than 256 extended attributes" : "user.00255=";
		if (!got || !strstr(got, want))
			CHECK_STR(got, want);
		CHECK(true);
	}
}

static void test_headers(void)
{
	static const struct {
		char type;
		const char *name, *size, *mtime, *want;
	} cases[] = {
		{'0', "x", " 0 ", "777", "f x> 644 0:0 0 511.0 0:0\n"},
		{'\0', "x/", "0", "0", "d x/>"},
		{'0', "x", "9", "0", "a number in a header is none"},
		{'0', "x", "-1", "0", "a number in a header is none"},
		{'0', "x", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "0",
		 "a number in a header is none"},
		{'0', "x", "0", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
		 "f x> 644 0:0 0 -2.0 0:0"},
		{'0', "x", "\x80\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", "0",
		 "a number in a header is none"},
		{'0', "x", "77777777777777777777", "0", "ends in the middle"},
		{'0', "x", "77777777777", "0", "ends in the middle"},
		{'0', "x", "\x80\x01\x01\x01\x01\x01", "0", "a number in a header is none"},
		{'0', "x", "\x80\0\0\0\x7f", "0", "f x>"},
		{'S', "x", "0", "0", "f x> 644 0:0 0 0.0 0:0\n.\n"},
		{'S', "x", "5", "0", "does not fit the bytes"},
		{'D', "x", "0", "0", "unknown tar type"},
		{'0', "", "0", "0", "has no name"},
		{'x', "x", "77777777", "0", "layer.pax_bytes"},
		{'L', "x", "77777", "0", "layer.path_bytes"},
		{'g', "x", "77777777", "0", "layer.pax_bytes"},
		{'x', "x", "0", "0", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str b autostr = {0};
		raw_header(&b, cases[i].type, cases[i].name, cases[i].size, cases[i].mtime);
		autofree char *got = read_back(b.s, b.len, 100);
		if (!got || !strstr(got, cases[i].want)) {
			fprintf(stderr, "case %zu\n", i);
			CHECK_STR(got, cases[i].want);
		}
		CHECK(true);
	}
}

/* ---- sparse files ---- */

struct content {
	struct sha256 sum;
	uint64_t size, made;
	char name[64];
};

static int content_entry(void *data, const struct tar_entry *e, struct err *err unused)
{
	struct content *c = data;

	c->size = e->size;
	(void)snprintf(c->name, sizeof(c->name), "%.63s", e->name);
	return 0;
}

static int content_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err unused)
{
	struct content *c = data;

	c->made += len;
	sha256_update(&c->sum, bytes, len);
	return 0;
}

static int content_end(void *data unused, struct err *err unused)
{
	return 0;
}

/* The one file of an archive: its digest, and that its size is what was announced. */
static void content_of(const char *archive, size_t piece, char ret[static 72])
{
	autofree char *path = str_format("%s/%s", scratch, archive), *data = NULL;
	struct content c = {0};
	struct tar_events events = {content_entry, content_bytes, content_end, &c};
	__attribute__((cleanup(cleanup_tar_reader))) struct tar_reader *t = NULL;
	struct err err = {0};
	size_t len = 0;

	sha256_init(&c.sum);
	CHECK_INT(file_read_at(AT_FDCWD, path, 1 << 24, &data, &len), 0);
	CHECK_INT(tar_reader_new(&layer_limits_default, &events, &t, &err), 0);
	for (size_t at = 0; at < len && !err.code; at += piece)
		CHECK_INT(tar_reader_feed(t, (const uint8_t *)data + at, MIN_OF(piece, len - at), &err), 0);
	CHECK_INT(tar_reader_finish(t, &err), 0);
	if (err.code)
		fprintf(stderr, "%s: %s\n", archive, err.msg);
	CHECK_STR(c.name, "holes");
	CHECK_INT(c.made, c.size);
	sha256_digest(&c.sum, ret);
}

/* As GNU tar writes them: holes at both ends, more pieces than a header takes, nothing but a hole. */
static void test_sparse(void)
{
	static const char *const files[] = {
		"truncate -s 1M holes && printf abc | dd of=holes bs=4096 seek=9 conv=notrunc 2>/dev/null",
		"rm holes; for i in $(seq 0 7 400); do echo piece $i | dd of=holes bs=4096 seek=$i "
		"conv=notrunc; "
		"done 2>/dev/null",
		"rm holes; truncate -s 5000001 holes",
		"rm holes; echo whole > holes",
	};
	static const char *const ways[] = {"--format=gnu", "--format=posix --sparse-version=0.0",
					   "--format=posix --sparse-version=0.1",
					   "--format=posix --sparse-version=1.0"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char want[72], got[72];
		CHECK_INT(shell(files[i]), 0);
		CHECK_INT(shell("tar -cf plain.tar holes"), 0);
		content_of("plain.tar", 65536, want);
		for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
			autofree char *script = str_format("tar -S %s -cf sparse.tar holes", ways[k]);
			CHECK_INT(shell(script), 0);
			content_of("sparse.tar", 65536, got);
			CHECK_STR(got, want);
			content_of("sparse.tar", 100 + k, got);
			CHECK_STR(got, want);
		}
	}
}

static void test_names(void)
{
	static const char *const cases[][2] = {
		{"./a//b/.", "a/b"}, {"/", ""}, {"///etc", "etc"}, {"...", "..."}, {"a/..b", "a/..b"}};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autofree char *got = NULL;
		CHECK_INT(tar_clean_name(cases[i][0], 4095, &got, &err), 0);
		CHECK_STR(got, cases[i][1]);
	}
	char *none;
	CHECK_INT(tar_clean_name("a/..", 4095, &none, &err), -EINVAL);
	CHECK_INT(tar_clean_name("abcdef", 5, &none, &err), -ENAMETOOLONG);
}

int main(void)
{
	test_round_trip();
	test_pax();
	test_many_xattrs();
	test_headers();
	scratch_begin();
	test_sparse();
	scratch_end();
	test_names();
	return test_end();
}
