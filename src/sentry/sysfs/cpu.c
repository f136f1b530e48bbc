/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sys/devices/system/cpu and node: the CPUs that the guest may believe in
 * (sys/system.h), each a core of its own in one package on one node.
 */
#include "sentry/sysfs/tree.h"

#include "base/str.h"
#include "sentry/sys/system.h"

/* "0-3,6\n" */
static void show_list(struct synth_text *text, const cpu_set_t *set)
{
	const char *comma = "";

	for (int i = 0; i < CPU_SETSIZE; i++) {
		int first = i;
		if (!CPU_ISSET(i, set))
			continue;
		while (i + 1 < CPU_SETSIZE && CPU_ISSET(i + 1, set))
			i++;
		if (i > first)
			synth_printf(text, "%s%d-%d", comma, first, i);
		else
			synth_printf(text, "%s%d", comma, i);
		comma = ",";
	}
	synth_printf(text, "\n");
}

/* Words of 32 bits from the highest that is needed, as the kernel writes masks. */
static void show_mask(struct synth_text *text, const cpu_set_t *set)
{
	int last = 0;

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			last = i;
	for (int word = last / 32; word >= 0; word--) {
		uint32_t bits = 0;
		for (int i = 0; i < 32; i++)
			bits |= (uint32_t)CPU_ISSET(word * 32 + i, set) << i;
		synth_printf(text, "%0*x%s", last < 32 ? 1 : 8, bits, word ? "," : "\n");
	}
}

static int show_cpus(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	cpu_set_t set;

	cpus_visible(&set);
	show_list(text, &set);
	return 0;
}

static int show_cpus_mask(struct task *t unused, const struct synth_node *node unused,
			  struct synth_text *text)
{
	cpu_set_t set;

	cpus_visible(&set);
	show_mask(text, &set);
	return 0;
}

static int show_self(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	synth_printf(text, "%u\n", (unsigned)node->arg);
	return 0;
}

static int show_self_mask(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((int)node->arg, &set);
	show_mask(text, &set);
	return 0;
}

static int show_0(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	synth_printf(text, "0\n");
	return 0;
}

static int show_1(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	synth_printf(text, "1\n");
	return 0;
}

static int show_no_cpus(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	synth_printf(text, "\n");
	return 0;
}

static int show_kernel_max(struct task *t unused, const struct synth_node *node unused,
			   struct synth_text *text)
{
	synth_printf(text, "%d\n", CPU_SETSIZE - 1);
	return 0;
}

static const struct tree_entry topology[] = {
	TREE_FILE("core_cpus", show_self_mask),
	TREE_FILE("core_cpus_list", show_self),
	TREE_FILE("core_id", show_self),
	TREE_FILE("core_siblings", show_cpus_mask),
	TREE_FILE("core_siblings_list", show_cpus),
	TREE_FILE("die_id", show_0),
	TREE_FILE("package_cpus", show_cpus_mask),
	TREE_FILE("package_cpus_list", show_cpus),
	TREE_FILE("physical_package_id", show_0),
	TREE_FILE("thread_siblings", show_self_mask),
	TREE_FILE("thread_siblings_list", show_self),
	TREE_END,
};
static const struct tree_entry one_cpu[] = {TREE_FILE("online", show_1), TREE_DIR("topology", topology),
					    TREE_END};
static const struct tree_entry cpu_instance = TREE_DIR(NULL, one_cpu);

/* The number behind a prefix, as it must be written: no signs, no leading zeros. */
static int64_t number_behind(const char *name, const char *prefix)
{
	uint64_t n;

	if (!str_starts(name, prefix))
		return -ENOENT;
	name += strlen(prefix);
	if ((name[0] == '0' && name[1]) || str_to_u64(name, 10, &n) < 0 || n >= CPU_SETSIZE)
		return -ENOENT;
	return (int64_t)n;
}

static int64_t find_cpu(const char *name)
{
	int64_t n = number_behind(name, "cpu");
	cpu_set_t set;

	cpus_visible(&set);
	return n >= 0 && CPU_ISSET((int)n, &set) ? n : -ENOENT;
}

static int64_t next_cpu(uint64_t from, char *name, size_t size)
{
	cpu_set_t set;

	cpus_visible(&set);
	for (uint64_t i = from; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((int)i, &set)) {
			ignore_result(snprintf(name, size, "cpu%u", (unsigned)i)); /* fits */
			return (int64_t)i;
		}
	return -1;
}

const struct tree_family sysfs_cpus = {&cpu_instance, find_cpu, next_cpu};
const struct tree_entry sysfs_cpu[] = {
	TREE_FILE("isolated", show_no_cpus),
	TREE_FILE("kernel_max", show_kernel_max),
	TREE_FILE("offline", show_no_cpus),
	TREE_FILE("online", show_cpus),
	TREE_FILE("possible", show_cpus),
	TREE_FILE("present", show_cpus),
	TREE_END,
};

/* ---- memory nodes: one ---- */

static int show_node_memory(struct task *t unused, const struct synth_node *node unused,
			    struct synth_text *text)
{
	struct memory_view v;

	memory_view(&v);
	synth_printf(text,
		     "Node 0 MemTotal:       %8llu kB\nNode 0 MemFree:        %8llu kB\n"
		     "Node 0 MemUsed:        %8llu kB\nNode 0 FilePages:      %8llu kB\n",
		     (unsigned long long)v.total >> 10, (unsigned long long)v.free >> 10,
		     (unsigned long long)(v.total - v.free) >> 10, (unsigned long long)v.cached >> 10);
	return 0;
}

static int show_distance(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	synth_printf(text, "10\n");
	return 0;
}

static const struct tree_entry one_node[] = {
	TREE_FILE("cpulist", show_cpus),
	TREE_FILE("cpumap", show_cpus_mask),
	TREE_FILE("distance", show_distance),
	TREE_FILE("meminfo", show_node_memory),
	TREE_END,
};
static const struct tree_entry node_instance = TREE_DIR(NULL, one_node);

static int64_t find_node(const char *name)
{
	return streq(name, "node0") ? 0 : -ENOENT;
}

static int64_t next_node(uint64_t from, char *name, size_t size)
{
	if (from > 0)
		return -1;
	ignore_result(snprintf(name, size, "node0")); /* fits */
	return 0;
}

const struct tree_family sysfs_nodes = {&node_instance, find_node, next_node};
const struct tree_entry sysfs_node[] = {
	TREE_FILE("has_cpu", show_0), TREE_FILE("has_memory", show_0), TREE_FILE("has_normal_memory", show_0),
	TREE_FILE("online", show_0),  TREE_FILE("possible", show_0),   TREE_END,
};
