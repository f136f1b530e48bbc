/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/json.h"

struct item {
	const char *name;
	uint32_t n;
};

struct spread {
	uint16_t a, b;
};

struct all {
	const char *s, *text;
	char c;
	bool b, given;
	uint16_t u16;
	int32_t i32;
	uint32_t u32;
	int64_t i64;
	uint64_t u64;
	int32_t ranged;
	struct opt_bool ob;
	struct opt_u32 ou32;
	struct opt_i64 oi64;
	struct opt_u64 ou64;
	struct item in;
	struct item *ptr;
	struct spread pair;
	str_list strs;
	u32_list nums;
	LIST_OF(struct item) items;
	LIST_OF(struct json_pair) pairs;
	LIST_OF(struct item) map;
	const char *choice;
	size_t custom_len;
};

static const struct json_field item_fields[] = {
	F_STR(struct item, name, "name", .required = true),
	F_U32(struct item, n, "n"),
};
static const struct json_table item_table = JSON_TABLE(struct item, item_fields);
static const struct json_field entry_fields[] = {F_U32(struct item, n, "n")};
static const struct json_table entry_table =
	JSON_TABLE(struct item, entry_fields, .key = offsetof(struct item, name));
static const struct json_field pair_fields[] = {
	F_U16(struct all, pair.a, "a", .required = true),
	F_U16(struct all, pair.b, "b"),
};
static const struct json_table pair_table = JSON_TABLE(struct all, pair_fields);

static const char *const choices[] = {"red", "green", "blue", NULL};

static int read_custom(struct json_in *in, void *object)
{
	static const struct json_field field = {.kind = JSON_STRS};
	struct all *a = object;
	str_list list = {0};
	size_t begin = json_offset(in);
	int r = json_decode_value(in, &field, &list);

	if (r < 0)
		return r;
	if (list.n > 2)
		return json_fail(in, "at most two, got %zu", list.n);
	a->custom_len = json_offset(in) - begin;
	return 0;
}

#define A struct all
static const struct json_field all_fields[] = {
	F_STR(A, s, "s"),
	F_STR(A, text, "text", .empty_is_null = true),
	F_CHAR(A, c, "c", "xyz"),
	F_BOOL(A, b, "b", .present = JSON_PRESENT(A, given)),
	F_U16(A, u16, "u16"),
	F_I32(A, i32, "i32"),
	F_U32(A, u32, "u32"),
	F_I64(A, i64, "i64"),
	F_U64(A, u64, "u64"),
	F_I32(A, ranged, "ranged", .min = -5, .max = 5),
	F_OPT_BOOL(A, ob, "ob"),
	F_OPT_U32(A, ou32, "ou32"),
	F_OPT_I64(A, oi64, "oi64"),
	F_OPT_U64(A, ou64, "ou64"),
	F_OBJECT(A, in, "in", struct item, &item_table),
	F_OBJECT_PTR(A, ptr, "ptr", struct item, &item_table),
	F_SPREAD("pair", &pair_table),
	F_STRS(A, strs, "strs"),
	F_U32S(A, nums, "nums"),
	F_OBJECTS(A, items, "items", struct item, &item_table),
	F_PAIRS(A, pairs, "pairs", struct json_pair),
	F_OBJECT_MAP(A, map, "map", struct item, &entry_table),
	F_STR(A, choice, "choice", .allowed = choices),
	F_CUSTOM("custom", read_custom),
	F_REFUSED("refused", "not here"),
};
#undef A
static const struct json_table all_table = JSON_TABLE(struct all, all_fields);

static struct json_doc doc;
static struct err err;

/* The document is decoded from an exact copy, so that a sanitizer sees each byte read too far. */
static int decode_n(const char *text, size_t len, struct all *ret)
{
	autofree char *copy = malloc(len ? len : 1);

	json_doc_free(&doc);
	memcpy(copy, text, len);
	*ret = (struct all){0};
	err = (struct err){0};
	return json_decode(&doc, copy, len, "F", &all_table, ret, &err);
}

static int decode(const char *text, struct all *ret)
{
	return decode_n(text, strlen(text), ret);
}

static void test_scalars(void)
{
	struct all a;

	CHECK_INT(decode(" {\"s\" : \"x\" ,\"c\":\"y\",\n\"b\":true,\t\"u16\":65535,\"i32\":-2147483648,\r\n"
			 "\"u32\":4294967295,\"i64\":-9223372036854775808,\"u64\":18446744073709551615,"
			 "\"ranged\":-5,\"ob\":false,\"ou32\":0,\"oi64\":-1,\"ou64\":7} \n",
			 &a),
		  0);
	CHECK_STR(err.msg, "");
	CHECK_STR(a.s, "x");
	CHECK_INT(a.c, 'y');
	CHECK(a.b && a.given);
	CHECK_INT(a.u16, 65535);
	CHECK_INT(a.i32, INT32_MIN);
	CHECK_INT(a.u32, UINT32_MAX);
	CHECK(a.i64 == INT64_MIN && a.u64 == UINT64_MAX);
	CHECK_INT(a.ranged, -5);
	CHECK(a.ob.set && !a.ob.v && a.ou32.set && a.ou32.v == 0);
	CHECK(a.oi64.set && a.oi64.v == -1 && a.ou64.set && a.ou64.v == 7);

	CHECK_INT(decode("{}", &a), 0);
	CHECK(!a.s && !a.given && !a.ob.set && !a.ou32.set && !a.ptr && a.strs.n == 0);
	CHECK_INT(decode("{\"i64\":9223372036854775807,\"u64\":0,\"ranged\":-0,\"b\":false}", &a), 0);
	CHECK(a.i64 == INT64_MAX && !a.b && a.given);
	CHECK_INT(decode("{\"text\":\"\",\"s\":\"\"}", &a), 0);
	CHECK(!a.text);
	CHECK_STR(a.s, "");
}

static void test_null_and_unknown(void)
{
	struct all a;

	CHECK_INT(decode("{\"s\":null,\"b\":null,\"ptr\":null,\"strs\":null,\"items\":null,\"refused\":null}",
			 &a),
		  0);
	CHECK(!a.s && !a.given && !a.ptr);
	CHECK_INT(decode("{\"later\":{\"a\":[1,2.5e-3,{\"b\":[]}],\"c\":null},\"u32\":5,\"later\":[true,"
			 "false,{}]}",
			 &a),
		  0);
	CHECK_INT(a.u32, 5);
	/* As Go: another case will do, the exact name need not be first. */
	CHECK_INT(decode("{\"U32\":6,\"CHOICE\":\"red\"}", &a), 0);
	CHECK_INT(a.u32, 6);
	CHECK_STR(a.choice, "red");
}

static void test_objects(void)
{
	struct all a;

	CHECK_INT(
		decode("{\"in\":{\"n\":3,\"name\":\"i\"},\"ptr\":{\"name\":\"p\"},\"pair\":{\"b\":2,\"a\":1},"
		       "\"custom\":[ \"1\" ]}",
		       &a),
		0);
	CHECK_INT(a.in.n, 3);
	CHECK_STR(a.in.name, "i");
	CHECK_STR(a.ptr ? a.ptr->name : NULL, "p");
	CHECK(a.pair.a == 1 && a.pair.b == 2);
	CHECK_INT(a.custom_len, 7);
}

static void test_lists(void)
{
	struct all a;

	CHECK_INT(decode("{\"strs\":[\"a\",\"\",\"c\"],\"nums\":[1,2,3,4,5,6,7,8,9],\"items\":[{\"name\":"
			 "\"x\"},"
			 "{\"name\":\"y\",\"n\":2}],\"pairs\":{\"k\":\"v\",\"\":\"w\"},\"map\":{\"m\":{\"n\":"
			 "4},"
			 "\"e\":{}}}",
			 &a),
		  0);
	CHECK_INT(a.strs.n, 3);
	CHECK_STR(a.strs.v[1], "");
	CHECK_STR(a.strs.v[2], "c");
	CHECK_INT(a.nums.n, 9);
	for (uint32_t i = 0; i < 9; i++)
		CHECK_INT(a.nums.v[i], i + 1);
	CHECK_INT(a.items.n, 2);
	CHECK_STR(a.items.v[1].name, "y");
	CHECK_INT(a.items.v[1].n, 2);
	CHECK_INT(a.pairs.n, 2);
	CHECK_STR(a.pairs.v[0].key, "k");
	CHECK_STR(a.pairs.v[1].value, "w");
	CHECK_INT(a.map.n, 2);
	CHECK_STR(a.map.v[0].name, "m");
	CHECK_INT(a.map.v[0].n, 4);
	CHECK_INT(decode("{\"strs\":[],\"nums\":[ ],\"items\":[],\"pairs\":{},\"map\":{ }}", &a), 0);
	CHECK(a.strs.n == 0 && a.map.n == 0);
}

/* Lists that outgrow the arena's blocks, beside one another. */
static void test_long_lists(void)
{
	enum { N = 20000 };
	autofree char *text = malloc(N * 40);
	struct all a;
	size_t n = 0;
	bool same = true;

	n += (size_t)snprintf(text + n, 40, "{\"nums\":[0");
	for (int i = 1; i < N; i++)
		n += (size_t)snprintf(text + n, 40, ",%d", i);
	n += (size_t)snprintf(text + n, 40, "],\"items\":[{\"name\":\"0\"}");
	for (int i = 1; i < N; i++)
		n += (size_t)snprintf(text + n, 40, ",{\"name\":\"%d\",\"n\":%d}", i, i);
	n += (size_t)snprintf(text + n, 40, "]}");
	CHECK_INT(decode_n(text, n, &a), 0);
	CHECK(a.nums.n == N && a.items.n == N);
	for (uint32_t i = 0; i < a.items.n && a.nums.n == a.items.n; i++)
		same = same && a.nums.v[i] == i && a.items.v[i].n == i &&
		       strtol(a.items.v[i].name, NULL, 10) == (long)i;
	CHECK(same);
}

static void test_strings(void)
{
	struct all a;

	CHECK_INT(decode("{\"s\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"}", &a), 0);
	CHECK_STR(a.s, "a\"\\/\b\f\n\r\tz");
	CHECK_INT(decode("{\"s\":\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\\uFFFF\"}", &a), 0);
	CHECK_STR(a.s, "A\u00e4\u20ac\U0001F600\xef\xbf\xbf");
	CHECK_INT(decode("{\"s\":\"\u00e4\u20ac\U0001F600\x7f\"}", &a), 0);
	CHECK_STR(a.s, "\u00e4\u20ac\U0001F600\x7f");
	/* Names may be escaped too. */
	CHECK_INT(decode("{\"\\u0073\":\"x\"}", &a), 0);
	CHECK_STR(a.s, "x");
}

struct bad {
	const char *text, *message;
};

static void check_bad(const struct bad *bad, size_t n)
{
	struct all a;

	for (size_t i = 0; i < n; i++) {
		int r = decode(bad[i].text, &a);
		if (r != -EINVAL)
			fprintf(stderr, "for %s:\n", bad[i].text);
		CHECK_INT(r, -EINVAL);
		CHECK_STR(err.msg, bad[i].message);
	}
}

static void test_syntax_errors(void)
{
	static const struct bad bad[] = {
		{"", "F: line 1, column 1: expected an object, got the end of the text"},
		{" \n ", "F: line 2, column 2: expected an object, got the end of the text"},
		{"x", "F: line 1, column 1: expected an object, got \"x\""},
		{"[]", "F: expected an object, got a list"},
		{"null", "F: expected an object, got null"},
		{"{", "F: line 1, column 2: expected a name in quotes, got the end of the text"},
		{"{\"s\"", "F: line 1, column 5: expected a colon, got the end of the text"},
		{"{\"s\":", "F: line 1, column 6: expected a string, got the end of the text"},
		{"{\"s\":}", "F: line 1, column 6: expected a string, got \"}\""},
		{"{\"s\":\"x\"", "F: line 1, column 9: expected a comma or \"}\", got the end of the text"},
		{"{\"s\":\"x\" \"u16\":1}", "F: line 1, column 10: expected a comma or \"}\", got '\"'"},
		{"{\"s\":\"x\",}", "F: line 1, column 10: expected a name in quotes, got \"}\""},
		{"{,}", "F: line 1, column 2: expected a name in quotes, got \",\""},
		{"{s:1}", "F: line 1, column 2: expected a name in quotes, got \"s\""},
		{"{\n  \"u16\": 1\n  \"s\": 2\n}",
		 "F: line 3, column 3: expected a comma or \"}\", got '\"'"},
		{"{} {}", "F: line 1, column 4: expected the end of the text, got \"{\""},
		{"{}\n\001", "F: line 2, column 1: expected the end of the text, got byte 0x01"},
		{"{\"strs\":[\"a\" \"b\"]}", "F: line 1, column 14: expected a comma or \"]\", got '\"'"},
		{"{\"strs\":[\"a\",]}", "F: line 1, column 14: expected a string, got \"]\""},
		{"{\"strs\":[\"a\"}", "F: line 1, column 13: expected a comma or \"]\", got \"}\""},
		{"{\"x\":[1,]}", "F: line 1, column 9: expected a value, got \"]\""},
		{"{\"x\":tru}", "F: line 1, column 6: expected a value, got something else"},
		{"{\"b\":trve}", "F: line 1, column 6: expected a value, got something else"},
		{"{\"s\":nul}", "F: line 1, column 6: expected a value, got something else"},
		{"{\"u16\":-}", "F: line 1, column 9: expected a digit, got \"}\""},
		{"{\"u16\":01}", "F: line 1, column 8: a number with a leading zero"},
		{"{\"u16\":1.}", "F: line 1, column 10: expected a digit behind the point"},
		{"{\"u16\":1e+}", "F: line 1, column 11: expected a digit in the exponent"},
		{"{\"u16\":+1}", "F: line 1, column 8: expected a number from 0 to 65535, got \"+\""},
		{"{\"u16\":.5}", "F: line 1, column 8: expected a number from 0 to 65535, got \".\""},
		{"{\"x\":Infinity}", "F: line 1, column 6: expected a value, got \"I\""},
		{"{'s':1}", "F: line 1, column 2: expected a name in quotes, got \"'\""},
		{"{/* */}", "F: line 1, column 2: expected a name in quotes, got \"/\""},
		{"\xef\xbb\xbf{}", "F: line 1, column 1: expected an object, got byte 0xef"},
	};

	check_bad(bad, ARRAY_LEN(bad));
}

static void test_string_errors(void)
{
	static const struct bad bad[] = {
		{"{\"s\":\"x", "F: line 1, column 8: a string without an end"},
		{"{\"s\":\"x\n\"}", "F: line 1, column 8: a control character in a string"},
		{"{\"s\":\"\\", "F: line 1, column 7: unknown escape in a string"},
		{"{\"s\":\"\\x41\"}", "F: line 1, column 7: unknown escape in a string"},
		{"{\"s\":\"\\u12\"}", "F: line 1, column 7: expected four hexadecimal digits after \\u"},
		{"{\"s\":\"\\u12g4\"}", "F: line 1, column 7: expected four hexadecimal digits after \\u"},
		{"{\"s\":\"a\\u0000b\"}", "F: line 1, column 8: a string with a NUL character"},
		{"{\"s\":\"\\ud83d\"}", "F: line 1, column 7: half of a surrogate pair in a string"},
		{"{\"s\":\"\\ud83d\\u0041\"}", "F: line 1, column 7: half of a surrogate pair in a string"},
		{"{\"s\":\"\\ude00\"}", "F: line 1, column 7: half of a surrogate pair in a string"},
		{"{\"s\":\"\\ud83d\\ude\"}", "F: line 1, column 7: half of a surrogate pair in a string"},
		{"{\"s\":\"\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xc0\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xe0\x80\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xed\xa0\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xf0\x80\x80\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xf4\x90\x80\x80\"}", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"s\":\"\xf0\x9f\x98", "F: line 1, column 7: a string that is not UTF-8"},
		{"{\"unknown\":\"\xff\"}", "F: line 1, column 13: a string that is not UTF-8"},
	};
	struct all a;

	check_bad(bad, ARRAY_LEN(bad));
	CHECK_INT(decode_n("{\"s\":\"a\0b\"}", 11, &a), -EINVAL);
	CHECK_STR(err.msg, "F: line 1, column 8: a control character in a string");
	CHECK_INT(decode_n("{}\0", 3, &a), -EINVAL);
	CHECK_STR(err.msg, "F: line 1, column 3: expected the end of the text, got byte 0x00");
	CHECK_INT(decode_n("{\0}", 3, &a), -EINVAL);
}

static void test_type_errors(void)
{
	static const struct bad bad[] = {
		{"{\"s\":1}", "F: s: expected a string, got a number"},
		{"{\"s\":{}}", "F: s: expected a string, got an object"},
		{"{\"b\":\"true\"}", "F: b: expected true or false, got a string"},
		{"{\"b\":0}", "F: b: expected true or false, got a number"},
		{"{\"u32\":\"0\"}", "F: u32: expected a number from 0 to 4294967295, got a string"},
		{"{\"u32\":true}", "F: u32: expected a number from 0 to 4294967295, got true"},
		{"{\"u32\":-1}", "F: u32: expected a number from 0 to 4294967295, got -1"},
		{"{\"u32\":4294967296}", "F: u32: expected a number from 0 to 4294967295, got 4294967296"},
		{"{\"u32\":1.0}", "F: u32: expected a number from 0 to 4294967295, got 1.0"},
		{"{\"u32\":1e3}", "F: u32: expected a number from 0 to 4294967295, got 1e3"},
		{"{\"u16\":65536}", "F: u16: expected a number from 0 to 65535, got 65536"},
		{"{\"ranged\":6}", "F: ranged: expected a number from -5 to 5, got 6"},
		{"{\"ranged\":-6}", "F: ranged: expected a number from -5 to 5, got -6"},
		{"{\"i32\":2147483648}",
		 "F: i32: expected a number from -2147483648 to 2147483647, got 2147483648"},
		{"{\"i64\":9223372036854775808}", "F: i64: expected a number from -9223372036854775808 to "
						  "9223372036854775807, got 9223372036854775808"},
		{"{\"i64\":-9223372036854775809}", "F: i64: expected a number from -9223372036854775808 to "
						   "9223372036854775807, got -9223372036854775809"},
		{"{\"u64\":18446744073709551616}",
		 "F: u64: expected a number from 0 to 18446744073709551615, got 18446744073709551616"},
		{"{\"u64\":99999999999999999999999999}",
		 "F: u64: expected a number from 0 to 18446744073709551615, got 99999999999999999999999999"},
		{"{\"c\":\"q\"}", "F: c: expected \"x\", \"y\" or \"z\", got \"q\""},
		{"{\"c\":\"\"}", "F: c: expected \"x\", \"y\" or \"z\", got \"\""},
		{"{\"c\":\"xy\"}", "F: c: expected \"x\", \"y\" or \"z\", got \"xy\""},
		{"{\"c\":5}", "F: c: expected \"x\", \"y\" or \"z\", got a number"},
		{"{\"choice\":\"pink\"}", "F: choice: expected \"red\", \"green\" or \"blue\", got \"pink\""},
		{"{\"choice\":[]}", "F: choice: expected \"red\", \"green\" or \"blue\", got a list"},
		{"{\"in\":[]}", "F: in: expected an object, got a list"},
		{"{\"ptr\":3}", "F: ptr: expected an object, got a number"},
		{"{\"strs\":\"x\"}", "F: strs: expected a list of strings, got a string"},
		{"{\"strs\":[\"x\",7]}", "F: strs[1]: expected a string, got a number"},
		{"{\"strs\":[null]}", "F: strs[0]: expected a string, got null"},
		{"{\"nums\":[1,2,-3]}", "F: nums[2]: expected a number from 0 to 4294967295, got -3"},
		{"{\"nums\":{}}", "F: nums: expected a list of numbers, got an object"},
		{"{\"items\":{}}", "F: items: expected a list of objects, got an object"},
		{"{\"items\":[[]]}", "F: items[0]: expected an object, got a list"},
		{"{\"pairs\":[]}", "F: pairs: expected an object, got a list"},
		{"{\"pairs\":{\"a\":1}}", "F: pairs[\"a\"]: expected a string, got a number"},
		{"{\"map\":{\"k\":{\"n\":\"x\"}}}",
		 "F: map[\"k\"].n: expected a number from 0 to 4294967295, got a string"},
		{"{\"map\":{\"k\":null}}", "F: map[\"k\"]: expected an object, got null"},
		{"{\"items\":[{\"name\":\"a\"},{\"name\":\"b\",\"n\":[]}]}",
		 "F: items[1].n: expected a number from 0 to 4294967295, got a list"},
	};

	check_bad(bad, ARRAY_LEN(bad));
}

static void test_rule_errors(void)
{
	static const struct bad bad[] = {
		{"{\"in\":{}}", "F: in.name: expected a string, got nothing"},
		{"{\"in\":{\"name\":null}}", "F: in.name: expected a string, got nothing"},
		{"{\"items\":[{\"name\":\"a\"},{\"n\":1}]}",
		 "F: items[1].name: expected a string, got nothing"},
		{"{\"pair\":{\"b\":1}}", "F: pair.a: expected a number from 0 to 65535, got nothing"},
		{"{\"u16\":1,\"u16\":1}", "F: u16: given twice"},
		{"{\"u16\":null,\"u16\":1}", "F: u16: given twice"},
		{"{\"u16\":1,\"U16\":1}", "F: u16: given twice"},
		{"{\"pairs\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}}", "F: pairs[\"a\"]: given twice"},
		{"{\"map\":{\"a\":{},\"a\":{}}}", "F: map[\"a\"]: given twice"},
		{"{\"refused\":{}}", "F: refused: not here"},
		{"{\"custom\":[\"a\",\"b\",\"c\"]}", "F: custom: at most two, got 3"},
		{"{\"custom\":1}", "F: custom: expected a list of strings, got a number"},
		{"{\"pairs\":{\"x\\n\\u001b[2J\":0}}",
		 "F: pairs[\"x??[2J\"]: expected a string, got a number"},
	};

	check_bad(bad, ARRAY_LEN(bad));
}

static void test_limits(void)
{
	enum { DEEP = JSON_DEPTH_MAX + 10, MANY = JSON_LIST_MAX + 10 };
	struct all a;
	char deep[DEEP * 2 + 16];
	autofree char *many = malloc(MANY * 3 + 16);

	/* The outermost object is one level. */
	for (int levels = JSON_DEPTH_MAX - 1; levels <= JSON_DEPTH_MAX; levels++) {
		size_t n = (size_t)snprintf(deep, sizeof(deep), "{\"x\":");
		memset(deep + n, '[', (size_t)levels);
		memset(deep + n + levels, ']', (size_t)levels);
		memcpy(deep + n + 2 * levels, "}", 2);
		CHECK_INT(decode(deep, &a), levels < JSON_DEPTH_MAX ? 0 : -E2BIG);
	}
	CHECK_STR(err.msg, "F: line 1, column 69: more than 64 objects and lists inside one another");
	CHECK_INT(err.code, E2BIG);

	size_t n = (size_t)snprintf(many, 16, "{\"nums\":[1");
	for (int i = 1; i < JSON_LIST_MAX; i++, n += 2)
		memcpy(many + n, ",1", 2);
	memcpy(many + n, "]}", 3);
	CHECK_INT(decode(many, &a), 0);
	CHECK_INT(a.nums.n, JSON_LIST_MAX);
	memcpy(many + n, ",1]}", 5);
	CHECK_INT(decode(many, &a), -E2BIG);
	CHECK_STR(err.msg, "F: nums[131072]: more than 131072 elements");
}

int main(void)
{
	test_scalars();
	test_null_and_unknown();
	test_objects();
	test_lists();
	test_long_lists();
	test_strings();
	test_syntax_errors();
	test_string_errors();
	test_type_errors();
	test_rule_errors();
	test_limits();
	json_doc_free(&doc);
	return test_end();
}
