/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/nearest.h"
#include "base/toml.h"

static void test_json(const char *toml, const char *want)
{
	struct err err = {0};
	autofree char *json = NULL;

	if (toml_to_json(toml, strlen(toml), "f", &json, &err) < 0)
		CHECK_STR(err.msg, want);
	else
		CHECK_STR(json, want);
}

static void test_values(void)
{
	test_json("", "{}");
	test_json("# only a comment", "{}");
	test_json("a = 1\r\nb = -2 # c\n", "{\"a\":1,\"b\":-2}");
	test_json("a=+1_000\nb=0xFF\nc=0o17\nd=0b101\ne=0",
		  "{\"a\":1000,\"b\":255,\"c\":15,\"d\":5,\"e\":0}");
	test_json("a=9223372036854775807", "{\"a\":9223372036854775807}");
	test_json("a=1.5\nb=1e3\nc=-0.1E-2", "{\"a\":1.5,\"b\":1e3,\"c\":-0.1E-2}");
	test_json("a=true\nb=false", "{\"a\":true,\"b\":false}");
	test_json("a=\"x\\ty\\u00e9\\U0001F600\"", "{\"a\":\"x\\ty\u00e9\U0001F600\"}");
	test_json("a='c:\\x'", "{\"a\":\"c:\\\\x\"}");
	test_json("a=\"\"\"\nx\ny\\\n   z\"\"\"", "{\"a\":\"x\\nyz\"}");
	test_json("a=\"\"\"x\"\"\"\"\"", "{\"a\":\"x\\\"\\\"\"}");
	test_json("a='''\n'x'\n'''", "{\"a\":\"'x'\\n\"}");
	test_json("a=[1, # one\n 2,\n]\nb=[]", "{\"a\":[1,2],\"b\":[]}");
	test_json("a={x=1, y.z='q'}\nb={}", "{\"a\":{\"x\":1,\"y\":{\"z\":\"q\"}},\"b\":{}}");
	test_json("a.b.c=1\na.d=2", "{\"a\":{\"b\":{\"c\":1},\"d\":2}}");
	test_json("\"a b\".'c.d'=1", "{\"a b\":{\"c.d\":1}}");
}

static void test_tables(void)
{
	test_json("[a]\nx=1\n[b.c]\ny=2\n[b]\nz=3", "{\"a\":{\"x\":1},\"b\":{\"c\":{\"y\":2},\"z\":3}}");
	test_json("[[a]]\nx=1\n[[a]]\n[a.b]\ny=2", "{\"a\":[{\"x\":1},{\"b\":{\"y\":2}}]}");
	test_json("[a]\n[a]", "f:2: \"a\" was defined on line 1");
	test_json("a=1\na=2", "f:2: \"a\" was defined on line 1");
	test_json("a={x=1}\n[a.b]", "f:2: \"a\" was defined on line 1 and is no table to add to");
	test_json("a={x=1}\na.y=2", "f:2: \"a\" was defined on line 1");
	test_json("[a.b]\n[a]\nb.c=1", "f:3: \"b\" was defined on line 1");
	test_json("a=[1]\n[[a]]", "f:2: \"a\" was defined on line 1");
	test_json("[[a]]\n[a]", "f:2: \"a\" was defined on line 1");
}

static void test_refused(void)
{
	test_json("a", "f:1: expected \"=\" behind the key, got the end of the file");
	test_json("a=\n", "f:1: expected a value, got the end of the line");
	test_json("\n\na = yes", "f:3: expected a value: a string stands in quotes, as in \"yes\"");
	test_json("a=1 b=2", "f:1: expected the end of the line, got \"b\"");
	test_json("a=01", "f:1: a number that begins with 0");
	test_json("a=1__0", "f:1: expected the end of the value, got \"_\"");
	test_json("a=9223372036854775808", "f:1: 9223372036854775808 is too large a number");
	test_json("a=1979-05-27", "f:1: dates and times are not known here: write them as a string");
	test_json("a=\"x", "f:1: a string without its closing quote");
	test_json("a=\"\\q\"",
		  "f:1: expected an escape (\\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX), got \"q\"");
	test_json("a=\"\\u0000\"", "f:1: U+0000 cannot stand in a string");
	test_json("a=\"\xff\"", "f:1: byte 0xff in a string");
	test_json("a=[1 2]", "f:1: expected a comma or \"]\", got \"2\"");
	test_json("a={x=1,}", "f:1: expected a key, got \"}\"");
	test_json("[a", "f:1: expected \"]\", got the end of the file");
	test_json("=1", "f:1: expected a key, got \"=\"");
	test_json("a=inf", "f:1: expected a value: a string stands in quotes, as in \"inf\"");
}

struct inner {
	const char *layers;
	bool sync;
};
struct outer {
	struct inner storage;
	int64_t n;
	str_list list;
	LIST_OF(struct inner) many;
	LIST_OF(struct json_pair) map;
};

static const char *const layers[] = {"auto", "erofs", "directory", NULL};
static const struct json_field inner_fields[] = {
	F_STR(struct inner, layers, "layers", .allowed = layers),
	F_BOOL(struct inner, sync, "sync"),
};
static const struct json_table inner_table = JSON_TABLE(struct inner, inner_fields);
static const struct json_field outer_fields[] = {
	F_OBJECT(struct outer, storage, "storage", struct inner, &inner_table),
	F_I64(struct outer, n, "n", .min = 1, .max = 9),
	F_STRS(struct outer, list, "list"),
	F_OBJECTS(struct outer, many, "many", struct inner, &inner_table),
	F_PAIRS(struct outer, map, "map", struct json_pair),
};
static const struct json_table outer_table = JSON_TABLE(struct outer, outer_fields);

static void test_decode_error(const char *toml, const char *want)
{
	struct err err = {0};
	struct outer o = {0};
	struct json_doc doc autojson = {0};

	CHECK(toml_decode(&doc, toml, strlen(toml), "f", &outer_table, &o, &err) < 0);
	CHECK_STR(err.msg, want);
}

static void test_decode(void)
{
	static const char text[] = "n = 5\nlist = ['a', 'b']\n[storage]\nlayers = 'erofs'\nsync = true\n"
				   "[[many]]\nlayers = 'auto'\n[map]\n'k.e' = 'v'\n";
	struct err err = {0};
	struct outer o = {0};
	struct json_doc doc autojson = {0};

	CHECK_INT(toml_decode(&doc, text, strlen(text), "f", &outer_table, &o, &err), 0);
	CHECK_STR(o.storage.layers, "erofs");
	CHECK(o.storage.sync && o.n == 5 && o.list.n == 2 && o.many.n == 1 && o.map.n == 1);
	CHECK_STR(o.map.v[0].key, "k.e");
	test_decode_error("\n[storage]\nlayer='x'",
			  "f:3: unknown key \"storage.layer\": did you mean \"storage.layers\"?");
	test_decode_error("zzz=1", "f:1: unknown key \"zzz\"");
	test_decode_error(
		"[storage]\nlayers='erofz'",
		"f:2: storage.layers: \"erofz\" is not known: one of \"auto\", \"erofs\", \"directory\"");
	test_decode_error("n=10", "f:1: n: expected a number from 1 to 9, got 10");
	test_decode_error("n='1'", "f:1: n: expected a number, got a string");
	test_decode_error("list=[1]", "f:1: list: expected a string, got a number");
	test_decode_error("[map]\nx=1", "f:2: map.\"x\": expected a string, got a number");
	test_decode_error("[[many]]\nsync=1", "f:2: many.sync: expected true or false, got a number");
}

static void test_nearest(void)
{
	static const char *const words[] = {"run", "rename", "restart", NULL};

	CHECK_STR(nearest_word("rnu", words, 4, sizeof(*words)), "run");
	CHECK_STR(nearest_word("restrat", words, 4, sizeof(*words)), "restart");
	CHECK(!nearest_word("xyz", words, 4, sizeof(*words)));
	CHECK_INT(nearest_distance("ab", "ba", 3), 1);
	CHECK_INT(nearest_distance("kitten", "sitting", 5), 3);
	CHECK_INT(nearest_distance("abc", "abc", 2), 0);
}

int main(void)
{
	test_values();
	test_tables();
	test_refused();
	test_decode();
	test_nearest();
	return test_end();
}
