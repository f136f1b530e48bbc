/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a scratch directory, and images in it that have no registry. */
#pragma once

#include "test.h"

#include "base/file.h"
#include "base/str.h"
#include "image/content.h"
#include "image/sha256.h"

#include <sys/stat.h>

struct store_case {
	char root[64];
	struct image_store *s;
	struct err err;
};

static unused void case_open(struct store_case *c)
{
	c->err = (struct err){0};
	c->s = NULL;
	int r = image_store_open(
		&(struct image_store_options){.root = c->root, .layers = IMAGE_LAYERS_DIRECTORY}, &c->s,
		&c->err);
	if (r < 0) {
		fprintf(stderr, "%s\n", c->err.msg);
		exit(1);
	}
}

static unused void case_begin(struct store_case *c)
{
	const char *tmp = getenv("TMPDIR");

	*c = (struct store_case){0};
	(void)snprintf(c->root, sizeof(c->root), "%.40s/store-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(c->root)) {
		perror("mkdtemp");
		exit(1);
	}
	case_open(c);
}

static unused void case_end(struct store_case *c)
{
	image_store_close(c->s);
	char *name = strrchr(c->root, '/');
	*name = '\0';
	autoclose int dir = open(c->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(dir, name + 1), 0);
}

static unused void case_digest(const char *text, char ret[static DIGEST_MAX])
{
	struct sha256 sum;

	sha256_init(&sum);
	sha256_update(&sum, text, strlen(text));
	sha256_digest(&sum, ret);
}

/* A layer that looks committed: a directory, and a blob of `text`, whose digest is its diffID. */
static unused void case_layer(struct store_case *c, const char *text, char ret[static DIGEST_MAX])
{
	char path[128];

	CHECK_INT(blob_write(c->s, text, strlen(text), ret, &c->err), 0);
	(void)snprintf(path, sizeof(path), "layers/%s", ret + 7);
	CHECK(mkdirat(image_store_dirfd(c->s), path, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "layers/%s/diff", ret + 7);
	CHECK(mkdirat(image_store_dirfd(c->s), path, 0700) == 0 || errno == EEXIST);
}

/* An image of two layers, "base" and one of its own; `reference` NULL: without a name.  -> its ID */
static unused void case_image(struct store_case *c, const char *reference, const char *platform,
			      const char *what, bool local, char ret_id[static DIGEST_MAX])
{
	char low[DIGEST_MAX], high[DIGEST_MAX], manifest[DIGEST_MAX];
	struct platform {
		char arch[32];
	} p;
	const char *v[2] = {low, high};
	uint64_t sizes[2] = {1000, 234};
	str_list layers = {v, 2};

	case_layer(c, "base", low);
	case_layer(c, what, high);
	(void)snprintf(p.arch, sizeof(p.arch), "%s", strchr(platform, '/') + 1);
	autofree char *config =
		str_format("{\"created\":\"2024-01-02T03:04:%02zuZ\",\"os\":\"linux\",\"architecture\":\"%"
			   "s\",\"config\":{"
			   "\"Cmd\":[\"%s\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}",
			   strlen(what) % 60, p.arch, what, low, high);
	CHECK_INT(blob_write(c->s, config, strlen(config), ret_id, &c->err), 0);
	autofree char *text =
		str_format("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG
			   "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER
			   "\",\"digest\":\"%s\",\"size\":4},{\"mediaType\":\"" OCI_MEDIA_LAYER
			   "\",\"digest\":\"%s\",\"size\":%zu}]}",
			   ret_id, strlen(config), low, high, strlen(what));
	CHECK_INT(blob_write(c->s, text, strlen(text), manifest, &c->err), 0);
	struct image_record r = {
		.reference = reference,
		.manifest_digest = manifest,
		.config_digest = ret_id,
		.platform = platform,
		.layer_digests = &layers,
		.diff_ids = &layers,
		.layer_sizes = sizes,
		.local = local,
	};
	if (image_record(c->s, &r, &c->err) < 0) {
		fprintf(stderr, "%s\n", c->err.msg);
		CHECK(!"image_record");
	}
}
