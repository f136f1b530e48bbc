/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that go out: state, container process state, features, the default spec. */
#include "test.h"

#include "oci/config.h"
#include "oci/container_state.h"
#include "oci/features_doc.h"
#include "oci/names.h"
#include "oci/spec_default.h"
#include "oci/state.h"

static struct oci_pair pairs[] = {{"z", "1"}, {"a.b", "2\""}, {"k", ""}};
static const pair_list annotations = {.v = pairs, .n = ARRAY_LEN(pairs)};

static const struct oci_state state = {
	.id = "c1",
	.status = "running",
	.pid = 42,
	.bundle = "/b",
	.annotations = &annotations,
	.rootfs = "/b/rootfs",
	.created = {.tv_sec = 1735787045, .tv_nsec = 120000000},
	.owner = "root",
};

static void test_time(void)
{
	CHECK_STR(oci_time((struct timespec){1735787045, 0}).s, "2025-01-02T03:04:05Z");
	CHECK_STR(oci_time((struct timespec){1735787045, 123456789}).s, "2025-01-02T03:04:05.123456789Z");
	CHECK_STR(oci_time((struct timespec){1735787045, 1}).s, "2025-01-02T03:04:05.000000001Z");
	CHECK_STR(oci_time((struct timespec){1735787045, 500000000}).s, "2025-01-02T03:04:05.5Z");
	CHECK_STR(oci_time((struct timespec){0, 0}).s, "1970-01-01T00:00:00Z");
	CHECK(strlen(oci_time((struct timespec){INT64_MAX, -5}).s) < 48);
}

static void test_state(void)
{
	struct json_out out autojsonout = {.indent = "  "};

	oci_state_write(&out, NULL, &state);
	autofree char *text = json_take(&out);
	CHECK_STR(text, "{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": \"c1\",\n  \"pid\": 42,\n  \"status\": "
			"\"running\",\n"
			"  \"bundle\": \"/b\",\n  \"rootfs\": \"/b/rootfs\",\n  \"created\": "
			"\"2025-01-02T03:04:05.12Z\",\n  \"annotations\": {\n    \"a.b\": \"2\\\"\",\n    "
			"\"k\": \"\",\n"
			"    \"z\": \"1\"\n  },\n  \"owner\": \"root\"\n}");
	CHECK_STR(pairs[0].key, "z"); /* sorted in a copy */

	struct oci_state stopped = state;
	stopped.annotations = NULL;
	stopped.status = "stopped";
	stopped.pid = 0;
	stopped.owner = NULL;
	struct json_out compact autojsonout = {0};
	oci_state_write(&compact, NULL, &stopped);
	autofree char *line = json_take(&compact);
	CHECK_STR(
		line,
		"{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"pid\":0,\"status\":\"stopped\",\"bundle\":\"/b\","
		"\"rootfs\":\"/b/rootfs\",\"created\":\"2025-01-02T03:04:05.12Z\",\"owner\":\"\"}");
	oci_state_write_spec(&compact, NULL, &stopped);
	autofree char *spec = json_take(&compact);
	CHECK_STR(spec, "{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"status\":\"stopped\",\"bundle\":\"/b\"}");
}

static void test_container_process_state(void)
{
	static const char *const fds[] = {OCI_SECCOMP_FD_NAME};
	struct oci_state s = state;
	struct err err;
	char *text = NULL;

	s.annotations = NULL;
	struct oci_container_process_state cps = {
		.fds = fds, .nfds = 1, .pid = 43, .metadata = "meta", .state = &s};
	CHECK_INT(oci_container_process_state_text(&cps, &text, &err), 0);
	CHECK_STR(text, "{\"ociVersion\":\"1.3.0\",\"fds\":[\"seccompFd\"],\"pid\":43,\"metadata\":\"meta\","
			"\"state\":"
			"{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"status\":\"running\",\"pid\":42,"
			"\"bundle\":\"/b\"}}");
	free(text);
	cps.metadata = NULL;
	CHECK_INT(oci_container_process_state_text(&cps, &text, &err), 0);
	CHECK(!strstr(text, "metadata"));
	free(text);
}

static void test_features(void)
{
	static const char *const options[] = {"ro", NULL}, *const unsafe[] = {"bundle", NULL};
	struct err err;
	char *text = NULL;
	struct oci_features f = {
		.version_min = OCI_VERSION_MIN,
		.version_max = OCI_VERSION,
		.hooks = oci_hook_names,
		.mount_options = options,
		.namespaces = oci_namespace_names,
		.cgroup = {.v1 = true, .rdma = true},
		.seccomp = {.enabled = true, .actions = oci_seccomp_actions},
		.idmap_mounts = true,
		.annotations = annotations,
		.unsafe_config_annotations = unsafe,
	};

	CHECK_INT(oci_features_text(&f, &text, &err), 0);
	CHECK(str_starts(
		text,
		"{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1.3.0\",\n    \"hooks\": [\n"
		"        \"prestart\",\n"));
	CHECK(strstr(text, "\"mountOptions\": [\n        \"ro\"\n    ],\n    \"linux\": {"));
	CHECK(strstr(text, "\"cgroup\": {\n            \"v1\": true,\n            \"v2\": false,\n"
			   "            \"systemd\": false,\n            \"systemdUser\": false,\n"
			   "            \"rdma\": true\n        }"));
	CHECK(strstr(text, "\"seccomp\": {\n            \"enabled\": true,\n            \"actions\": [\n"));
	CHECK(!strstr(text, "operators") && !strstr(text, "capabilities")); /* unknown: left out */
	CHECK(strstr(text,
		     "\"mountExtensions\": {\n            \"idmap\": {\n                \"enabled\": true"));
	CHECK(str_ends(
		text,
		"    \"annotations\": {\n        \"z\": \"1\",\n        \"a.b\": \"2\\\"\",\n        \"k\": "
		"\"\"\n    },\n    \"potentiallyUnsafeConfigAnnotations\": [\n        \"bundle\"\n    ]\n}"));
	free(text);
}

/* What we write, we can read; and it says what runc's says. */
static void check_spec(const struct oci_spec_options *o, struct oci_config *c)
{
	struct err err = {0};
	char *text = NULL;

	CHECK_INT(oci_spec_default(o, &text, &err), 0);
	CHECK(str_starts(text,
			 "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n"));
	CHECK(strstr(text, "\"args\": [\n\t\t\t\"sh\"\n\t\t],")); /* scripts replace "sh" by name */
	CHECK(str_ends(text, "\n}"));
	CHECK_INT(oci_config_parse(text, strlen(text), "spec", c, &err), 0);
	CHECK_STR(err.msg, "");
	free(text);
}

static void test_spec(void)
{
	struct oci_config c;

	check_spec(&(struct oci_spec_options){0}, &c);
	CHECK_STR(c.process->cwd, "/");
	CHECK(c.process->terminal && c.process->no_new_privileges && c.root_readonly);
	CHECK_STR(c.process->env.v[1], "TERM=xterm");
	CHECK(c.process->caps.bounding.n == 3 && c.process->caps.ambient.n == 0);
	CHECK_INT(c.process->rlimits.v[0].hard, 1024);
	CHECK_STR(c.hostname, "coffer");
	CHECK_INT(c.mounts.n, 7);
	CHECK_STR(c.mounts.v[5].type, "sysfs");
	CHECK_INT(c.mounts.v[2].options.n, 6);
	CHECK(c.linux.namespaces.n == 5 && c.linux.ns[OCI_NS_NETWORK].wanted &&
	      !c.linux.ns[OCI_NS_USER].wanted);
	CHECK(c.linux.resources.devices.n == 1 && !c.linux.resources.devices.v[0].allow);
	CHECK(c.linux.masked_paths.n == 10 && c.linux.readonly_paths.n == 5);
	oci_config_free(&c);

	check_spec(&(struct oci_spec_options){.rootless = true, .uid = 1000, .gid = 1001, .cgroup_ns = true},
		   &c);
	CHECK(!c.linux.has_resources && !c.linux.ns[OCI_NS_NETWORK].wanted && c.linux.ns[OCI_NS_USER].wanted);
	CHECK(c.linux.ns[OCI_NS_CGROUP].wanted);
	CHECK(c.linux.uid_mappings.v[0].host == 1000 && c.linux.gid_mappings.v[0].host == 1001);
	CHECK_STR(c.mounts.v[5].type, "none");
	CHECK_STR(c.mounts.v[5].options.v[0], "rbind");
	CHECK_INT(c.mounts.v[2].options.n, 5); /* no gid=5 */
	oci_config_free(&c);
}

int main(void)
{
	test_time();
	test_state();
	test_container_process_state();
	test_features();
	test_spec();
	return test_end();
}
