/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic trees from tables, for /sys and the control group.
 *
 * An entry is a directory of entries, a file, or a directory of *instances*: a
 * family numbers them (CPUs, network interfaces) and names them.  The number
 * travels in the node's arg, so that entries below an instance know whose they
 * are.
 */
#pragma once

#include "sentry/kernel.h"
#include "sentry/synth.h"

struct tree_entry;

struct tree_family {
	const struct tree_entry *entry; /* of each instance */
	/* The instance of that name: its number, or -ENOENT. */
	int64_t (*find)(const char *name);
	/* The first instance from number `from` on, with its name; -1 = no more. */
	int64_t (*next)(uint64_t from, char *name, size_t size);
};

struct tree_entry {
	struct synth_type type; /* first */
	const char *name;	/* NULL for an instance; ends a table */
	const struct tree_entry *children;
	const struct tree_family *family; /* besides the children */
};

#define TREE_DIR(entry_name, table)                                                                          \
	{                                                                                                    \
		.name = (entry_name), .children = (table), .type = {                                         \
			.mode = S_IFDIR | 0555,                                                              \
			.lookup = tree_lookup,                                                               \
			.list = tree_list                                                                    \
		}                                                                                            \
	}
#define TREE_FAMILY(entry_name, table, its_family)                                                           \
	{                                                                                                    \
		.name = (entry_name), .children = (table), .family = (its_family), .type = {                 \
			.mode = S_IFDIR | 0555,                                                              \
			.lookup = tree_lookup,                                                               \
			.list = tree_list                                                                    \
		}                                                                                            \
	}
#define TREE_FILE(entry_name, function)                                                                      \
	{                                                                                                    \
		.name = (entry_name), .type = {.mode = S_IFREG | 0444, .show = (function) }                  \
	}
#define TREE_END                                                                                             \
	{                                                                                                    \
		.name = NULL                                                                                 \
	}

int tree_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret);
int tree_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data);
/* The entry that a node is of: a file's function may serve several by name. */
const char *tree_name(const struct synth_node *node);

/* ---- tables ---- */
extern const struct tree_entry sysfs_cpu[], sysfs_node[], sysfs_net[];
extern const struct tree_family sysfs_cpus, sysfs_nodes, sysfs_interfaces;
