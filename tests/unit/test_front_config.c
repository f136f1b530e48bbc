/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/str.h"
#include "front/cli/config.h"
#include "front/cli/value.h"

/* The sample as it is installed, and with every key in use. */
static void test_sample(void)
{
	struct err err = {0};
	struct config c;
	struct str path autostr = {0}, used autostr = {0};
	autofree char *text = NULL;
	size_t len = 0, keys = 0;

	str_put_n(&path, __FILE__, (size_t)(strrchr(__FILE__, '/') - __FILE__));
	str_put(&path, "/../../docs/coffer.toml");
	CHECK_INT(file_read_at(AT_FDCWD, path.s, 1 << 20, &text, &len), 0);
	if (!text)
		return;
	CHECK_INT(config_decode(text, len, "sample", &c, &err), 0);
	CHECK(!c.root && !c.layers && c.registries.hosts.n == 0);
	config_free(&c);
	/* "#key = value" and "#[table]": a blank behind the sign marks prose. */
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		bool key = *p == '#' && p[1] != ' ' && p[1] != '\n';
		keys += key;
		str_put_n(&used, p + key, strcspn(p + key, "\n"));
		str_put(&used, "\n");
	}
	int r = config_decode(used.s, used.len, "sample", &c, &err);
	CHECK_STR(r < 0 ? err.msg : "", "");
	CHECK(keys > 40);
	CHECK_STR(c.root, "/var/lib/coffer");
	CHECK_STR(c.cgroup_manager, "cgroupfs");
	CHECK_STR(c.containers.log_opts.v[0].key, "max-size");
	CHECK_STR(c.registries.hosts.v[0].host, "registry.example:5000");
	CHECK_STR(c.formats.ps, "table {{.Names}}\t{{.Status}}\t{{.Ports}}");
	config_free(&c);
}

static void test_refused(const char *text, const char *want)
{
	struct err err = {0};
	struct config c;

	CHECK_INT(config_decode(text, strlen(text), "f", &c, &err), -EINVAL);
	CHECK_STR(err.msg, want);
}

static void test_fetch(void)
{
	static const char text[] = "[storage]\nlayers = 'directory'\n[registries]\nparallel = 3\n"
				   "[registries.hosts.'a:5000']\ninsecure = true\nmirrors = ['m']\n";
	struct err err = {0};
	struct config c;
	autofree char *json = NULL, *none = NULL;

	CHECK_INT(config_decode(text, strlen(text), "f", &c, &err), 0);
	CHECK_INT(config_fetch_settings(&c, &json, &err), 0);
	CHECK_STR(json, "{\"hosts\":[{\"host\":\"a:5000\",\"insecure\":true,\"mirrors\":[\"m\"]}],\"layers\":"
			"\"directory\",\"parallel\":3}");
	config_free(&c);
	CHECK_INT(config_decode("", 0, "f", &c, &err), 0);
	CHECK_INT(config_fetch_settings(&c, &none, &err), 0);
	CHECK(!none);
	config_free(&c);
}

static void test_names(void)
{
	static const char text[] = "[registries]\nshort_names = 'quay.example'\n[registries.aliases]\n"
				   "app = 'reg:5000/team/app'\n";
	static const char *const names[][2] = {
		{"nginx", "quay.example/nginx"},
		{"team/x:1", "quay.example/team/x:1"},
		{"app", "reg:5000/team/app"},
		{"app:2", "reg:5000/team/app:2"},
		{"app@sha256:00", "reg:5000/team/app@sha256:00"},
		{"docker.io/library/nginx", "docker.io/library/nginx"},
		{"localhost/x", "localhost/x"},
		{"h:5000/x", "h:5000/x"},
		{"sha256:abc", "sha256:abc"},
		{"0123456789ab", "0123456789ab"},
	};
	struct err err = {0};
	struct config c;
	struct json_doc memory autojson = {0};

	CHECK_INT(config_decode(text, strlen(text), "f", &c, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		CHECK_STR(config_image_name(&c, &memory, names[i][0]), names[i][1]);
	config_free(&c);
	CHECK_INT(config_decode("", 0, "f", &c, &err), 0);
	CHECK_STR(config_image_name(&c, &memory, "nginx"), "nginx");
	config_free(&c);
}

int main(void)
{
	test_sample();
	test_refused("[storage]\nlayer = 'x'",
		     "f:2: unknown key \"storage.layer\": did you mean \"storage.layers\"?");
	test_refused("[engine]\nroot = 'x'", "f: engine.root must be an absolute path, not \"x\"");
	test_refused("[registries.hosts.h]\nclient_key = '/k'",
		     "f: client_cert and client_key of h belong together: give both");
	test_refused("[registries]\nparallel = 99",
		     "f:2: registries.parallel: expected a number from 1 to 32, got 99");
	test_refused("[containers]\ninit = 'yes'",
		     "f:2: containers.init: expected true or false, got a string");
	test_fetch();
	test_names();
	return test_end();
}
