/* SPDX-License-Identifier: Apache-2.0 */
/* Frames whole, in pieces, too long; and that the structs are what both sides think they are. */
#include "test.h"
#include "wire/guest.h"

_Static_assert(sizeof(struct guest_frame) == 16, "frames are on the wire");
_Static_assert(sizeof(struct guest_ready) == 24 && sizeof(struct guest_hello) == 48, "so are these");
_Static_assert(sizeof(struct guest_process) == 8 && sizeof(struct guest_process_row) == 248, "and these");

static void feed(struct guest_reader *r, const void *data, size_t len)
{
	void *to;
	size_t size;

	while (len > 0) {
		CHECK_INT(guest_reader_room(r, &to, &size), 0);
		CHECK(size >= 1);
		size_t n = MIN_OF(size, len);
		memcpy(to, data, n);
		guest_reader_filled(r, n);
		data = (const char *)data + n;
		len -= n;
	}
}

static void test_pieces(void)
{
	struct guest_reader r = {.max_payload = 1 << 20};
	struct guest_frame f = {.len = 100000, .type = GUEST_RUN, .process = 3, .id = 4}, got;
	autofree unsigned char *text = malloc(sizeof(f) + f.len);
	const void *payload;
	struct err err = {0};

	if (!text)
		abort();
	memcpy(text, &f, sizeof(f));
	for (size_t i = 0; i < f.len; i++)
		text[sizeof(f) + i] = (unsigned char)(i * 7);
	for (size_t piece = 1; piece < 200000; piece = piece * 5 + 1) {
		size_t at = 0, size = sizeof(f) + f.len;
		while (at < size) {
			CHECK_INT(guest_reader_next(&r, &got, &payload, &err), 0);
			size_t n = MIN_OF(piece, size - at);
			feed(&r, text + at, n);
			at += n;
		}
		CHECK_INT(guest_reader_next(&r, &got, &payload, &err), 1);
		CHECK(memcmp(&got, &f, sizeof(f)) == 0);
		CHECK(memcmp(payload, text + sizeof(f), f.len) == 0);
		CHECK_INT(guest_reader_next(&r, &got, &payload, &err), 0);
	}
	guest_reader_free(&r);
}

static void test_several(void)
{
	struct guest_reader r = {.max_payload = 64};
	struct guest_frame f = {.len = 3, .type = GUEST_INPUT}, got;
	const void *payload;
	struct err err = {0};

	for (uint32_t i = 0; i < 10; i++) {
		f.process = i;
		feed(&r, &f, sizeof(f));
		feed(&r, "abc", 3);
	}
	for (uint32_t i = 0; i < 10; i++) {
		CHECK_INT(guest_reader_next(&r, &got, &payload, &err), 1);
		CHECK_INT(got.process, i);
		CHECK(memcmp(payload, "abc", 3) == 0);
	}
	CHECK_INT(guest_reader_next(&r, &got, &payload, &err), 0);
	guest_reader_free(&r);
}

static void test_too_long(void)
{
	static const uint32_t lengths[] = {65, 1 << 30, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct guest_reader r = {.max_payload = 64};
		struct guest_frame f = {.len = lengths[i]}, got;
		const void *payload;
		struct err err = {0};
		feed(&r, &f, sizeof(f));
		CHECK_INT(guest_reader_next(&r, &got, &payload, &err), -EBADMSG);
		CHECK(err.msg[0]);
		CHECK(r.size < 1 << 20); /* nothing was made for it */
		guest_reader_free(&r);
	}
}

int main(void)
{
	test_pieces();
	test_several();
	test_too_long();
	return test_end();
}
