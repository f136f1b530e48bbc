/* SPDX-License-Identifier: Apache-2.0 */
/* load and save: round trips, foreign formats, hostile archives. */
#include "test_image_case.h"

#include "image/tar.h"

#include <sys/mman.h>
#include <zlib.h>

static struct store_case c;
static struct str told;

static void on_told(void *data, const char *line)
{
	(void)data;
	str_putf(&told, "%s\n", line);
}

/* ---- archives in memory ---- */

static int to_str(void *data, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	str_put_n(data, bytes, len);
	return 0;
}

struct packer {
	struct str out;
	struct tar_writer tar;
};

static void pack_begin(struct packer *p)
{
	*p = (struct packer){0};
	p->tar = (struct tar_writer){.sink = to_str, .data = &p->out};
}

static void pack(struct packer *p, enum tar_type type, const char *name, const void *data, size_t len)
{
	struct tar_entry e = {.type = type, .name = name, .link = "", .mode = 0644};

	if (type == TAR_FILE)
		e.size = len;
	else
		e.link = data ? data : "";
	CHECK_INT(tar_write_entry(&p->tar, &e, &c.err), 0);
	if (type == TAR_FILE)
		CHECK_INT(tar_write_bytes(&p->tar, data, len, &c.err), 0);
}

static void pack_text(struct packer *p, const char *name, const char *text)
{
	pack(p, TAR_FILE, name, text, strlen(text));
}

static int load_bytes(const void *data, size_t len)
{
	autoclose int fd = memfd_create("archive", MFD_CLOEXEC);

	str_free(&told);
	str_put(&told, "");
	c.err = (struct err){0};
	CHECK_INT(fd_write_all(fd, data, len), 0);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	return image_load(c.s, fd, on_told, NULL, NULL, &c.err);
}

static int load_pack(struct packer *p)
{
	CHECK_INT(tar_write_end(&p->tar, &c.err), 0);
	int r = load_bytes(p->out.s, p->out.len);
	str_free(&p->out);
	return r;
}

/* A layer with one file. */
static struct str layer_tar(const char *name, const char *text)
{
	struct packer p;

	pack_begin(&p);
	pack_text(&p, name, text);
	CHECK_INT(tar_write_end(&p.tar, &c.err), 0);
	return p.out;
}

static void digest_of(const void *data, size_t len, char ret[static DIGEST_MAX])
{
	struct sha256 sum;

	sha256_init(&sum);
	sha256_update(&sum, data, len);
	sha256_digest(&sum, ret);
}

static char *config_of(const char *diff_id)
{
	return str_format(
		"{\"created\":\"2024-01-02T03:04:05Z\",\"os\":\"linux\",\"architecture\":\"amd64\","
		"\"config\":{"
		"\"Cmd\":[\"/x\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]},\"history\":[{"
		"\"created_by\":\"make\"},{\"created_by\":\"CMD\",\"empty_layer\":true}]}",
		diff_id);
}

static bool present(const char *name)
{
	struct image i autoimage = {0};
	struct err err;

	return image_find(c.s, name, NULL, &i, &err) == 0;
}

/* As Docker has written it for ten years: the layer twice, once as a link. */
static void test_docker(void)
{
	struct str layer = layer_tar("hello", "hello");
	char diff[DIGEST_MAX], diff2[DIGEST_MAX];
	struct image i autoimage = {0};
	image_history_list h;
	struct packer p;

	digest_of(layer.s, layer.len, diff);
	memcpy(diff2, diff, sizeof(diff));
	autofree char *config = config_of(diff);
	pack_begin(&p);
	pack(&p, TAR_DIR, "aa/", NULL, 0);
	pack_text(&p, "aa/VERSION", "1.0");
	pack(&p, TAR_SYMLINK, "aa/layer.tar", "../bb/layer.tar", 0);
	pack(&p, TAR_FILE, "bb/layer.tar", layer.s, layer.len);
	pack_text(&p, "config.json", config);
	pack_text(
		&p, "manifest.json",
		"[{\"Config\":\"config.json\",\"RepoTags\":[\"x:1\",\"localhost:5000/y:2\"],\"Layers\":[\"aa/"
		"layer.tar\"]}]");
	int r = load_pack(&p);
	CHECK_INT(r, 0);
	if (r < 0)
		fprintf(stderr, "%s\n", c.err.msg);
	CHECK_STR(told.s, "Loaded image: x:1\nLoaded image: localhost:5000/y:2\n");
	CHECK_INT(image_find(c.s, "x:1", NULL, &i, &c.err), 0);
	CHECK_INT(i.tags.n, 2);
	CHECK_INT(i.digests.n, 0);
	CHECK_STR(i.layer_digests.v[0], diff);
	CHECK_INT(i.size, layer.len);
	CHECK_INT(image_history(c.s, &i, &h, &c.err), 0);
	CHECK_INT(h.n, 2);
	CHECK_STR(h.v[0].id, i.id);
	CHECK_STR(h.v[0].created_by, "CMD");
	CHECK_INT(h.v[0].size, 0);
	CHECK(!h.v[1].id);
	CHECK_INT(h.v[1].size, layer.len);
	free(h.v);
	str_free(&layer);
}

/* What we save we load, byte for byte the same manifest. */
static void test_round(void)
{
	const char *const names[] = {"x:1", "localhost:5000/y"};
	const char *const none[] = {"nothing"};
	autoclose int fd = memfd_create("saved", MFD_CLOEXEC), again = memfd_create("again", MFD_CLOEXEC);
	struct image i autoimage = {0}, after autoimage = {0};
	struct image_gc_result res;
	autofree char *a = NULL, *b = NULL;
	size_t alen, blen;

	CHECK_INT(image_find(c.s, "x:1", NULL, &i, &c.err), 0);
	CHECK_INT(image_save(c.s, names, 2, fd, &c.err), 0);
	CHECK_INT(image_save(c.s, names, 2, again, &c.err), 0);
	CHECK_INT(image_save(c.s, none, 1, again, &c.err), -ENOENT);
	CHECK_INT(lseek(fd, 0, SEEK_SET) + lseek(again, 0, SEEK_SET), 0);
	CHECK_INT(fd_read_all(fd, 1 << 20, &a, &alen), 0);
	CHECK_INT(fd_read_all(again, 1 << 20, &b, &blen), 0);
	CHECK(alen == blen && memcmp(a, b, alen) == 0);
	CHECK_INT(image_remove(c.s, &(struct image_remove){.name = i.id, .force = true}, &c.err), 0);
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK(res.blobs == 3 && res.layers == 1);
	CHECK(!present("x:1"));
	CHECK_INT(load_bytes(a, alen), 0);
	CHECK_STR(told.s, "Loaded image: x:1\nLoaded image: localhost:5000/y:2\n");
	CHECK_INT(image_find(c.s, "x:1", NULL, &after, &c.err), 0);
	CHECK_STR(after.manifest_digest, i.manifest_digest);
	/* Cut anywhere it is refused, but between its last files, which say nothing new. */
	for (size_t cut = 0; cut + 3072 < alen; cut += 512)
		CHECK(load_bytes(a, cut) < 0);
}

/* A docker-archive of the layer given, with `edit` to spoil it. */
static int load_spoiled(const char *config, const char *manifest, const char *layer_name, const char *layer,
			size_t len)
{
	struct packer p;

	pack_begin(&p);
	if (config)
		pack_text(&p, "c.json", config);
	pack(&p, TAR_FILE, layer_name, layer, len);
	if (manifest)
		pack_text(&p, "manifest.json", manifest);
	return load_pack(&p);
}

#define ONE "[{\"Config\":\"c.json\",\"RepoTags\":[\"bad:1\"],\"Layers\":[\"l.tar\"]}]"

static void spoiled(int r, const char *why)
{
	CHECK(r < 0);
	if (!strstr(c.err.msg, why)) {
		fprintf(stderr, "\"%s\" is not in: %s\n", why, c.err.msg);
		CHECK(!"the reason");
	}
	CHECK(!present("bad:1"));
}

static void test_hostile(void)
{
	struct str layer = layer_tar("hello", "another");
	char diff[DIGEST_MAX], text[64];
	struct packer p;

	digest_of(layer.s, layer.len, diff);
	autofree char *config = config_of(diff),
		      *wrong = config_of("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c"
					 "a495991b7852b855");
	autofree char *none = str_format("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
	const char *s = layer.s;

	spoiled(load_spoiled(wrong, ONE, "l.tar", s, layer.len), "has the digest");
	spoiled(load_spoiled(none, ONE, "l.tar", s, layer.len), "has 0");
	spoiled(load_spoiled("{}", ONE, "l.tar", s, layer.len), "rootfs");
	spoiled(load_spoiled(config, ONE, "m.tar", s, layer.len), "\"l.tar\" is not in the archive");
	spoiled(load_spoiled(NULL, ONE, "l.tar", s, layer.len), "\"c.json\" is not in the archive");
	spoiled(load_spoiled(config, NULL, "l.tar", s, layer.len), "it holds no image");
	spoiled(load_spoiled(config, "{}", "l.tar", s, layer.len), "manifest.json");
	spoiled(load_spoiled(config, "[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]", "l.tar", s,
			     layer.len),
		"..");
	spoiled(load_spoiled(config,
			     "[{\"Config\":\"c.json\",\"RepoTags\":[\"BAD\"],\"Layers\":[\"l.tar\"]}]",
			     "l.tar", s, layer.len),
		"lowercase");
	spoiled(load_spoiled(config, ONE, "../l.tar", s, layer.len), "..");
	spoiled(load_bytes("", 0), "it is empty");
	spoiled(load_bytes("\xfd"
			   "7zXZ\0\0",
			   7),
		"xz stream ends too early");
	spoiled(load_bytes("BZh91AY", 7), "bzip2 -dc");
	memset(text, 'x', sizeof(text));
	spoiled(load_bytes(text, sizeof(text)), "the archive");
	/* Links that lead out, or round and round. */
	pack_begin(&p);
	pack(&p, TAR_SYMLINK, "manifest.json", "/etc/passwd", 0);
	spoiled(load_pack(&p), "leads out");
	pack_begin(&p);
	pack(&p, TAR_SYMLINK, "a/manifest.json", "../../x", 0);
	spoiled(load_pack(&p), "leads out");
	pack_begin(&p);
	pack(&p, TAR_SYMLINK, "manifest.json", "b", 0);
	pack(&p, TAR_SYMLINK, "b", "manifest.json", 0);
	spoiled(load_pack(&p), "leads to no file");
	pack_begin(&p);
	pack_text(&p, "repositories", "{}");
	spoiled(load_pack(&p), "before 1.10");
	str_free(&layer);
}

/* ---- OCI layouts ---- */

static void pack_blob(struct packer *p, const char *data, size_t len, char ret[static DIGEST_MAX])
{
	digest_of(data, len, ret);
	autofree char *name = str_format("blobs/sha256/%s", ret + 7);
	pack(p, TAR_FILE, name, data, len);
}

static int load_layout_of(const char *media_type, const char *extra, bool damage, const char *name)
{
	struct str layer = layer_tar("oci", "oci");
	char diff[DIGEST_MAX], config_digest[DIGEST_MAX], manifest_digest[DIGEST_MAX],
		layer_digest[DIGEST_MAX];
	Bytef gz[65536];
	z_stream z = {0};
	struct packer p;

	/* compressed, as registries have it */
	CHECK_INT(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)layer.s;
	z.avail_in = (uInt)layer.len;
	z.next_out = gz;
	z.avail_out = sizeof(gz);
	CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t gz_len = sizeof(gz) - z.avail_out;
	(void)deflateEnd(&z);
	digest_of(layer.s, layer.len, diff);
	autofree char *config = config_of(diff);
	pack_begin(&p);
	pack_blob(&p, (char *)gz, gz_len, layer_digest);
	pack_blob(&p, config, strlen(config), config_digest);
	autofree char *manifest = str_format(
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\",\"digest\":\"%s\","
		"\"size\":%zu},\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu%s}]}",
		config_digest, strlen(config), media_type, layer_digest, gz_len, extra);
	pack_blob(&p, manifest, strlen(manifest), manifest_digest);
	autofree char *index = str_format(
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MEDIA_MANIFEST
		"\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"org.opencontainers.image.ref."
		"name\":\"%s\"}}]}",
		manifest_digest, strlen(manifest) + damage, name);
	pack_text(&p, "index.json", index);
	pack_text(&p, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	str_free(&layer);
	return load_pack(&p);
}

static void test_layout(void)
{
	struct image i autoimage = {0};

	spoiled(load_layout_of(OCI_MEDIA_LAYER "+gzip", "", true, "bad:1"), "is damaged");
	spoiled(load_layout_of(OCI_MEDIA_LAYER "+gzip", ",\"urls\":[\"http://x/\"]", false, "bad:1"),
		"is foreign");
	spoiled(load_layout_of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "", false,
			       "bad:1"),
		"is foreign");
	CHECK_INT(load_layout_of(OCI_MEDIA_LAYER "+gzip", "", false, "quay.io/a/b:1"), 0);
	CHECK_STR(told.s, "Loaded image: quay.io/a/b:1\n");
	CHECK_INT(image_find(c.s, "quay.io/a/b:1", NULL, &i, &c.err), 0);
	CHECK(i.size > 1000);
	CHECK(!streq(i.layer_digests.v[0], i.diff_ids.v[0]));
	/* A tag alone is no name. */
	CHECK_INT(load_layout_of(OCI_MEDIA_LAYER "+gzip", "", false, "1"), 0);
	CHECK(str_starts(told.s, "Loaded image ID: sha256:"));
}

int main(void)
{
	case_begin(&c);
	test_docker();
	test_round();
	test_hostile();
	test_layout();
	case_end(&c);
	str_free(&told);
	return test_end();
}
