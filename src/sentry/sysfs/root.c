/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sys, as far as C libraries, runtimes and the usual tools look: how many
 * CPUs there are, huge pages, network interfaces.  Buses and devices are not
 * the guest's; their directories are there, and empty.
 */
#include "sentry/sysfs/tree.h"

static int show_huge(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	if (streq(tree_name(node), "hpage_pmd_size"))
		synth_printf(text, "%u\n", 2u << 20);
	else if (streq(tree_name(node), "shmem_enabled"))
		synth_printf(text, "always within_size advise [never] deny force\n");
	else if (streq(tree_name(node), "defrag"))
		synth_printf(text, "always defer defer+madvise [madvise] never\n");
	else
		synth_printf(text, "always [madvise] never\n");
	return 0;
}

static int show_empty(struct task *t unused, const struct synth_node *node unused, struct synth_text *text)
{
	synth_printf(text, "\n");
	return 0;
}

static const struct tree_entry nothing[] = {TREE_END};
static const struct tree_entry thp[] = {
	TREE_FILE("defrag", show_huge),
	TREE_FILE("enabled", show_huge),
	TREE_FILE("hpage_pmd_size", show_huge),
	TREE_FILE("shmem_enabled", show_huge),
	TREE_END,
};
static const struct tree_entry mm[] = {TREE_DIR("hugepages", nothing), TREE_DIR("transparent_hugepage", thp),
				       TREE_END};
static const struct tree_entry kernel_dir[] = {
	TREE_DIR("debug", nothing),
	TREE_DIR("mm", mm),
	TREE_DIR("security", nothing),
	TREE_FILE("uevent_helper", show_empty),
	TREE_END,
};
static const struct tree_entry system_dir[] = {
	TREE_FAMILY("cpu", sysfs_cpu, &sysfs_cpus),
	TREE_FAMILY("node", sysfs_node, &sysfs_nodes),
	TREE_END,
};
static const struct tree_entry virtual_dir[] = {TREE_FAMILY("net", sysfs_net, &sysfs_interfaces), TREE_END};
static const struct tree_entry devices[] = {TREE_DIR("system", system_dir), TREE_DIR("virtual", virtual_dir),
					    TREE_END};
static const struct tree_entry class_dir[] = {
	TREE_DIR("block", nothing),
	TREE_FAMILY("net", sysfs_net, &sysfs_interfaces),
	TREE_DIR("tty", nothing),
	TREE_END,
};
static const struct tree_entry bus[] = {TREE_DIR("cpu", nothing), TREE_DIR("pci", nothing), TREE_END};
static const struct tree_entry dev[] = {TREE_DIR("block", nothing), TREE_DIR("char", nothing), TREE_END};
static const struct tree_entry fs[] = {TREE_DIR("cgroup", nothing), TREE_END};
static const struct tree_entry root_entries[] = {
	TREE_DIR("block", nothing),
	TREE_DIR("bus", bus),
	TREE_DIR("class", class_dir),
	TREE_DIR("dev", dev),
	TREE_DIR("devices", devices),
	TREE_DIR("firmware", nothing),
	TREE_DIR("fs", fs),
	TREE_DIR("hypervisor", nothing),
	TREE_DIR("kernel", kernel_dir),
	TREE_DIR("module", nothing),
	TREE_DIR("power", nothing),
	TREE_END,
};
static const struct tree_entry root = TREE_DIR(NULL, root_entries);

int sysfs_root(struct synth_node *ret)
{
	*ret = (struct synth_node){.type = &root.type};
	return 0;
}
