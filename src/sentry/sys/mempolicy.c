/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory policy, as a machine of one node answers.
 *
 * Wherever memory is asked for it comes from the one node, so that a policy
 * is only remembered: a thread's with the thread, one of a range of addresses
 * with the process.  A range that is unmapped keeps its policy until another
 * is set; whether anything is mapped is read from the process's map.
 */
#include "sentry/sys/mempolicy.h"

#include "base/file.h"
#include "sentry/guest.h"
#include "sentry/sys/creds_int.h"

#include <linux/mempolicy.h>

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif
#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13)
#endif

enum { PAGE = 4096, RANGES_MAX = 4096, MAPS_MAX = 64 << 20, MODES = 7, WEIGHTED_INTERLEAVE = 6 };
enum {
	MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING,
	USER_NODES = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES,
	NODES = 64, /* that a mask may name, though there is one */
	MASK_MAX_BITS = PAGE * 8,
};

/* ---- what is asked for ---- */

/* The guest's mask: 0, -EINVAL (a node that cannot be), -EFAULT. */
static long read_nodes(struct task *t, uint64_t at, uint64_t max, uint64_t *ret)
{
	unsigned char bytes[MASK_MAX_BITS / 8];
	uint64_t bits = max - 1; /* of 0 very many, as in Linux */

	*ret = 0;
	if (bits == 0 || !at)
		return 0;
	if (bits > MASK_MAX_BITS)
		return -EINVAL;
	size_t n = (size_t)(bits + 63) / 64 * 8;
	if (guest_read(t, bytes, at, n) < 0)
		return -EFAULT;
	if (bits % 64) { /* of the last word, what was asked for */
		uint64_t last;

		memcpy(&last, bytes + n - 8, 8);
		last &= (UINT64_C(1) << bits % 64) - 1;
		memcpy(bytes + n - 8, &last, 8);
	}
	for (size_t i = NODES / 8; i < n; i++)
		if (bytes[i])
			return -EINVAL;
	memcpy(ret, bytes, sizeof(*ret));
	return 0;
}

/* Modes and masks that belong together.  0 or -EINVAL; mode MPOL_DEFAULT is no policy at all. */
static long make_policy(uint32_t asked, uint64_t nodes, struct mempolicy *ret)
{
	uint32_t flags = asked & MODE_FLAGS, mode = asked & ~(uint32_t)MODE_FLAGS;

	if (mode >= MODES || (flags & USER_NODES) == USER_NODES)
		return -EINVAL;
	if (flags & MPOL_F_NUMA_BALANCING && mode != MPOL_BIND && mode != MPOL_PREFERRED_MANY)
		return -EINVAL;
	if (mode == MPOL_PREFERRED && !nodes && !(flags & USER_NODES)) {
		mode = MPOL_LOCAL;
	} else if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL) {
		if (nodes || (mode == MPOL_LOCAL && flags & USER_NODES))
			return -EINVAL;
	} else if (!nodes || (!(nodes & 1) && !(flags & MPOL_F_RELATIVE_NODES))) {
		return -EINVAL; /* relative nodes wrap around */
	}
	*ret = (struct mempolicy){.mode = (uint16_t)mode, .flags = (uint16_t)flags};
	if (mode != MPOL_DEFAULT && mode != MPOL_LOCAL)
		ret->nodes = flags & USER_NODES ? nodes : 1;
	return 0;
}

static long read_policy(struct task *t, uint32_t mode, uint64_t at, uint64_t max, struct mempolicy *ret)
{
	uint64_t nodes;
	struct mempolicy any;
	long r = 0;

	/* The mode by itself comes first. */
	if ((mode & ~(uint32_t)MODE_FLAGS) >= MODES || (mode & USER_NODES) == USER_NODES)
		r = -EINVAL;
	if (r == 0)
		r = read_nodes(t, at, max, &nodes);
	if (r == 0)
		r = make_policy(mode, nodes, &any);
	if (r == 0)
		*ret = any;
	return r;
}

/* ---- ranges ---- */

struct range {
	uint64_t from, to;
	struct mempolicy policy;
};

struct mempolicy_ranges {
	size_t n;
	struct range v[];
};

void mempolicy_released(struct process *p)
{
	free(p->ranges);
	p->ranges = NULL;
}

int mempolicy_forked(struct process *p, const struct process *from)
{
	const struct mempolicy_ranges *x = from->ranges;

	if (!x)
		return 0;
	p->ranges = malloc(sizeof(*x) + x->n * sizeof(x->v[0]));
	if (!p->ranges)
		return -ENOMEM;
	memcpy(p->ranges, x, sizeof(*x) + x->n * sizeof(x->v[0]));
	return 0;
}

static long set_range(struct process *p, uint64_t from, uint64_t to, const struct mempolicy *policy)
{
	const struct mempolicy_ranges *old = p->ranges;
	size_t n = old ? old->n : 0;
	struct mempolicy_ranges *fresh;

	if (n + 2 > RANGES_MAX)
		return -ENOMEM;
	fresh = malloc(sizeof(*fresh) + (n + 2) * sizeof(fresh->v[0]));
	if (!fresh)
		return -ENOMEM;
	fresh->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct range r = old->v[i];

		if (r.from < from)
			fresh->v[fresh->n++] = (struct range){r.from, MIN_OF(r.to, from), r.policy};
		if (r.to > to)
			fresh->v[fresh->n++] = (struct range){MAX_OF(r.from, to), r.to, r.policy};
	}
	if (policy->mode != MPOL_DEFAULT)
		fresh->v[fresh->n++] = (struct range){from, to, *policy};
	free(p->ranges);
	p->ranges = fresh;
	return 0;
}

/* Whether all of it is mapped: 0, -EFAULT. */
static long check_mapped(const struct task *t, uint64_t from, uint64_t to)
{
	autofree char *maps = NULL;
	char path[32];
	unsigned long long start, end;

	(void)snprintf(path, sizeof(path), "%d/maps", t->process->host_pid);
	if (file_read_at(kernel.proc_fd, path, MAPS_MAX, &maps, NULL) < 0)
		return -EFAULT;
	for (const char *at = maps; at && *at && from < to; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (sscanf(at, "%llx-%llx", &start, &end) == 2 && start <= from && from < end)
			from = end;
	return from < to ? -EFAULT : 0;
}

/* ---- the calls ---- */

static const struct mempolicy *policy_at(const struct process *p, uint64_t addr)
{
	const struct mempolicy_ranges *x = p->ranges;

	for (size_t i = 0; x && i < x->n; i++)
		if (addr >= x->v[i].from && addr < x->v[i].to)
			return &x->v[i].policy;
	return NULL;
}

/* The mask of `max` - 1 bits, in whole words; what is beyond the nodes is zero. */
static long put_nodes(struct task *t, uint64_t at, uint64_t max, uint64_t nodes)
{
	unsigned char bytes[PAGE] = {0};
	uint64_t n = (max - 1 + 63) / 64 * 8;

	if (n > sizeof(bytes))
		return -EINVAL;
	memcpy(bytes, &nodes, sizeof(nodes));
	return n && guest_write(t, at, bytes, n) < 0 ? -EFAULT : 0;
}

/* What the call tells as the mode: 0 or -errno. */
static long tell_mode(struct task *t, const struct mempolicy *policy, uint64_t addr, uint64_t flags, int *ret)
{
	unsigned mode = policy ? policy->mode : MPOL_DEFAULT;
	char byte;

	*ret = 0; /* the number of the node */
	if (flags & MPOL_F_NODE && flags & MPOL_F_ADDR)
		return guest_read(t, &byte, addr, 1);
	if (flags & MPOL_F_NODE)
		return mode == MPOL_INTERLEAVE || mode == WEIGHTED_INTERLEAVE ? 0 : -EINVAL;
	*ret = (int)(mode | (policy ? policy->flags : 0U));
	return 0;
}

HANDLER(sys_get_mempolicy)
{
	uint64_t mask = c->args[1], max = c->args[2], addr = c->args[3], flags = c->args[4];
	const struct mempolicy *policy = t->mempolicy.mode != MPOL_DEFAULT ? &t->mempolicy : NULL;
	int mode = 0;
	long r = 0;

	if (mask && max < 1)
		return -EINVAL;
	if (flags & ~(uint64_t)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
			return -EINVAL;
		policy = NULL;
	} else if (flags & MPOL_F_ADDR) {
		r = check_mapped(t, addr, addr + 1);
		policy = policy_at(t->process, addr);
	} else if (addr) {
		return -EINVAL;
	}
	if (r == 0 && !(flags & MPOL_F_MEMS_ALLOWED))
		r = tell_mode(t, policy, addr, flags, &mode);
	if (r == 0 && c->args[0] && guest_put(t, c->args[0], &mode) < 0)
		r = -EFAULT;
	if (r == 0 && mask)
		r = put_nodes(t, mask, max, flags & MPOL_F_MEMS_ALLOWED ? 1 : policy ? policy->nodes : 0);
	return r;
}

HANDLER(sys_set_mempolicy)
{
	return read_policy(t, (uint32_t)c->args[0], c->args[1], c->args[2], &t->mempolicy);
}

HANDLER(sys_mbind)
{
	uint64_t from = c->args[0], len = c->args[1], flags = (uint32_t)c->args[5], to;
	struct mempolicy policy;
	long r = read_policy(t, (uint32_t)c->args[2], c->args[3], c->args[4], &policy);

	if (r < 0)
		return r;
	if (flags & ~(uint64_t)(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (flags & MPOL_MF_MOVE_ALL && !task_capable(t, CAP_SYS_NICE))
		return -EPERM;
	len = (len + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (from % PAGE || __builtin_add_overflow(from, len, &to))
		return -EINVAL;
	if (from == to)
		return 0;
	r = check_mapped(t, from, to);
	return r < 0 ? r : set_range(t->process, from, to, &policy);
}
