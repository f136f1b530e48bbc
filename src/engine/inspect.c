/* SPDX-License-Identifier: Apache-2.0 */
/* The object of `docker inspect`, member by member in Docker's order. */
#include "engine/create.h"
#include "engine/files.h"
#include "engine/inspect.h"
#include "engine/spec.h"

#include "base/file.h"
#include "image/sha256.h"

enum { HEALTH_MAX = 1 << 20 };

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
	inspect_put_empty(out, "Log");
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

/* ---- mounts, Config ---- */

static void put_mounts(struct json_out *out, struct engine *e, const struct engine_record *r)
{
	json_begin_list(out, "Mounts");
	for (size_t i = 0; i < r->mounts.n; i++) {
		const struct engine_record_mount *m = &r->mounts.v[i];
		if (streq(m->type, "tmpfs") && !m->by_mount)
			continue; /* HostConfig.Tmpfs */
		autofree char *path = m->name ? engine_volume_path(e, m->name) : NULL;
		json_begin_object(out, NULL);
		json_put_str(out, "Type", m->type);
		json_put_opt_str(out, "Name", m->name);
		json_put_str(out, "Source", path ? path : inspect_or(m->source, ""));
		json_put_str(out, "Destination", m->target);
		if (m->name)
			json_put_str(out, "Driver", "local");
		json_put_str(out, "Mode", inspect_mount_mode(m));
		json_put_bool(out, "RW", !m->read_only);
		json_put_str(out, "Propagation",
			     streq(m->type, "bind") ? inspect_or(m->propagation, "rprivate") : "");
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
	json_put_str(out, "Hostname", inspect_or(q->hostname, name));
	json_put_str(out, "Domainname", inspect_or(q->domainname, ""));
	json_put_str(out, "User", inspect_or(i->user, ""));
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
	json_put_str(out, "WorkingDir", inspect_or(i->working_dir, ""));
	inspect_put_list(out, "Entrypoint", &i->entrypoint);
	inspect_put_list(out, "OnBuild", &i->on_build);
	inspect_put_pairs(out, "Labels", &i->labels);
	json_put_opt_str(out, "StopSignal", i->stop_signal);
	if (q->stop_timeout >= 0)
		json_put_i64(out, "StopTimeout", q->stop_timeout == ENGINE_STOP_NEVER ? -1 : q->stop_timeout);
	if (i->shell.n)
		inspect_put_list(out, "Shell", &i->shell);
	json_end(out);
}

/* ---- networks ---- */

/* 64 digits that are one endpoint's and no other's. */
static void id_of_two(const char *container, const char *other, char ret[static ENGINE_ID_LEN + 1])
{
	uint8_t sum[SHA256_LEN];
	struct sha256 hash;

	sha256_init(&hash);
	sha256_update(&hash, container, strlen(container));
	sha256_update(&hash, other, strlen(other));
	sha256_final(&hash, sum);
	sha256_hex(sum, ret);
}

static const struct net_join *asked_of(const struct engine_container *c, const struct net_endpoint *p)
{
	const struct engine_create *q = &c->record.q;

	for (size_t i = 0; p->network && i < q->networks.n; i++) {
		if (streq(q->networks.v[i].network, p->network))
			return &q->networks.v[i];
	}
	return NULL;
}

static void put_ipam_config(struct json_out *out, const struct net_join *asked)
{
	if (!asked || (!asked->ip && !asked->ip6)) {
		json_put_null(out, "IPAMConfig");
		return;
	}
	json_begin_object(out, "IPAMConfig");
	json_put_opt_str(out, "IPv4Address", asked->ip);
	json_put_opt_str(out, "IPv6Address", asked->ip6);
	json_end(out);
}

/* What answers to its questions of names: of networks of one's own alone. */
static void put_dns_names(struct json_out *out, const struct engine_container *c,
			  const struct net_endpoint *p)
{
	if (!p->network || streq(p->network, "bridge") || !p->network_id) {
		json_put_null(out, "DNSNames");
		return;
	}
	char id[ENGINE_SHORT_ID + 1] = "";
	memcpy(id, c->id, ENGINE_SHORT_ID);
	json_begin_list(out, "DNSNames");
	json_put_str(out, NULL, c->name);
	for (size_t i = 0; i < p->aliases.n; i++)
		json_put_str(out, NULL, p->aliases.v[i]);
	json_put_str(out, NULL, id);
	json_end(out);
}

static void put_endpoint(struct json_out *out, const char *key, const struct engine_container *c,
			 const struct net_endpoint *p)
{
	char id[ENGINE_ID_LEN + 1] = "";

	if (p->network_id)
		id_of_two(c->id, p->network_id, id);
	json_begin_object(out, key);
	put_ipam_config(out, asked_of(c, p));
	json_put_null(out, "Links");
	inspect_put_list(out, "Aliases", &p->aliases);
	json_put_str(out, "MacAddress", inspect_or(p->mac, ""));
	json_put_null(out, "DriverOpts");
	json_put_str(out, "NetworkID", inspect_or(p->network_id, ""));
	json_put_str(out, "EndpointID", id);
	json_put_str(out, "Gateway", inspect_or(p->gateway, ""));
	json_put_str(out, "IPAddress", inspect_or(p->ip, ""));
	json_put_i64(out, "IPPrefixLen", p->prefix);
	json_put_str(out, "IPv6Gateway", inspect_or(p->gateway6, ""));
	json_put_str(out, "GlobalIPv6Address", inspect_or(p->ip6, ""));
	json_put_i64(out, "GlobalIPv6PrefixLen", p->prefix6);
	put_dns_names(out, c, p);
	json_end(out);
}

/* Ports as they are bound now, under each exposed one's key; none of a container that does not run. */
static void put_ports(struct json_out *out, const struct engine_record *r, const struct net_result *n)
{
	json_begin_object(out, "Ports");
	for (size_t i = 0; n && i < r->config.exposed_ports.n; i++) {
		const char *key = r->config.exposed_ports.v[i];
		unsigned port = (unsigned)strtoul(key, NULL, 10);
		const char *slash = strchr(key, '/'), *proto = slash ? slash + 1 : "tcp";
		bool any = false;
		for (size_t k = 0; k < n->ports.n; k++) {
			const struct net_port *p = &n->ports.v[k];
			if (p->container_port != port || !streq(p->proto, proto))
				continue;
			if (!any)
				json_begin_list(out, key);
			any = true;
			inspect_put_binding(out, inspect_or(p->host_ip, "0.0.0.0"), p->host_port);
		}
		if (any)
			json_end(out);
		else
			json_put_null(out, key);
	}
	json_end(out);
}

/* The network namespace, for who wants to enter it: of a container that runs. */
static void put_sandbox(struct json_out *out, const struct engine_container *c,
			const struct monitor_status *st)
{
	char path[64] = "", id[ENGINE_ID_LEN + 1] = "";

	if (st->running) {
		id_of_two(c->id, "sandbox", id);
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)st->pid); /* fits */
	}
	json_put_str(out, "SandboxID", id);
	json_put_str(out, "SandboxKey", path);
}

/* What the members beside "Networks" tell of: the default network alone, as Docker has it. */
static const struct net_endpoint *default_endpoint(const struct net_result *n)
{
	static const struct net_endpoint none = {0};

	for (size_t i = 0; n && i < n->endpoints.n; i++) {
		if (n->endpoints.v[i].network && streq(n->endpoints.v[i].network, "bridge"))
			return &n->endpoints.v[i];
	}
	return &none;
}

static void inspect_put_networks(struct json_out *out, const struct engine_container *c,
				 const struct monitor_status *st, const struct net_result *n)
{
	static const struct net_endpoint none = {0};
	const struct engine_record *r = &c->record;
	const struct net_endpoint *first = default_endpoint(n);
	const char *mode = r->q.network_mode;
	char id[ENGINE_ID_LEN + 1] = "";

	if (first->network_id)
		id_of_two(c->id, first->network_id, id);
	json_begin_object(out, "NetworkSettings");
	json_put_str(out, "Bridge", "");
	put_sandbox(out, c, st);
	json_put_bool(out, "HairpinMode", false);
	json_put_str(out, "LinkLocalIPv6Address", "");
	json_put_i64(out, "LinkLocalIPv6PrefixLen", 0);
	put_ports(out, r, n);
	json_put_null(out, "SecondaryIPAddresses");
	json_put_null(out, "SecondaryIPv6Addresses");
	json_put_str(out, "EndpointID", id);
	json_put_str(out, "Gateway", inspect_or(first->gateway, ""));
	json_put_str(out, "GlobalIPv6Address", inspect_or(first->ip6, ""));
	json_put_i64(out, "GlobalIPv6PrefixLen", first->prefix6);
	json_put_str(out, "IPAddress", inspect_or(first->ip, ""));
	json_put_i64(out, "IPPrefixLen", first->prefix);
	json_put_str(out, "IPv6Gateway", inspect_or(first->gateway6, ""));
	json_put_str(out, "MacAddress", inspect_or(first->mac, ""));
	json_begin_object(out, "Networks");
	if (mode && (streq(mode, "none") || streq(mode, "host")))
		put_endpoint(out, mode, c, &none);
	for (size_t i = 0; n && i < n->endpoints.n; i++)
		put_endpoint(out, n->endpoints.v[i].network, c, &n->endpoints.v[i]);
	for (size_t i = 0; !n && i < r->q.networks.n; i++) {
		const struct net_join *join = &r->q.networks.v[i];
		put_endpoint(out, join->network, c,
			     &(struct net_endpoint){.network = join->network, .aliases = join->aliases});
	}
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
	json_put_str(out, "AppArmorProfile", engine_apparmor_shown(e, r, &sec, st->running ? st->pid : 0));
	json_put_null(out, "ExecIDs");
	inspect_put_host_config(out, c);
	put_graph_driver(out, e, c);
	if (size)
		s = put_sizes(out, e, c, err);
	put_mounts(out, e, r);
	put_config(out, c);
	inspect_put_networks(out, c, st, has_net ? &net : NULL);
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
