/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/fetch/challenge.h"

#include "base/str.h"

static void test_bearer(void)
{
	struct challenges c autochallenges = {0};

	CHECK_INT(challenges_add(
			  &c, "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
			      "scope=\"repository:library/nginx:pull\""),
		  0);
	CHECK(c.bearer && !c.basic);
	CHECK_STR(c.realm, "https://auth.docker.io/token");
	CHECK_STR(c.service, "registry.docker.io");
	CHECK_STR(c.scope, "repository:library/nginx:pull");
	CHECK(!c.error);
}

static void test_forms(void)
{
	static const struct {
		const char *text, *realm;
		bool basic, bearer;
	} forms[] = {
		{"Basic realm=\"x\"", NULL, true, false},
		{"basic", NULL, true, false},
		{"BEARER REALM=\"r\"", "r", false, true},
		{"Bearer realm=r", "r", false, true},
		{"Bearer realm=\"a\\\"b\\\\c\"", "a\"b\\c", false, true},
		{"Bearer  realm = \"r\" , service = \"s\"", "r", false, true},
		{", ,Basic realm=\"x\", Bearer realm=\"r\",", "r", true, true},
		{"Bearer realm=\"r\",error=\"insufficient_scope\", Basic realm=\"x\"", "r", true, true},
		{"Negotiate, Basic realm=\"x, Bearer realm=y\"", NULL, true, false},
		{"Digest realm=\"x\", nonce=\"y\", Basic realm=z", NULL, true, false},
		{"Bearer service=\"s\"", NULL, false, false}, /* no realm: nothing can be asked */
		{"Bearer realm=\"one\", Bearer realm=\"two\"", "one", false, true},
		{"", NULL, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct challenges c autochallenges = {0};
		CHECK_INT(challenges_add(&c, forms[i].text), 0);
		CHECK_INT(c.basic, forms[i].basic);
		CHECK_INT(c.bearer, forms[i].bearer);
		if (forms[i].realm)
			CHECK_STR(c.realm, forms[i].realm);
		else
			CHECK(!c.realm);
	}
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"Bearer realm=\"open",
		"Bearer realm=\"a\" realm=\"b\"",
		"Bearer realm=\"a\",realm=\"b\"",
		"=",
		"\"",
		"Bearer realm=\"a\x01\"",
		"Bearer realm=\"a\nb\"",
		"@",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct challenges c autochallenges = {0};
		CHECK_INT(challenges_add(&c, bad[i]), -EINVAL);
		CHECK(!c.bearer && !c.realm);
	}
}

static void test_several_fields(void)
{
	struct challenges c autochallenges = {0};
	struct str huge autostr = {0};

	CHECK_INT(challenges_add(&c, "Basic realm=x"), 0);
	CHECK_INT(challenges_add(&c, "Bearer realm=\"bad"), -EINVAL);
	CHECK_INT(challenges_add(&c, "Bearer realm=r"), 0);
	CHECK(c.basic && c.bearer);
	for (int i = 0; i < 20000; i++)
		str_put(&huge, "x,");
	CHECK_INT(challenges_add(&c, huge.s), -EINVAL);
}

int main(void)
{
	test_bearer();
	test_forms();
	test_refused();
	test_several_fields();
	return test_end();
}
