/* SPDX-License-Identifier: Apache-2.0 */
/* No machine of ours has the hardware: texts, plans, comparisons. */
#include "test.h"

#include "host/intelrdt.h"

static void test_matches(void)
{
	const char *have = "    L3:0=00ff;1=0f0\n    MB:0= 70;1=100\nL2:0=f\n";

	CHECK(intelrdt_schema_matches(have, "L3:0=ff;1=f0"));
	CHECK(intelrdt_schema_matches(have, "L3:1=F0"));
	CHECK(intelrdt_schema_matches(have, "MB:1=100;0=70"));
	CHECK(intelrdt_schema_matches(have, "L2:0=f"));
	CHECK(!intelrdt_schema_matches(have, "L3:0=ff;1=ff"));
	CHECK(!intelrdt_schema_matches(have, "L3:2=ff"));
	CHECK(!intelrdt_schema_matches(have, "L4:0=ff"));
	CHECK(!intelrdt_schema_matches(have, "L3:0"));
	CHECK(!intelrdt_schema_matches(have, "L3"));
	CHECK(!intelrdt_schema_matches(have, "MB:0=7"));
	CHECK(!intelrdt_schema_matches("", "MB:0=7"));
	CHECK(!intelrdt_schema_matches(have, ""));
}

int main(void)
{
	struct oci_intel_rdt r = {.l3_cache_schema = "L3:0=f"},
			     clos = {.clos_id = "gold", .enable_monitoring = true}, bad = {.clos_id = "../x"},
			     top = {.clos_id = "/"};
	struct intelrdt g;
	struct err err = {0};

	test_matches();
	CHECK_INT(intelrdt_check(NULL, &err), 0);
	if (!intelrdt_enabled()) {
		CHECK_INT(intelrdt_check(&r, &err), -ENOTSUP);
		CHECK_STR(err.msg, "intelRdt is specified in config, but Intel RDT is not enabled");
	}
	CHECK_INT(intelrdt_plan(NULL, "id", &g, &err), 0);
	CHECK(g.dir == NULL && g.mon_dir == NULL);
	CHECK_INT(intelrdt_apply(&g, NULL, 1, &err), 0);
	CHECK_INT(intelrdt_remove(&g, &err), 0);
	CHECK_INT(intelrdt_plan(&r, "id", &g, &err), 0);
	CHECK_STR(g.dir, "/sys/fs/resctrl/id");
	CHECK(g.mon_dir == NULL);
	intelrdt_free(&g);
	CHECK_INT(intelrdt_plan(&clos, "id", &g, &err), 0);
	CHECK_STR(g.dir, "/sys/fs/resctrl/gold");
	CHECK_STR(g.mon_dir, "/sys/fs/resctrl/gold/mon_groups/id");
	CHECK_INT(intelrdt_remove(&g, &err), 0);
	intelrdt_free(&g);
	CHECK_INT(intelrdt_plan(&top, "id", &g, &err), 0);
	CHECK_STR(g.dir, "/sys/fs/resctrl");
	intelrdt_free(&g);
	CHECK_INT(intelrdt_plan(&bad, "id", &g, &err), -EINVAL);
	CHECK_STR(err.msg, "invalid intelRdt.ClosID \"../x\"");
	return test_end();
}
