/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has counted for a group: everything that `events --stats`
 * prints (but intelRdt and the network interfaces).  The names are those of
 * the JSON.  What a kernel or a version of cgroups does not have is 0 or an
 * empty list.
 */
#pragma once

#include "host/cgroup.h"

typedef LIST_OF(uint64_t) u64_list;
typedef LIST_OF(uint16_t) u16_list;

struct cgroup_psi_line {
	double avg10, avg60, avg300; /* percent */
	uint64_t total;		     /* us */
};
/* Pressure stall information; v2 only. */
struct cgroup_psi {
	bool set;
	struct cgroup_psi_line some, full;
};

struct cgroup_memory_entry {
	uint64_t limit; /* UINT64_MAX = none (v2) */
	uint64_t usage, max, failcnt;
};

struct cgroup_blkio_entry {
	uint64_t major, minor;
	char op[16]; /* "Read", "Write", …; may be empty */
	uint64_t value;
};
typedef LIST_OF(struct cgroup_blkio_entry) cgroup_blkio_list;

struct cgroup_raw {
	char *key; /* owned */
	uint64_t value;
};

struct cgroup_hugetlb {
	char page_size[16]; /* "2MB" */
	uint64_t usage, max, failcnt;
};

struct cgroup_stats {
	struct {
		uint64_t total, kernel, user;			     /* ns */
		u64_list percpu, percpu_kernel, percpu_user;	     /* ns; v1 only */
		uint64_t periods, throttled_periods, throttled_time; /* time in ns */
		struct cgroup_psi psi;
	} cpu;
	struct { /* v1 only */
		u16_list cpus, mems;
		uint64_t cpu_exclusive, mem_hardwall, mem_exclusive, memory_migrate, memory_spread_page,
			memory_spread_slab, memory_pressure, sched_load_balance;
		int64_t sched_relax_domain_level;
	} cpuset;
	struct {
		uint64_t cache;
		struct cgroup_memory_entry usage, swap, kernel,
			kernel_tcp;		/* swap: memory+swap, also on v2 */
		LIST_OF(struct cgroup_raw) raw; /* memory.stat as it is */
		struct cgroup_psi psi;
	} memory;
	struct {
		uint64_t current, limit; /* 0 = none */
	} pids;
	struct {
		cgroup_blkio_list service_bytes, serviced, queued, service_time, wait_time, merged, time,
			sectors;
		struct cgroup_psi psi;
	} blkio;
	LIST_OF(struct cgroup_hugetlb) hugetlb;
};

/* Page cache that could go at once, bytes. */
uint64_t cgroup_stats_inactive_file(const struct cgroup_stats *s);
void cgroup_stats_free(struct cgroup_stats *s);
