/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/protobuf.h"
#include "test.h"

static void test_round_trip(void)
{
	struct str b autostr = {0};
	struct pb_field f;

	pb_put_int(&b, 1, 0);
	pb_put_int(&b, 300, INT64_MAX);
	pb_put_int(&b, 2, -1); /* ten bytes, as an int32 of -1 is sent */
	pb_put_str(&b, 3, "text");
	pb_put_str(&b, 4, NULL);
	pb_put_bytes(&b, 5, NULL, 0);
	struct pb_in in = {.p = (uint8_t *)b.s, .end = (uint8_t *)b.s + b.len};
	CHECK(pb_next(&in, &f) == 1 && f.number == 1 && f.value == 0);
	CHECK(pb_next(&in, &f) == 1 && f.number == 300 && f.value == INT64_MAX);
	CHECK(pb_next(&in, &f) == 1 && f.number == 2 && (int32_t)f.value == -1);
	CHECK(pb_next(&in, &f) == 1 && f.number == 3 && f.len == 4 && memcmp(f.data, "text", 4) == 0);
	CHECK(pb_next(&in, &f) == 1 && f.number == 5 && f.len == 0);
	CHECK_INT(pb_next(&in, &f), 0);
}

static void test_known_bytes(void)
{
	struct str b autostr = {0};

	pb_put_int(&b, 1, 150);
	pb_put_str(&b, 2, "testing");
	CHECK_INT(b.len, 12);
	CHECK(memcmp(b.s, "\x08\x96\x01\x12\x07testing", 12) == 0);
}

static void refuse(const char *bytes, size_t len)
{
	struct pb_in in = {.p = (const uint8_t *)bytes, .end = (const uint8_t *)bytes + len};
	struct pb_field f;

	CHECK_INT(pb_next(&in, &f), -EBADMSG);
}

int main(void)
{
	test_round_trip();
	test_known_bytes();
	refuse("\x08", 1); /* no value */
	refuse("\x12\x07"
	       "abc",
	       5);							/* shorter than it says */
	refuse("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);	/* longer than memory */
	refuse("\x0b", 1);						/* a group */
	refuse("\x02\x00", 2);						/* field 0 */
	refuse("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12); /* a number without end */
	return test_end();
}
