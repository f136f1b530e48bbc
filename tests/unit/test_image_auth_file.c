/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/fetch/auth_file.h"

static const char sample[] =
	"{ \"auths\": {\n"
	"  \"https://index.docker.io/v1/\": {\"auth\": \"aHVi\"},\n"
	"  \"registry.example:5000\": {\"auth\": \"cGxhaW4=\"},\n"
	"  \"registry.example:5000/team\": {\"auth\": \"dGVhbQ==\"},\n"
	"  \"registry.example:5000/team/app\": {\"auth\": \"YXBw\"},\n"
	"  \"https://url.example/v2/\": {\"identitytoken\": \"t\", \"username\": \"u\"}},\n"
	" \"credHelpers\": {\"gcr.io\": \"gcloud\", \"docker.io\": \"hub\"},\n"
	" \"credsStore\": \"secretservice\", \"psFormat\": \"x\" }";

static const char *auth_of(const struct auth_file *f, const char *host, const char *repository)
{
	const struct auth_entry *e = auth_file_find(f, host, repository);

	return e ? (e->auth ? e->auth : e->identity_token) : "none";
}

static void test_find(void)
{
	struct auth_file f autoauthfile = {0};
	struct err err = {0};

	CHECK_INT(auth_file_decode(sample, strlen(sample), "config.json", &f, &err), 0);
	CHECK_INT(f.auths.n, 5);
	CHECK_STR(auth_of(&f, "docker.io", "library/nginx"), "aHVi");
	CHECK_STR(auth_of(&f, "index.docker.io", NULL), "aHVi");
	CHECK_STR(auth_of(&f, "registry.example:5000", NULL), "cGxhaW4=");
	CHECK_STR(auth_of(&f, "registry.example:5000", "other"), "cGxhaW4=");
	CHECK_STR(auth_of(&f, "registry.example:5000", "team/x"), "dGVhbQ==");
	CHECK_STR(auth_of(&f, "registry.example:5000", "teams"), "cGxhaW4=");
	CHECK_STR(auth_of(&f, "registry.example:5000", "team/app"), "YXBw");
	CHECK_STR(auth_of(&f, "registry.example:5000", "team/apple"), "dGVhbQ==");
	CHECK_STR(auth_of(&f, "url.example", "x"), "t");
	/* Another port, a longer or a shorter name: another host. */
	CHECK_STR(auth_of(&f, "registry.example", NULL), "none");
	CHECK_STR(auth_of(&f, "registry.example:500", NULL), "none");
	CHECK_STR(auth_of(&f, "registry.example:50000", NULL), "none");
	CHECK_STR(auth_of(&f, "evil-url.example", NULL), "none");
	CHECK_STR(auth_of(&f, "url.example.evil", NULL), "none");
	CHECK_STR(auth_file_helper(&f, "gcr.io"), "gcloud");
	CHECK_STR(auth_file_helper(&f, "docker.io"), "hub");
	CHECK_STR(auth_file_helper(&f, "registry.example:5000"), "secretservice");
	CHECK_STR(auth_file_key("docker.io"), AUTH_HUB_KEY);
	CHECK_STR(auth_file_key("x:1"), "x:1");
}

static void edited(const char *before, const char *server, const char *entry, const char *want, bool changed)
{
	autofree char *text = NULL;
	struct err err = {0};
	bool was = !changed;

	CHECK_INT(auth_file_edit(before, strlen(before), "f", server, entry, &text, &was, &err), 0);
	CHECK_STR(text, want);
	CHECK_INT(was, changed);
}

static void test_edit(void)
{
	edited("{}", "h", "{}", "{\n\t\"auths\": {\n\t\t\"h\": {}\n\t}\n}\n", false);
	edited("{}", "h", NULL, "{}\n", false);
	edited("{\"auths\":{\"a\":{},\"h\":{\"auth\":\"x\"}},\"n\": [1, 2.5e3, \"],}\\\"\"]}", "h", NULL,
	       "{\n\t\"auths\": {\n\t\t\"a\": {}\n\t},\n\t\"n\": [1, 2.5e3, \"],}\\\"\"]\n}\n", true);
	edited("{\"x\":true,\"auths\":{\"h\":{\"auth\":\"x\"}}}", "h", "{\"auth\":\"y\"}",
	       "{\n\t\"x\": true,\n\t\"auths\": {\n\t\t\"h\": {\"auth\":\"y\"}\n\t}\n}\n", true);
	edited(" { \"auths\" : null , \"x\" : null } ", "h", "{}",
	       "{\n\t\"auths\": {\n\t\t\"h\": {}\n\t},\n\t\"x\": null\n}\n", false);
}

static void test_bad(void)
{
	static const char *const bad[] = {"",
					  "[]",
					  "{",
					  "{\"auths\":[]}",
					  "{\"auths\":{\"x\":1}}",
					  "{\"credsStore\":1}",
					  "{\"credHelpers\":{\"x\":{}}}",
					  "{} {}"};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct auth_file f = {0};
		char *text = NULL;
		bool changed;
		CHECK(auth_file_decode(bad[i], strlen(bad[i]), "f", &f, &err) < 0);
		CHECK(auth_file_edit(bad[i], strlen(bad[i]), "f", "h", "{}", &text, &changed, &err) < 0);
		CHECK(!text);
	}
}

int main(void)
{
	test_find();
	test_edit();
	test_bad();
	return test_end();
}
