/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/image_config.h"
#include "oci/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct json_doc doc autojson = {0}, doc2 autojson = {0};
	struct json_out out autojsonout = {0}, twice autojsonout = {0}, shown autojsonout = {0};
	struct oci_image_config c = {0}, again = {0};
	struct err err = {0};
	int r = oci_image_config_decode((const char *)data, len, "F", &doc, &c, &err);

	if (r < 0) {
		if (r != -err.code || !str_starts(err.msg, "F: "))
			abort();
		return 0;
	}
	for (size_t i = 0; i < c.diff_ids.n; i++)
		if (oci_digest_check(c.diff_ids.v[i], &err) < 0)
			abort();
	oci_image_config_write(&out, &c);
	autofree char *text = json_take(&out);
	if (!text || oci_image_config_decode(text, strlen(text), "W", &doc2, &again, &err) < 0)
		abort();
	oci_image_config_write(&twice, &again);
	autofree char *other = json_take(&twice);
	if (!other || !streq(text, other))
		abort();
	oci_image_config_write_config(&shown, NULL, &c);
	autofree char *inspect = json_take(&shown);
	if (!inspect)
		abort();
	return 0;
}
