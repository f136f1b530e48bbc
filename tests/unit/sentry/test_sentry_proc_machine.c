/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's texts cut down to a container's limits. */
#include "../test.h"

#include "sentry/proc/machine.h"

static char *taken(struct str *out)
{
	char *text = str_take(out);

	return text ? text : strdup("");
}

static void test_meminfo(void)
{
	static const char host[] =
		"MemTotal:       24683656 kB\nMemFree:        19403632 kB\nMemAvailable:   23397052 kB\n"
		"Cached:          4376364 kB\nHugePages_Total:       0\n";
	const struct memory_view m = {.total = 64 << 20,
				      .free = 32 << 20,
				      .cached = 8 << 20,
				      .inactive_file = 4 << 20,
				      .active_file = 2 << 20};
	struct str out = {0};
	autofree char *got = NULL;

	CHECK_INT(meminfo_limit(host, &m, &out), 0);
	got = taken(&out);
	CHECK_STR(got,
		  "MemTotal:          65536 kB\nMemFree:           32768 kB\nMemAvailable:      37888 kB\n"
		  "Cached:             8192 kB\nHugePages_Total:       0\n");
}

static void test_processors(void)
{
	static const char info[] = "processor\t: 0\nmodel\t: x\n\nprocessor\t: 1\nmodel\t: y\n\n";
	static const char stat[] =
		"cpu  3 3 3 3 3 3 3 3 3 3\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 2 2 2 2 2 2 2 2 2 2\n"
		"intr 5 1 2 3\nbtime 9\n";
	autofree char *first = NULL, *second = NULL;
	struct str out = {0};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	CHECK_INT(cpuinfo_limit(info, &one, &out), 0);
	first = taken(&out);
	CHECK_STR(first, "processor\t: 1\nmodel\t: y\n\n");
	CHECK_INT(machine_stat_limit(stat, &one, &out), 0);
	second = taken(&out);
	CHECK_STR(second, "cpu  2 2 2 2 2 2 2 2 2 2\ncpu1 2 2 2 2 2 2 2 2 2 2\nintr 0\nbtime 9\n");
}

int main(void)
{
	test_meminfo();
	test_processors();
	return test_end();
}
