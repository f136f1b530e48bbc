/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources and linux.devices. */
#include "engine/spec.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { DEVICE_DEPTH_MAX = 8 };

static void spec_resources_put_limit(struct json_out *out, const char *key, int64_t v)
{
	if (v)
		json_put_i64(out, key, v);
}

void engine_spec_memory(struct json_out *out, const struct engine_create *q)
{
	int64_t swap = q->memory_swap;

	/* As Docker: as much swap as memory where nothing was said. */
	if (q->memory > 0 && swap == 0)
		swap = q->memory <= INT64_MAX / 2 ? 2 * q->memory : -1;
	json_begin_object(out, "memory");
	spec_resources_put_limit(out, "limit", q->memory);
	spec_resources_put_limit(out, "reservation", q->memory_reservation);
	spec_resources_put_limit(out, "swap", swap);
	spec_resources_put_limit(out, "kernel", q->kernel_memory);
	if (q->memory_swappiness >= 0)
		json_put_i64(out, "swappiness", q->memory_swappiness);
	if (q->oom_kill_disable)
		json_put_bool(out, "disableOOMKiller", true);
	json_end(out);
}

void engine_spec_cpu(struct json_out *out, const struct engine_create *q)
{
	enum { PERIOD_US = 100000 };
	int64_t period = q->cpu_period, quota = q->cpu_quota;

	if (q->nano_cpus > 0) {
		period = PERIOD_US;
		quota = q->nano_cpus / (1000000000 / PERIOD_US);
	}
	json_begin_object(out, "cpu");
	spec_resources_put_limit(out, "shares", q->cpu_shares);
	spec_resources_put_limit(out, "period", period);
	spec_resources_put_limit(out, "quota", quota);
	spec_resources_put_limit(out, "realtimePeriod", q->cpu_rt_period);
	spec_resources_put_limit(out, "realtimeRuntime", q->cpu_rt_runtime);
	json_put_opt_str(out, "cpus", q->cpuset_cpus);
	json_put_opt_str(out, "mems", q->cpuset_mems);
	json_end(out);
}

static int stat_device(const char *path, struct stat *ret, struct err *err)
{
	if (stat(path, ret) < 0)
		return err_sys(err, "error gathering device information while adding custom device \"%s\"",
			       path);
	if (!S_ISCHR(ret->st_mode) && !S_ISBLK(ret->st_mode))
		return err_set(err, EINVAL,
			       "error gathering device information while adding custom device \"%s\": not a "
			       "device node",
			       path);
	return 0;
}

/* An anonymous list of {device, value} is of one type in each member: `l` is any of them. */
static int put_throttle(struct json_out *out, const char *key, const char *value_key,
			const struct engine_blkio *v, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	json_begin_list(out, key);
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		int r = stat_device(v[i].device, &st, err);
		if (r < 0)
			return r;
		json_begin_object(out, NULL);
		json_put_u64(out, "major", major(st.st_rdev));
		json_put_u64(out, "minor", minor(st.st_rdev));
		json_put_u64(out, value_key, v[i].value);
		json_end(out);
	}
	json_end(out);
	return 0;
}

static int put_block_io(struct json_out *out, const struct engine_create *q, struct err *err)
{
	int r;

	json_begin_object(out, "blockIO");
	spec_resources_put_limit(out, "weight", q->blkio_weight);
	r = put_throttle(out, "weightDevice", "weight", q->weight_device.v, q->weight_device.n, err);
	if (r == 0)
		r = put_throttle(out, "throttleReadBpsDevice", "rate", q->device_read_bps.v,
				 q->device_read_bps.n, err);
	if (r == 0)
		r = put_throttle(out, "throttleWriteBpsDevice", "rate", q->device_write_bps.v,
				 q->device_write_bps.n, err);
	if (r == 0)
		r = put_throttle(out, "throttleReadIOPSDevice", "rate", q->device_read_iops.v,
				 q->device_read_iops.n, err);
	if (r == 0)
		r = put_throttle(out, "throttleWriteIOPSDevice", "rate", q->device_write_iops.v,
				 q->device_write_iops.n, err);
	json_end(out);
	return r;
}

static void spec_resources_put_rule(struct json_out *out, bool allow, const char *type, int64_t maj,
				    int64_t min, const char *access)
{
	json_begin_object(out, NULL);
	json_put_bool(out, "allow", allow);
	json_put_opt_str(out, "type", type);
	if (maj >= 0)
		json_put_i64(out, "major", maj);
	if (min >= 0)
		json_put_i64(out, "minor", min);
	json_put_str(out, "access", access);
	json_end(out);
}

/* "c 1:3 rwm", "a *:* rwm". */
static int put_cgroup_rule(struct json_out *out, const char *text, struct err *err)
{
	char type[2] = {text[0]}, access[4] = "";
	int64_t number[2] = {-1, -1};
	const char *p = text + 1;
	bool ok = text[0] && strchr("abc", text[0]) && *p == ' ';

	for (int i = 0; ok && i < 2; i++) {
		char *end = NULL;
		p++;
		if (*p == '*')
			end = (char *)(uintptr_t)p + 1;
		else
			number[i] = strtoll(p, &end, 10);
		ok = end && end != p && *end == (i == 0 ? ':' : ' ');
		p = end;
	}
	if (ok && strlen(p + 1) > 0 && strlen(p + 1) < sizeof(access) &&
	    strspn(p + 1, "rwm") == strlen(p + 1))
		memcpy(access, p + 1, strlen(p + 1) + 1);
	else
		ok = false;
	if (!ok)
		return err_set(err, EINVAL, "invalid device cgroup rule format: '%.64s'", text);
	spec_resources_put_rule(out, true, type, number[0], number[1], access);
	return 0;
}

/* ---- devices ---- */

/* A node of --device, or one found below its directory. */
typedef int (*device_visit)(struct json_out *out, const struct engine_device *d, const struct stat *st);

static int rule_of_device(struct json_out *out, const struct engine_device *d, const struct stat *st)
{
	spec_resources_put_rule(out, true, S_ISBLK(st->st_mode) ? "b" : "c", major(st->st_rdev),
				minor(st->st_rdev), d->access && *d->access ? d->access : "rwm");
	return 0;
}

static int node_of_device(struct json_out *out, const struct engine_device *d, const struct stat *st)
{
	json_begin_object(out, NULL);
	json_put_str(out, "path", d->container && *d->container ? d->container : d->host);
	json_put_str(out, "type", S_ISBLK(st->st_mode) ? "b" : "c");
	json_put_u64(out, "major", major(st->st_rdev));
	json_put_u64(out, "minor", minor(st->st_rdev));
	json_put_u64(out, "fileMode", st->st_mode & 0777);
	json_put_u64(out, "uid", st->st_uid);
	json_put_u64(out, "gid", st->st_gid);
	json_end(out);
	return 0;
}

static bool skipped_in_dev(const char *name)
{
	static const char *const names[] = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (streq(name, names[i]))
			return true;
	}
	return name[0] == '.';
}

static int walk_devices(struct json_out *out, const struct engine_device *d, int depth, device_visit visit,
			struct err *err)
{
	DIR *dir = opendir(d->host);
	int r = 0;

	if (!dir)
		return err_sys(err, "cannot read the directory of devices \"%s\"", d->host);
	for (const struct dirent *e; r == 0 && (e = readdir(dir));) {
		struct stat st;
		if (skipped_in_dev(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		autofree char *host = str_format("%s/%s", d->host, e->d_name),
			      *inside = str_format("%s/%s",
						   d->container && *d->container ? d->container : d->host,
						   e->d_name);
		struct engine_device sub = {.host = host, .container = inside, .access = d->access};
		if (!host || !inside)
			r = err_oom(err);
		else if (S_ISDIR(st.st_mode) && depth < DEVICE_DEPTH_MAX)
			r = walk_devices(out, &sub, depth + 1, visit, err);
		else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && !streq(inside, "/dev/console"))
			r = visit(out, &sub, &st);
	}
	(void)closedir(dir); /* read only */
	return r;
}

static int each_device(struct json_out *out, const struct engine_create *q, device_visit visit,
		       struct err *err)
{
	static const struct engine_device all = {.host = "/dev", .container = "/dev"};

	for (size_t i = 0; i < q->devices.n; i++) {
		const struct engine_device *d = &q->devices.v[i];
		struct stat st;
		int r;
		if (stat(d->host, &st) == 0 && S_ISDIR(st.st_mode)) {
			r = walk_devices(out, d, 0, visit, err);
		} else {
			r = stat_device(d->host, &st, err);
			if (r == 0)
				r = visit(out, d, &st);
		}
		if (r < 0)
			return r;
	}
	return q->privileged ? walk_devices(out, &all, 0, visit, err) : 0;
}

int engine_spec_devices(struct json_out *out, const char *key, const struct engine_create *q, struct err *err)
{
	int r;

	if (q->devices.n == 0 && !q->privileged)
		return 0;
	json_begin_list(out, key);
	r = each_device(out, q, node_of_device, err);
	json_end(out);
	return r;
}

int engine_spec_resources(struct json_out *out, const char *key, const struct engine_create *q,
			  struct err *err)
{
	int r = 0;

	json_begin_object(out, key);
	json_begin_list(out, "devices");
	spec_resources_put_rule(out, q->privileged, NULL, -1, -1, "rwm");
	if (!q->privileged)
		r = each_device(out, q, rule_of_device, err);
	for (size_t i = 0; r == 0 && i < q->device_cgroup_rules.n; i++)
		r = put_cgroup_rule(out, q->device_cgroup_rules.v[i], err);
	if (r < 0)
		return r;
	json_end(out);
	engine_spec_memory(out, q);
	engine_spec_cpu(out, q);
	if (q->pids_limit) {
		json_begin_object(out, "pids");
		json_put_i64(out, "limit", q->pids_limit);
		json_end(out);
	}
	r = put_block_io(out, q, err);
	if (r < 0)
		return r;
	json_end(out);
	return 0;
}
