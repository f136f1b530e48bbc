/* SPDX-License-Identifier: Apache-2.0 */
/* The object of `docker inspect`, member by member in Docker's order. */
#include "engine/create.h"
#include "engine/files.h"
#include "engine/spec.h"

#include "base/file.h"
#include "host/cgroup.h"

enum { HEALTH_MAX = 1 << 20 };

static const char *text_or(const char *s, const char *other)
{
	return s && *s ? s : other;
}

static void inspect_put_list(struct json_out *out, const char *key, const str_list *l)
{
	if (l->n)
		json_put_strs(out, key, l->v, l->n);
	else
		json_put_null(out, key);
}

static void put_empty_list(struct json_out *out, const char *key)
{
	json_begin_list(out, key);
	json_end(out);
}

static void put_pairs(struct json_out *out, const char *key, const pair_list *l)
{
	json_begin_object(out, key);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(out, l->v[i].key, l->v[i].value);
	json_end(out);
}

/* ---- state ---- */

static void put_health(struct json_out *out, struct engine *e, const struct engine_container *c)
{
	autofree char *path = engine_run_path(e, c->id, "health"), *text = NULL;
	size_t len;

	if (!(c->flags & ENGINE_HEALTH))
		return;
	if (path && file_read_at(AT_FDCWD, path, HEALTH_MAX, &text, &len) == 0 && len > 1 && text[0] == '{') {
		text[len - (text[len - 1] == '\n')] = '\0';
		json_put_raw(out, "Health", text);
		return;
	}
	json_begin_object(out, "Health");
	json_put_str(out, "Status", "starting");
	json_put_i64(out, "FailingStreak", 0);
	put_empty_list(out, "Log");
	json_end(out);
}

static void put_state(struct json_out *out, struct engine *e, const struct engine_container *c,
		      const struct monitor_status *st)
{
	bool live = st->running || streq(c->state, "restarting");
	char started[40], finished[40];

	engine_time_text(st->started_at ? st->started_at : c->started, started);
	engine_time_text(live && st->finished_at ? st->finished_at : c->finished, finished);
	json_begin_object(out, "State");
	json_put_str(out, "Status", c->state);
	json_put_bool(out, "Running", live);
	json_put_bool(out, "Paused", streq(c->state, "paused"));
	json_put_bool(out, "Restarting", streq(c->state, "restarting"));
	json_put_bool(out, "OOMKilled", st->ended ? st->oom_killed : c->oom);
	json_put_bool(out, "Dead", streq(c->state, "dead"));
	json_put_i64(out, "Pid", st->running ? st->pid : 0);
	json_put_i64(out, "ExitCode", st->running ? 0 : st->ended ? st->exit_code : c->exit_code);
	json_put_str(out, "Error", c->error);
	json_put_str(out, "StartedAt", started);
	json_put_str(out, "FinishedAt", finished);
	put_health(out, e, c);
	json_end(out);
}

/* ---- HostConfig ---- */

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

static void put_binding(struct json_out *out, const char *ip, unsigned port)
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
					put_binding(out, o->host_ip,
						    o->host_port ? o->host_port + (port - o->container_port)
								 : 0);
			}
			json_end(out);
		}
	}
	json_end(out);
}

static void put_binds(struct json_out *out, const struct engine_record *r)
{
	json_begin_list(out, "Binds");
	for (size_t i = 0; i < r->mounts.n; i++) {
		const struct engine_record_mount *m = &r->mounts.v[i];
		const char *source = m->source ? m->source : m->name;
		if (!source || m->from_image || m->anonymous)
			continue;
		autofree char *text = str_format("%s:%s:%s", source, m->target, m->read_only ? "ro" : "rw");
		if (text)
			json_put_str(out, NULL, text);
	}
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
	autofree char *name = strndup(text_or(text, "no"), strcspn(text_or(text, "no"), ":"));
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
		json_put_str(out, "PathInContainer", text_or(d->container, d->host));
		json_put_str(out, "CgroupPermissions", text_or(d->access, "rwm"));
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

static void put_limits(struct json_out *out, const struct engine_create *q)
{
	json_put_i64(out, "CpuShares", q->cpu_shares);
	json_put_i64(out, "Memory", q->memory);
	json_put_i64(out, "NanoCpus", q->nano_cpus);
	json_put_str(out, "CgroupParent", text_or(q->cgroup_parent, ""));
	json_put_u64(out, "BlkioWeight", q->blkio_weight);
	json_put_i64(out, "CpuPeriod", q->cpu_period);
	json_put_i64(out, "CpuQuota", q->cpu_quota);
	json_put_i64(out, "CpuRealtimePeriod", q->cpu_rt_period);
	json_put_i64(out, "CpuRealtimeRuntime", q->cpu_rt_runtime);
	json_put_str(out, "CpusetCpus", text_or(q->cpuset_cpus, ""));
	json_put_str(out, "CpusetMems", text_or(q->cpuset_mems, ""));
	inspect_put_devices(out, q);
	inspect_put_list(out, "DeviceCgroupRules", &q->device_cgroup_rules);
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
}

static void put_tmpfs(struct json_out *out, const struct engine_record *r)
{
	bool any = false;

	for (size_t i = 0; i < r->mounts.n; i++) {
		if (!streq(r->mounts.v[i].type, "tmpfs"))
			continue;
		if (!any)
			json_begin_object(out, "Tmpfs");
		any = true;
		json_put_str(out, r->mounts.v[i].target, text_or(r->mounts.v[i].options, ""));
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
	json_put_str(out, "Type", text_or(q->log_driver, "json-file"));
	put_pairs(out, "Config", &q->log_opts);
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

static void put_host_config(struct json_out *out, const struct engine_container *c)
{
	const struct engine_record *r = &c->record;
	const struct engine_create *q = &r->q;

	json_begin_object(out, "HostConfig");
	put_binds(out, r);
	json_put_str(out, "ContainerIDFile", text_or(q->cidfile, ""));
	put_log_config(out, q);
	json_put_str(out, "NetworkMode", network_mode_of(r));
	put_port_bindings(out, r);
	put_restart(out, q->restart);
	json_put_bool(out, "AutoRemove", q->auto_remove);
	json_put_str(out, "VolumeDriver", "");
	inspect_put_list(out, "VolumesFrom", &q->volumes_from);
	inspect_put_list(out, "CapAdd", &q->cap_add);
	inspect_put_list(out, "CapDrop", &q->cap_drop);
	json_put_str(out, "CgroupnsMode",
		     text_or(q->cgroupns_mode, cgroup_is_unified() ? "private" : "host"));
	inspect_put_list(out, "Dns", &q->dns);
	inspect_put_list(out, "DnsOptions", &q->dns_options);
	inspect_put_list(out, "DnsSearch", &q->dns_search);
	inspect_put_list(out, "ExtraHosts", &q->add_host);
	inspect_put_list(out, "GroupAdd", &q->group_add);
	json_put_str(out, "IpcMode", text_or(q->ipc_mode, "private"));
	json_put_str(out, "Cgroup", "");
	inspect_put_list(out, "Links", &q->links);
	json_put_i64(out, "OomScoreAdj", q->oom_score_adj);
	json_put_str(out, "PidMode", text_or(q->pid_mode, ""));
	json_put_bool(out, "Privileged", q->privileged);
	json_put_bool(out, "PublishAllPorts", q->publish_all);
	json_put_bool(out, "ReadonlyRootfs", q->read_only);
	inspect_put_list(out, "SecurityOpt", &q->security_opt);
	put_tmpfs(out, r);
	inspect_put_masks(out, q);
	json_put_str(out, "UTSMode", text_or(q->uts_mode, ""));
	json_put_str(out, "UsernsMode", text_or(q->userns_mode, ""));
	json_put_i64(out, "ShmSize", q->shm_size ? q->shm_size : 64 << 20);
	if (q->sysctls.n)
		put_pairs(out, "Sysctls", &q->sysctls);
	json_put_str(out, "Runtime", "coffer");
	json_put_str(out, "Isolation", r->isolation);
	put_limits(out, q);
	json_put_bool(out, "Init", q->init);
	if (q->annotations.n)
		put_pairs(out, "Annotations", &q->annotations);
	json_put_opt_str(out, "Landlock", q->landlock);
	json_end(out);
}

/* ---- mounts, Config ---- */

static void put_mounts(struct json_out *out, struct engine *e, const struct engine_record *r)
{
	json_begin_list(out, "Mounts");
	for (size_t i = 0; i < r->mounts.n; i++) {
		const struct engine_record_mount *m = &r->mounts.v[i];
		autofree char *path = m->name ? engine_volume_path(e, m->name) : NULL;
		json_begin_object(out, NULL);
		json_put_str(out, "Type", m->type);
		json_put_opt_str(out, "Name", m->name);
		json_put_str(out, "Source", path ? path : text_or(m->source, ""));
		json_put_str(out, "Destination", m->target);
		if (m->name)
			json_put_str(out, "Driver", "local");
		json_put_str(out, "Mode", text_or(m->mode, ""));
		json_put_bool(out, "RW", !m->read_only);
		json_put_str(out, "Propagation",
			     streq(m->type, "bind") ? text_or(m->propagation, "rprivate") : "");
		json_end(out);
	}
	json_end(out);
}

static void put_keys(struct json_out *out, const char *key, const str_list *l)
{
	if (l->n == 0)
		return;
	json_begin_object(out, key);
	for (size_t i = 0; i < l->n; i++) {
		json_begin_object(out, l->v[i]);
		json_end(out);
	}
	json_end(out);
}

static void put_healthcheck(struct json_out *out, const struct oci_healthcheck *h)
{
	if (!h)
		return;
	json_begin_object(out, "Healthcheck");
	inspect_put_list(out, "Test", &h->test);
	if (h->interval)
		json_put_i64(out, "Interval", h->interval);
	if (h->timeout)
		json_put_i64(out, "Timeout", h->timeout);
	if (h->start_period)
		json_put_i64(out, "StartPeriod", h->start_period);
	if (h->start_interval)
		json_put_i64(out, "StartInterval", h->start_interval);
	if (h->retries)
		json_put_i64(out, "Retries", h->retries);
	json_end(out);
}

static void put_config(struct json_out *out, const struct engine_container *c)
{
	const struct engine_create *q = &c->record.q;
	const struct oci_image_config *i = &c->record.config;
	char name[ENGINE_SHORT_ID + 1];

	memcpy(name, c->id, ENGINE_SHORT_ID);
	name[ENGINE_SHORT_ID] = '\0';
	json_begin_object(out, "Config");
	json_put_str(out, "Hostname", text_or(q->hostname, name));
	json_put_str(out, "Domainname", text_or(q->domainname, ""));
	json_put_str(out, "User", text_or(i->user, ""));
	json_put_bool(out, "AttachStdin", q->attach_stdin);
	json_put_bool(out, "AttachStdout", q->attach_stdout);
	json_put_bool(out, "AttachStderr", q->attach_stderr);
	put_keys(out, "ExposedPorts", &i->exposed_ports);
	json_put_bool(out, "Tty", q->tty);
	json_put_bool(out, "OpenStdin", q->interactive);
	json_put_bool(out, "StdinOnce", q->stdin_once);
	inspect_put_list(out, "Env", &i->env);
	inspect_put_list(out, "Cmd", &i->cmd);
	put_healthcheck(out, i->healthcheck);
	json_put_str(out, "Image", c->image);
	if (i->volumes.n)
		put_keys(out, "Volumes", &i->volumes);
	else
		json_put_null(out, "Volumes");
	json_put_str(out, "WorkingDir", text_or(i->working_dir, ""));
	inspect_put_list(out, "Entrypoint", &i->entrypoint);
	inspect_put_list(out, "OnBuild", &i->on_build);
	put_pairs(out, "Labels", &i->labels);
	json_put_opt_str(out, "StopSignal", i->stop_signal);
	if (q->stop_timeout >= 0)
		json_put_i64(out, "StopTimeout", q->stop_timeout == ENGINE_STOP_NEVER ? -1 : q->stop_timeout);
	if (i->shell.n)
		inspect_put_list(out, "Shell", &i->shell);
	json_end(out);
}

/* ---- networks ---- */

static void put_endpoint(struct json_out *out, const char *key, const struct net_endpoint *p)
{
	json_begin_object(out, key);
	json_put_null(out, "IPAMConfig");
	json_put_null(out, "Links");
	inspect_put_list(out, "Aliases", &p->aliases);
	json_put_str(out, "MacAddress", text_or(p->mac, ""));
	json_put_str(out, "NetworkID", text_or(p->network_id, ""));
	json_put_str(out, "EndpointID", "");
	json_put_str(out, "Gateway", text_or(p->gateway, ""));
	json_put_str(out, "IPAddress", text_or(p->ip, ""));
	json_put_i64(out, "IPPrefixLen", p->prefix);
	json_put_str(out, "IPv6Gateway", text_or(p->gateway6, ""));
	json_put_str(out, "GlobalIPv6Address", text_or(p->ip6, ""));
	json_put_i64(out, "GlobalIPv6PrefixLen", p->prefix6);
	json_end(out);
}

/* Ports as they are bound now, under each exposed one's key. */
static void put_ports(struct json_out *out, const struct engine_record *r, const struct net_result *n)
{
	json_begin_object(out, "Ports");
	for (size_t i = 0; i < r->config.exposed_ports.n; i++) {
		const char *key = r->config.exposed_ports.v[i];
		unsigned port = (unsigned)strtoul(key, NULL, 10);
		const char *slash = strchr(key, '/'), *proto = slash ? slash + 1 : "tcp";
		bool any = false;
		for (size_t k = 0; n && k < n->ports.n; k++) {
			const struct net_port *p = &n->ports.v[k];
			if (p->container_port != port || !streq(p->proto, proto))
				continue;
			if (!any)
				json_begin_list(out, key);
			any = true;
			put_binding(out, text_or(p->host_ip, "0.0.0.0"), p->host_port);
		}
		if (any)
			json_end(out);
		else
			json_put_null(out, key);
	}
	json_end(out);
}

static void inspect_put_networks(struct json_out *out, const struct engine_container *c,
				 const struct net_result *n)
{
	static const struct net_endpoint none = {0};
	const struct engine_record *r = &c->record;
	const struct net_endpoint *first = n && n->endpoints.n ? &n->endpoints.v[0] : &none;
	const char *mode = r->q.network_mode;

	json_begin_object(out, "NetworkSettings");
	json_put_str(out, "Bridge", "");
	json_put_str(out, "SandboxID", "");
	json_put_bool(out, "HairpinMode", false);
	put_ports(out, r, n);
	json_put_str(out, "Gateway", text_or(first->gateway, ""));
	json_put_str(out, "GlobalIPv6Address", text_or(first->ip6, ""));
	json_put_i64(out, "GlobalIPv6PrefixLen", first->prefix6);
	json_put_str(out, "IPAddress", text_or(first->ip, ""));
	json_put_i64(out, "IPPrefixLen", first->prefix);
	json_put_str(out, "IPv6Gateway", text_or(first->gateway6, ""));
	json_put_str(out, "MacAddress", text_or(first->mac, ""));
	json_begin_object(out, "Networks");
	if (mode && (streq(mode, "none") || streq(mode, "host")))
		put_endpoint(out, mode, &none);
	for (size_t i = 0; n && i < n->endpoints.n; i++)
		put_endpoint(out, n->endpoints.v[i].network, &n->endpoints.v[i]);
	for (size_t i = 0; !n && i < r->q.networks.n; i++)
		put_endpoint(out, r->q.networks.v[i].network,
			     &(struct net_endpoint){.aliases = r->q.networks.v[i].aliases});
	json_end(out);
	json_end(out);
}

/* ---- the whole ---- */

static void inspect_put_head(struct json_out *out, struct engine *e, const struct engine_container *c,
			     const struct monitor_status *st)
{
	const struct oci_image_config *i = &c->record.config;
	size_t skip = i->entrypoint.n ? 0 : 1;
	char created[40];

	engine_time_text(c->created, created);
	json_put_str(out, "Id", c->id);
	json_put_str(out, "Created", created);
	json_put_str(out, "Path", i->entrypoint.n ? i->entrypoint.v[0] : i->cmd.n ? i->cmd.v[0] : "");
	json_begin_list(out, "Args");
	for (size_t k = 1; k < i->entrypoint.n; k++)
		json_put_str(out, NULL, i->entrypoint.v[k]);
	for (size_t k = skip; k < i->cmd.n; k++)
		json_put_str(out, NULL, i->cmd.v[k]);
	json_end(out);
	put_state(out, e, c, st);
	json_put_str(out, "Image", c->record.image_id);
}

static void put_path(struct json_out *out, const char *key, char *path)
{
	json_put_str(out, key, path ? path : "");
	free(path);
}

static void put_graph_driver(struct json_out *out, struct engine *e, const struct engine_container *c)
{
	json_begin_object(out, "GraphDriver");
	json_begin_object(out, "Data");
	put_path(out, "UpperDir", engine_data_path(e, c->id, "upper"));
	put_path(out, "WorkDir", engine_data_path(e, c->id, "work"));
	json_end(out);
	json_put_str(out, "Name", "overlay");
	json_end(out);
}

static int put_sizes(struct json_out *out, struct engine *e, const struct engine_container *c,
		     struct err *err)
{
	struct snapshot s autosnapshot = {0};
	struct image image autoimage = {0};
	struct engine_maps maps;
	struct err ignored = {0};
	uint64_t bytes = 0, inodes;

	engine_maps_of(e, c, &maps);
	int r = engine_snapshot_of(e, c, &maps, &s, err);
	if (r == 0)
		r = snapshot_usage(&s, &bytes, &inodes, err);
	if (r < 0)
		return r;
	json_put_u64(out, "SizeRw", bytes);
	if (image_find(e->store, c->record.image_id, NULL, &image, &ignored) == 0)
		json_put_u64(out, "SizeRootFs", bytes + image.size);
	return 0;
}

static int write_inspect(struct json_out *out, struct engine *e, const struct engine_container *c,
			 const struct monitor_status *st, bool size, struct err *err)
{
	const struct engine_record *r = &c->record;
	struct net_result net = {.dns_udp = -1, .dns_tcp = -1};
	struct net *n;
	bool has_net = false;
	struct engine_security sec = {0};
	int s = 0;

	autofree char *log_name = str_format("%s-json.log", c->id), *slash = str_format("/%s", c->name);
	if (!log_name || !slash)
		return err_oom(err);
	if (st->running && r->q.networks.n && engine_net_get(e, &n, err) == 0)
		has_net = net_endpoints(n, c->id, &net, err) == 0;
	s = engine_security_parse(&r->q, &sec, err);
	if (s < 0)
		return s;
	json_begin_object(out, NULL);
	inspect_put_head(out, e, c, st);
	put_path(out, "ResolvConfPath", engine_run_path(e, c->id, "resolv.conf"));
	put_path(out, "HostnamePath", engine_run_path(e, c->id, "hostname"));
	put_path(out, "HostsPath", engine_run_path(e, c->id, "hosts"));
	put_path(out, "LogPath",
		 !r->q.log_driver || streq(r->q.log_driver, "json-file")
			 ? engine_data_path(e, c->id, log_name)
			 : NULL);
	json_put_str(out, "Name", slash);
	json_put_u64(out, "RestartCount",
		     st->running || st->restarting ? st->restarts : (uint64_t)c->restarts);
	json_put_str(out, "Driver", "overlay");
	json_put_str(out, "Platform", "linux");
	json_put_str(out, "MountLabel", "");
	json_put_str(out, "ProcessLabel", "");
	json_put_str(out, "AppArmorProfile", text_or(sec.apparmor, ""));
	json_put_null(out, "ExecIDs");
	put_host_config(out, c);
	put_graph_driver(out, e, c);
	if (size)
		s = put_sizes(out, e, c, err);
	put_mounts(out, e, r);
	put_config(out, c);
	inspect_put_networks(out, c, has_net ? &net : NULL);
	json_end(out);
	if (has_net)
		net_result_free(&net);
	return s;
}

/* Row and monitor's files of one moment: no end that the row does not know of yet. */
static int inspect_load(struct engine *e, const char *id, struct engine_container *c,
			struct monitor_status *st, struct err *err)
{
	for (int left = 3;; left--) {
		/* Somebody who is at work on it (a commit) does not keep others from looking. */
		int lock = left == 3 ? engine_lock(e, id, false, err) : 0, r;
		if (lock < 0 && lock != -EAGAIN)
			return lock;
		if (lock > 0)
			(void)close(lock); /* free: settled as usual */
		r = lock < 0 ? engine_load(e, id, c, err) : engine_load_locked(e, id, c, err);
		if (r < 0)
			return r;
		*st = (struct monitor_status){0};
		if (engine_runs(e, id, st) || st->restarting || !engine_is_live(c) || left == 0)
			return 0;
		engine_container_free(c);
	}
}

int engine_inspect(struct engine *e, const char *id, bool size, char **ret_json, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct json_out out autojsonout = {0};
	struct monitor_status st;
	int r = inspect_load(e, id, &c, &st, err);

	if (r == 0) {
		engine_links_show(e, &c);
		r = write_inspect(&out, e, &c, &st, size, err);
	}
	if (r < 0)
		return r;
	*ret_json = json_take(&out);
	return *ret_json ? 0 : err_oom(err);
}
