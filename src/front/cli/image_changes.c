/* SPDX-License-Identifier: Apache-2.0 */
/* What `import` says of an image: its platform, and a Dockerfile's instructions. */
#include "front/cli/images.h"

/* "linux/arm64/v8" */
static int change_platform(struct json_doc *memory, const char *platform, struct oci_image_config *c,
			   struct err *err)
{
	const char *text = platform ? platform : image_platform_here();
	size_t os = strcspn(text, "/"), arch = text[os] ? strcspn(text + os + 1, "/") : 0;

	if (os == 0 || arch == 0)
		return err_set(err, EINVAL, "invalid platform \"%s\": write it as linux/arm64", text);
	c->os = memory_text_n(memory, text, os);
	c->architecture = memory_text_n(memory, text + os + 1, arch);
	if (text[os + 1 + arch])
		c->variant = text + os + 2 + arch;
	return 0;
}

int image_changes(struct json_doc *memory, const str_list *changes, const char *platform,
		  struct oci_image_config *ret, struct err *err)
{
	int r = change_platform(memory, platform, ret, err);

	return r < 0 ? r : engine_changes_apply(memory, ret, changes, err);
}
