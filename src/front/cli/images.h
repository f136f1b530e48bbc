/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands need of images. */
#pragma once

#include "front/cli/cli.h"
#include "image/content.h"

int64_t image_created_ns(const struct image *i);
/*
 * `rmi` and what follows it: removes the names, tells what was done on
 * standard output, and sweeps content that nothing needs any more.
 */
must_use int images_remove(struct call *call, struct engine *e, char *const *names, bool force,
			   struct err *err);
/*
 * `import --change` and `--platform` on an image's configuration: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK,
 * LABEL, USER, VOLUME, WORKDIR, SHELL, STOPSIGNAL, ONBUILD, as a Dockerfile writes them.  Strings live in
 * `memory`.
 */
must_use int image_changes(struct json_doc *memory, const str_list *changes, const char *platform,
			   struct oci_image_config *ret, struct err *err);
