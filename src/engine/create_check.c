/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/create.h"

#include "engine/caps.h"
#include "engine/spec.h"
#include "host/mount_options.h"
#include "isolate/isolate.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <math.h>

enum { MEMORY_MIN = 6 << 20, CPUS_TEXT_MAX = 4096, CPU_TIME_MIN = 1000, CPU_PERIOD_MAX = 1000000 };

int engine_restart_parse(const char *text, enum monitor_restart *ret, uint32_t *ret_max, struct err *err)
{
	uint64_t max = 0;

	if (!text || !*text || streq(text, "no"))
		*ret = MONITOR_RESTART_NO;
	else if (streq(text, "always"))
		*ret = MONITOR_RESTART_ALWAYS;
	else if (streq(text, "unless-stopped"))
		*ret = MONITOR_RESTART_UNLESS_STOPPED;
	else if (streq(text, "on-failure"))
		*ret = MONITOR_RESTART_ON_FAILURE;
	else if (str_starts(text, "on-failure:") && str_to_u64(text + strlen("on-failure:"), 10, &max) == 0 &&
		 max <= INT32_MAX)
		*ret = MONITOR_RESTART_ON_FAILURE;
	else if (str_starts(text, "always:") || str_starts(text, "unless-stopped:") ||
		 str_starts(text, "no:"))
		return err_set(err, EINVAL, "maximum retry count cannot be used with restart policy '%.*s'",
			       (int)strcspn(text, ":"), text);
	else
		return err_set(err, EINVAL, "invalid restart policy '%.64s'", text);
	*ret_max = (uint32_t)max;
	return 0;
}

int engine_size_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "bkmgt";
	char *end;
	double v = strtod(text, &end);

	if (end == text || v < 0 || !isfinite(v))
		return -EINVAL;
	const char *unit = *end ? strchr(units, *end | 0x20) : units;
	if (!unit || !*unit)
		return -EINVAL;
	end += *end != '\0';
	if ((*end | 0x20) == 'i' && unit != units)
		end++;
	if ((*end | 0x20) == 'b')
		end++;
	if (*end)
		return -EINVAL;
	v *= (double)(UINT64_C(1) << (10 * (unsigned)(unit - units)));
	if (v > 9e18)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

static int check_limits(const struct engine_create *q, struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (q->memory > 0 && q->memory < MEMORY_MIN)
		return err_set(err, EINVAL, "Minimum memory limit allowed is 6MB");
	if (q->memory > 0 && q->memory_swap > 0 && q->memory_swap < q->memory)
		return err_set(err, EINVAL,
			       "Minimum memoryswap limit should be larger than memory limit, see usage");
	if (q->memory == 0 && q->memory_swap > 0)
		return err_set(
			err, EINVAL,
			"You should always set the Memory limit when using Memoryswap limit, see usage");
	if (q->memory > 0 && q->memory_reservation > q->memory)
		return err_set(
			err, EINVAL,
			"Minimum memory limit can not be less than memory reservation limit, see usage");
	if (q->memory_swappiness > 100)
		return err_set(err, EINVAL, "Invalid value: %lld, valid memory swappiness range is 0-100",
			       (long long)q->memory_swappiness);
	if (q->shm_size < 0)
		return err_set(err, EINVAL, "SHM size can not be less than 0");
	if (q->oom_score_adj < -1000 || q->oom_score_adj > 1000)
		return err_set(err, EINVAL, "Invalid value %lld, range for oom score adj is [-1000, 1000]",
			       (long long)q->oom_score_adj);
	if (q->nano_cpus > 0 && (q->cpu_quota || q->cpu_period))
		return err_set(err, EINVAL,
			       "Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set.");
	if (q->nano_cpus < 0 || (q->nano_cpus > 0 && cpus > 0 && q->nano_cpus > cpus * 1000000000LL))
		return err_set(err, EINVAL,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
			       cpus, cpus);
	if (q->cpu_shares < 0)
		return err_set(err, EINVAL, "invalid CPU shares (%lld): value must be a positive integer",
			       (long long)q->cpu_shares);
	if (q->blkio_weight && (q->blkio_weight < 10 || q->blkio_weight > 1000))
		return err_set(err, EINVAL, "Range of blkio weight is from 10 to 1000");
	if (q->storage_opt.n)
		return err_set(err, EINVAL,
			       "--storage-opt \"%s\" is not supported: the size of a container's own layer "
			       "cannot be "
			       "limited",
			       q->storage_opt.v[0].key);
	return 0;
}

/* The next range of "0-3,8"; false at the end, *ok false where it is none. */
static bool next_cpus(const char **p, unsigned long *first, unsigned long *last, bool *ok)
{
	char *end;

	if (!**p || **p == '\n')
		return false;
	*ok = **p >= '0' && **p <= '9';
	*first = *last = strtoul(*p, &end, 10);
	if (*ok && *end == '-') {
		*p = end + 1;
		*ok = **p >= '0' && **p <= '9';
		*last = strtoul(*p, &end, 10);
	}
	*ok = *ok && *first <= *last && (!*end || *end == ',' || *end == '\n');
	*p = end + (*end == ',');
	return true;
}

static bool all_within(const char *wanted, const char *there)
{
	unsigned long first, last, from, to;
	bool ok = true, have = true;

	for (const char *p = wanted; have && next_cpus(&p, &first, &last, &ok) && ok;) {
		have = false;
		for (const char *q = there; !have && next_cpus(&q, &from, &to, &ok) && ok;)
			have = first >= from && last <= to;
	}
	return have;
}

/* `where` has what the machine has; of a text that cannot be read, or is odd, the kernel is the judge. */
static int check_set(const char *wanted, const char *where, const char *what, const char *things,
		     struct err *err)
{
	autofree char *there = NULL;
	unsigned long first, last;
	bool ok = true;
	size_t len;

	if (!wanted || !*wanted)
		return 0;
	for (const char *p = wanted; ok && next_cpus(&p, &first, &last, &ok);)
		;
	if (!ok)
		return err_set(err, EINVAL, "Invalid value %.64s for %s", wanted, what);
	if (file_read_at(AT_FDCWD, where, CPUS_TEXT_MAX, &there, &len) < 0)
		return 0;
	there[strcspn(there, "\n")] = '\0';
	return all_within(wanted, there)
		       ? 0
		       : err_set(err, EINVAL,
				 "Requested %s are not available - requested %.64s, available: %s", things,
				 wanted, there);
}

static int check_cpus(const struct engine_create *q, struct err *err)
{
	int r = check_set(q->cpuset_cpus, "/sys/devices/system/cpu/online", "cpuset cpus", "CPUs", err);

	if (r == 0)
		r = check_set(q->cpuset_mems, "/sys/devices/system/node/online", "cpuset mems",
			      "memory nodes", err);
	if (r < 0)
		return r;
	if (q->cpu_period && (q->cpu_period < CPU_TIME_MIN || q->cpu_period > CPU_PERIOD_MAX))
		return err_set(err, EINVAL,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. "
			       "1000000)");
	if (q->cpu_quota > 0 && q->cpu_quota < CPU_TIME_MIN)
		return err_set(err, EINVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	return 0;
}

/* Docker's list, and no more: what a tmpfs of a later kernel could be told is not the container's maker's
 * guess. */
static bool tmpfs_option_known(const char *word, size_t len)
{
	static const char *const keys[] = {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"};
	size_t key = strcspn(word, "=");
	autofree char *name = strndup(word, len);

	if (key < len) {
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			if (strlen(keys[i]) == key && strncmp(word, keys[i], key) == 0)
				return true;
		}
		return false;
	}
	return len == 0 || (name && (mount_flag_named(name) || mount_propagation_named(name))) ||
	       (name && (streq(name, "defaults") || streq(name, "tmpcopyup")));
}

static int check_tmpfs(const struct engine_create *q, struct err *err)
{
	for (size_t i = 0; i < q->mounts.n; i++) {
		const struct engine_mount *m = &q->mounts.v[i];
		for (const char *p = m->kind == ENGINE_TMPFS ? m->options : NULL; p && *p;) {
			size_t len = strcspn(p, ",");
			if (!tmpfs_option_known(p, len))
				return err_set(err, EINVAL, "invalid tmpfs option [\"%.*s\"]",
					       (int)MIN_OF(len, 64U), p);
			p += len + (p[len] == ',');
		}
	}
	return 0;
}

static int check_ulimits(const struct engine_create *q, struct err *err)
{
	static const char *const names[] = {"as",      "core",	   "cpu",	 "data",   "fsize", "locks",
					    "memlock", "msgqueue", "nice",	 "nofile", "nproc", "rss",
					    "rtprio",  "rttime",   "sigpending", "stack"};

	for (size_t i = 0; i < q->ulimits.n; i++) {
		const struct engine_ulimit *u = &q->ulimits.v[i];
		bool known = false;
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			known |= streq(names[k], u->name);
		if (!known)
			return err_set(err, EINVAL, "invalid ulimit type: %.64s", u->name);
		if (u->hard != -1 && (u->soft == -1 || u->soft > u->hard))
			return err_set(
				err, EINVAL,
				"ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
				(long long)u->soft, (long long)u->hard);
	}
	return 0;
}

static int check_modes(const struct engine_create *q, struct err *err)
{
	static const char *const ipc[] = {"none", "private", "shareable", "host"};
	bool ipc_ok = !q->ipc_mode || !*q->ipc_mode || str_starts(q->ipc_mode, "container:");
	const char *user = q->userns_mode;

	for (size_t i = 0; i < ARRAY_LEN(ipc); i++)
		ipc_ok |= engine_mode_is(q->ipc_mode, ipc[i]);
	if (!ipc_ok)
		return err_set(err, EINVAL, "invalid IPC mode: %.64s", q->ipc_mode);
	if (q->pid_mode && *q->pid_mode && !streq(q->pid_mode, "host") && !streq(q->pid_mode, "private") &&
	    !str_starts(q->pid_mode, "container:"))
		return err_set(err, EINVAL, "invalid PID mode: %.64s", q->pid_mode);
	if (q->uts_mode && *q->uts_mode && !streq(q->uts_mode, "host") && !streq(q->uts_mode, "private"))
		return err_set(err, EINVAL, "invalid UTS mode: %.64s", q->uts_mode);
	if (q->cgroupns_mode && *q->cgroupns_mode && !streq(q->cgroupns_mode, "host") &&
	    !streq(q->cgroupns_mode, "private"))
		return err_set(err, EINVAL, "invalid cgroup namespace mode: %.64s", q->cgroupns_mode);
	if (user && str_starts(user, "keep-id"))
		return err_set(
			err, EINVAL,
			"--userns=%s is not supported: a container has 65536 ids of its own, or the host's "
			"with --userns=host",
			user);
	if (user && *user && !streq(user, "host") && !streq(user, "private") && !streq(user, "auto"))
		return err_set(err, EINVAL, "invalid userns mode: \"%.64s\" (\"\", \"private\" or \"host\")",
			       user);
	if (q->privileged && user && *user && !streq(user, "host"))
		return err_set(
			err, EINVAL,
			"privileged mode is incompatible with user namespaces.  You must run the container "
			"in the host namespace when running privileged mode");
	return 0;
}

static int check_network(const struct engine_create *q, struct err *err)
{
	const char *mode = q->network_mode;
	bool joined = mode && str_starts(mode, "container:");

	if (joined && q->ports.n)
		return err_set(err, EINVAL,
			       "conflicting options: port publishing and the container type network mode");
	if (joined && !q->pod && q->hostname && *q->hostname) /* a pod's: pod.c */
		return err_set(err, EINVAL, "conflicting options: hostname and the network mode");
	if (joined && q->add_host.n)
		return err_set(err, EINVAL,
			       "conflicting options: custom host-to-IP mapping and the network mode");
	if (joined && q->dns.n)
		return err_set(err, EINVAL, "conflicting options: dns and the network mode");
	if (engine_mode_is(mode, "host") && q->uts_mode && streq(q->uts_mode, "host") && q->hostname &&
	    *q->hostname)
		return err_set(err, EINVAL, "conflicting options: hostname and the UTS mode");
	for (size_t i = 0; i < q->dns.n; i++) {
		struct in6_addr any;
		if (inet_pton(AF_INET, q->dns.v[i], &any) != 1 && inet_pton(AF_INET6, q->dns.v[i], &any) != 1)
			return err_set(err, EINVAL, "%.64s is not an ip address (--dns)", q->dns.v[i]);
	}
	for (size_t i = 0; i < q->add_host.n; i++) {
		if (!strpbrk(q->add_host.v[i], ":="))
			return err_set(err, EINVAL, "bad format for add-host: \"%.128s\"", q->add_host.v[i]);
	}
	return 0;
}

static int check_log(const struct engine *e, const struct engine_create *q, struct err *err)
{
	static const char *const known[] = {"max-size",	 "max-file", "labels", "labels-regex",	 "env",
					    "env-regex", "tag",	     "mode",   "max-buffer-size"};
	const char *driver = q->log_driver && *q->log_driver ? q->log_driver : e->o.log_driver;

	if (driver && !streq(driver, "json-file") && !streq(driver, "journald") && !streq(driver, "none"))
		return err_set(
			err, EINVAL,
			"logger: no log driver named '%.64s' is registered (there are json-file, journald "
			"and none)",
			driver);
	for (size_t i = 0; i < q->log_opts.n; i++) {
		const struct oci_pair *p = &q->log_opts.v[i];
		bool ok = false;
		uint64_t v;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			ok |= streq(known[k], p->key);
		if (!ok)
			return err_set(err, EINVAL, "unknown log opt '%.64s' for %s log driver", p->key,
				       driver ? driver : "json-file");
		if (streq(p->key, "max-size") && (engine_size_parse(p->value, &v) < 0 || v == 0))
			return err_set(err, EINVAL, "invalid size: '%.64s' of log opt max-size", p->value);
		if (streq(p->key, "max-file") && (str_to_u64(p->value, 10, &v) < 0 || v == 0 || v > 1000))
			return err_set(err, EINVAL, "max-file must be a number from 1 to 1000, not '%.64s'",
				       p->value);
	}
	return 0;
}

int engine_create_check(struct engine *e, const struct engine_create *q, struct err *err)
{
	const char *level_name = q->isolation && *q->isolation ? q->isolation : e->o.isolation;
	const struct isolate_level *level;
	struct engine_security sec;
	enum monitor_restart restart;
	uint32_t max;
	uint64_t caps;
	int r = check_limits(q, err);

	if (r == 0)
		r = check_cpus(q, err);
	if (r == 0)
		r = check_tmpfs(q, err);
	if (r == 0)
		r = check_ulimits(q, err);
	if (r == 0)
		r = check_modes(q, err);
	if (r == 0)
		r = check_network(q, err);
	if (r == 0)
		r = check_log(e, q, err);
	if (r == 0 && q->umask &&
	    (!*q->umask || strlen(q->umask) > 4 || q->umask[strspn(q->umask, "01234567")]))
		r = err_set(err, EINVAL, "invalid umask \"%s\": octal digits, as 0022", q->umask);
	if (r == 0)
		r = engine_security_parse(q, &sec, err);
	if (r == 0 && sec.seccomp && !streq(sec.seccomp, "unconfined") && access(sec.seccomp, R_OK) < 0)
		r = err_sys(err, "opening seccomp profile (%s) failed", sec.seccomp);
	if (r == 0)
		r = engine_caps(q, &caps, err);
	if (r == 0)
		r = engine_restart_parse(q->restart, &restart, &max, err);
	if (r == 0 && q->auto_remove && restart != MONITOR_RESTART_NO)
		r = err_set(err, EINVAL, "can't create 'AutoRemove' container with restart policy");
	if (r == 0 && level_name && *level_name)
		r = isolate_find(level_name, &level, err);
	if (r == 0 && q->cidfile && access(q->cidfile, F_OK) == 0)
		r = err_set(
			err, EEXIST,
			"Container ID file found, make sure the other container isn't running or delete %s",
			q->cidfile);
	return r;
}
