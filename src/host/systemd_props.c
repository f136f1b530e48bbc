/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  systemd rewrites what it believes a unit's limits to
 * be at any reload, so every limit that it has a property for is told to it;
 * the group's files are written afterwards all the same, for what it has no
 * property for.  A value is GVariant text, which the helper parses
 * ("uint64 5", "true", "@au [17]"); the number before the name is the oldest
 * systemd that knows the property.
 *
 *	prop 0 MemoryMax uint64 268435456
 */
#include "host/cgroup_device.h"
#include "host/systemd.h"

#include <inttypes.h>

enum {
	SYSTEMD_IDLE = 252,	  /* CPUWeight=idle */
	SYSTEMD_OOM_POLICY = 253, /* OOMPolicy= of scopes */
};

static void put_u64(struct str *out, const char *name, uint64_t v)
{
	str_putf(out, "prop 0 %s uint64 %" PRIu64 "\n", name, v);
}

/* Limits of memory: -1 is "infinity", 0 is unset. */
static void put_amount_property(struct str *out, const char *name, const struct opt_i64 *v)
{
	if (v->set && v->v)
		put_u64(out, name, (uint64_t)v->v);
}

/* systemd counts quotas in whole percents of a processor: rounded up, here and in the group's own file. */
static uint64_t quota_per_second(int64_t quota, uint64_t period)
{
	uint64_t v;

	if (quota <= 0)
		return UINT64_MAX;
	if (period == 0)
		period = 100000; /* the kernel's default */
	if (__builtin_mul_overflow((uint64_t)quota, 1000000U, &v))
		return UINT64_MAX;
	v /= period;
	return (v + 9999) / 10000 * 10000;
}

int64_t systemd_round_quota(int64_t quota, uint64_t period)
{
	uint64_t per_second = quota_per_second(quota, period), v;

	if (quota <= 0 || per_second == UINT64_MAX)
		return quota;
	if (__builtin_mul_overflow(per_second, period ? period : 100000, &v))
		return quota;
	v /= 1000000;
	/* Only what was not a whole percent changes. */
	return v > (uint64_t)quota && v <= INT64_MAX ? (int64_t)v : quota;
}

static void put_quota(struct str *out, int64_t quota, uint64_t period)
{
	if (period)
		put_u64(out, "CPUQuotaPeriodUSec", period);
	if (quota || period)
		put_u64(out, "CPUQuotaPerSecUSec", quota_per_second(quota, period));
}

static void put_tasks(struct str *out, int64_t limit)
{
	put_u64(out, "TasksMax", limit < 0 ? UINT64_MAX : limit == 0 ? 1 : (uint64_t)limit);
}

/* "0-3,7" as a mask of bytes, the lowest first. */
static int put_cpu_mask(struct str *out, const char *name, const char *list, struct err *err)
{
	enum { BITS = 8192 };
	unsigned char mask[BITS / 8] = {0};
	autofree char *copy = strdup(list);
	char *s = copy, *word;
	size_t used = 0;

	if (!copy)
		return err_oom(err);
	while ((word = cgroup_next(&s, ','))) {
		uint64_t from, to;
		word += strspn(word, " \t");
		word[strcspn(word, " \t\n")] = '\0';
		if (!*word)
			continue;
		char *dash = strchr(word, '-');
		if (dash)
			*dash = '\0';
		if (str_to_u64(word, 10, &from) < 0 || str_to_u64(dash ? dash + 1 : word, 10, &to) < 0 ||
		    from > to || to >= BITS)
			return err_set(err, EINVAL, "%s=\"%s\" conversion error: invalid range", name, list);
		for (; from <= to; from++)
			mask[from / 8] |= (unsigned char)(1U << from % 8);
		used = MAX_OF(used, to / 8 + 1);
	}
	if (!used)
		return err_set(err, EINVAL, "%s=\"%s\" conversion error: empty value", name, list);
	str_putf(out, "prop 0 %s @ay [", name);
	for (size_t i = 0; i < used; i++)
		str_putf(out, "%s%u", i ? ", " : "", mask[i]);
	str_put(out, "]\n");
	return 0;
}

static int put_cpusets(struct str *out, const char *cpus, const char *mems, struct err *err)
{
	int r = cpus && *cpus ? put_cpu_mask(out, "AllowedCPUs", cpus, err) : 0;

	return r == 0 && mems && *mems ? put_cpu_mask(out, "AllowedMemoryNodes", mems, err) : r;
}

/* --- devices --- */

/* False: systemd has no way to say it, and the rules proper follow anyway. */
static bool device_path(const struct device_rule *d, char buf[static 64])
{
	const char *type = d->type == 'b' ? "block" : "char";

	if (d->major < 0 && d->minor >= 0)
		return false;
	if (d->major < 0)
		(void)snprintf(buf, 64, "%s-*", type); /* two numbers fit, here and below */
	else if (d->minor < 0)
		(void)snprintf(buf, 64, "%s-%" PRId64, type, d->major);
	else
		(void)snprintf(buf, 64, "/dev/%s/%" PRId64 ":%" PRId64, type, d->major, d->minor);
	return true;
}

static int put_devices(struct str *out, const struct cgroup *cg, const struct oci_resources *r,
		       struct err *err)
{
	struct device_state s = {0};
	device_rule_list rules = {0};
	bool first = true;
	int ret = device_rules_make(r, &rules, err);

	if (ret < 0)
		return ret;
	ret = device_state_of(&rules, &s, err);
	free(rules.v);
	if (ret < 0)
		return cg->v2 ? 0 : ret; /* v2's program can express what systemd cannot */
	if (s.allow) {
		str_put(out, "prop 0 DeviceAllow @a(ss) []\n");
		str_putf(out, "prop 0 DevicePolicy '%s'\n", s.but.n && !cg->v2 ? "strict" : "auto");
		device_state_free(&s);
		return 0;
	}
	str_put(out,
		"prop 0 DeviceAllow @a(ss) []\nprop 0 DevicePolicy 'strict'\nprop 0 DeviceAllow @a(ss) [");
	for (size_t i = 0; i < s.but.n; i++) {
		const struct device_rule *d = &s.but.v[i];
		char path[64];
		if (!device_path(d, path))
			continue;
		str_putf(out, "%s('%s', '%s%s%s')", first ? "" : ", ", path, d->access & DEV_READ ? "r" : "",
			 d->access & DEV_WRITE ? "w" : "", d->access & DEV_MKNOD ? "m" : "");
		first = false;
	}
	str_put(out, "]\n");
	device_state_free(&s);
	return 0;
}

/* --- v2's `unified` --- */

static int amount_of(const char *key, const char *text, uint64_t *ret, struct err *err)
{
	*ret = UINT64_MAX;
	if (!streq(text, "max") && str_to_u64(text, 10, ret) < 0)
		return err_set(err, EINVAL,
			       "unified resource \"%s\" value conversion error: invalid number \"%s\"", key,
			       text);
	return 0;
}

static int put_cpu_max(struct str *out, const char *key, const char *text, struct err *err)
{
	char quota[32], period[32];
	uint64_t q = 0, p = 100000;
	int n = sscanf(text, "%31s %31s", quota, period);

	if (n < 1 || (!streq(quota, "max") && (str_to_u64(quota, 10, &q) < 0 || q > INT64_MAX)) ||
	    (n == 2 && str_to_u64(period, 10, &p) < 0))
		return err_set(err, EINVAL, "unified resource \"%s\" value invalid: \"%s\"", key, text);
	put_quota(out, (int64_t)q, p);
	return 0;
}

static int put_unified_one(struct str *out, const char *key, const char *text, bool idle, bool start,
			   struct err *err)
{
	static const struct {
		const char *key, *property;
	} amounts[] = {
		{"memory.high", "MemoryHigh"},	      {"memory.low", "MemoryLow"},
		{"memory.max", "MemoryMax"},	      {"memory.min", "MemoryMin"},
		{"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
	};
	uint64_t v;
	int r = 0;

	if (streq(key, "cpu.max"))
		return put_cpu_max(out, key, text, err);
	if (streq(key, "cpuset.cpus") || streq(key, "cpuset.mems"))
		return put_cpu_mask(out, key[7] == 'c' ? "AllowedCPUs" : "AllowedMemoryNodes", text, err);
	if (streq(key, "cpu.idle") && streq(text, "1"))
		str_putf(out, "prop %d CPUWeight uint64 0\n", SYSTEMD_IDLE);
	if (streq(key, "cpu.weight") && !idle) {
		r = amount_of(key, text, &v, err);
		if (r == 0)
			put_u64(out, "CPUWeight", v);
	}
	if (streq(key, "memory.oom.group") && start && (streq(text, "0") || streq(text, "1")))
		str_putf(out, "prop %d OOMPolicy '%s'\n", SYSTEMD_OOM_POLICY,
			 *text == '1' ? "kill" : "continue");
	for (size_t i = 0; i < ARRAY_LEN(amounts) && r == 0; i++) {
		if (!streq(key, amounts[i].key))
			continue;
		r = amount_of(key, text, &v, err);
		if (r == 0)
			put_u64(out, amounts[i].property, v == 0 && streq(key, "pids.max") ? 1 : v);
	}
	return r;
}

static int put_unified(struct str *out, const pair_list *l, bool start, struct err *err)
{
	bool idle = false;

	for (size_t i = 0; i < l->n; i++)
		idle |= streq(l->v[i].key, "cpu.idle") && streq(l->v[i].value, "1");
	for (size_t i = 0; i < l->n; i++) {
		const char *key = l->v[i].key, *dot = strchr(key, '.');
		autofree char *text = strdup(l->v[i].value + strspn(l->v[i].value, " \t\n"));
		if (!text)
			return err_oom(err);
		for (size_t n = strlen(text); n > 0 && strchr(" \t\n", text[n - 1]); n--)
			text[n - 1] = '\0';
		if (strchr(key, '/'))
			return err_set(err, EINVAL,
				       "unified resource \"%s\" must be a file name (no slashes)", key);
		if (!dot || dot == key)
			return err_set(err, EINVAL,
				       "unified resource \"%s\" must be in the form CONTROLLER.PARAMETER",
				       key);
		int r = put_unified_one(out, key, text, idle, start, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- all of it --- */

static int put_v2(struct str *out, const struct oci_resources *r, bool start, struct err *err)
{
	bool idle = r->cpu.idle.set && r->cpu.idle.v == 1, swap_set;
	int64_t swap;
	int ret = cgroup_swap_v2(&r->memory, &swap_set, &swap, err);

	if (ret < 0)
		return ret;
	put_amount_property(out, "MemoryMax", &r->memory.limit);
	put_amount_property(out, "MemoryLow", &r->memory.reservation);
	if (swap_set)
		put_u64(out, "MemorySwapMax", (uint64_t)swap);
	if (idle)
		str_putf(out, "prop %d CPUWeight uint64 0\n", SYSTEMD_IDLE);
	else if (r->cpu.shares.set && r->cpu.shares.v)
		put_u64(out, "CPUWeight", cgroup_shares_to_weight(r->cpu.shares.v));
	return put_unified(out, &r->unified, start, err);
}

static void put_v1(struct str *out, const struct oci_resources *r)
{
	put_amount_property(out, "MemoryLimit", &r->memory.limit);
	if (r->cpu.shares.set && r->cpu.shares.v)
		put_u64(out, "CPUShares", r->cpu.shares.v);
	if (r->block_io.weight.set && r->block_io.weight.v)
		put_u64(out, "BlockIOWeight", r->block_io.weight.v);
}

int systemd_properties(const struct cgroup *cg, const struct oci_resources *r, bool start, struct str *out,
		       struct err *err)
{
	/* An `update` names no devices, and must not take them away. */
	int ret = start ? put_devices(out, cg, r, err) : 0;

	if (ret == 0 && cg->v2)
		ret = put_v2(out, r, start, err);
	if (ret < 0)
		return ret;
	if (!cg->v2)
		put_v1(out, r);
	put_quota(out, r->cpu.quota.set ? r->cpu.quota.v : 0, r->cpu.period.set ? r->cpu.period.v : 0);
	if (r->pids_limit.set)
		put_tasks(out, r->pids_limit.v);
	ret = put_cpusets(out, r->cpu.cpus, r->cpu.mems, err);
	return ret == 0 && out->failed ? err_oom(err) : ret;
}
