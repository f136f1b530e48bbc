/* SPDX-License-Identifier: Apache-2.0 */
/* Images, networks and volumes as `inspect` shows them. */
#pragma once

#include "engine/engine.h"
#include "front/cli/value.h"

must_use int describe_image(struct json_doc *memory, struct image_store *s, const struct image *image,
			    struct value **ret, struct err *err);
/* -ENOENT where there is none of that name. */
must_use int describe_network(struct json_doc *memory, struct engine *e, const char *name, struct value **ret,
			      struct err *err);
must_use int describe_volume(struct json_doc *memory, struct engine *e, const char *name, struct value **ret,
			     struct err *err);
