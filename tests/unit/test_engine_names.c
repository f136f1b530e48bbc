/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include "test.h"

static void made_up(void)
{
	struct err err = {0};
	char name[64], id[65], other[65];

	for (int i = 0; i < 200; i++) {
		engine_random_name(name, sizeof(name));
		CHECK(strchr(name, '_') != NULL);
		CHECK_INT(engine_name_check(name, &err), 0);
	}
	engine_random_id(id);
	engine_random_id(other);
	CHECK_INT(strlen(id), 64);
	CHECK_INT(strspn(id, "0123456789abcdef"), 64);
	CHECK(!streq(id, other));
	CHECK(strspn(id, "0123456789") < 12);
}

static void checked(void)
{
	static const char *const bad[] = {"",	 "-x",	 ".x",	"_x",	    "a b",
					  "a/b", "../x", "x:y", "\xc3\xa9", "a\n"};
	static const char *const good[] = {"a", "web", "web-1", "A.b_c-D", "0"};
	struct err err = {0};
	char long_name[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(engine_name_check(bad[i], &err), -EINVAL);
		CHECK_INT(engine_volume_name_check(bad[i], &err), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(engine_name_check(good[i], &err), 0);
	memset(long_name, 'a', sizeof(long_name));
	long_name[256] = '\0';
	CHECK_INT(engine_name_check(long_name, &err), -EINVAL);
	CHECK_INT(engine_name_check("a b", &err), -EINVAL);
	CHECK_STR(err.msg, "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

int main(void)
{
	made_up();
	checked();
	return test_end();
}
