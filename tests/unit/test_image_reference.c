/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/content.h"

#define SHA "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct err err;

static void good(const char *text, const char *full, const char *familiar)
{
	struct reference r autoreference = {0};

	err = (struct err){0};
	CHECK_INT(reference_parse(text, &r, &err), 0);
	if (err.code) {
		fprintf(stderr, "%s: %s\n", text, err.msg);
		return;
	}
	autofree char *f = reference_full(&r), *k = reference_familiar(&r);
	CHECK_STR(f, full);
	CHECK_STR(k, familiar);
}

static void bad(const char *text, const char *why)
{
	struct reference r = {0};

	err = (struct err){0};
	CHECK_INT(reference_parse(text, &r, &err), -EINVAL);
	CHECK(!r.domain);
	if (!strstr(err.msg, why)) {
		fprintf(stderr, "%s: %s\n", text, err.msg);
		CHECK(!"the reason");
	}
}

static void test_good(void)
{
	good("nginx", "docker.io/library/nginx:latest", "nginx:latest");
	good("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25");
	good("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest");
	good("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest");
	good("user/x__y.z---w:T_1.-", "docker.io/user/x__y.z---w:T_1.-", "user/x__y.z---w:T_1.-");
	good("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest");
	good("localhost/x", "localhost/x:latest", "localhost/x:latest");
	good("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000");
	good("library/nginx/y", "docker.io/library/nginx/y:latest", "library/nginx/y:latest");
	good("Host/x", "Host/x:latest", "Host/x:latest");
	good("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y");
	good("nginx@" SHA, "docker.io/library/nginx@" SHA, "nginx@" SHA);
	good("nginx:1@" SHA, "docker.io/library/nginx:1@" SHA, "nginx:1@" SHA);
	good("quay.io/a/b/c:d", "quay.io/a/b/c:d", "quay.io/a/b/c:d");
	good("docker.io/docker.io/x", "docker.io/docker.io/x:latest", "docker.io/docker.io/x:latest");
}

static void test_bad(void)
{
	char text[400];

	bad("", "empty");
	bad("docker.io/", "empty");
	bad("NGINX", "repository name (library/NGINX) must be lowercase");
	bad("a/NGINX:x", "must be lowercase");
	bad("nginx:", "the tag");
	bad("nginx:-x", "the tag");
	bad("nginx:a b", "the tag");
	bad("nginx:a:b", "the tag");
	bad("a//b", "invalid reference format");
	bad("/a", "invalid reference format");
	bad("a/", "invalid reference format");
	bad("a..b", "invalid reference format");
	bad("a___b", "invalid reference format");
	bad("-a", "invalid reference format");
	bad("a-", "invalid reference format");
	bad("../../etc/passwd", "no registry");
	bad("a/../b", "invalid reference format");
	bad("-x.y/z", "no registry");
	bad("x.y:/z", "no registry");
	bad("x.y:port/z", "no registry");
	bad("x.y:123456/z", "no registry");
	bad("[::1/z", "no registry");
	bad("x y", "invalid reference format");
	bad("x\ny", "invalid reference format");
	bad("x@sha256:123", "no digest");
	bad("x@sha512:"
	    "123",
	    "not supported");
	bad("x@" SHA "0", "no digest");
	bad("x@../../../x", "no digest");
	bad("x@" SHA "@" SHA, "no digest");
	bad(SHA + 7, "64-byte hexadecimal");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	bad(text, "longer than 255");
	memcpy(text, "nginx:", 6);
	text[6 + 129] = '\0';
	bad(text, "the tag");
}

static void rule(const struct reference_rules *rules, const char *text, const char *full,
		 const char *familiar)
{
	struct reference r autoreference = {0};

	CHECK_INT(reference_parse_short(text, rules, &r, &err), 0);
	autofree char *f = reference_full(&r), *k = reference_familiar_short(&r, rules);
	CHECK_STR(f, full);
	CHECK_STR(k, familiar);
}

static void test_rules(void)
{
	struct oci_pair aliases[] = {{"nginx", "quay.io/nginx/stable"}, {"py", "docker.io/library/python:3"}};
	struct oci_pair wrong[] = {{"x", "quay.io/UPPER"}};
	struct reference_rules rules = {.aliases = {aliases, 2}}, quay = {.default_domain = "quay.io"},
			       broken = {.aliases = {wrong, 1}};
	struct reference r = {0};

	rule(&rules, "nginx:1", "quay.io/nginx/stable:1", "quay.io/nginx/stable:1");
	rule(&rules, "nginx", "quay.io/nginx/stable:latest", "quay.io/nginx/stable:latest");
	rule(&rules, "nginx@" SHA, "quay.io/nginx/stable@" SHA, "quay.io/nginx/stable@" SHA);
	rule(&rules, "py", "docker.io/library/python:3", "python:3");
	rule(&rules, "py:2", "docker.io/library/python:2", "python:2");
	/* The short form would lead to the alias: the full one is shown. */
	rule(&rules, "docker.io/nginx", "docker.io/library/nginx:latest", "docker.io/library/nginx:latest");
	rule(&quay, "a/b", "quay.io/a/b:latest", "a/b:latest");
	rule(&quay, "docker.io/nginx", "docker.io/library/nginx:latest", "docker.io/library/nginx:latest");
	CHECK_INT(reference_parse_short("x", &broken, &r, &err), -EINVAL);
	CHECK(strstr(err.msg, "the alias of \"x\"") != NULL);
}

int main(void)
{
	test_good();
	test_bad();
	test_rules();
	CHECK_INT(digest_check(SHA, &err), 0);
	CHECK_INT(
		digest_check("sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &err),
		-EINVAL);
	return test_end();
}
