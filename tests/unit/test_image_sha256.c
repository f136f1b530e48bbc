/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/sha256.h"

static const char *sum(void (*init)(struct sha256 *), const void *data, size_t len, size_t piece)
{
	static char text[72];
	struct sha256 s;

	init(&s);
	for (size_t at = 0; at < len; at += piece)
		sha256_update(&s, (const char *)data + at, MIN_OF(piece, len - at));
	sha256_digest(&s, text);
	return text;
}

static void test_vectors(void (*init)(struct sha256 *))
{
	static char million[1000000];

	memset(million, 'a', sizeof(million));
	CHECK_STR(sum(init, "", 0, 1),
		  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_STR(sum(init, "abc", 3, 3),
		  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK_STR(sum(init, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 56),
		  "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	CHECK_STR(sum(init, million, sizeof(million), 777),
		  "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the block's edges, in pieces of every size: both codes agree. */
static void test_agreement(void)
{
	uint8_t data[300];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + 7);
	for (size_t len = 0; len <= sizeof(data); len += 1 + len % 3)
		for (size_t piece = 1; piece < 140; piece += 11) {
			char want[72];
			(void)snprintf(want, sizeof(want), "%s",
				       sum(sha256_init_portable, data, len, sizeof(data)));
			CHECK_STR(sum(sha256_init, data, len, piece), want);
		}
}

int main(void)
{
	test_vectors(sha256_init);
	test_vectors(sha256_init_portable);
	test_agreement();
	return test_end();
}
