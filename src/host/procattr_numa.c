/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in lists of CPUs and nodes ("0-3,7"): affinity and memory policy; and the check of all. */
#include "host/procattr_int.h"

#include "base/str.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

enum { LONG_BITS = 8 * sizeof(long), BITMAP_LONGS = PROCATTR_CPU_MAX / LONG_BITS };

static void skip_blanks(const char **p)
{
	while (**p == ' ' || **p == '\t')
		++*p;
}

static int read_number(const char **p, unsigned *ret)
{
	unsigned n = 0;

	if (**p < '0' || **p > '9')
		return -EINVAL;
	for (; **p >= '0' && **p <= '9'; ++*p) {
		n = n * 10 + (unsigned)(**p - '0');
		if (n >= PROCATTR_CPU_MAX)
			return -EINVAL;
	}
	*ret = n;
	return 0;
}

/* Blanks around elements and superfluous commas are let through, as runc does. */
int procattr_parse_list(const char *text, unsigned long *ret_bits, int *ret_max)
{
	int max = -1;

	memset(ret_bits, 0, BITMAP_LONGS * sizeof(long));
	for (const char *p = text; *p;) {
		unsigned from, to;

		skip_blanks(&p);
		if (*p == ',' || !*p) {
			p += *p == ',';
			continue;
		}
		if (read_number(&p, &from) < 0)
			return -EINVAL;
		to = from;
		if (*p == '-') {
			p++;
			if (read_number(&p, &to) < 0 || to < from)
				return -EINVAL;
		}
		skip_blanks(&p);
		if (*p && *p != ',')
			return -EINVAL;
		for (unsigned i = from; i <= to; i++)
			ret_bits[i / LONG_BITS] |= 1UL << i % LONG_BITS;
		max = MAX_OF(max, (int)to);
	}
	*ret_max = max;
	return 0;
}

static int parse_cpus(const char *text, const char *what, unsigned long *bits, struct err *err)
{
	int max;

	if (procattr_parse_list(text, bits, &max) < 0 || max < 0)
		return err_set(err, EINVAL, "bad CPUAffinity%s: \"%s\" is not a list of CPUs", what, text);
	return 0;
}

int procattr_affinity(pid_t pid, const char *cpus, struct err *err)
{
	unsigned long bits[BITMAP_LONGS];

	if (!cpus || !*cpus)
		return 0;
	int r = parse_cpus(cpus, "", bits, err);
	if (r < 0)
		return r;
	if (syscall(SYS_sched_setaffinity, pid, sizeof(bits), bits) < 0) {
		char text[64];
		int code = errno;
		return err_set(err, code, "error setting CPU affinity \"%s\": %s", cpus,
			       err_text_lower(code, text));
	}
	return 0;
}

/* ---- Memory policy (1.3) ---- */

static const struct procattr_word modes[] = {
	{"MPOL_DEFAULT", MPOL_DEFAULT},
	{"MPOL_PREFERRED", MPOL_PREFERRED},
	{"MPOL_BIND", MPOL_BIND},
	{"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
	{"MPOL_LOCAL", MPOL_LOCAL},
	{"MPOL_PREFERRED_MANY", 5 /* Linux 5.15 */},
	{"MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE},
	{NULL, 0},
};
static const struct procattr_word mode_flags[] = {
	{"MPOL_F_STATIC_NODES", 1 << 15},
	{"MPOL_F_RELATIVE_NODES", 1 << 14},
	{"MPOL_F_NUMA_BALANCING", 1 << 13},
	{NULL, 0},
};

struct policy {
	uint64_t mode;
	unsigned long nodes[BITMAP_LONGS];
	int max_node;
};

static int parse_policy(const struct oci_memory_policy *m, struct policy *ret, struct err *err)
{
	uint64_t mode = 0, flag = 0;

	if (!procattr_find(modes, m->mode, &mode))
		return err_set(err, EINVAL, "invalid memory policy mode \"%s\"", m->mode ? m->mode : "");
	if (procattr_parse_list(m->nodes ? m->nodes : "", ret->nodes, &ret->max_node) < 0)
		return err_set(err, EINVAL, "invalid memory policy nodes \"%s\"", m->nodes);
	bool some = ret->max_node >= 0;
	if ((mode == MPOL_DEFAULT || mode == MPOL_LOCAL) && some)
		return err_set(err, EINVAL, "memory policy mode requires 0 nodes but got \"%s\"", m->nodes);
	if (mode != MPOL_DEFAULT && mode != MPOL_LOCAL && mode != MPOL_PREFERRED && !some)
		return err_set(err, EINVAL, "memory policy mode requires at least one node but got 0");
	for (size_t i = 0; i < m->flags.n; i++, mode |= flag)
		if (!procattr_find(mode_flags, m->flags.v[i], &flag))
			return err_set(err, EINVAL, "invalid memory policy flag \"%s\"", m->flags.v[i]);
	ret->mode = mode;
	return 0;
}

int procattr_memory_policy(const struct oci_memory_policy *m, struct err *err)
{
	struct policy p;

	if (!m)
		return 0;
	int r = parse_policy(m, &p, err);
	if (r < 0)
		return r;
	/* The kernel takes one bit less than it is told. */
	if (syscall(SYS_set_mempolicy, (int)p.mode, p.max_node < 0 ? NULL : p.nodes,
		    p.max_node < 0 ? 0UL : (unsigned long)p.max_node + 2) < 0) {
		char text[64];
		int code = errno;
		return err_set(err, code, "set_mempolicy: %s", err_text_lower(code, text));
	}
	return 0;
}

/* ---- All that is known before anything is made ---- */

static int check_process(const struct oci_process *p, struct err *err)
{
	unsigned long bits[BITMAP_LONGS];
	uint64_t class_;
	int r = procattr_check_rlimits(p, err);

	if (r == 0 && p->scheduler)
		r = procattr_check_scheduler(p->scheduler, err);
	if (r == 0 && p->io_priority)
		r = procattr_check_io_priority(p->io_priority, &class_, err);
	if (r == 0 && p->exec_cpu_affinity && p->exec_cpu_affinity->initial)
		r = parse_cpus(p->exec_cpu_affinity->initial, ".Initial", bits, err);
	if (r == 0 && p->exec_cpu_affinity && p->exec_cpu_affinity->final)
		r = parse_cpus(p->exec_cpu_affinity->final, ".Final", bits, err);
	return r;
}

int procattr_check(const struct oci_process *p, const struct oci_linux *l, struct err *err)
{
	struct policy policy;
	unsigned long domain;
	int r = p ? check_process(p, err) : 0;

	if (r == 0 && l && l->personality)
		r = procattr_check_personality(l->personality, &domain, err);
	if (r == 0 && l && l->memory_policy)
		r = parse_policy(l->memory_policy, &policy, err);
	return r;
}
