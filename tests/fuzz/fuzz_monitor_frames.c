/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's messages, and (first byte odd) lines of its logs: what is accepted must come out the same. */
#include "monitor/frames.h"
#include "monitor/log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_line(const uint8_t *data, size_t size)
{
	/* No byte behind: an over-read is seen. */
	autofree char *line = malloc(size ? size : 1);
	struct log_entry e;

	if (!line)
		return;
	memcpy(line, data, size);
	if (log_line_decode(line, size, &e) < 0)
		return;
	if (e.text < line || e.text + e.len > line + size)
		abort();
	if (e.attrs && (e.attrs < line || e.attrs + e.attrs_len > line + size || e.attrs[0] != '{'))
		abort();
	if (e.len <= LOG_LINE_MAX) {
		autofree char *again = malloc(LOG_ENTRY_MAX);
		struct log_entry f;
		if (!again)
			return;
		size_t n = log_line_encode(again, e.text, e.len, false, e.is_err, "", "2026-01-02T03:04:05Z");
		if (n > LOG_ENTRY_MAX || log_line_decode(again, n - 1, &f) < 0 || f.is_err != e.is_err)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char buf[FRAME_MAX];
	struct err err = {0};
	struct frame f;

	if (size == 0)
		return 0;
	if (data[0] & 1) {
		fuzz_line(data + 1, size - 1);
		return 0;
	}
	if (frame_decode(data + 1, size - 1, &f, &err) < 0) {
		if (!err.msg[0] || err.code != EPROTO)
			abort();
		return 0;
	}
	if (frame_encode(&f, buf) != size - 1 || memcmp(buf, data + 1, size - 1) != 0)
		abort();
	return 0;
}
