/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on v1.  Each controller has a directory of its own, which is opened
 * only when something is to be written there.  Several files check one
 * another's values (limit and memory+swap, quota and period and burst), so
 * that the order of writes depends on whether a limit rises or falls.
 */
#include "host/cgroup_int.h"

#include <inttypes.h>

#define MEMSW "memory.memsw.limit_in_bytes"
#define LIMIT "memory.limit_in_bytes"

/* The directory of controller `c`; its lack is an error that names the controller. */
static int open_controller(const struct cgroup *cg, enum cgroup_v1 c, struct cgroup_dir *ret, struct err *err)
{
	if (!cg->v1_dir[c])
		return err_set(err, ENOENT, "cannot set %s limit: container could not join or create cgroup",
			       cgroup_v1_name(c));
	return cgroup_dir_open(cg->v1_dir[c], ret, err);
}

/* On a hybrid machine a controller may be the unified tree's instead.  1: it is. */
static int open_either(const struct cgroup *cg, enum cgroup_v1 c, struct cgroup_dir *ret, struct err *err)
{
	if (cg->v1_dir[c] || !cg->v2_dir)
		return open_controller(cg, c, ret, err);
	int r = cgroup_dir_open(cg->v2_dir, ret, err);
	if (r < 0)
		return r;
	char have[512];
	if (cgroup_get(ret, "cgroup.controllers", have, sizeof(have)) > 0 &&
	    cgroup_list_has(have, cgroup_v1_name(c)))
		return 1;
	return open_controller(cg, c, ret, err); /* for its words */
}

/* --- memory --- */

static int put_limit(const struct cgroup_dir *d, int64_t v, struct err *err)
{
	uint64_t usage, peak;

	if (v == 0)
		return 0;
	int r = cgroup_put_i64(d, LIMIT, v, err);
	if (r != -EBUSY)
		return r;
	if (cgroup_get_u64(d, "memory.usage_in_bytes", &usage) < 0 ||
	    cgroup_get_u64(d, "memory.max_usage_in_bytes", &peak) < 0)
		return r;
	return err_set(err, EBUSY,
		       "unable to set memory limit to %" PRId64 " (current usage: %" PRIu64
		       ", peak usage: %" PRIu64 ")",
		       v, usage, peak);
}

static int put_swap(const struct cgroup_dir *d, int64_t v, struct err *err)
{
	return v == 0 ? 0 : cgroup_put_i64(d, MEMSW, v, err);
}

static int memory_and_swap(const struct cgroup_dir *d, const struct oci_memory *m, struct err *err)
{
	int64_t limit = m->limit.set ? m->limit.v : 0;
	int64_t swap = m->swap.set ? m->swap.v : 0;
	bool swap_first = false;

	/* "No limit" for memory means none for memory+swap either, where the kernel counts swap. */
	if (limit == -1 && swap == 0 && cgroup_has_file(d, MEMSW))
		swap = -1;
	if (limit != 0 && swap != 0) {
		uint64_t now;
		int r = cgroup_get_u64(d, LIMIT, &now);
		if (r < 0)
			return err_num(err, r, "cannot read \"%s/" LIMIT "\"", d->path);
		/* At each moment limit <= memory+swap must hold. */
		swap_first = swap == -1 || now < (uint64_t)swap;
	}
	int r = swap_first ? put_swap(d, swap, err) : put_limit(d, limit, err);
	if (r < 0)
		return r;
	return swap_first ? put_limit(d, limit, err) : put_swap(d, swap, err);
}

static int set_memory(const struct cgroup *cg, const struct oci_memory *m, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	bool tcp = m->kernel_tcp.set && m->kernel_tcp.v;

	if (!(m->limit.set && m->limit.v) && !(m->swap.set && m->swap.v) &&
	    !(m->reservation.set && m->reservation.v) &&
	    !(m->disable_oom_killer.set && m->disable_oom_killer.v) && !m->swappiness.set && !tcp)
		return 0;
	if (m->swappiness.set && m->swappiness.v > 100 && m->swappiness.v != UINT64_MAX)
		return err_set(err, EINVAL,
			       "invalid memory swappiness value: %" PRIu64 " (valid range is 0-100)",
			       m->swappiness.v);
	int r = open_controller(cg, CG_MEMORY, &d, err);
	if (r == 0)
		r = cgroup_memory_check(&d, "memory.usage_in_bytes", m, err);
	if (r == 0)
		r = memory_and_swap(&d, m, err);
	if (r == 0 && m->reservation.set && m->reservation.v)
		r = cgroup_put_i64(&d, "memory.soft_limit_in_bytes", m->reservation.v, err);
	if (r == 0 && tcp) {
		/* memory.kernel is a limit that newer kernels do not have at all; this one some still do. */
		r = cgroup_put_i64(&d, "memory.kmem.tcp.limit_in_bytes", m->kernel_tcp.v, err);
		if (r == -ENOENT || r == -EOPNOTSUPP)
			r = 0;
	}
	if (r == 0 && m->disable_oom_killer.set && m->disable_oom_killer.v)
		r = cgroup_put(&d, "memory.oom_control", "1", err);
	if (r == 0 && m->swappiness.set && m->swappiness.v <= 100)
		r = cgroup_put_u64(&d, "memory.swappiness", m->swappiness.v, err);
	return r;
}

/* --- cpu --- */

/*
 * Period and burst may be refused (EINVAL) beside the old quota and fit the
 * new one: what is refused first is tried again after the quota.
 */
static int put_or_later(const struct cgroup_dir *d, const char *file, uint64_t v, bool more, bool *later,
			struct err *err)
{
	int r = cgroup_put_u64(d, file, v, err);

	*later = r == -EINVAL && more;
	return *later ? 0 : r;
}

static int put_realtime(const struct cgroup_dir *d, const struct oci_cpu *cpu, struct err *err)
{
	bool runtime = cpu->realtime_runtime.set && cpu->realtime_runtime.v;
	bool period = cpu->realtime_period.set && cpu->realtime_period.v, later = false;
	int r = 0;

	if (period)
		r = put_or_later(d, "cpu.rt_period_us", cpu->realtime_period.v, runtime, &later, err);
	if (r == 0 && runtime)
		r = cgroup_put_i64(d, "cpu.rt_runtime_us", cpu->realtime_runtime.v, err);
	if (r == 0 && later)
		r = cgroup_put_u64(d, "cpu.rt_period_us", cpu->realtime_period.v, err);
	return r;
}

static int put_shares(const struct cgroup_dir *d, uint64_t shares, struct err *err)
{
	uint64_t got;
	int r = cgroup_put_u64(d, "cpu.shares", shares, err);

	if (r < 0)
		return r;
	/* The kernel clamps silently. */
	if (shares >= 2 && shares <= 262144)
		return 0;
	if (cgroup_get_u64(d, "cpu.shares", &got) < 0 || got == shares)
		return 0;
	return err_set(err, EINVAL, "the %s allowed cpu-shares is %" PRIu64,
		       shares > got ? "maximum" : "minimum", got);
}

static int put_bandwidth(const struct cgroup_dir *d, const struct oci_cpu *c, struct err *err)
{
	bool quota = c->quota.set && c->quota.v, period_later = false, burst_later = false;
	int r = 0;

	if (c->period.set && c->period.v)
		r = put_or_later(d, "cpu.cfs_period_us", c->period.v, quota, &period_later, err);
	if (r == 0 && c->burst.set) {
		r = put_or_later(d, "cpu.cfs_burst_us", c->burst.v, quota, &burst_later, err);
		if (r == -ENOENT) /* a kernel before 5.14 */
			r = 0;
	}
	if (r == 0 && quota)
		r = cgroup_put_i64(d, "cpu.cfs_quota_us", c->quota.v, err);
	if (r == 0 && period_later)
		r = cgroup_put_u64(d, "cpu.cfs_period_us", c->period.v, err);
	if (r == 0 && burst_later)
		r = cgroup_put_u64(d, "cpu.cfs_burst_us", c->burst.v, err);
	return r;
}

static int set_cpu(const struct cgroup *cg, const struct oci_cpu *c, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	bool shares = c->shares.set && c->shares.v;

	if (!shares && !(c->period.set && c->period.v) && !c->burst.set && !(c->quota.set && c->quota.v) &&
	    !c->idle.set && !(c->realtime_period.set && c->realtime_period.v) &&
	    !(c->realtime_runtime.set && c->realtime_runtime.v))
		return 0;
	int r = open_controller(cg, CG_CPU, &d, err);
	if (r == 0 && shares)
		r = put_shares(&d, c->shares.v, err);
	if (r == 0)
		r = put_bandwidth(&d, c, err);
	if (r == 0 && c->idle.set)
		r = cgroup_put_i64(&d, "cpu.idle", c->idle.v, err);
	return r < 0 ? r : put_realtime(&d, c, err);
}

/* --- cpuset --- */

/* Files are without the prefix where the hierarchy is mounted with `noprefix`. */
static const char *bare_name(const char *file)
{
	return str_starts(file, "cpuset.") ? file + strlen("cpuset.") : file;
}

static int write_cpuset(const struct cgroup_dir *d, const char *file, const char *v, struct err *err)
{
	int r = cgroup_try_put(d, file, v);

	if (r == -ENOENT && cgroup_has_file(d, bare_name(file)))
		file = bare_name(file);
	return r == 0 ? 0 : cgroup_put(d, file, v, err);
}

static int get_cpuset(const struct cgroup_dir *d, const char *file, char *buf, size_t size, struct err *err)
{
	int r = cgroup_get(d, file, buf, size);

	if (r == -ENOENT)
		r = cgroup_get(d, bare_name(file), buf, size);
	return r < 0 ? err_num(err, r, "cannot read \"%s/%s\"", d->path, file) : r;
}

static int set_cpuset(const struct cgroup *cg, const struct oci_cpu *c, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int r;

	if (!(c->cpus && *c->cpus) && !(c->mems && *c->mems))
		return 0;
	r = open_controller(cg, CG_CPUSET, &d, err);
	if (r == 0 && c->cpus && *c->cpus)
		r = write_cpuset(&d, "cpuset.cpus", c->cpus, err);
	if (r == 0 && c->mems && *c->mems)
		r = write_cpuset(&d, "cpuset.mems", c->mems, err);
	return r;
}

/*
 * A new v1 cpuset has neither processors nor memory nodes, and nothing can
 * join it: they come from above, where parents made on the way are as empty.
 */
static int inherit(const char *dir, const char *file, bool own_is_given, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1}, up = {.fd = -1};
	autofree char *parent = strdup(dir);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	char v[4096];
	int r;

	if (!slash || slash == parent)
		return parent ? err_set(err, EINVAL, "cpuset \"%s\" has no parent", dir) : err_oom(err);
	*slash = '\0';
	r = cgroup_dir_open(dir, &d, err);
	if (r == 0 && !own_is_given)
		r = get_cpuset(&d, file, v, sizeof(v), err);
	if (r != 0) /* it has its own */
		return r < 0 ? r : 0;
	r = cgroup_dir_open(parent, &up, err);
	if (r == 0)
		r = get_cpuset(&up, file, v, sizeof(v), err);
	if (r == 0) {
		r = inherit(parent, file, false, err);
		if (r == 0)
			r = get_cpuset(&up, file, v, sizeof(v), err);
	}
	if (r < 0 || own_is_given)
		return r < 0 ? r : 0;
	return write_cpuset(&d, file, v, err);
}

int cgroup_v1_cpuset_inherit(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	const char *dir = cg->v1_dir[CG_CPUSET];
	int ret;

	if (!dir)
		return 0;
	ret = inherit(dir, "cpuset.cpus", r->cpu.cpus && *r->cpu.cpus, err);
	return ret < 0 ? ret : inherit(dir, "cpuset.mems", r->cpu.mems && *r->cpu.mems, err);
}

/* --- the rest --- */

static int set_pids(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};

	if (!r->pids_limit.set)
		return 0;
	int ret = open_controller(cg, CG_PIDS, &d, err);
	return ret < 0 ? ret : cgroup_put_pids(&d, r->pids_limit.v, err);
}

static int put_device_weight(const struct cgroup_dir *d, const char *file, const struct oci_weight_device *w,
			     uint32_t weight, struct err *err)
{
	char v[96];

	(void)snprintf(v, sizeof(v), "%" PRId64 ":%" PRId64 " %u", w->major, w->minor, weight); /* fits */
	return cgroup_put(d, file, v, err);
}

static int put_weights(const struct cgroup_dir *d, const struct oci_block_io *b, struct err *err)
{
	bool plain = cgroup_has_file(d, "blkio.weight");
	int r = 0;

	if (b->weight.set && b->weight.v)
		r = cgroup_put_u64(d, plain ? "blkio.weight" : "blkio.bfq.weight", b->weight.v, err);
	if (r == 0 && b->leaf_weight.set && b->leaf_weight.v)
		r = cgroup_put_u64(d, "blkio.leaf_weight", b->leaf_weight.v, err);
	for (size_t i = 0; i < b->weight_devices.n && r == 0; i++) {
		const struct oci_weight_device *w = &b->weight_devices.v[i];
		if (w->weight.set && w->weight.v)
			r = put_device_weight(d, plain ? "blkio.weight_device" : "blkio.bfq.weight_device", w,
					      w->weight.v, err);
		if (r == 0 && w->leaf_weight.set && w->leaf_weight.v)
			r = put_device_weight(d, "blkio.leaf_weight_device", w, w->leaf_weight.v, err);
	}
	return r;
}

static int set_blkio(const struct cgroup *cg, const struct oci_block_io *b, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	bool weights = (b->weight.set && b->weight.v) || (b->leaf_weight.set && b->leaf_weight.v) ||
		       b->weight_devices.n;
	int r;

	if (!weights && !b->read_bps.n && !b->write_bps.n && !b->read_iops.n && !b->write_iops.n)
		return 0;
	r = open_controller(cg, CG_BLKIO, &d, err);
	if (r == 0 && weights)
		r = put_weights(&d, b, err);
	if (r == 0)
		r = cgroup_put_throttle(&d, "blkio.throttle.read_bps_device", NULL, &b->read_bps, err);
	if (r == 0)
		r = cgroup_put_throttle(&d, "blkio.throttle.write_bps_device", NULL, &b->write_bps, err);
	if (r == 0)
		r = cgroup_put_throttle(&d, "blkio.throttle.read_iops_device", NULL, &b->read_iops, err);
	return r < 0 ? r
		     : cgroup_put_throttle(&d, "blkio.throttle.write_iops_device", NULL, &b->write_iops, err);
}

static int set_hugetlb(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int ret = r->hugepages.n ? open_either(cg, CG_HUGETLB, &d, err) : 0;

	return ret < 0 ? ret : cgroup_put_hugetlb(&d, ret ? ".max" : ".limit_in_bytes", r, err);
}

static int set_net(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	autodir struct cgroup_dir cls = {.fd = -1}, prio = {.fd = -1};
	int ret = 0;

	if (r->net_class_id.set && r->net_class_id.v) {
		ret = open_controller(cg, CG_NET_CLS, &cls, err);
		if (ret == 0)
			ret = cgroup_put_u64(&cls, "net_cls.classid", r->net_class_id.v, err);
	}
	if (ret == 0 && r->net_priorities.n)
		ret = open_controller(cg, CG_NET_PRIO, &prio, err);
	for (size_t i = 0; i < r->net_priorities.n && ret == 0; i++) {
		char v[96];
		if (strlen(r->net_priorities.v[i].name) > 64)
			return err_set(err, EINVAL, "invalid interface name \"%s\"",
				       r->net_priorities.v[i].name);
		(void)snprintf(v, sizeof(v), "%s %u", r->net_priorities.v[i].name,
			       r->net_priorities.v[i].priority); /* checked above */
		ret = cgroup_put(&prio, "net_prio.ifpriomap", v, err);
	}
	return ret;
}

int cgroup_limits_v1(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	autodir struct cgroup_dir rdma = {.fd = -1};
	int ret;

	if (r->unified.n)
		return err_set(err, EINVAL, "invalid configuration: cannot use unified on cgroup v1");
	ret = set_cpuset(cg, &r->cpu, err);
	if (ret == 0)
		ret = set_memory(cg, &r->memory, err);
	if (ret == 0)
		ret = set_cpu(cg, &r->cpu, err);
	if (ret == 0)
		ret = set_pids(cg, r, err);
	if (ret == 0)
		ret = set_blkio(cg, &r->block_io, err);
	if (ret == 0)
		ret = set_hugetlb(cg, r, err);
	if (ret == 0)
		ret = set_net(cg, r, err);
	if (ret < 0 || !r->rdma.n)
		return ret;
	ret = open_either(cg, CG_RDMA, &rdma, err);
	return ret < 0 ? ret : cgroup_put_rdma(&rdma, r, err);
}
