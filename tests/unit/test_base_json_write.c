/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/json_write.h"

static void test_compact(void)
{
	struct json_out out autojsonout = {0};
	static const char *const list[] = {"a", "b"};

	json_begin_object(&out, NULL);
	json_put_str(&out, "s", "x");
	json_put_i64(&out, "i", INT64_MIN);
	json_put_u64(&out, "u", UINT64_MAX);
	json_put_bool(&out, "t", true);
	json_put_bool(&out, "f", false);
	json_put_null(&out, "n");
	json_put_raw(&out, "r", "[1.5]");
	json_put_opt_str(&out, "o", "");
	json_put_opt_str(&out, "o", NULL);
	json_put_opt_str(&out, "p", "q");
	json_put_strs(&out, "l", list, 2);
	json_begin_list(&out, "e");
	json_end(&out);
	json_begin_list(&out, "m");
	json_begin_object(&out, NULL);
	json_end(&out);
	json_put_u64(&out, NULL, 1);
	json_end(&out);
	json_end(&out);
	autofree char *s = json_take(&out);
	CHECK_STR(s,
		  "{\"s\":\"x\",\"i\":-9223372036854775808,\"u\":18446744073709551615,\"t\":true,\"f\":false,"
		  "\"n\":null,\"r\":[1.5],\"p\":\"q\",\"l\":[\"a\",\"b\"],\"e\":[],\"m\":[{},1]}");
}

/* As Go's MarshalIndent has it, empty objects and lists too. */
static void test_indented(void)
{
	struct json_out out autojsonout = {.indent = "  "};

	json_begin_object(&out, NULL);
	json_put_i64(&out, "a", 1);
	json_begin_object(&out, "b");
	json_begin_list(&out, "c");
	json_put_str(&out, NULL, "x");
	json_put_str(&out, NULL, "y");
	json_end(&out);
	json_begin_list(&out, "d");
	json_end(&out);
	json_begin_object(&out, "e");
	json_end(&out);
	json_end(&out);
	json_end(&out);
	autofree char *s = json_take(&out);
	CHECK_STR(s, "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\",\n      \"y\"\n    ],\n    "
		     "\"d\": [],\n"
		     "    \"e\": {}\n  }\n}");
	/* The writer can be used again, with the same indentation. */
	json_begin_list(&out, NULL);
	json_put_null(&out, NULL);
	json_end(&out);
	autofree char *t = json_take(&out);
	CHECK_STR(t, "[\n  null\n]");
}

static void check_quote(const char *text, const char *want)
{
	struct str b autostr = {0};

	json_quote(&b, text);
	CHECK_STR(b.s, want);
}

static void test_quote(void)
{
	check_quote("", "\"\"");
	check_quote("plain <&>'/", "\"plain <&>'/\"");
	check_quote("\"\\\b\f\n\r\t", "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
	check_quote("\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"");
	check_quote("\u00e4\u20ac\U0001F600", "\"\u00e4\u20ac\U0001F600\"");
	check_quote("a\xff"
		    "b\xc3",
		    "\"a\\ufffdb\\ufffd\"");
	check_quote("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
}

static void test_scalar_document(void)
{
	struct json_out out autojsonout = {0};

	json_put_str(&out, NULL, "x");
	autofree char *s = json_take(&out);
	CHECK_STR(s, "\"x\"");
}

static void test_misuse(void)
{
	struct json_out out autojsonout = {0};

	CHECK(!json_take(&out)); /* nothing */
	json_begin_object(&out, NULL);
	CHECK(!json_take(&out)); /* half an object */
	json_end(&out);
	CHECK(!json_take(&out)); /* an end too many */
	json_begin_object(&out, NULL);
	json_put_null(&out, NULL); /* no key */
	json_end(&out);
	CHECK(!json_take(&out));
	json_begin_list(&out, NULL);
	json_put_null(&out, "k"); /* a key in a list */
	json_end(&out);
	CHECK(!json_take(&out));
	json_put_null(&out, NULL);
	json_put_null(&out, NULL); /* two documents */
	CHECK(!json_take(&out));
	for (int i = 0; i < 100; i++) /* too deep */
		json_begin_list(&out, NULL);
	for (int i = 0; i < 100; i++)
		json_end(&out);
	CHECK(!json_take(&out));
	json_begin_list(&out, NULL);
	out.text.failed = true; /* no memory */
	json_end(&out);
	CHECK(!json_take(&out));
}

int main(void)
{
	test_compact();
	test_indented();
	test_quote();
	test_scalar_document();
	test_misuse();
	return test_end();
}
