/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/record.h"
#include "base/file.h"
#include "test.h"

static void write_and_read(int dir)
{
	struct oci_pair pairs[] = {{"org.example", "value \"quoted\""}, {"empty", ""}};
	struct oci_config config = {.annotations = {.v = pairs, .n = 2}};
	struct cgroup cg = {.systemd = true,
			    .path = (char[]){"/a/b"},
			    .v2_dir = (char[]){"/sys/fs/cgroup/a/b"},
			    .slice = (char[]){"x.slice"}};
	struct intelrdt rdt = {.dir = (char[]){"/sys/fs/resctrl/x"}, .made = true};
	struct record_new n = {.id = "one",
			       .bundle = "/bundle",
			       .rootfs = "/bundle/rootfs",
			       .isolation = "ns",
			       .created = {.tv_sec = 17, .tv_nsec = 123456789},
			       .rootless = true,
			       .config = &config,
			       .cgroup = &cg,
			       .intel_rdt = &rdt};
	struct record r;
	struct cgroup back;
	struct intelrdt rdt_back;
	struct err err = {0};

	cg.v1_dir[CG_MEMORY] = (char[]){"/sys/fs/cgroup/memory/a/b"};
	cg.v1_dir[CG_NAMED_SYSTEMD] = (char[]){"/sys/fs/cgroup/systemd/a/b"};
	CHECK_INT(record_read(dir, &r, &err), -ENOENT);
	CHECK_INT(record_write(dir, &n, &err), 0);
	CHECK_INT(record_read(dir, &r, &err), 0);
	CHECK_STR(r.id, "one");
	CHECK_STR(r.bundle, "/bundle");
	CHECK_STR(r.rootfs, "/bundle/rootfs");
	CHECK_STR(r.isolation, "ns");
	CHECK(r.rootless && r.created_sec == 17 && r.created_nsec == 123456789);
	CHECK_INT(r.annotations.n, 2);
	CHECK_STR(r.annotations.v[0].value, "value \"quoted\"");
	CHECK_STR(r.annotations.v[1].value, "");
	record_cgroup(&r, &back);
	CHECK(back.systemd && !back.v2 && !back.none && !back.user_manager);
	CHECK_STR(back.path, "/a/b");
	CHECK_STR(back.v2_dir, "/sys/fs/cgroup/a/b");
	CHECK_STR(back.slice, "x.slice");
	CHECK(!back.scope && !back.v1_dir[CG_CPU]);
	CHECK_STR(back.v1_dir[CG_MEMORY], "/sys/fs/cgroup/memory/a/b");
	CHECK_STR(back.v1_dir[CG_NAMED_SYSTEMD], "/sys/fs/cgroup/systemd/a/b");
	record_intel_rdt(&r, &rdt_back);
	CHECK_STR(rdt_back.dir, "/sys/fs/resctrl/x");
	CHECK(rdt_back.made && !rdt_back.mon_dir);
	record_free(&r);
}

static void refuse(int dir, const char *text)
{
	struct record r;
	struct err err = {0};

	CHECK_INT(file_replace_at(dir, "state.json", text, strlen(text), 0600, false), 0);
	CHECK(record_read(dir, &r, &err) < 0);
	CHECK(str_starts(err.msg, "state.json"));
}

int main(void)
{
	char root[] = "/tmp/coffer-record-XXXXXX";

	if (!mkdtemp(root))
		return 1;
	autoclose int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_and_read(dir);
	refuse(dir, "");
	refuse(dir, "{}");
	refuse(dir, "[]");
	refuse(dir, "{\"version\":2,\"id\":\"a\",\"bundle\":\"/b\",\"rootfs\":\"/"
		    "r\",\"isolation\":\"ns\",\"cgroup\":{}}");
	refuse(dir, "{\"version\":1,\"id\":\"a\",\"bundle\":\"/b\",\"rootfs\":\"/"
		    "r\",\"isolation\":\"ns\",\"cgroup\":[]}");
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + strlen("/tmp/")), 0);
	return test_end();
}
