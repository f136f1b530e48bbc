/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream between keeper and agent, fed in pieces, and what the agent makes
 * of the payloads.  First byte: the size of the pieces.
 */
#include "agent/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No byte behind: an over-read is seen. */
static void decode(const struct guest_frame *f, const void *payload)
{
	autofree void *copy = malloc(f->len ? f->len : 1);
	struct network_order network;
	struct guest_process process;
	struct guest_hello hello;
	struct guest_admission member;
	struct mount_order m;
	const char *json;
	struct err err = {0};
	size_t len;

	if (!copy)
		return;
	if (f->len)
		memcpy(copy, payload, f->len);
	if (decode_mount(copy, f->len, &m, &err) == 0) {
		const char *end = (const char *)copy + f->len;
		if (m.target[0] != '/' || m.data + strlen(m.data) + 1 != end)
			abort();
	}
	if (decode_network(copy, f->len, &network, &err) < 0 && !err.msg[0])
		abort();
	json_doc_free(&network.doc);
	if (decode_process(copy, f->len, &process, &json, &len, &err) == 0 &&
	    json + len != (const char *)copy + f->len)
		abort();
	ignore_result(decode_struct(copy, f->len, &hello, sizeof(hello), &err));
	ignore_result(decode_struct(copy, f->len, &member, sizeof(member), &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_reader r = {.max_payload = 4096};
	size_t piece = size ? 1 + (size_t)data[0] * 4 : 1, at = 1, told = 0;
	const void *payload;
	struct guest_frame f;
	struct err err = {0};
	int more = 0;

	while (at < size && more >= 0) {
		void *to;
		size_t room;
		if (guest_reader_room(&r, &to, &room) < 0)
			break;
		if (room == 0)
			abort();
		size_t n = MIN_OF(MIN_OF(piece, room), size - at);
		memcpy(to, data + at, n);
		guest_reader_filled(&r, n);
		at += n;
		while ((more = guest_reader_next(&r, &f, &payload, &err)) > 0) {
			told += sizeof(f) + f.len;
			if (f.len > r.max_payload || told > size)
				abort();
			decode(&f, payload);
		}
		if (r.size > 2 * (r.max_payload + (32 << 10)))
			abort();
	}
	if (more < 0 && !err.msg[0])
		abort();
	guest_reader_free(&r);
	return 0;
}
