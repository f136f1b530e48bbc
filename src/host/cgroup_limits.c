/* SPDX-License-Identifier: Apache-2.0 */
/* What both versions of cgroups need to turn config.json's limits into theirs. */
#include "host/cgroup_int.h"
#include "host/systemd.h"

#include <inttypes.h>

unsigned cgroup_limits_need(const struct oci_resources *r)
{
	const struct oci_memory *m = &r->memory;
	const struct oci_cpu *c = &r->cpu;
	const struct oci_block_io *b = &r->block_io;
	unsigned need = 0;

	if ((m->limit.set && m->limit.v) || (m->swap.set && m->swap.v) ||
	    (m->reservation.set && m->reservation.v))
		need |= CGROUP_NEED_MEMORY;
	if ((c->shares.set && c->shares.v) || (c->quota.set && c->quota.v) ||
	    (c->period.set && c->period.v) || c->burst.set || c->idle.set)
		need |= CGROUP_NEED_CPU;
	if ((c->cpus && *c->cpus) || (c->mems && *c->mems))
		need |= CGROUP_NEED_CPUSET;
	if (r->pids_limit.set)
		need |= CGROUP_NEED_PIDS;
	if ((b->weight.set && b->weight.v) || b->weight_devices.n || b->read_bps.n || b->write_bps.n ||
	    b->read_iops.n || b->write_iops.n)
		need |= CGROUP_NEED_IO;
	if (r->hugepages.n)
		need |= CGROUP_NEED_HUGETLB;
	if (r->rdma.n)
		need |= CGROUP_NEED_RDMA;
	if (r->unified.n)
		need |= CGROUP_NEED_OTHER;
	return need;
}

/* Small own functions spare the C library's, with their tables, for one division of a range. */
static double log2_of(double x)
{
	double whole = 0, part = 0, bit = 0.5;

	while (x >= 2) {
		x /= 2;
		whole++;
	}
	for (int i = 0; i < 52; i++, bit /= 2) {
		x *= x;
		if (x >= 2) {
			x /= 2;
			part += bit;
		}
	}
	return whole + part;
}

/* 10^x for 0 <= x <= 4, by the series of e^y on y halved until it is small. */
static double ten_to(double x)
{
	double y = x * 2.302585092994045684 / 64, term = 1, sum = 1;

	for (int i = 1; i < 20; i++) {
		term *= y / i;
		sum += term;
	}
	for (int i = 0; i < 6; i++)
		sum *= sum;
	return sum;
}

/*
 * The curve through (2, 1), (1024, 100) and (262144, 10000) that the
 * runtimes agreed on in 2025: quadratic in the logarithms.
 */
uint64_t cgroup_shares_to_weight(uint64_t shares)
{
	if (shares == 0)
		return 0;
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	double l = log2_of((double)shares);
	double v = ten_to((l * l + 125 * l) / 612 - 7.0 / 34);
	uint64_t whole = (uint64_t)v;
	/* Rounded up; the last digits of the series are no reason to. */
	return v - (double)whole > 1e-9 ? whole + 1 : whole;
}

uint64_t cgroup_blkio_to_io_weight(uint64_t weight)
{
	return weight < 10 ? (weight ? 1 : 0) : 1 + (weight - 10) * 9999 / 990;
}

int cgroup_swap_v2(const struct oci_memory *m, bool *ret_set, int64_t *ret, struct err *err)
{
	int64_t limit = m->limit.set ? m->limit.v : 0;
	int64_t swap = m->swap.set ? m->swap.v : 0;

	*ret_set = true;
	if (swap == 0 && limit == -1) {
		*ret = -1; /* as on v1, where no limit of memory alone is possible */
	} else if (swap == 0) {
		*ret_set = false;
	} else if (swap == -1 || limit == -1) {
		*ret = swap;
	} else if (limit == 0) {
		return err_set(err, EINVAL, "unable to set swap limit without memory limit");
	} else if (limit < 0) {
		return err_set(err, EINVAL, "invalid memory value: %" PRId64, limit);
	} else if (swap < limit) {
		return err_set(err, EINVAL, "memory+swap limit should be >= memory limit");
	} else {
		*ret = swap - limit;
	}
	return 0;
}

int cgroup_memory_check(const struct cgroup_dir *d, const char *file, const struct oci_memory *m,
			struct err *err)
{
	uint64_t usage;

	/* Best effort, as the specification has it: an unknown usage is no reason to refuse. */
	if (!m->check_before_update.set || !m->check_before_update.v || cgroup_get_u64(d, file, &usage) < 0)
		return 0;
	if (m->swap.set && m->swap.v > 0 && (uint64_t)m->swap.v <= usage)
		return err_set(err, EBUSY, "rejecting memory+swap limit %" PRId64 " <= usage %" PRIu64,
			       m->swap.v, usage);
	if (m->limit.set && m->limit.v > 0 && (uint64_t)m->limit.v <= usage)
		return err_set(err, EBUSY, "rejecting memory limit %" PRId64 " <= usage %" PRIu64, m->limit.v,
			       usage);
	return 0;
}

int cgroup_put_pids(const struct cgroup_dir *d, int64_t limit, struct err *err)
{
	if (limit < 0)
		return cgroup_put(d, "pids.max", "max", err);
	/* 0 as 1, which systemd makes of it: both let nothing fork. */
	return cgroup_put_i64(d, "pids.max", limit ? limit : 1, err);
}

int cgroup_put_throttle(const struct cgroup_dir *d, const char *file, const char *key, const throttle_list *l,
			struct err *err)
{
	char v[128];
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		(void)snprintf(v, sizeof(v), "%" PRId64 ":%" PRId64 " %s%s%" PRIu64, l->v[i].major,
			       l->v[i].minor, key ? key : "", key ? "=" : "",
			       l->v[i].rate); /* three numbers of 20 digits fit */
		r = cgroup_put(d, file, v, err);
	}
	return r;
}

int cgroup_put_hugetlb(const struct cgroup_dir *d, const char *suffix, const struct oci_resources *r,
		       struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < r->hugepages.n && ret == 0; i++) {
		const struct oci_hugepage_limit *h = &r->hugepages.v[i];
		char file[128];
		if (strlen(h->page_size) > 64)
			return err_set(err, EINVAL, "invalid hugepage size \"%s\"", h->page_size);
		(void)snprintf(file, sizeof(file), "hugetlb.%s%s", h->page_size, suffix); /* checked above */
		ret = cgroup_put_u64(d, file, h->limit, err);
		if (ret < 0)
			return ret;
		(void)snprintf(file, sizeof(file), "hugetlb.%s.rsvd%s", h->page_size, suffix);
		ret = cgroup_put_u64(d, file, h->limit, err);
		if (ret == -ENOENT) /* a kernel before 5.7 */
			ret = 0;
	}
	return ret;
}

int cgroup_put_rdma(const struct cgroup_dir *d, const struct oci_resources *r, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < r->rdma.n && ret == 0; i++) {
		const struct oci_rdma *x = &r->rdma.v[i];
		struct str v autostr = {0};
		str_put(&v, x->device);
		if (x->hca_handles.set)
			str_putf(&v, " hca_handle=%u", x->hca_handles.v);
		if (x->hca_objects.set)
			str_putf(&v, " hca_object=%u", x->hca_objects.v);
		ret = v.failed ? err_oom(err) : cgroup_put(d, "rdma.max", v.s, err);
	}
	return ret;
}

int cgroup_limits_write(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	struct oci_resources copy;

	/* systemd has rounded the quota, and would at its next reload write that. */
	if (cg->systemd && r->cpu.quota.set && r->cpu.quota.v > 0) {
		copy = *r;
		copy.cpu.quota.v =
			systemd_round_quota(r->cpu.quota.v, r->cpu.period.set ? r->cpu.period.v : 0);
		r = &copy;
	}
	return cg->v2 ? cgroup_limits_v2(cg, r, err) : cgroup_limits_v1(cg, r, err);
}

int cgroup_update(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	int ret = 0;

	if (cg->none) {
		if (cgroup_limits_need(r))
			return err_set(err, ENOTSUP,
				       "cannot set limits: container could not join or create cgroup");
		return 0;
	}
	if (cg->v2 && r->memory.check_before_update.set) {
		autodir struct cgroup_dir d = {.fd = -1};
		ret = cgroup_dir_open(cg->v2_dir, &d, err);
		/* Before systemd hears of it: it would have the container killed for a limit that is too low.
		 */
		if (ret == 0)
			ret = cgroup_memory_check(&d, "memory.current", &r->memory, err);
	}
	if (ret == 0 && cg->systemd)
		ret = systemd_update(cg, r, err);
	if (ret < 0)
		return ret;
	return cgroup_limits_write(cg, r, err);
}
