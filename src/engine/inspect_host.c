/* SPDX-License-Identifier: Apache-2.0 */
/* HostConfig: what was asked for. */
#include "engine/create.h"
#include "engine/inspect.h"
#include "engine/spec.h"

#include "host/cgroup.h"

const char *inspect_or(const char *s, const char *other)
{
	return s && *s ? s : other;
}

void inspect_put_list(struct json_out *out, const char *key, const str_list *l)
{
	if (l->n)
		json_put_strs(out, key, l->v, l->n);
	else
		json_put_null(out, key);
}

void inspect_put_empty(struct json_out *out, const char *key)
{
	json_begin_list(out, key);
	json_end(out);
}

void inspect_put_pairs(struct json_out *out, const char *key, const pair_list *l)
{
	autofree const struct oci_pair **pairs = pairs_by_key(l);

	out->text.failed |= !pairs;
	json_begin_object(out, key);
	for (size_t i = 0; pairs && pairs[i]; i++)
		json_put_str(out, pairs[i]->key, pairs[i]->value);
	json_end(out);
}

static void put_port_key(struct json_out *out, unsigned port, const char *proto, bool list)
{
	char key[32];

	if (snprintf(key, sizeof(key), "%u/%s", port, proto) < 0)
		return;
	if (list)
		json_begin_list(out, key);
	else
		json_put_null(out, key);
}

void inspect_put_binding(struct json_out *out, const char *ip, unsigned port)
{
	char text[16] = "";

	if (port && snprintf(text, sizeof(text), "%u", port) < 0)
		text[0] = '\0';
	json_begin_object(out, NULL);
	json_put_str(out, "HostIp", ip ? ip : "");
	json_put_str(out, "HostPort", text);
	json_end(out);
}

/* As asked for: ranges taken apart, one key for each port of the container. */
static void put_port_bindings(struct json_out *out, const struct engine_record *r)
{
	json_begin_object(out, "PortBindings");
	for (size_t i = 0; i < r->ports.n; i++) {
		const struct engine_record_port *p = &r->ports.v[i];
		if (p->exposed) /* -P is told by PublishAllPorts */
			continue;
		for (unsigned k = 0; k < (p->count ? p->count : 1U); k++) {
			bool first = true;
			for (size_t j = 0; j < i && first; j++)
				first = !(streq(r->ports.v[j].proto, p->proto) &&
					  p->container_port + k >= r->ports.v[j].container_port &&
					  p->container_port + k < (unsigned)r->ports.v[j].container_port +
									  r->ports.v[j].count);
			if (!first)
				continue;
			put_port_key(out, p->container_port + k, p->proto, true);
			for (size_t j = i; j < r->ports.n; j++) {
				const struct engine_record_port *o = &r->ports.v[j];
				unsigned port = p->container_port + k;
				if (streq(o->proto, p->proto) && port >= o->container_port &&
				    port < (unsigned)o->container_port + (o->count ? o->count : 1U))
					inspect_put_binding(
						out, o->host_ip,
						o->host_port ? o->host_port + (port - o->container_port) : 0);
			}
			json_end(out);
		}
	}
	json_end(out);
}

/* Docker's: a volume that -v names without a word behind it is "z". */
const char *inspect_mount_mode(const struct engine_record_mount *m)
{
	if (m->by_mount || m->from_image || m->anonymous)
		return m->name && !m->from_image && !m->anonymous ? "z" : "";
	if (m->mode && *m->mode)
		return m->mode;
	return m->read_only ? "ro" : m->name ? "z" : "";
}

static bool is_bind(const struct engine_record_mount *m)
{
	return (m->source || m->name) && !m->by_mount && !m->from_image && !m->anonymous;
}

static void put_binds(struct json_out *out, const struct engine_record *r)
{
	bool any = false;

	for (size_t i = 0; i < r->mounts.n; i++) {
		const struct engine_record_mount *m = &r->mounts.v[i];
		if (!is_bind(m))
			continue;
		if (!any)
			json_begin_list(out, "Binds");
		any = true;
		const char *words[] = {m->read_only ? "ro" : NULL, m->no_copy ? "nocopy" : NULL,
				       m->propagation, m->mode};
		struct str text autostr = {0};
		str_putf(&text, "%s:%s", m->source ? m->source : m->name, m->target);
		char mark = ':';
		for (size_t k = 0; k < ARRAY_LEN(words); k++) {
			if (!words[k] || !*words[k])
				continue;
			str_putf(&text, "%c%s", mark, words[k]);
			mark = ',';
		}
		json_put_str(out, NULL, text.s ? text.s : "");
	}
	if (any)
		json_end(out);
	else
		json_put_null(out, "Binds");
}

/* "size=1048576,mode=1777", which --mount has made of its own words. */
static void put_tmpfs_options(struct json_out *out, const char *options)
{
	const char *size = options ? strstr(options, "size=") : NULL,
		   *mode = options ? strstr(options, "mode=") : NULL;

	if (!size && !mode)
		return;
	json_begin_object(out, "TmpfsOptions");
	if (size)
		json_put_i64(out, "SizeBytes", strtoll(size + strlen("size="), NULL, 10));
	if (mode)
		json_put_i64(out, "Mode", strtoll(mode + strlen("mode="), NULL, 8));
	json_end(out);
}

static void put_asked_mount(struct json_out *out, const struct engine_record_mount *m)
{
	json_begin_object(out, NULL);
	json_put_str(out, "Type", m->type);
	if (m->source || (m->name && !m->anonymous))
		json_put_str(out, "Source", m->source ? m->source : m->name);
	json_put_str(out, "Target", m->target);
	if (m->read_only)
		json_put_bool(out, "ReadOnly", true);
	if (streq(m->type, "bind") && (m->propagation || m->create_source || m->non_recursive)) {
		json_begin_object(out, "BindOptions");
		json_put_opt_str(out, "Propagation", m->propagation);
		if (m->non_recursive)
			json_put_bool(out, "NonRecursive", true);
		if (m->create_source)
			json_put_bool(out, "CreateMountpoint", true);
		json_end(out);
	}
	if (streq(m->type, "volume") && (m->no_copy || m->subpath)) {
		json_begin_object(out, "VolumeOptions");
		if (m->no_copy)
			json_put_bool(out, "NoCopy", true);
		json_put_opt_str(out, "Subpath", m->subpath);
		json_end(out);
	}
	if (streq(m->type, "tmpfs"))
		put_tmpfs_options(out, m->options);
	json_end(out);
}

/* Those of --mount. */
static void put_asked_mounts(struct json_out *out, const struct engine_record *r)
{
	bool any = false;

	for (size_t i = 0; i < r->mounts.n; i++) {
		if (!r->mounts.v[i].by_mount)
			continue;
		if (!any)
			json_begin_list(out, "Mounts");
		any = true;
		put_asked_mount(out, &r->mounts.v[i]);
	}
	if (any)
		json_end(out);
}

static void put_restart(struct json_out *out, const char *text)
{
	enum monitor_restart policy;
	uint32_t max = 0;
	struct err ignored = {0};

	json_begin_object(out, "RestartPolicy");
	ignore_result(
		engine_restart_parse(text, &policy, &max, &ignored)); /* it was checked when it was stored */
	autofree char *name = strndup(inspect_or(text, "no"), strcspn(inspect_or(text, "no"), ":"));
	json_put_str(out, "Name", name ? name : "no");
	json_put_i64(out, "MaximumRetryCount", max);
	json_end(out);
}

static void inspect_put_devices(struct json_out *out, const struct engine_create *q)
{
	json_begin_list(out, "Devices");
	for (size_t i = 0; i < q->devices.n; i++) {
		const struct engine_device *d = &q->devices.v[i];
		json_begin_object(out, NULL);
		json_put_str(out, "PathOnHost", d->host);
		json_put_str(out, "PathInContainer", inspect_or(d->container, d->host));
		json_put_str(out, "CgroupPermissions", inspect_or(d->access, "rwm"));
		json_end(out);
	}
	json_end(out);
}

static void put_ulimits(struct json_out *out, const struct engine_create *q)
{
	json_begin_list(out, "Ulimits");
	for (size_t i = 0; i < q->ulimits.n; i++) {
		json_begin_object(out, NULL);
		json_put_str(out, "Name", q->ulimits.v[i].name);
		json_put_i64(out, "Hard", q->ulimits.v[i].hard);
		json_put_i64(out, "Soft", q->ulimits.v[i].soft);
		json_end(out);
	}
	json_end(out);
}

/* An empty list where there is none. */
static void put_names(struct json_out *out, const char *key, const str_list *l)
{
	json_put_strs(out, key, l->v, l->n);
}

static void put_throttles(struct json_out *out, const char *key, const struct engine_blkio *v, size_t n,
			  const char *what)
{
	json_begin_list(out, key);
	for (size_t i = 0; i < n; i++) {
		json_begin_object(out, NULL);
		json_put_str(out, "Path", v[i].device);
		json_put_u64(out, what, v[i].value);
		json_end(out);
	}
	json_end(out);
}

static void put_throttling(struct json_out *out, const struct engine_create *q)
{
	json_put_u64(out, "BlkioWeight", q->blkio_weight);
	put_throttles(out, "BlkioWeightDevice", q->weight_device.v, q->weight_device.n, "Weight");
	put_throttles(out, "BlkioDeviceReadBps", q->device_read_bps.v, q->device_read_bps.n, "Rate");
	put_throttles(out, "BlkioDeviceWriteBps", q->device_write_bps.v, q->device_write_bps.n, "Rate");
	put_throttles(out, "BlkioDeviceReadIOps", q->device_read_iops.v, q->device_read_iops.n, "Rate");
	put_throttles(out, "BlkioDeviceWriteIOps", q->device_write_iops.v, q->device_write_iops.n, "Rate");
}

/* What only Windows has, and what is not there: scripts that go through the keys find them. */
static void put_others(struct json_out *out)
{
	static const char *const none[] = {"CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"};

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		json_put_i64(out, none[i], 0);
}

static void put_limits(struct json_out *out, const struct engine_create *q)
{
	json_put_i64(out, "CpuShares", q->cpu_shares);
	json_put_i64(out, "Memory", q->memory);
	json_put_i64(out, "NanoCpus", q->nano_cpus);
	json_put_str(out, "CgroupParent", inspect_or(q->cgroup_parent, ""));
	put_throttling(out, q);
	json_put_i64(out, "CpuPeriod", q->cpu_period);
	json_put_i64(out, "CpuQuota", q->cpu_quota);
	json_put_i64(out, "CpuRealtimePeriod", q->cpu_rt_period);
	json_put_i64(out, "CpuRealtimeRuntime", q->cpu_rt_runtime);
	json_put_str(out, "CpusetCpus", inspect_or(q->cpuset_cpus, ""));
	json_put_str(out, "CpusetMems", inspect_or(q->cpuset_mems, ""));
	inspect_put_devices(out, q);
	inspect_put_list(out, "DeviceCgroupRules", &q->device_cgroup_rules);
	json_put_null(out, "DeviceRequests");
	json_put_i64(out, "KernelMemory", q->kernel_memory);
	json_put_i64(out, "MemoryReservation", q->memory_reservation);
	json_put_i64(out, "MemorySwap",
		     q->memory > 0 && q->memory_swap == 0 ? 2 * q->memory : q->memory_swap);
	if (q->memory_swappiness >= 0)
		json_put_i64(out, "MemorySwappiness", q->memory_swappiness);
	else
		json_put_null(out, "MemorySwappiness");
	json_put_bool(out, "OomKillDisable", q->oom_kill_disable);
	if (q->pids_limit)
		json_put_i64(out, "PidsLimit", q->pids_limit);
	else
		json_put_null(out, "PidsLimit");
	put_ulimits(out, q);
	put_others(out);
}

static void put_tmpfs(struct json_out *out, const struct engine_record *r)
{
	bool any = false;

	for (size_t i = 0; i < r->mounts.n; i++) {
		if (!streq(r->mounts.v[i].type, "tmpfs") || r->mounts.v[i].by_mount)
			continue;
		if (!any)
			json_begin_object(out, "Tmpfs");
		any = true;
		json_put_str(out, r->mounts.v[i].target, inspect_or(r->mounts.v[i].options, ""));
	}
	if (any)
		json_end(out);
}

static const char *network_mode_of(const struct engine_record *r)
{
	if (r->q.network_mode && *r->q.network_mode)
		return r->q.network_mode;
	return r->q.networks.n ? r->q.networks.v[0].network : "default";
}

static void put_log_config(struct json_out *out, const struct engine_create *q)
{
	json_begin_object(out, "LogConfig");
	json_put_str(out, "Type", inspect_or(q->log_driver, "json-file"));
	inspect_put_pairs(out, "Config", &q->log_opts);
	json_end(out);
}

static void inspect_put_masks(struct json_out *out, const struct engine_create *q)
{
	struct engine_security sec;
	struct err ignored = {0};

	if (engine_security_parse(q, &sec, &ignored) == 0 && !sec.unmasked) {
		engine_spec_masks(out, "MaskedPaths", "ReadonlyPaths");
		return;
	}
	json_put_null(out, "MaskedPaths");
	json_put_null(out, "ReadonlyPaths");
}

void inspect_put_host_config(struct json_out *out, const struct engine_container *c)
{
	const struct engine_record *r = &c->record;
	const struct engine_create *q = &r->q;

	json_begin_object(out, "HostConfig");
	put_binds(out, r);
	json_put_str(out, "ContainerIDFile", inspect_or(q->cidfile, ""));
	put_log_config(out, q);
	json_put_str(out, "NetworkMode", network_mode_of(r));
	put_port_bindings(out, r);
	put_restart(out, q->restart);
	json_put_bool(out, "AutoRemove", q->auto_remove);
	json_put_str(out, "VolumeDriver", "");
	json_begin_list(out, "ConsoleSize");
	json_put_i64(out, NULL, 0);
	json_put_i64(out, NULL, 0);
	json_end(out);
	inspect_put_list(out, "VolumesFrom", &q->volumes_from);
	inspect_put_list(out, "CapAdd", &q->cap_add);
	inspect_put_list(out, "CapDrop", &q->cap_drop);
	json_put_str(out, "CgroupnsMode",
		     inspect_or(q->cgroupns_mode, cgroup_is_unified() ? "private" : "host"));
	put_names(out, "Dns", &q->dns);
	put_names(out, "DnsOptions", &q->dns_options);
	put_names(out, "DnsSearch", &q->dns_search);
	inspect_put_list(out, "ExtraHosts", &q->add_host);
	inspect_put_list(out, "GroupAdd", &q->group_add);
	json_put_str(out, "IpcMode", inspect_or(q->ipc_mode, "private"));
	json_put_str(out, "Cgroup", "");
	inspect_put_list(out, "Links", &q->links);
	json_put_i64(out, "OomScoreAdj", q->oom_score_adj);
	json_put_str(out, "PidMode", inspect_or(q->pid_mode, ""));
	json_put_bool(out, "Privileged", q->privileged);
	json_put_bool(out, "PublishAllPorts", q->publish_all);
	json_put_bool(out, "ReadonlyRootfs", q->read_only);
	inspect_put_list(out, "SecurityOpt", &q->security_opt);
	put_asked_mounts(out, r);
	put_tmpfs(out, r);
	inspect_put_masks(out, q);
	json_put_str(out, "UTSMode", inspect_or(q->uts_mode, ""));
	json_put_str(out, "UsernsMode", inspect_or(q->userns_mode, ""));
	json_put_i64(out, "ShmSize", q->shm_size ? q->shm_size : 64 << 20);
	if (q->sysctls.n)
		inspect_put_pairs(out, "Sysctls", &q->sysctls);
	json_put_str(out, "Runtime", "coffer");
	json_put_str(out, "Isolation", r->isolation);
	put_limits(out, q);
	if (q->init)
		json_put_bool(out, "Init", true);
	if (q->annotations.n)
		inspect_put_pairs(out, "Annotations", &q->annotations);
	json_put_opt_str(out, "Landlock", q->landlock);
	json_end(out);
}
