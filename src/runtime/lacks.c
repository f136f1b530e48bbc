/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/lacks.h"

static bool needs_hooks(const struct oci_hooks *h)
{
	return h->prestart.n + h->create_runtime.n + h->create_container.n + h->start_container.n > 0;
}

static bool joins_namespaces(const struct oci_linux *l)
{
	for (int i = 0; i < OCI_NS_COUNT; i++)
		if (l->ns[i].path)
			return true;
	return false;
}

static bool has_option(const struct oci_mount *m, const char *name)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (streq(m->options.v[i], name))
			return true;
	return false;
}

static bool has_mount(const struct oci_config *c, bool idmapped)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct oci_mount *m = &c->mounts.v[i];
		bool mapped = m->uid_mappings.n || m->gid_mappings.n || has_option(m, "idmap") ||
			      has_option(m, "ridmap");
		if (idmapped ? mapped : has_option(m, "bind") || has_option(m, "rbind"))
			return true;
	}
	return false;
}

static bool needs(const struct oci_config *c, enum isolate_feature f)
{
	switch (f) {
	case ISOLATE_TTY:
		return c->process && c->process->terminal;
	case ISOLATE_HOOKS:
		return needs_hooks(&c->hooks);
	case ISOLATE_JOIN_NAMESPACES:
		return joins_namespaces(&c->linux);
	case ISOLATE_BIND_MOUNTS:
		return has_mount(c, false);
	case ISOLATE_IDMAPPED_MOUNTS:
		return has_mount(c, true);
	case ISOLATE_DEVICES:
		return c->linux.devices.n > 0;
	case ISOLATE_SECCOMP:
		return c->linux.seccomp != NULL;
	case ISOLATE_LANDLOCK:
		return oci_annotation(c, "dev.coffer.landlock") != NULL;
	case ISOLATE_EXEC:
	case ISOLATE_PAUSE:
	case ISOLATE_UPDATE:
	case ISOLATE_STATS:
	case ISOLATE_CHECKPOINT:
	case ISOLATE_MACHINE:
	case ISOLATE_FEATURE_COUNT:
		break; /* verbs, not configuration */
	}
	return false;
}

int lacks_feature(const struct isolate_level *level, enum isolate_feature f, struct err *err)
{
	if (!level->lacks[f])
		return 0;
	return err_set(err, ENOTSUP, "isolation level \"%s\" has no %s: %s", level->name,
		       isolate_feature_name(f), level->lacks[f]);
}

int lacks_check(const struct isolate_level *level, const struct oci_config *c, struct err *err)
{
	for (int f = 0; f < ISOLATE_FEATURE_COUNT; f++) {
		if (!level->lacks[f] || !needs(c, (enum isolate_feature)f))
			continue;
		return lacks_feature(level, (enum isolate_feature)f, err);
	}
	return 0;
}

static bool limits_memory(const struct oci_memory *m)
{
	return m->limit.set || m->reservation.set || m->swap.set || m->kernel.set || m->kernel_tcp.set ||
	       m->swappiness.set || (m->disable_oom_killer.set && m->disable_oom_killer.v);
}

static bool limits_cpu(const struct oci_cpu *c)
{
	return c->shares.set || c->quota.set || c->burst.set || c->period.set || c->realtime_runtime.set ||
	       c->realtime_period.set || c->idle.set || (c->cpus && *c->cpus) || (c->mems && *c->mems);
}

static bool limits_block_io(const struct oci_block_io *b)
{
	return b->weight.set || b->leaf_weight.set || b->weight_devices.n || b->read_bps.n ||
	       b->write_bps.n || b->read_iops.n || b->write_iops.n;
}

bool lacks_limits(const struct oci_resources *r)
{
	return limits_memory(&r->memory) || limits_cpu(&r->cpu) || limits_block_io(&r->block_io) ||
	       (r->pids_limit.set && r->pids_limit.v > 0) || r->hugepages.n || r->net_class_id.set ||
	       r->net_priorities.n || r->rdma.n || r->unified.n;
}
