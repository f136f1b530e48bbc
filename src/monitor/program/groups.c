/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's groups, once it has ended.  Removing them is the engine's
 * task and takes it a good part of its way from the end to its own.  While a
 * client is just being woken up for it we can have done what is plain: the
 * groups that are empty.  What stands in the runtime's state stays, so that
 * whoever comes next, and whoever is killed meanwhile, makes no difference.
 */
#include "monitor/program/mon.h"

#include "host/cgroup.h"
#include "runtime/record.h"
#include "runtime/store.h"

void groups_remove(const struct mon *m)
{
	struct err none = {0};
	struct record record = {0};
	struct cgroup group;
	autoclose int dirfd = m->plan.runtime_root ? store_open(m->plan.runtime_root, m->plan.id, &none) : -1;

	/* Under the lock, or they might be those of the next run already. */
	if (dirfd < 0 || !store_try_lock(dirfd) || record_read(dirfd, &record, &none) < 0)
		return;
	record_cgroup(&record, &group);
	cgroup_remove_empty(&group);
	record_free(&record);
}
