/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/str.h"

static void test_builder(void)
{
	struct str b autostr = {0};

	str_put(&b, "a");
	str_put_n(&b, "bcd", 2);
	str_putf(&b, "-%d-%s", 7, "x");
	CHECK_INT(b.len, 7);
	autofree char *s = str_take(&b);
	CHECK_STR(s, "abc-7-x");
	CHECK(!b.s && b.len == 0);
	/* Nothing appended is the empty string. */
	autofree char *empty = str_take(&b);
	CHECK_STR(empty, "");
}

static void test_growth(void)
{
	struct str b autostr = {0};

	for (int i = 0; i < 10000; i++)
		str_putf(&b, "%d,", i % 10);
	CHECK_INT(b.len, 20000);
	CHECK(b.cap > b.len && b.s[b.len] == '\0');
	CHECK(strncmp(b.s + 19990, "5,6,7,8,9,", 10) == 0);
}

static void test_failed(void)
{
	struct str b autostr = {0};

	str_put(&b, "kept");
	b.failed = true;
	str_put(&b, "more");
	CHECK_STR(b.s, "kept");
	CHECK(!str_take(&b));
	CHECK(!b.failed && !b.s);
}

static void test_u64(void)
{
	uint64_t v = 42;

	CHECK_INT(str_to_u64("0", 10, &v), 0);
	CHECK_INT(v, 0);
	CHECK_INT(str_to_u64("18446744073709551615", 10, &v), 0);
	CHECK(v == UINT64_MAX);
	v = 42;
	CHECK_INT(str_to_u64("18446744073709551616", 10, &v), -ERANGE);
	static const char *const bad[] = {"", " 1", "+1", "-1", "1 ", "1x", "x", "0x10", "1\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(str_to_u64(bad[i], 10, &v), -EINVAL);
	CHECK_INT(v, 42);
	CHECK_INT(str_to_u64("755", 8, &v), 0);
	CHECK_INT(v, 0755);
	CHECK_INT(str_to_u64("8", 8, &v), -EINVAL);
	CHECK_INT(str_to_u64("ffFF", 16, &v), 0);
	CHECK_INT(v, 0xffff);
}

static void test_i64(void)
{
	int64_t v = 42;

	CHECK_INT(str_to_i64("-9223372036854775808", &v), 0);
	CHECK(v == INT64_MIN);
	CHECK_INT(str_to_i64("9223372036854775807", &v), 0);
	CHECK(v == INT64_MAX);
	CHECK_INT(str_to_i64("9223372036854775808", &v), -ERANGE);
	CHECK_INT(str_to_i64("-9223372036854775809", &v), -ERANGE);
	CHECK_INT(str_to_i64("-0", &v), 0);
	CHECK_INT(v, 0);
	static const char *const bad[] = {"", "-", "--1", "- 1", "+1", "1-"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(str_to_i64(bad[i], &v), -EINVAL);
}

static void test_format(void)
{
	autofree char *s = str_format("%s:%03d", "a", 7);

	CHECK_STR(s, "a:007");
}

static void test_helpers(void)
{
	CHECK(str_starts("abc", "ab") && str_starts("abc", "") && !str_starts("a", "ab"));
	CHECK(str_ends("abc", "bc") && str_ends("abc", "") && !str_ends("c", "bc"));
}

int main(void)
{
	test_builder();
	test_growth();
	test_failed();
	test_u64();
	test_i64();
	test_format();
	test_helpers();
	return test_end();
}
