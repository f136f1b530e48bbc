/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's control groups are.
 *
 * Theory of operation.  The groups of a start are made beside the maker (monitor/spawn.c), before the
 * runtime has written down where they are: so the row's record tells, which names the same path to the
 * runtime.  Both processes hold the container's lock; whoever gets it later, and finds no word of the
 * runtime's, takes away what is empty below that path.
 */
#include "engine/spec.h"

#include "host/cgroup.h"

bool engine_group_path(const struct engine_container *c, bool systemd, bool rootless, char **ret)
{
	const char *parent = c->record.q.cgroup_parent;
	bool given = parent && *parent;

	*ret = NULL;
	/* Who may not write the tree gets no group, unless one is asked for by name. */
	if (rootless && !systemd && !given)
		return true;
	if (systemd)
		*ret = str_format("%s:coffer:%s",
				  given	     ? parent
				  : rootless ? "user.slice"
					     : "system.slice",
				  c->id);
	else if (given)
		*ret = str_format("%s%s/%s", parent[0] == '/' ? "" : "/", parent, c->id);
	else
		*ret = str_format("/coffer/%s", c->id);
	return *ret;
}

bool engine_makes_groups(const struct engine *e)
{
	return !e->o.rootless && !e->o.systemd_cgroup;
}

int engine_group_plan(const struct engine *e, const struct engine_container *c, struct cgroup *ret,
		      struct err *err)
{
	autofree char *path = NULL;

	if (!engine_group_path(c, e->o.systemd_cgroup, e->o.rootless, &path))
		return err_oom(err);
	const struct cgroup_request q = {.id = c->id, .cgroups_path = path};
	return cgroup_plan(&q, ret, err);
}

void engine_groups_forget(const struct engine *e, const struct engine_container *c)
{
	struct err none = {0};
	struct cgroup group;

	if (!engine_makes_groups(e) || engine_group_plan(e, c, &group, &none) < 0)
		return;
	cgroup_remove_empty(&group);
	cgroup_free(&group);
}
