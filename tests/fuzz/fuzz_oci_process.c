/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct oci_process p;
	struct oci_document *doc;
	struct err err = {0};
	int r = oci_process_parse((const char *)data, len, "F", &p, &doc, &err);

	if (r == 0) {
		if (!p.args.n || !p.args.v[0] || p.cwd[0] != '/')
			abort();
		for (size_t i = 0; i < p.env.n; i++)
			if (!strchr(p.env.v[i], '='))
				abort();
		oci_document_free(doc);
	} else if (r != -err.code || !str_starts(err.msg, "F: ")) {
		abort();
	}
	return 0;
}
