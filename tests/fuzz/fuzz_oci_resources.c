/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct oci_resources res;
	struct oci_document *doc;
	struct err err = {0};
	int r = oci_resources_parse((const char *)data, len, "F", &res, &doc, &err);

	if (r == 0) {
		/* These become parts of file names. */
		for (size_t i = 0; i < res.unified.n; i++)
			if (strchr(res.unified.v[i].key, '/'))
				abort();
		for (size_t i = 0; i < res.hugepages.n; i++)
			if (strpbrk(res.hugepages.v[i].page_size, "/."))
				abort();
		for (size_t i = 0; i < res.devices.n; i++)
			if (!memchr("abc", res.devices.v[i].type, 3))
				abort();
		oci_document_free(doc);
	} else if (r != -err.code || !str_starts(err.msg, "F: ")) {
		abort();
	}
	return 0;
}
