/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of an answer: what a registry writes into WWW-Authenticate, Link, Content-Range, Range, Retry-After.
 */
#include "image/fetch/challenge.h"
#include "image/fetch/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_fields(const char *text)
{
	struct content_range range;
	uint64_t n;
	char *next = NULL;
	size_t len;

	if (field_content_range(text, &range) == 0 && (range.start > range.end || range.end >= range.total))
		abort();
	ignore_result(field_upload_range(text, &n));
	ignore_result(field_retry_after(text, 1700000000, &n));
	ignore_result(field_number(text, &n));
	if (field_link_next(text, &next) == 0) {
		if (strchr(next, '>') || !strstr(text, next))
			abort();
		free(next);
	}
	free(field_media_type(text));
	char *raw = NULL;
	if (base64_decode(text, &raw, &len) == 0) {
		autofree char *again = base64_encode(raw, len), *back = NULL;
		size_t n2;
		if (!again || base64_decode(again, &back, &n2) < 0 || n2 != len ||
		    memcmp(raw, back, len) != 0)
			abort();
		free(raw);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct challenges c autochallenges = {0};
	autofree char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	/* Each line is a field of its own. */
	for (char *line = text, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		bool had = c.bearer;
		int r = challenges_add(&c, line);
		if (r < 0 && r != -EINVAL && r != -ENOMEM)
			abort();
		if (c.bearer != (c.realm != NULL) || (had && !c.bearer))
			abort();
		/* Nothing of it can break out of the line that it is put into. */
		for (const char *p = c.realm; p && *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				abort();
		fuzz_fields(line);
	}
	return 0;
}
