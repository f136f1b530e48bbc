/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, order, and which zeros are left out, are runc's: monitoring programs
 * read this.
 */
#include "runtime/stats_json.h"

/* A number that is left out where it is 0. */
static void put_some(struct json_out *out, const char *key, uint64_t v)
{
	if (v)
		json_put_u64(out, key, v);
}

/* A u64_list or u16_list; left out where it is empty. */
#define put_numbers(out, key, list)                                                                          \
	do {                                                                                                 \
		if ((list)->n == 0)                                                                          \
			break;                                                                               \
		json_begin_list(out, key);                                                                   \
		for (size_t i_ = 0; i_ < (list)->n; i_++)                                                    \
			json_put_u64(out, NULL, (list)->v[i_]);                                              \
		json_end(out);                                                                               \
	} while (0)

static void put_double(struct json_out *out, const char *key, double v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.10g", v); /* fits */
	json_put_raw(out, key, text);
}

static void put_psi_line(struct json_out *out, const char *key, const struct cgroup_psi_line *l)
{
	json_begin_object(out, key);
	put_double(out, "avg10", l->avg10);
	put_double(out, "avg60", l->avg60);
	put_double(out, "avg300", l->avg300);
	json_put_u64(out, "total", l->total);
	json_end(out);
}

static void put_psi(struct json_out *out, const struct cgroup_psi *p)
{
	if (!p->set)
		return;
	json_begin_object(out, "psi");
	put_psi_line(out, "some", &p->some);
	put_psi_line(out, "full", &p->full);
	json_end(out);
}

static void put_cpu(struct json_out *out, const struct cgroup_stats *s)
{
	json_begin_object(out, "cpu");
	json_begin_object(out, "usage");
	put_some(out, "total", s->cpu.total);
	put_numbers(out, "percpu", &s->cpu.percpu);
	put_numbers(out, "percpu_kernel", &s->cpu.percpu_kernel);
	put_numbers(out, "percpu_user", &s->cpu.percpu_user);
	json_put_u64(out, "kernel", s->cpu.kernel);
	json_put_u64(out, "user", s->cpu.user);
	json_end(out);
	json_begin_object(out, "throttling");
	put_some(out, "periods", s->cpu.periods);
	put_some(out, "throttledPeriods", s->cpu.throttled_periods);
	put_some(out, "throttledTime", s->cpu.throttled_time);
	json_end(out);
	put_psi(out, &s->cpu.psi);
	json_end(out);
}

static void put_cpuset(struct json_out *out, const struct cgroup_stats *s)
{
	json_begin_object(out, "cpuset");
	put_numbers(out, "cpus", &s->cpuset.cpus);
	json_put_u64(out, "cpu_exclusive", s->cpuset.cpu_exclusive);
	put_numbers(out, "mems", &s->cpuset.mems);
	json_put_u64(out, "mem_hardwall", s->cpuset.mem_hardwall);
	json_put_u64(out, "mem_exclusive", s->cpuset.mem_exclusive);
	json_put_u64(out, "memory_migrate", s->cpuset.memory_migrate);
	json_put_u64(out, "memory_spread_page", s->cpuset.memory_spread_page);
	json_put_u64(out, "memory_spread_slab", s->cpuset.memory_spread_slab);
	json_put_u64(out, "memory_pressure", s->cpuset.memory_pressure);
	json_put_u64(out, "sched_load_balance", s->cpuset.sched_load_balance);
	json_put_i64(out, "sched_relax_domain_level", s->cpuset.sched_relax_domain_level);
	json_end(out);
}

static void put_memory_entry(struct json_out *out, const char *key, const struct cgroup_memory_entry *e)
{
	json_begin_object(out, key);
	json_put_u64(out, "limit", e->limit);
	put_some(out, "usage", e->usage);
	put_some(out, "max", e->max);
	json_put_u64(out, "failcnt", e->failcnt);
	json_end(out);
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const struct cgroup_raw *const *)a)->key,
		      (*(const struct cgroup_raw *const *)b)->key);
}

static void put_raw(struct json_out *out, const struct cgroup_stats *s)
{
	size_t n = s->memory.raw.n;
	autofree const struct cgroup_raw **sorted = calloc(n + 1, sizeof(*sorted));

	if (n == 0)
		return;
	if (!sorted) {
		out->text.failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = &s->memory.raw.v[i];
	qsort(sorted, n, sizeof(*sorted), by_key);
	json_begin_object(out, "raw");
	for (size_t i = 0; i < n; i++)
		json_put_u64(out, sorted[i]->key, sorted[i]->value);
	json_end(out);
}

static void put_memory(struct json_out *out, const struct cgroup_stats *s)
{
	json_begin_object(out, "memory");
	put_some(out, "cache", s->memory.cache);
	put_memory_entry(out, "usage", &s->memory.usage);
	put_memory_entry(out, "swap", &s->memory.swap);
	put_memory_entry(out, "kernel", &s->memory.kernel);
	put_memory_entry(out, "kernelTCP", &s->memory.kernel_tcp);
	put_raw(out, s);
	put_psi(out, &s->memory.psi);
	json_end(out);
}

static void put_blkio_list(struct json_out *out, const char *key, const cgroup_blkio_list *list)
{
	if (list->n == 0)
		return;
	json_begin_list(out, key);
	for (size_t i = 0; i < list->n; i++) {
		const struct cgroup_blkio_entry *e = &list->v[i];
		json_begin_object(out, NULL);
		put_some(out, "major", e->major);
		put_some(out, "minor", e->minor);
		json_put_opt_str(out, "op", e->op);
		put_some(out, "value", e->value);
		json_end(out);
	}
	json_end(out);
}

static void put_blkio(struct json_out *out, const struct cgroup_stats *s)
{
	json_begin_object(out, "blkio");
	put_blkio_list(out, "ioServiceBytesRecursive", &s->blkio.service_bytes);
	put_blkio_list(out, "ioServicedRecursive", &s->blkio.serviced);
	put_blkio_list(out, "ioQueueRecursive", &s->blkio.queued);
	put_blkio_list(out, "ioServiceTimeRecursive", &s->blkio.service_time);
	put_blkio_list(out, "ioWaitTimeRecursive", &s->blkio.wait_time);
	put_blkio_list(out, "ioMergedRecursive", &s->blkio.merged);
	put_blkio_list(out, "ioTimeRecursive", &s->blkio.time);
	put_blkio_list(out, "sectorsRecursive", &s->blkio.sectors);
	put_psi(out, &s->blkio.psi);
	json_end(out);
}

static void put_hugetlb(struct json_out *out, const struct cgroup_stats *s)
{
	json_begin_object(out, "hugetlb");
	for (size_t i = 0; i < s->hugetlb.n; i++) {
		const struct cgroup_hugetlb *h = &s->hugetlb.v[i];
		json_begin_object(out, h->page_size);
		put_some(out, "usage", h->usage);
		put_some(out, "max", h->max);
		json_put_u64(out, "failcnt", h->failcnt);
		json_end(out);
	}
	json_end(out);
}

char *stats_event_json(const char *id, const struct cgroup_stats *s)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_str(&out, "type", "stats");
	json_put_str(&out, "id", id);
	json_begin_object(&out, "data");
	put_cpu(&out, s);
	put_cpuset(&out, s);
	put_memory(&out, s);
	json_begin_object(&out, "pids");
	put_some(&out, "current", s->pids.current);
	put_some(&out, "limit", s->pids.limit);
	json_end(&out);
	put_blkio(&out, s);
	put_hugetlb(&out, s);
	json_begin_object(&out, "intel_rdt");
	json_end(&out);
	json_put_null(&out, "network_interfaces");
	json_end(&out);
	json_end(&out);
	return json_take(&out);
}

char *oom_event_json(const char *id)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_str(&out, "type", "oom");
	json_put_str(&out, "id", id);
	json_end(&out);
	return json_take(&out);
}
