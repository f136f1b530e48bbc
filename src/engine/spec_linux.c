/* SPDX-License-Identifier: Apache-2.0 */
/* config.json's "linux": namespaces, ids, masks, parameters, seccomp. */
#include "engine/spec.h"

#include "engine/caps.h"

static const char *const masked[] = {
	"/proc/asound",	     "/proc/acpi",	    "/proc/interrupts", "/proc/kcore",
	"/proc/keys",	     "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug", "/proc/scsi",	    "/sys/firmware",	"/sys/devices/virtual/powercap",
};
static const char *const read_only[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

void engine_spec_masks(struct json_out *out, const char *masked_key, const char *read_only_key)
{
	json_put_strs(out, masked_key, masked, ARRAY_LEN(masked));
	json_put_strs(out, read_only_key, read_only, ARRAY_LEN(read_only));
}

static void put_ns(struct json_out *out, const char *type, const char *path)
{
	json_begin_object(out, NULL);
	json_put_str(out, "type", type);
	json_put_opt_str(out, "path", path);
	json_end(out);
}

static bool is_host_mode(const char *mode)
{
	return mode && streq(mode, "host");
}

static void spec_linux_put_namespaces(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_create *q = &s->c->record.q;
	bool cgroup = q->cgroupns_mode ? streq(q->cgroupns_mode, "private") : s->cgroup2;

	json_begin_list(out, "namespaces");
	put_ns(out, "mount", NULL);
	if (s->maps->uids.n)
		put_ns(out, "user", s->join_user);
	if (!is_host_mode(q->network_mode))
		put_ns(out, "network", s->join_net);
	if (!is_host_mode(q->uts_mode))
		put_ns(out, "uts", NULL);
	if (!is_host_mode(q->pid_mode))
		put_ns(out, "pid", s->join_pid);
	if (!is_host_mode(q->ipc_mode))
		put_ns(out, "ipc", s->join_ipc);
	if (cgroup)
		put_ns(out, "cgroup", NULL);
	json_end(out);
}

static void put_maps(struct json_out *out, const char *key, const idmap_list *l)
{
	json_begin_list(out, key);
	for (size_t i = 0; i < l->n; i++) {
		json_begin_object(out, NULL);
		json_put_u64(out, "containerID", l->v[i].container);
		json_put_u64(out, "hostID", l->v[i].host);
		json_put_u64(out, "size", l->v[i].size);
		json_end(out);
	}
	json_end(out);
}

static void put_sysctls(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_create *q = &s->c->record.q;
	bool own_net = !is_host_mode(q->network_mode) && !s->join_net;
	bool ping = own_net, ports = own_net;
	char range[32];
	uint32_t last = 2147483647;

	for (size_t i = 0; i < q->sysctls.n; i++) {
		ping = ping && !streq(q->sysctls.v[i].key, "net.ipv4.ping_group_range");
		ports = ports && !streq(q->sysctls.v[i].key, "net.ipv4.ip_unprivileged_port_start");
	}
	/* All groups that the user namespace has: a range beyond them is refused. */
	if (s->maps->gids.n) {
		const struct oci_idmap *m = &s->maps->gids.v[s->maps->gids.n - 1];
		last = m->container + m->size - 1;
	}
	if (snprintf(range, sizeof(range), "0 %u", last) < 0)
		ping = false;
	json_begin_object(out, "sysctl");
	if (ping)
		json_put_str(out, "net.ipv4.ping_group_range", range);
	if (ports)
		json_put_str(out, "net.ipv4.ip_unprivileged_port_start", "0");
	for (size_t i = 0; i < q->sysctls.n; i++)
		json_put_str(out, q->sysctls.v[i].key, q->sysctls.v[i].value);
	json_end(out);
}

static void put_cgroup_path(struct json_out *out, const struct engine_spec *s)
{
	autofree char *path = NULL;

	if (!engine_group_path(s->c, s->systemd_cgroup, s->rootless, &path))
		out->text.failed = true;
	else if (path)
		json_put_str(out, "cgroupsPath", path);
}

/* What a mount that shares with the host needs of the root. */
static const char *root_propagation(const struct engine_spec *s)
{
	const char *found = NULL;

	for (size_t i = 0; i < s->c->record.mounts.n; i++) {
		const char *p = s->c->record.mounts.v[i].propagation;
		if (p && str_ends(p, "shared"))
			return "rshared";
		if (p && str_ends(p, "slave"))
			found = "rslave";
	}
	return found;
}

static int put_seccomp(struct json_out *out, uint64_t caps, const struct engine_security *sec,
		       struct err *err)
{
	if (!sec->seccomp) {
		engine_seccomp_default(out, "seccomp", caps);
		return 0;
	}
	if (streq(sec->seccomp, "unconfined"))
		return 0;
	return engine_seccomp_file(out, "seccomp", sec->seccomp, caps, err);
}

int engine_spec_linux(struct json_out *out, const struct engine_spec *s, uint64_t caps,
		      const struct engine_security *sec, struct err *err)
{
	const struct engine_create *q = &s->c->record.q;
	int r;

	json_begin_object(out, "linux");
	spec_linux_put_namespaces(out, s);
	if (s->maps->uids.n && !s->join_user) {
		put_maps(out, "uidMappings", &s->maps->uids);
		put_maps(out, "gidMappings", &s->maps->gids);
	}
	put_sysctls(out, s);
	put_cgroup_path(out, s);
	r = engine_spec_resources(out, "resources", q, err);
	if (r == 0)
		r = engine_spec_devices(out, "devices", q, err);
	if (r == 0)
		r = put_seccomp(out, caps, sec, err);
	if (r < 0)
		return r;
	json_put_opt_str(out, "rootfsPropagation", root_propagation(s));
	if (!sec->unmasked)
		engine_spec_masks(out, "maskedPaths", "readonlyPaths");
	json_end(out);
	return 0;
}
