/* SPDX-License-Identifier: Apache-2.0 */
#include "host/procattr.h"

#include "base/str.h"
#include "host/procattr_int.h"
#include "host/procfs.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- Limits and scores ---- */

static const struct procattr_word limits[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
	{NULL, 0},
};

int procattr_rlimit_number(const char *name)
{
	uint64_t number;

	return procattr_find(limits, name, &number) ? (int)number : -1;
}

bool procattr_find(const struct procattr_word *words, const char *name, uint64_t *ret)
{
	for (; name && words->name; words++)
		if (streq(words->name, name)) {
			*ret = words->value;
			return true;
		}
	return false;
}

int procattr_check_rlimits(const struct oci_process *p, struct err *err)
{
	bool seen[RLIM_NLIMITS] = {0};

	for (size_t i = 0; i < p->rlimits.n; i++) {
		const struct oci_rlimit *l = &p->rlimits.v[i];
		int nr = procattr_rlimit_number(l->type);

		if (nr < 0)
			return err_set(err, EINVAL, "wrong rlimit value: %s", l->type ? l->type : "");
		if (seen[nr])
			return err_set(err, EINVAL, "process.rlimits: %s is there twice", l->type);
		seen[nr] = true;
	}
	return 0;
}

int procattr_rlimits(const struct oci_process *p, pid_t pid, struct err *err)
{
	for (size_t i = 0; i < p->rlimits.n; i++) {
		const struct oci_rlimit *l = &p->rlimits.v[i];
		struct rlimit limit = {.rlim_cur = l->soft, .rlim_max = l->hard};
		int nr = procattr_rlimit_number(l->type);

		if (nr < 0)
			return err_set(err, EINVAL, "wrong rlimit value: %s", l->type ? l->type : "");
		if (prlimit(pid, (__rlimit_resource_t)nr, &limit, NULL) < 0) {
			char text[64];
			int code = errno;
			return err_set(err, code, "error setting rlimit type %d: %s", nr,
				       err_text_lower(code, text));
		}
	}
	return 0;
}

int procattr_oom_score_adj(int procfs, pid_t pid, int64_t score, struct err *err)
{
	char rel[40], text[24];

	if (pid > 0)
		(void)snprintf(rel, sizeof(rel), "%d/oom_score_adj", pid); /* always fits */
	else
		(void)snprintf(rel, sizeof(rel), "self/oom_score_adj"); /* always fits */
	(void)snprintf(text, sizeof(text), "%lld", (long long)score);	/* always fits */
	return procfs_write(procfs, rel, text, err);
}

/* ---- Scheduling ---- */

/* <linux/sched/types.h> collides with glibc's <sched.h>; this is its first version, which every kernel takes.
 */
struct sched_attr_v0 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static const struct procattr_word policies[] = {
	{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},	      {"SCHED_BATCH", 3},
	{"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}, {NULL, 0},
};
static const struct procattr_word sched_flags[] = {
	{"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
	{"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
	{"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}, {NULL, 0},
};

static int sched_words(const struct oci_scheduler *s, struct sched_attr_v0 *ret, struct err *err)
{
	uint64_t policy = 0, flags = 0, bit = 0;

	if (!s->policy)
		return err_set(err, EINVAL, "scheduler policy is required");
	if (!procattr_find(policies, s->policy, &policy))
		return err_set(err, EINVAL, "invalid scheduler policy: %s", s->policy);
	for (size_t i = 0; i < s->flags.n; i++, flags |= bit)
		if (!procattr_find(sched_flags, s->flags.v[i], &bit))
			return err_set(err, EINVAL, "invalid scheduler flag: %s", s->flags.v[i]);
	*ret = (struct sched_attr_v0){
		.size = sizeof(*ret),
		.policy = (uint32_t)policy,
		.flags = flags,
		.nice = s->nice,
		.priority = (uint32_t)s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};
	return 0;
}

int procattr_check_scheduler(const struct oci_scheduler *s, struct err *err)
{
	struct sched_attr_v0 a;
	int r = sched_words(s, &a, err);

	if (r < 0)
		return r;
	if ((streq(s->policy, "SCHED_OTHER") || streq(s->policy, "SCHED_BATCH")) &&
	    (s->nice < -20 || s->nice > 19))
		return err_set(err, EINVAL, "invalid scheduler.nice: %d when scheduler.policy is %s", s->nice,
			       s->policy);
	if (s->priority != 0 && !streq(s->policy, "SCHED_FIFO") && !streq(s->policy, "SCHED_RR"))
		return err_set(err, EINVAL,
			       "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
	if (!streq(s->policy, "SCHED_DEADLINE") && (s->runtime || s->deadline || s->period))
		return err_set(
			err, EINVAL,
			"scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
	return 0;
}

int procattr_scheduler(const struct oci_scheduler *s, struct err *err)
{
	struct sched_attr_v0 a;

	if (!s)
		return 0;
	int r = sched_words(s, &a, err);
	if (r < 0)
		return r;
	if (syscall(SYS_sched_setattr, 0, &a, 0) < 0) {
		char text[64];
		int code = errno;
		return err_set(err, code, "error setting scheduler: %s", err_text_lower(code, text));
	}
	return 0;
}

static const struct procattr_word io_classes[] = {
	{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
	{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
	{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
	{NULL, 0},
};

int procattr_check_io_priority(const struct oci_io_priority *p, uint64_t *ret_class, struct err *err)
{
	if (p->priority < 0 || p->priority > 7)
		return err_set(err, EINVAL, "invalid ioPriority.Priority: %d", p->priority);
	if (!procattr_find(io_classes, p->class_, ret_class))
		return err_set(err, EINVAL, "invalid ioPriority.Class: \"%s\"", p->class_ ? p->class_ : "");
	return 0;
}

int procattr_io_priority(const struct oci_io_priority *p, struct err *err)
{
	uint64_t class_ = 0;

	if (!p)
		return 0;
	int r = procattr_check_io_priority(p, &class_, err);
	if (r < 0)
		return r;
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(class_, (uint64_t)p->priority)) <
	    0) {
		char text[64];
		int code = errno;
		return err_set(err, code, "failed to set io priority: %s", err_text_lower(code, text));
	}
	return 0;
}

/* ---- Personality ---- */

int procattr_check_personality(const struct oci_personality *p, unsigned long *ret, struct err *err)
{
	if (p->domain && streq(p->domain, "LINUX"))
		*ret = PER_LINUX;
	else if (p->domain && streq(p->domain, "LINUX32"))
		*ret = PER_LINUX32;
	else
		return err_set(err, EINVAL, "invalid personality domain %s", p->domain ? p->domain : "");
	/* The specification names none, and runc ignores them with a warning; an asked-for thing is not
	 * dropped here. */
	if (p->flags.n)
		return err_set(err, EINVAL, "linux.personality.flags: no flag is supported, got \"%s\"",
			       p->flags.v[0]);
	return 0;
}

int procattr_personality(const struct oci_personality *p, struct err *err)
{
	unsigned long domain = 0;

	if (!p)
		return 0;
	int r = procattr_check_personality(p, &domain, err);
	if (r < 0)
		return r;
	return personality(domain) < 0 ? err_sys(err, "cannot set personality %s", p->domain) : 0;
}
