/* SPDX-License-Identifier: Apache-2.0 */
/* The two formats that `load` reads: load.c, load_layout.c. */
#pragma once

#include "image/archive.h"
#include "image/intake.h"

struct docker_entry {
	const char *config;
	str_list repo_tags, layers;
};
struct docker_images {
	LIST_OF(struct docker_entry) images;
};

struct loading {
	struct image_store *s;
	struct archive *a;
	struct docker_images docker;	    /* manifest.json */
	LIST_OF(struct store_layer) layers; /* so far */
	void (*told)(void *data, const char *line);
	void *data;
	const struct image_progress *progress;
};

/* manifest.json of a docker-archive. */
must_use int load_docker_manifest(const char *text, struct json_doc *doc, struct docker_images *ret,
				  struct err *err);
/* The layer in `file`; `blob` (may be NULL) is the digest that it must have. */
must_use int load_layer(struct loading *l, const char *file, const char *diff_id, const char *blob,
			struct store_layer *ret, struct err *err);
/* Full names, each once; one with a digest is none. */
must_use int load_add_name(str_list *names, const char *text, struct err *err);
/* Records and tells. */
must_use int load_finish(struct loading *l, const struct assembly *a, const str_list *names, struct err *err);
/*
 * index.json: 1 loaded; 0 there is none, or (where manifest.json stands by) it
 * speaks of what the archive does not hold.
 */
must_use int load_layout(struct loading *l, bool optional, struct err *err);
