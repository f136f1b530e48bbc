/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions, paths, and what systemd is told: nothing here touches the machine's groups. */
#include "host/cgroup_int.h"
#include "host/systemd.h"
#include "test.h"

#define SET(field, value) ((field).v = (value), (field).set = true)

static void test_weights(void)
{
	CHECK_INT(cgroup_shares_to_weight(0), 0);
	CHECK_INT(cgroup_shares_to_weight(1), 1);
	CHECK_INT(cgroup_shares_to_weight(2), 1);
	CHECK_INT(cgroup_shares_to_weight(1024), 100);
	CHECK_INT(cgroup_shares_to_weight(512), 59);
	CHECK_INT(cgroup_shares_to_weight(2048), 174);
	CHECK_INT(cgroup_shares_to_weight(262144), 10000);
	CHECK_INT(cgroup_shares_to_weight(UINT64_MAX), 10000);
	for (uint64_t s = 2; s < 262144; s += 97)
		CHECK(cgroup_shares_to_weight(s) <= cgroup_shares_to_weight(s + 97));
	CHECK_INT(cgroup_blkio_to_io_weight(10), 1);
	CHECK_INT(cgroup_blkio_to_io_weight(1000), 10000);
	CHECK_INT(systemd_round_quota(12345, 100000), 13000);
	CHECK_INT(systemd_round_quota(50000, 100000), 50000);
	CHECK_INT(systemd_round_quota(-1, 100000), -1);
}

static void test_swap(void)
{
	static const struct {
		int64_t limit, swap;
		int result;
		bool set;
		int64_t want;
	} cases[] = {
		{100, 300, 0, true, 200},   {100, 100, 0, true, 0},	  {100, -1, 0, true, -1},
		{100, 0, 0, false, 0},	    {-1, 0, 0, true, -1},	  {-1, 50, 0, true, 50},
		{0, 50, -EINVAL, false, 0}, {100, 50, -EINVAL, false, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oci_memory m = {0};
		struct err err = {0};
		int64_t got = 0;
		bool set = false;
		SET(m.limit, cases[i].limit);
		SET(m.swap, cases[i].swap);
		CHECK_INT(cgroup_swap_v2(&m, &set, &got, &err), cases[i].result);
		if (cases[i].result == 0) {
			CHECK_INT(set, cases[i].set);
			CHECK_INT(set ? got : 0, cases[i].want);
		}
	}
}

static void test_paths(void)
{
	static const char *const cases[][2] = {
		{"/a/b", "/a/b"},
		{"a//b/", "/a/b"},
		{"../../etc", "/etc"},
		{"/a/../../b/./c", "/b/c"},
		{"", "/"},
		{"/..", "/"},
		{".", "/"},
		{"/a/..b/...", "/a/..b/..."},
		{"/a/b/../..", "/"},
		{"//x//y//../z", "/x/z"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autofree char *got = cgroup_clean_path(cases[i][0]);
		CHECK_STR(got, cases[i][1]);
	}
}

static void test_lists(void)
{
	char text[] = "a,bb,,c", *s = text;

	CHECK_STR(cgroup_next(&s, ','), "a");
	CHECK_STR(cgroup_next(&s, ','), "bb");
	CHECK_STR(cgroup_next(&s, ','), "");
	CHECK_STR(cgroup_next(&s, ','), "c");
	CHECK(cgroup_next(&s, ',') == NULL);
	CHECK(cgroup_list_has("cpuset cpu io", "cpu"));
	CHECK(cgroup_list_has("cpu", "cpu"));
	CHECK(!cgroup_list_has("cpuset io", "cpu"));
	CHECK(!cgroup_list_has("", "cpu"));
}

static void expect_line(const struct str *b, const char *line)
{
	if (!b->s || !strstr(b->s, line))
		fprintf(stderr, "lacks \"%s\" in:\n%s", line, b->s ? b->s : "");
	CHECK(b->s && strstr(b->s, line));
}

static void test_properties(void)
{
	struct cgroup cg = {.v2 = true, .systemd = true};
	struct oci_pair unified[] = {{"memory.high", "1000"}, {"cpu.max", "max 50000"}, {"pids.max", "0"}};
	struct oci_resources r = {0};
	struct err err = {0};
	struct str b autostr = {0}, c autostr = {0};

	SET(r.memory.limit, 1000);
	SET(r.memory.swap, 3000);
	SET(r.cpu.shares, 1024);
	SET(r.cpu.quota, 12345);
	SET(r.cpu.period, 100000);
	SET(r.pids_limit, 0);
	r.cpu.cpus = "0-3, 9";
	CHECK_INT(systemd_properties(&cg, &r, true, &b, &err), 0);
	expect_line(&b, "prop 0 MemoryMax uint64 1000\n");
	expect_line(&b, "prop 0 MemorySwapMax uint64 2000\n");
	expect_line(&b, "prop 0 CPUWeight uint64 100\n");
	expect_line(&b, "prop 0 CPUQuotaPeriodUSec uint64 100000\n");
	expect_line(&b, "prop 0 CPUQuotaPerSecUSec uint64 130000\n");
	expect_line(&b, "prop 0 TasksMax uint64 1\n");
	expect_line(&b, "prop 0 AllowedCPUs @ay [15, 2]\n");
	expect_line(&b, "prop 0 DevicePolicy 'strict'\n");
	expect_line(&b, "('/dev/char/1:3', 'rwm'), ");
	expect_line(&b, "('char-136', 'rwm'), ");
	expect_line(&b, "('char-*', 'm'), ");

	r = (struct oci_resources){0};
	r.unified.v = unified;
	r.unified.n = ARRAY_LEN(unified);
	CHECK_INT(systemd_properties(&cg, &r, false, &c, &err), 0);
	CHECK_STR(c.s, "prop 0 MemoryHigh uint64 1000\nprop 0 CPUQuotaPeriodUSec uint64 50000\n"
		       "prop 0 CPUQuotaPerSecUSec uint64 18446744073709551615\nprop 0 TasksMax uint64 1\n");
	unified[0].key = "a/b";
	CHECK(systemd_properties(&cg, &r, false, &c, &err) < 0);
	unified[0].key = "nodot";
	CHECK(systemd_properties(&cg, &r, false, &c, &err) < 0);
	CHECK_STR(err.msg, "unified resource \"nodot\" must be in the form CONTROLLER.PARAMETER");
	r = (struct oci_resources){0};
	r.cpu.cpus = "3-1";
	CHECK(systemd_properties(&cg, &r, false, &c, &err) < 0);
	r.cpu.cpus = "99999";
	CHECK(systemd_properties(&cg, &r, false, &c, &err) < 0);
}

int main(void)
{
	test_weights();
	test_swap();
	test_paths();
	test_lists();
	test_properties();
	return test_end();
}
