/* SPDX-License-Identifier: Apache-2.0 */
/* What the builder makes of a tar's entries: an EROFS image, or a directory. */
#pragma once

#include "image/layer.h"
#include "image/tar.h"

struct layer_target {
	struct tar_events events; /* data = the target itself */
	/* The archive has ended: everything written and synced, under no name yet. */
	must_use int (*finish)(void *target, const char *diff_id, uint64_t *ret_disk, struct err *err);
	/* Under layers/HEX.  1: somebody else's was there before. */
	must_use int (*publish)(void *target, const char *diff_id, struct err *err);
	void (*destroy)(void *target); /* what was not published is gone */
};
must_use int layer_target_erofs(struct image_store *s, const struct layer_limits *limits,
				struct layer_target *ret, struct err *err);
must_use int layer_target_directory(struct image_store *s, const struct layer_limits *limits, bool rootless,
				    struct layer_target *ret, struct err *err);

/* "layers/HEX" of a checked diffID; the descriptor of it (O_PATH), -ENOENT where it is missing. */
must_use int layer_open_dir(struct image_store *s, const char *diff_id, bool make, struct err *err);
#define LAYER_EROFS "layer.erofs"
#define LAYER_DIFF  "diff"
