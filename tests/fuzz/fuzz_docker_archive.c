/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of a docker-archive, and the names in it. */
#include "image/load_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct json_doc doc autojson = {0};
	struct docker_images images = {0};
	struct err err = {0};
	autofree char *text = malloc(len + 1);

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	int r = load_docker_manifest(text, &doc, &images, &err);
	if (r < 0) {
		if (r != -err.code || !str_starts(err.msg, "manifest.json: "))
			abort();
		return 0;
	}
	for (size_t i = 0; i < images.images.n; i++) {
		const struct docker_entry *e = &images.images.v[i];
		str_list names = {0};
		if (!e->config)
			abort();
		for (size_t n = 0; n < e->repo_tags.n && r == 0; n++)
			r = load_add_name(&names, e->repo_tags.v[n], &err);
		for (size_t n = 0; n < names.n; n++)
			if (strchr(names.v[n], '@') || !strchr(names.v[n], '/'))
				abort();
		store_list_free(&names);
	}
	return 0;
}
