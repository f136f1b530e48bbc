/* SPDX-License-Identifier: Apache-2.0 */
/* Between the cgroup_stats*.c files; nobody else includes it. */
#pragma once

#include "host/cgroup_int.h"
#include "host/cgroup_stats.h"

must_use int cgroup_stats_v1(const struct cgroup *cg, struct cgroup_stats *s, struct err *err);
must_use int cgroup_stats_v2(const struct cgroup *cg, struct cgroup_stats *s, struct err *err);

/* What every reader returns: 0, also where the file is not there; -ENOMEM and the like else. */
must_use int stats_u64(const struct cgroup_dir *d, const char *file, uint64_t *ret);
/* memory.stat; `cache_key` is the line that counts the page cache. */
must_use int stats_memory_raw(const struct cgroup_dir *d, const char *cache_key, struct cgroup_stats *s);
must_use int stats_pids(const struct cgroup_dir *d, struct cgroup_stats *s);
must_use int stats_add_blkio(cgroup_blkio_list *l, const struct cgroup_blkio_entry *e);
must_use int stats_add_u64(u64_list *l, uint64_t v);
/* The sizes of huge pages that the machine has, "2MB"; at most `max`; the count. */
size_t stats_page_sizes(char (*ret)[16], size_t max);
must_use int stats_add_hugetlb(struct cgroup_stats *s, const struct cgroup_hugetlb *h);
