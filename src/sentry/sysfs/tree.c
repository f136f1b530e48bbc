/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into trees that are made of tables. */
#include "sentry/sysfs/tree.h"

#include "sentry/list.h"

enum { NAME_ROOM = 64 };

static const struct tree_entry *entry_of(const struct synth_node *node)
{
	return (const struct tree_entry *)((const char *)node->type - offsetof(struct tree_entry, type));
}

const char *tree_name(const struct synth_node *node)
{
	return entry_of(node)->name;
}

static struct synth_node node_at(const struct tree_entry *e, uint64_t arg)
{
	return (struct synth_node){.type = &e->type, .arg = arg};
}

int tree_lookup(struct task *t unused, const struct synth_node *dir, const char *name, struct synth_node *ret)
{
	const struct tree_entry *d = entry_of(dir);

	for (const struct tree_entry *e = d->children; e && e->name; e++)
		if (streq(e->name, name)) {
			*ret = node_at(e, dir->arg);
			return 0;
		}
	int64_t n = d->family ? d->family->find(name) : -ENOENT;
	if (n < 0)
		return -ENOENT;
	*ret = node_at(d->family->entry, (uint64_t)n);
	return 0;
}

int tree_list(struct task *t unused, const struct synth_node *dir, uint64_t from, synth_list *each,
	      void *data)
{
	const struct tree_entry *d = entry_of(dir);
	uint64_t index = 0;
	char name[NAME_ROOM];

	for (const struct tree_entry *e = d->children; e && e->name; e++) {
		struct synth_node n = node_at(e, dir->arg);
		if (index++ >= from && !each(data, e->name, &n))
			return 0;
	}
	if (!d->family)
		return 0;
	for (int64_t i = 0; (i = d->family->next((uint64_t)i, name, sizeof(name))) >= 0; i++) {
		struct synth_node n = node_at(d->family->entry, (uint64_t)i);
		if (index++ >= from && !each(data, name, &n))
			return 0;
	}
	return 0;
}
