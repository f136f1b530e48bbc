/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/fetch/settings.h"

static int decode(const char *text, struct settings *s)
{
	struct err err = {0};

	return settings_decode(text, strlen(text), s, &err);
}

static void test_settings_decode(void)
{
	struct settings s = {0};
	struct err err = {0};

	CHECK_INT(settings_decode(NULL, 0, &s, &err), 0);
	CHECK_INT(s.parallel, 6);
	CHECK(!settings_host(&s, "docker.io"));
	settings_free(&s);
	CHECK_INT(decode("{\"hosts\":[{\"host\":\"r:5000\",\"insecure\":true,\"mirrors\":[\"m\",\"http://n/"
			 "p\"]}],"
			 "\"retries\":2,\"aliases\":{\"a\":\"b/c\"}}",
			 &s),
		  0);
	const struct host_settings *h = settings_host(&s, "R:5000");
	CHECK(h && h->insecure && h->mirrors.n == 2);
	CHECK(!settings_host(&s, "r"));
	CHECK_INT(s.retries, 2);
	CHECK_STR(s.rules.aliases.v[0].value, "b/c");
	settings_free(&s);
}

static void test_settings_bad(void)
{
	static const char *const bad[] = {
		"{\"hosts\":[{}]}",
		"{\"hosts\":[{\"host\":\"\"}]}",
		"{\"hosts\":[{\"host\":\"a/b\"}]}",
		"{\"hosts\":[{\"host\":\"a\",\"ca_file\":\"relative\"}]}",
		"{\"hosts\":[{\"host\":\"a\",\"client_cert\":\"/x\"}]}",
		"{\"parallel\":0}",
		"{\"parallel\":1000}",
		"{\"layers\":\"zfs\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct settings s = {0};
		CHECK(decode(bad[i], &s) < 0);
	}
}

static void test_loopback(void)
{
	static const char *const yes[] = {"localhost",	  "localhost:5000", "127.0.0.1",
					  "127.9.8.7:80", "[::1]:5000",	    "LOCALHOST"};
	static const char *const no[] = {"localhost.evil.example",
					 "127.0.0.1.nip.example",
					 "128.0.0.1",
					 "127.1",
					 "example.com:127",
					 "[::2]",
					 "[::1.example",
					 "",
					 "xlocalhost",
					 "::1"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		CHECK(host_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		CHECK(!host_is_loopback(no[i]));
}

int main(void)
{
	test_settings_decode();
	test_settings_bad();
	test_loopback();
	return test_end();
}
