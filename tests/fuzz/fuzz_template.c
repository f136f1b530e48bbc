/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: any text either is refused with a reason or runs to an end on a document and on a row. */
#include "front/cli/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
	"{\"ID\":\"abc\",\"N\":42,\"T\":true,\"Z\":null,\"L\":[\"a\",\"b\",[1,2]],\"Labels\":{"
	"\"k\":\"v\"},\"O\":{\"P\":{\"80/tcp\":[{\"H\":\"1\"}]}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_doc memory autojson = {0};
	struct err err = {0};
	struct value *v;
	struct template *t;
	struct str out autostr = {0}, table autostr = {0};
	struct row_printer p;
	autofree char *text = malloc(size + 1);

	if (!text || size > 4096)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (value_read(&memory, document, strlen(document), "doc", &v, &err) < 0)
		abort();
	int r = template_parse(&memory, text, &t, &err);
	if (r == 0)
		r = template_run(&memory, t, v, 0, &out, &err);
	if (r < 0 && !err.msg[0])
		abort();
	struct row_format f = {.format = text, .table = "{{.ID}}"};
	if (rows_begin(&p, &memory, &f, &table, &err) == 0 && rows_add(&p, &memory, v, &err) == 0) {
		rows_end(&p);
		if (!table.failed && (!table.s || table.s[table.len - 1] != '\n'))
			abort();
	}
	return 0;
}
