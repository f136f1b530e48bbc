/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on v2: one directory, one write for each limit.  config.json speaks
 * v1, so that values are converted as all runtimes do it: shares to weight,
 * memory+swap to swap alone, blkio's weights to io's.  `unified` comes last
 * and has the kernel's own names and values.
 */
#include "host/cgroup_int.h"

#include <inttypes.h>

/* -1 is "max"; 0 was "unset" before there were optional fields, and clients still send it as that. */
static int put_amount(const struct cgroup_dir *d, const char *file, const struct opt_i64 *v, struct err *err)
{
	if (!v->set || v->v == 0)
		return 0;
	return v->v == -1 ? cgroup_put(d, file, "max", err) : cgroup_put_i64(d, file, v->v, err);
}

static int put_swap_v2(const struct cgroup_dir *d, const struct oci_memory *m, struct err *err)
{
	int64_t swap;
	bool set;
	int r = cgroup_swap_v2(m, &set, &swap, err);

	if (r < 0 || !set)
		return r;
	r = swap == -1 ? cgroup_put(d, "memory.swap.max", "max", err)
		       : cgroup_put_i64(d, "memory.swap.max", swap, err);
	/* A kernel that does not count swap: no limit, and none allowed, are what it does anyway. */
	return r == -ENOENT && swap <= 0 ? 0 : r;
}

static int set_memory_v2(const struct cgroup_dir *d, const struct oci_memory *m, struct err *err)
{
	int r = cgroup_memory_check(d, "memory.current", m, err);

	if (r == 0)
		r = put_swap_v2(d, m, err);
	if (r == 0)
		r = put_amount(d, "memory.max", &m->limit, err);
	return r < 0 ? r : put_amount(d, "memory.low", &m->reservation, err);
}

static int set_cpu_v2(const struct cgroup_dir *d, const struct oci_cpu *c, struct err *err)
{
	bool quota = c->quota.set && c->quota.v, period = c->period.set && c->period.v, later = false;
	int r = 0;

	if (c->idle.set)
		r = cgroup_put_i64(d, "cpu.idle", c->idle.v, err);
	/* An idle group has no weight: the kernel refuses one. */
	if (r == 0 && c->shares.set && c->shares.v && !(c->idle.set && c->idle.v == 1))
		r = cgroup_put_u64(d, "cpu.weight", cgroup_shares_to_weight(c->shares.v), err);
	if (r == 0 && c->burst.set) {
		r = cgroup_put_u64(d, "cpu.max.burst", c->burst.v, err);
		/* It may be too large for the old quota and fit the new one. */
		later = r == -EINVAL && quota;
		r = later ? 0 : r;
	}
	if (r == 0 && (quota || period)) {
		char v[64];
		uint64_t p = period ? c->period.v : 100000; /* the kernel's default */
		if (quota && c->quota.v > 0)
			(void)snprintf(v, sizeof(v), "%" PRId64 " %" PRIu64, c->quota.v, p); /* fits */
		else
			(void)snprintf(v, sizeof(v), "max %" PRIu64, p);
		r = cgroup_put(d, "cpu.max", v, err);
	}
	return r == 0 && later ? cgroup_put_u64(d, "cpu.max.burst", c->burst.v, err) : r;
}

static int set_cpuset_v2(const struct cgroup_dir *d, const struct oci_cpu *c, struct err *err)
{
	int r = 0;

	if (c->cpus && *c->cpus)
		r = cgroup_put(d, "cpuset.cpus", c->cpus, err);
	if (r == 0 && c->mems && *c->mems)
		r = cgroup_put(d, "cpuset.mems", c->mems, err);
	return r;
}

/* Weights belong to the BFQ scheduler where the kernel has it, else to io.cost. */
static int put_weights_v2(const struct cgroup_dir *d, const struct oci_block_io *b, struct err *err)
{
	char now[64];
	int have = cgroup_get(d, "io.bfq.weight", now, sizeof(now)), r = 0;

	if (b->weight.set && b->weight.v)
		r = have >= 0 ? cgroup_put_u64(d, "io.bfq.weight", b->weight.v, err)
			      : cgroup_put_u64(d, "io.weight", cgroup_blkio_to_io_weight(b->weight.v), err);
	/* Weights of single devices: since 5.4, whose file says "default 100". */
	if (have < 0 || !str_starts(now, "default"))
		return r;
	for (size_t i = 0; i < b->weight_devices.n && r == 0; i++) {
		const struct oci_weight_device *w = &b->weight_devices.v[i];
		char v[96];
		if (!w->weight.set)
			continue;
		(void)snprintf(v, sizeof(v), "%" PRId64 ":%" PRId64 " %u", w->major, w->minor,
			       w->weight.v); /* three numbers fit */
		r = cgroup_put(d, "io.bfq.weight", v, err);
		if (r < 0)
			return err_prefix(err, "setting device weight \"%s\"", v);
	}
	return r;
}

static int set_io_v2(const struct cgroup_dir *d, const struct oci_block_io *b, struct err *err)
{
	int r = 0;

	if ((b->weight.set && b->weight.v) || b->weight_devices.n)
		r = put_weights_v2(d, b, err);
	if (r == 0)
		r = cgroup_put_throttle(d, "io.max", "rbps", &b->read_bps, err);
	if (r == 0)
		r = cgroup_put_throttle(d, "io.max", "wbps", &b->write_bps, err);
	if (r == 0)
		r = cgroup_put_throttle(d, "io.max", "riops", &b->read_iops, err);
	return r < 0 ? r : cgroup_put_throttle(d, "io.max", "wiops", &b->write_iops, err);
}

/* --- unified --- */

static int put_lines(const struct cgroup_dir *d, const char *file, const char *text, struct err *err)
{
	autofree char *copy = strdup(text);
	char *s = copy, *line;
	int r = 0;

	if (!copy)
		return err_oom(err);
	if (!*copy)
		return cgroup_put(d, file, "", err);
	while (r == 0 && (line = cgroup_next(&s, '\n')))
		r = cgroup_put(d, file, line, err);
	return r;
}

static int explain_unified(const struct cgroup_dir *d, const char *key, int r, struct err *err)
{
	char have[512], controller[64];
	const char *dot = strchr(key, '.');

	if (r != -EPERM && r != -EACCES && r != -ENOENT)
		return err_prefix(err, "unable to set unified resource \"%s\"", key);
	if (!dot)
		return err_set(err, EINVAL,
			       "unified resource \"%s\" must be in the form CONTROLLER.PARAMETER", key);
	if (cgroup_get(d, "cgroup.controllers", have, sizeof(have)) >= 0 &&
	    (size_t)(dot - key) < sizeof(controller)) {
		(void)snprintf(controller, sizeof(controller), "%.*s", (int)(dot - key), key); /* checked */
		if (!cgroup_list_has(have, controller) && !streq(controller, "cgroup"))
			return err_set(
				err, ENOENT,
				"unified resource \"%s\" can't be set: controller \"%s\" not available", key,
				controller);
	}
	return err_prefix(err, "unable to set unified resource \"%s\"", key);
}

static int set_unified(const struct cgroup_dir *d, const pair_list *l, struct err *err)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *key = l->v[i].key;
		if (strchr(key, '/') || !*key)
			return err_set(err, EINVAL,
				       "unified resource \"%s\" must be a file name (no slashes)", key);
		int r = put_lines(d, key, l->v[i].value, err);
		if (r < 0)
			return explain_unified(d, key, r, err);
	}
	return 0;
}

int cgroup_limits_v2(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int ret;

	if (!cgroup_limits_need(r))
		return 0;
	ret = cgroup_dir_open(cg->v2_dir, &d, err);
	if (ret == 0 && r->pids_limit.set)
		ret = cgroup_put_pids(&d, r->pids_limit.v, err);
	if (ret == 0)
		ret = set_memory_v2(&d, &r->memory, err);
	if (ret == 0)
		ret = set_io_v2(&d, &r->block_io, err);
	if (ret == 0)
		ret = set_cpu_v2(&d, &r->cpu, err);
	if (ret == 0)
		ret = set_cpuset_v2(&d, &r->cpu, err);
	if (ret == 0)
		ret = cgroup_put_hugetlb(&d, ".max", r, err);
	if (ret == 0)
		ret = cgroup_put_rdma(&d, r, err);
	return ret < 0 ? ret : set_unified(&d, &r->unified, err);
}
