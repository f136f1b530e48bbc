/* SPDX-License-Identifier: Apache-2.0 */
/* Values of org.systemd.property.* annotations; they come from config.json and are not to be trusted. */
#include "host/sdbus/variant.h"
#include "test.h"

static void test_signatures(void)
{
	static const char *const cases[][2] = {
		{"true", "b"},
		{"'text'", "s"},
		{"\"it's\"", "s"},
		{"17", "i"},
		{"-3", "i"},
		{"1.5", "d"},
		{"uint64 5", "t"},
		{"  uint32  7 ", "u"},
		{"['a', 'b']", "as"},
		{"[uint32 1, 2]", "au"},
		{"@au []", "au"},
		{"@a(ss) [('/dev/null', 'rw')]", "a(ss)"},
		{"('a', 5)", "(si)"},
		{"[[1], [2, 3]]", "aai"},
		{"b'bytes\\x00'", "ay"},
		{"'\\\\x2d'", "s"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		char got[64] = "";
		CHECK_INT(variant_signature(cases[i][0], got, sizeof(got), &err), 0);
		CHECK_STR(got, cases[i][1]);
	}
}

static void test_refusals(void)
{
	static const char *const cases[] = {
		"",
		"word",
		"'open",
		"[",
		"[]",
		"[1, 'a'",
		"()",
		"1 2",
		"uint64",
		"@",
		"['a' 'b']",
		"]",
		"[[[[[[[[[[1]]]]]]]]]]",
		"'\\",
		"b",
		"'a' trailing",
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		char got[64];
		CHECK(variant_signature(cases[i], got, sizeof(got), &err) < 0);
		CHECK(err.msg[0] != '\0');
	}
}

static void test_seconds(void)
{
	struct err err = {0};
	uint64_t us = 0;

	CHECK_INT(variant_seconds("uint64 7", &us, &err), 0);
	CHECK_INT(us, 7000000);
	CHECK_INT(variant_seconds("1.5", &us, &err), 0);
	CHECK_INT(us, 1500000);
	CHECK(variant_seconds("-1", &us, &err) < 0);
	CHECK(variant_seconds("'x'", &us, &err) < 0);
	CHECK(variant_seconds("inf", &us, &err) < 0);
}

/* No text may do more than fail: a short pass of what looks like the grammar. */
static void test_noise(void)
{
	static const char alphabet[] = "[](),'\"@ab1.-\\xu ";
	unsigned seed = 1;
	char text[33], got[64];

	for (int i = 0; i < 200000; i++) {
		size_t n = (seed >> 8) % 32;
		for (size_t k = 0; k < n; k++) {
			seed = seed * 1103515245 + 12345;
			text[k] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		text[n] = '\0';
		seed = seed * 1103515245 + 12345;
		struct err err = {0};
		if (variant_signature(text, got, sizeof(got), &err) == 0)
			test_checks += got[0] != '\0';
	}
}

int main(void)
{
	test_signatures();
	test_refusals();
	test_seconds();
	test_noise();
	return test_end();
}
