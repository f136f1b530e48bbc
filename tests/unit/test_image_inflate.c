/* SPDX-License-Identifier: Apache-2.0 */
/* isa-l's inflate against zlib's: the same bytes, members and errors, however the input is cut. */
#include "test.h"

#include "base/str.h"
#include "image/fetch/inflate_isal.h"

#include <zlib.h>

/* One gzip member of `len` bytes; appended. */
static void add_member(struct str *out, const char *text, size_t len, int level)
{
	z_stream z = {0};
	char buf[4096];
	int r;

	CHECK_INT(deflateInit2(&z, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)text;
	z.avail_in = (uInt)len;
	do {
		z.next_out = (Bytef *)buf;
		z.avail_out = sizeof(buf);
		r = deflate(&z, Z_FINISH);
		str_put_n(out, buf, sizeof(buf) - z.avail_out);
	} while (r == Z_OK);
	CHECK_INT(r, Z_STREAM_END);
	(void)deflateEnd(&z);
}

/* All members of `in`, fed `step` bytes at a time into `room` bytes.  The members, or -errno. */
static int inflate_all(const struct layer_inflate *i, const struct str *in, size_t step, size_t room,
		       struct str *out)
{
	uint8_t *buf = malloc(room);
	void *state = NULL;
	size_t at = 0;
	int members = 0, r = i->open(&state);
	bool between = true;

	while (r >= 0 && at < in->len) {
		struct layer_inflate_io io = {.in = (const uint8_t *)in->s + at,
					      .in_len = MIN_OF(step, in->len - at),
					      .out = buf,
					      .out_len = room};
		if (between && (r = i->reset(state)) < 0)
			break;
		between = false;
		r = i->step(state, &io);
		at = (size_t)(io.in - (const uint8_t *)in->s);
		str_put_n(out, buf, room - io.out_len);
		/* What the room did not hold comes without more input. */
		while (r == 0 && io.out_len == 0) {
			io = (struct layer_inflate_io){
				.in = (const uint8_t *)in->s + at, .in_len = 0, .out = buf, .out_len = room};
			r = i->step(state, &io);
			str_put_n(out, buf, room - io.out_len);
		}
		if (r == 1) {
			members++;
			between = true;
		}
	}
	i->close(state);
	free(buf);
	return r < 0 ? r : between ? members : -ENODATA;
}

static void test_members(void)
{
	static const size_t steps[] = {1, 2, 3, 7, 17, 100, 4096, 1 << 20}, rooms[] = {1, 100, 65536};
	struct str in autostr = {0}, want autostr = {0};

	for (int m = 0; m < 5; m++) {
		struct str text autostr = {0};
		for (int i = 0; i < m * 700; i++)
			str_putf(&text, "line %d of member %d\n", i * i, m);
		str_put(&text, "");
		add_member(&in, text.s ? text.s : "", text.len, m * 2 + 1 > 9 ? 0 : m * 2 + 1);
		str_put_n(&want, text.s ? text.s : "", text.len);
	}
	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		for (size_t n = 0; n < ARRAY_LEN(rooms); n++) {
			struct str a autostr = {0}, b autostr = {0};
			CHECK_INT(inflate_all(&layer_inflate_zlib, &in, steps[s], rooms[n], &a), 5);
			CHECK_INT(inflate_all(&layer_inflate_isal, &in, steps[s], rooms[n], &b), 5);
			CHECK(a.len == want.len && memcmp(a.s, want.s, a.len) == 0);
			CHECK(b.len == want.len && memcmp(b.s, want.s, b.len) == 0);
		}
	}
}

static void test_damage(void)
{
	struct str in autostr = {0};

	add_member(&in, "some text, some text, some text, more text", 42, 6);
	/* Every byte of the check sum and the length, the method and the magic. */
	for (size_t i = 0; i < in.len; i++) {
		if (i > 2 && i < in.len - 8)
			continue;
		struct str out autostr = {0};
		in.s[i] ^= 0x55;
		CHECK(inflate_all(&layer_inflate_isal, &in, 5, 4096, &out) < 0);
		in.s[i] ^= 0x55;
	}
	struct str cut autostr = {0}, out autostr = {0};
	str_put_n(&cut, in.s, in.len - 1);
	CHECK_INT(inflate_all(&layer_inflate_isal, &cut, 4096, 4096, &out), -ENODATA);
}

int main(void)
{
	test_members();
	test_damage();
	return test_end();
}
