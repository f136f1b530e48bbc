/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tables cannot state, for the part of config.json that is not
 * linux.*: the specification's MUSTs, and what runc refuses.  Where runc has
 * a sentence, it stands behind the path unchanged, for those who grep.
 */
#include "oci/config_tables.h"

#include <inttypes.h>

int oci_invalid(const struct oci_check *ck, const char *fmt, ...)
{
	char text[ERR_MSG_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	return err_set(ck->err, EINVAL, "%s: %s", ck->where, text);
}

bool oci_is_known(const char *s, const char *const *known)
{
	for (; *known; known++)
		if (streq(*known, s))
			return true;
	return false;
}

const char *oci_first_unknown(const str_list *list, const char *const *known)
{
	for (size_t i = 0; i < list->n; i++)
		if (!oci_is_known(list->v[i], known))
			return list->v[i];
	return NULL;
}

/* One of the comma-separated parts, blanks around it; its count of numbers, 0 where empty, -1 where wrong. */
static long cpu_range_count(const char *s, size_t len)
{
	enum { CPU_MAX = 65536 };
	long v[2] = {0, 0};
	int n = 0, digits = 0;

	for (; len > 0 && *s == ' '; len--)
		s++;
	while (len > 0 && s[len - 1] == ' ')
		len--;
	if (len == 0)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '-' && digits > 0 && n == 0) {
			n = 1;
			digits = 0;
		} else if (s[i] >= '0' && s[i] <= '9') {
			v[n] = v[n] * 10 + (s[i] - '0');
			digits++;
			if (v[n] > CPU_MAX)
				return -1;
		} else {
			return -1;
		}
	}
	if (digits == 0 || (n == 1 && v[0] > v[1]))
		return -1;
	return n == 0 ? 1 : v[1] - v[0] + 1;
}

/* Numbers in the list, or -1. */
static long cpu_list(const char *s)
{
	long total = 0;

	for (const char *p = s;; p++) {
		size_t len = strcspn(p, ",");
		long n = cpu_range_count(p, len);
		if (n < 0)
			return -1;
		total += n;
		p += len;
		if (!*p)
			return total;
	}
}

bool oci_is_cpu_list(const char *s)
{
	return cpu_list(s) > 0;
}

size_t oci_cpu_list_count(const char *s)
{
	long n = cpu_list(s);

	return n > 0 ? (size_t)n : 0;
}

const char *oci_make_absolute(const struct oci_check *ck, const char *path)
{
	if (path[0] == '/')
		return path;
	size_t len = strlen(path);
	char *s = json_doc_alloc(ck->doc, len + 2);
	if (!s)
		return NULL;
	s[0] = '/';
	memcpy(s + 1, path, len + 1);
	return s;
}

/* ---- process ---- */

/* sched(7): 1024 <= runtime <= deadline <= period < 2^63; no period is one as long as the deadline. */
static int check_deadline(const struct oci_check *ck, const char *path, const struct oci_scheduler *s)
{
	const struct {
		const char *name;
		uint64_t v;
	} of[] = {{"runtime", s->runtime},
		  {"deadline", s->deadline},
		  {"period", s->period ? s->period : s->deadline}};

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		if (of[i].v == 0)
			return oci_invalid(ck, "%sscheduler.%s: SCHED_DEADLINE needs one greater than 0",
					   path, of[i].name);
		if (of[i].v < 1024 || of[i].v > INT64_MAX)
			return oci_invalid(ck, "%sscheduler.%s: %" PRIu64 " is not from 1024 to %" PRId64,
					   path, of[i].name, of[i].v, INT64_MAX);
	}
	for (size_t i = 1; i < ARRAY_LEN(of); i++) {
		if (of[i - 1].v > of[i].v)
			return oci_invalid(ck, "%sscheduler.%s: %" PRIu64 " is more than the %s of %" PRIu64,
					   path, of[i - 1].name, of[i - 1].v, of[i].name, of[i].v);
	}
	return 0;
}

static int check_scheduler(const struct oci_check *ck, const char *path, const struct oci_scheduler *s)
{
	static const char *const policies[] = {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",	      "SCHED_BATCH",
					       "SCHED_ISO",   "SCHED_IDLE", "SCHED_DEADLINE", NULL};
	static const char *const flags[] = {"SCHED_FLAG_RESET_ON_FORK",	 "SCHED_FLAG_RECLAIM",
					    "SCHED_FLAG_DL_OVERRUN",	 "SCHED_FLAG_KEEP_POLICY",
					    "SCHED_FLAG_KEEP_PARAMS",	 "SCHED_FLAG_UTIL_CLAMP_MIN",
					    "SCHED_FLAG_UTIL_CLAMP_MAX", NULL};

	if (!s->policy)
		return oci_invalid(ck, "%sscheduler.policy: scheduler policy is required", path);
	if (!oci_is_known(s->policy, policies))
		return oci_invalid(ck, "%sscheduler.policy: invalid scheduler policy: %s", path, s->policy);
	if ((streq(s->policy, "SCHED_OTHER") || streq(s->policy, "SCHED_BATCH")) &&
	    (s->nice < -20 || s->nice > 19))
		return oci_invalid(ck,
				   "%sscheduler.nice: invalid scheduler.nice: %d when scheduler.policy is %s",
				   path, s->nice, s->policy);
	if (s->priority && !streq(s->policy, "SCHED_FIFO") && !streq(s->policy, "SCHED_RR"))
		return oci_invalid(ck,
				   "%sscheduler.priority: scheduler.priority can only be specified for "
				   "SchedFIFO or SchedRR policy",
				   path);
	if (!streq(s->policy, "SCHED_DEADLINE") && (s->runtime || s->deadline || s->period))
		return oci_invalid(ck,
				   "%sscheduler: scheduler runtime/deadline/period can only be specified for "
				   "SchedDeadline policy",
				   path);
	if (streq(s->policy, "SCHED_DEADLINE")) {
		int r = check_deadline(ck, path, s);
		if (r < 0)
			return r;
	}
	const char *flag = oci_first_unknown(&s->flags, flags);
	if (flag)
		return oci_invalid(ck, "%sscheduler.flags: invalid scheduler flag: %s", path, flag);
	return 0;
}

static int check_io_priority(const struct oci_check *ck, const char *path, const struct oci_io_priority *p)
{
	static const char *const classes[] = {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE",
					      NULL};

	if (p->priority < 0 || p->priority > 7)
		return oci_invalid(ck, "%sioPriority.priority: invalid ioPriority.Priority: %d", path,
				   p->priority);
	if (!p->class_ || !oci_is_known(p->class_, classes))
		return oci_invalid(ck, "%sioPriority.class: invalid ioPriority.Class: \"%s\"", path,
				   p->class_ ? p->class_ : "");
	return 0;
}

static int check_affinity(const struct oci_check *ck, const char *path, const struct oci_cpu_affinity *a)
{
	if (a->initial && !oci_is_cpu_list(a->initial))
		return oci_invalid(ck, "%sexecCPUAffinity.initial: bad CPUAffinity.Initial: \"%s\"", path,
				   a->initial);
	if (a->final && !oci_is_cpu_list(a->final))
		return oci_invalid(ck, "%sexecCPUAffinity.final: bad CPUAffinity.Final: \"%s\"", path,
				   a->final);
	return 0;
}

static const char *const rlimit_names[] = {"RLIMIT_AS",
					   "RLIMIT_CORE",
					   "RLIMIT_CPU",
					   "RLIMIT_DATA",
					   "RLIMIT_FSIZE",
					   "RLIMIT_LOCKS",
					   "RLIMIT_MEMLOCK",
					   "RLIMIT_MSGQUEUE",
					   "RLIMIT_NICE",
					   "RLIMIT_NOFILE",
					   "RLIMIT_NPROC",
					   "RLIMIT_RSS",
					   "RLIMIT_RTPRIO",
					   "RLIMIT_RTTIME",
					   "RLIMIT_SIGPENDING",
					   "RLIMIT_STACK",
					   NULL};

static int check_rlimits(const struct oci_check *ck, const char *path, const struct oci_process *p)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < p->rlimits.n; i++) {
		const char *type = p->rlimits.v[i].type;
		unsigned which = 0;
		while (rlimit_names[which] && !streq(rlimit_names[which], type))
			which++;
		if (!rlimit_names[which])
			return oci_invalid(ck, "%srlimits[%zu].type: wrong rlimit value: %s", path, i, type);
		if (seen & 1U << which)
			return oci_invalid(ck, "%srlimits[%zu].type: duplicated rlimit %s", path, i, type);
		seen |= 1U << which;
	}
	return 0;
}

int oci_check_process(const struct oci_check *ck, const char *path, struct oci_process *p)
{
	int r;

	if (!p->cwd)
		return oci_invalid(ck, "%scwd: Cwd property must not be empty", path);
	if (p->cwd[0] != '/')
		return oci_invalid(ck, "%scwd: Cwd must be an absolute path", path);
	if (p->args.n == 0)
		return oci_invalid(ck, "%sargs: args must not be empty", path);
	for (size_t i = 0; i < p->env.n; i++) {
		const char *eq = strchr(p->env.v[i], '=');
		if (!eq)
			return oci_invalid(ck, "%senv[%zu]: invalid environment variable: missing '='", path,
					   i);
		if (eq == p->env.v[i])
			return oci_invalid(ck,
					   "%senv[%zu]: invalid environment variable: name cannot be empty",
					   path, i);
	}
	r = check_rlimits(ck, path, p);
	if (r == 0 && p->scheduler)
		r = check_scheduler(ck, path, p->scheduler);
	if (r == 0 && p->io_priority)
		r = check_io_priority(ck, path, p->io_priority);
	if (r == 0 && p->exec_cpu_affinity)
		r = check_affinity(ck, path, p->exec_cpu_affinity);
	return r;
}

/* ---- mounts ---- */

static bool mount_has_option(const struct oci_mount *m, const char *a, const char *b)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (streq(m->options.v[i], a) || streq(m->options.v[i], b))
			return true;
	return false;
}

static int check_mount(const struct oci_check *ck, const struct oci_config *c, size_t i)
{
	struct oci_mount *m = &c->mounts.v[i];
	const char *absolute = oci_make_absolute(ck, m->destination);

	if (!absolute)
		return err_oom(ck->err);
	m->destination = absolute;
	bool mappings = m->uid_mappings.n || m->gid_mappings.n;
	if (!mappings && !mount_has_option(m, "idmap", "ridmap"))
		return 0;
	if (!mount_has_option(m, "bind", "rbind"))
		return oci_invalid(ck,
				   "mounts[%zu]: invalid mount %s: id-mapped mounts are only supported for "
				   "bind-mounts",
				   i, m->destination);
	/* Without mappings of its own, the mount takes those of the container's user namespace. */
	if (mappings ? !m->uid_mappings.n || !m->gid_mappings.n : !c->linux.ns[OCI_NS_USER].wanted)
		return oci_invalid(
			ck,
			"mounts[%zu]: invalid mount %s: id-mapped mounts must have both uid and gid "
			"mappings specified",
			i, m->destination);
	return 0;
}

/* ---- hooks, annotations, version ---- */

static int check_hooks(const struct oci_check *ck, const char *name, const hook_list *hooks)
{
	for (size_t i = 0; i < hooks->n; i++)
		if (hooks->v[i].path[0] != '/')
			return oci_invalid(ck, "hooks.%s[%zu].path: expected an absolute path, got \"%s\"",
					   name, i, hooks->v[i].path);
	return 0;
}

static int check_all_hooks(const struct oci_check *ck, const struct oci_hooks *h)
{
	int r = check_hooks(ck, "prestart", &h->prestart);

	if (r == 0)
		r = check_hooks(ck, "createRuntime", &h->create_runtime);
	if (r == 0)
		r = check_hooks(ck, "createContainer", &h->create_container);
	if (r == 0)
		r = check_hooks(ck, "startContainer", &h->start_container);
	if (r == 0)
		r = check_hooks(ck, "poststart", &h->poststart);
	if (r == 0)
		r = check_hooks(ck, "poststop", &h->poststop);
	return r;
}

static int check_version(const struct oci_check *ck, const char *version)
{
	const char *p = version;
	int parts = 0;

	/* MAJOR.MINOR.PATCH and, behind '-' or '+', anything that SemVer has there. */
	for (;; p++) {
		size_t digits = strspn(p, "0123456789");
		if (digits == 0 || digits > 9 || (digits > 1 && p[0] == '0'))
			break;
		parts++;
		p += digits;
		if (*p != '.' || parts == 3)
			break;
	}
	size_t rest =
		strspn(p + (*p != '\0'), "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+.");
	bool ok = parts == 3 && (*p == '\0' || ((*p == '-' || *p == '+') && rest > 0 && p[1 + rest] == '\0'));
	if (!ok)
		return oci_invalid(ck, "ociVersion: expected a version like \"1.2.0\", got \"%.64s\"",
				   version);
	if (version[0] != '1' || version[1] != '.')
		return oci_invalid(ck, "ociVersion: version %.64s is not supported, only 1.x is", version);
	return 0;
}

int oci_check_config(const struct oci_check *ck, struct oci_config *c)
{
	int r = check_version(ck, c->oci_version);

	if (r == 0 && c->process)
		r = oci_check_process(ck, "process.", c->process);
	if (r == 0 && !c->root_path)
		r = oci_invalid(ck, "root: root must be specified");
	if (r == 0)
		r = oci_check_linux(ck, c);
	for (size_t i = 0; r == 0 && i < c->mounts.n; i++)
		r = check_mount(ck, c, i);
	if (r == 0)
		r = check_all_hooks(ck, &c->hooks);
	for (size_t i = 0; r == 0 && i < c->annotations.n; i++)
		if (!c->annotations.v[i].key[0])
			r = oci_invalid(ck, "annotations: a key must not be empty");
	return r;
}
