/* SPDX-License-Identifier: Apache-2.0 */
/* Before something runs: whom to join, addresses, and the files that hold names. */
#include "engine/start.h"

#include "base/file.h"
#include "engine/create.h"
#include "host/helper.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum { HOST_FILE_MAX = 1 << 20 };

void engine_starting_free(struct engine_starting *s)
{
	char *const texts[] = {s->run_dir,  s->data_dir,   s->rootfs,	   s->hosts,
			       s->hostname, s->resolv,	   s->shm,	   s->init,
			       s->log,	    s->host_hosts, s->host_resolv, s->join_user,
			       s->join_net, s->join_pid,   s->join_ipc,	   s->trash};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	free(s->ports);
	if (s->has_net)
		net_result_free(&s->result);
	engine_strs_free(&s->upstreams);
	engine_strs_free(&s->log_labels);
	engine_strs_free(&s->maker);
	engine_strs_free(&s->finish);
	free((void *)(uintptr_t)s->dns_networks.v);
	for (size_t i = 0; i < ARRAY_LEN(s->groups); i++)
		if (s->groups[i] > 0)
			fd_drop(&s->groups[i]);
	if (s->warnings)
		(void)munmap(s->warnings, START_WARNINGS_MAX); /* ours */
}

/* /proc/PID/ns/NS of a container that runs. */
static int join_path(struct engine *e, const char *id, const char *ns, const char *what, char **ret,
		     struct err *err)
{
	struct monitor_status st;

	if (!engine_runs(e, id, &st))
		return err_set(err, EINVAL, "cannot join %s of a non running container: %.12s", what, id);
	*ret = str_format("/proc/%d/ns/%s", (int)st.pid, ns);
	return *ret ? 0 : err_oom(err);
}

static int find_joins(struct engine_starting *s, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	int r = 0;

	if (rec->user_container)
		r = join_path(s->e, rec->user_container, "user", "the user namespace", &s->join_user, err);
	if (r == 0 && rec->net_container)
		r = join_path(s->e, rec->net_container, "net", "network", &s->join_net, err);
	if (r == 0 && rec->pid_container)
		r = join_path(s->e, rec->pid_container, "pid", "PID", &s->join_pid, err);
	if (r == 0 && rec->ipc_container)
		r = join_path(s->e, rec->ipc_container, "ipc", "IPC", &s->join_ipc, err);
	return r;
}

/* /dev/shm that others may join is a directory of the run directory: a tmpfs of its own has no name outside.
 */
static int find_shm(struct engine_starting *s, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	struct stat st;

	if (rec->ipc_container) {
		s->shm = engine_run_path(s->e, rec->ipc_container, "shm");
		if (!s->shm)
			return err_oom(err);
		if (stat(s->shm, &st) < 0)
			return err_set(err, EINVAL,
				       "cannot join IPC of container %.12s: non-shareable IPC (hint: use "
				       "IpcMode:shareable "
				       "for the donor container)",
				       rec->ipc_container);
		return 0;
	}
	if (!engine_mode_is(rec->q.ipc_mode, "shareable"))
		return 0;
	s->shm = engine_run_path(s->e, s->c->id, "shm");
	if (!s->shm)
		return err_oom(err);
	if (mkdir(s->shm, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", s->shm);
	return chmod(s->shm, 01777) < 0 ? err_sys(err, "cannot set the mode of \"%s\"", s->shm) : 0;
}

static int make_paths(struct engine_starting *s, struct err *err)
{
	struct engine *e = s->e;
	const char *id = s->c->id;
	int r = 0;

	s->run_dir = engine_run_path(e, id, NULL);
	s->data_dir = engine_data_path(e, id, NULL);
	s->rootfs = str_format("%s/rootfs", e->run_root);
	autofree char *log = str_format("%s-json.log", id);
	s->log = log ? engine_data_path(e, id, log) : NULL;
	if (!s->run_dir || !s->data_dir || !s->rootfs || !s->log)
		return err_oom(err);
	if (mkdirat(e->run_fd, id, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", s->run_dir);
	/* One empty directory serves all: the root is mounted on it in each container's own namespace. */
	if (mkdir(s->rootfs, 0555) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", s->rootfs);
	if (s->c->record.q.init)
		r = helper_path("coffer-init", &s->init, err);
	return r;
}

/* ---- names ---- */

static int write_inside(const struct engine_starting *s, const char *path, const char *text, struct err *err)
{
	uint32_t uid = engine_maps_host(&s->maps.uids, 0), gid = engine_maps_host(&s->maps.gids, 0);

	/* Written in place: containers that share it (container:) have this very file. */
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_sys(err, "cannot make \"%s\"", path);
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return err_num(err, r, "cannot write \"%s\"", path);
	if (!s->e->o.rootless && (fchown(fd, uid, gid) < 0 || fchmod(fd, 0644) < 0))
		return err_sys(err, "cannot give \"%s\" to the container", path);
	return 0;
}

static char *start_prepare_read_host_file(const char *path)
{
	char *text = NULL;
	size_t len;

	return file_read_at(AT_FDCWD, path, HOST_FILE_MAX, &text, &len) < 0 ? NULL : text;
}

/* systemd-resolved's stub is of no use elsewhere: what it asks is. */
static char *read_resolv_conf(void)
{
	static const char resolved[] = "/run/systemd/resolve/resolv.conf";
	char *text = start_prepare_read_host_file("/etc/resolv.conf");

	if (text && strstr(text, "nameserver 127.0.0.53") && access(resolved, R_OK) == 0) {
		free(text);
		text = start_prepare_read_host_file(resolved);
	}
	return text;
}

static int joined_files(struct engine_starting *s, struct err *err)
{
	const char *other = s->c->record.net_container;

	s->hosts = engine_run_path(s->e, other, "hosts");
	s->hostname = engine_run_path(s->e, other, "hostname");
	s->resolv = engine_run_path(s->e, other, "resolv.conf");
	return s->hosts && s->hostname && s->resolv ? 0 : err_oom(err);
}

static int write_names(struct engine_starting *s, struct err *err)
{
	const struct engine_create *q = &s->c->record.q;
	struct engine_names n = {
		.domainname = q->domainname,
		.name = s->c->name,
		.net = s->has_net ? &s->result : NULL,
		.host_network = engine_mode_is(q->network_mode, "host"),
		.add_host = q->add_host,
		.dns = q->dns,
		.dns_search = q->dns_search,
		.dns_options = q->dns_options,
	};
	int r;

	if (s->c->record.net_container)
		return joined_files(s, err);
	if (n.host_network)
		s->host_hosts = start_prepare_read_host_file("/etc/hosts");
	if (s->has_net || n.host_network)
		s->host_resolv = read_resolv_conf();
	n.hostname = s->own_name;
	n.host_hosts = s->host_hosts;
	n.host_resolv = s->host_resolv;
	s->hosts = engine_run_path(s->e, s->c->id, "hosts");
	s->hostname = engine_run_path(s->e, s->c->id, "hostname");
	s->resolv = engine_run_path(s->e, s->c->id, "resolv.conf");
	autofree char *links = NULL;
	r = engine_links_text(s->e, s->c, &links, err);
	if (r < 0)
		return r;
	n.links = links;
	autofree char *hosts = engine_hosts_text(&n), *resolv = engine_resolv_text(&n),
		      *name = str_format("%s\n", s->own_name);
	if (!s->hosts || !s->hostname || !s->resolv || !hosts || !resolv || !name)
		return err_oom(err);
	r = write_inside(s, s->hosts, hosts, err);
	if (r == 0)
		r = write_inside(s, s->hostname, name, err);
	if (r == 0)
		r = write_inside(s, s->resolv, resolv, err);
	if (r == 0 && n.net && n.net->needs_dns)
		r = engine_upstreams(&n, &s->upstreams, err);
	return r;
}

static void settle_hostname(struct engine_starting *s)
{
	const struct engine_create *q = &s->c->record.q;
	size_t n;

	if (q->hostname && *q->hostname) {
		n = strnlen(q->hostname, sizeof(s->own_name) - 1);
		memcpy(s->own_name, q->hostname, n);
	} else if (engine_mode_is(q->network_mode, "host") || engine_mode_is(q->uts_mode, "host")) {
		n = gethostname(s->own_name, sizeof(s->own_name) - 1) < 0 ? 0 : strnlen(s->own_name, 64);
	} else {
		n = ENGINE_SHORT_ID;
		memcpy(s->own_name, s->c->id, n);
	}
	s->own_name[n] = '\0';
}

static int lease_network(struct engine_starting *s, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	size_t n_ports;
	int r;

	if (rec->q.networks.n == 0)
		return 0;
	r = engine_net_get(s->e, &s->net, err);
	if (r == 0)
		r = engine_record_ports(rec, &s->ports, &n_ports, err);
	if (r < 0)
		return r;
	s->attach = (struct net_attach){
		.id = s->c->id,
		.name = s->c->name,
		.hostname = s->own_name,
		.networks = rec->q.networks.v,
		.n_networks = rec->q.networks.n,
		.ports = s->ports,
		.n_ports = n_ports,
		.netns_fd = -1,
	};
	r = net_lease(s->net, &s->attach, &s->result, err);
	s->has_net = r == 0;
	for (size_t i = 0; r == 0 && i < s->result.endpoints.n; i++) {
		const struct net_endpoint *p = &s->result.endpoints.v[i];
		engine_tell_network(s->e, &(struct net_told){s->c->id, p->network_id, p->network, p->driver},
				    "connect");
	}
	return r;
}

int engine_start_prepare(struct engine_starting *s, struct err *err)
{
	struct engine_security sec;
	int r = engine_security_parse(&s->c->record.q, &sec, err);

	if (r < 0)
		return r;
	s->apparmor = engine_apparmor_start(s->e, &s->c->record, &sec);
	engine_maps_of(s->e, s->c, &s->maps);
	s->warnings =
		mmap(NULL, START_WARNINGS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->warnings == MAP_FAILED) {
		s->warnings = NULL;
		return err_oom(err);
	}
	settle_hostname(s);
	r = engine_machine_check(s->c, err);
	if (r == 0)
		r = make_paths(s, err);
	if (r == 0 && s->c->slot < 0 && !s->e->o.rootless)
		r = engine_host_ids_note(s->e, s->c->id, err);
	if (r == 0)
		r = find_joins(s, err);
	if (r == 0)
		r = find_shm(s, err);
	if (r == 0)
		r = lease_network(s, err);
	return r < 0 ? r : write_names(s, err);
}

/* ---- the plan ---- */

int engine_make_plan_argv(struct engine *e, const char *verb, const char *id, str_list *ret, struct err *err)
{
	const char *const rest[] = {"system", verb, id};
	int r = 0;

	for (const char *const *p = e->o.argv_globals; r == 0 && p && *p; p++)
		r = engine_strs_add(ret, *p, err);
	for (size_t i = 0; r == 0 && ret->n && i < ARRAY_LEN(rest); i++)
		r = engine_strs_add(ret, rest[i], err);
	return r;
}

static const char *log_option(const struct engine_create *q, const char *key)
{
	for (size_t i = 0; i < q->log_opts.n; i++) {
		if (streq(q->log_opts.v[i].key, key))
			return q->log_opts.v[i].value;
	}
	return NULL;
}

static bool names_word(const char *list, const char *word, size_t len)
{
	for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',') {
		if (strcspn(p, ",") == len && strncmp(p, word, len) == 0)
			return true;
	}
	return false;
}

/* Those that --log-opt labels= and env= name. */
static int plan_log_labels(struct engine_starting *s, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	const char *labels = log_option(&rec->q, "labels"), *env = log_option(&rec->q, "env");
	int r = 0;

	for (size_t i = 0; r == 0 && labels && i < rec->config.labels.n; i++) {
		const struct oci_pair *p = &rec->config.labels.v[i];
		if (!names_word(labels, p->key, strlen(p->key)))
			continue;
		autofree char *text = str_format("%s=%s", p->key, p->value);
		r = text ? engine_strs_add(&s->log_labels, text, err) : err_oom(err);
	}
	for (size_t i = 0; r == 0 && env && i < rec->config.env.n; i++) {
		const char *v = rec->config.env.v[i];
		if (names_word(env, v, strcspn(v, "=")))
			r = engine_strs_add(&s->log_labels, v, err);
	}
	return r;
}

static void plan_log(const struct engine_starting *s, struct monitor_plan *p)
{
	const struct engine_create *q = &s->c->record.q;
	const char *size = log_option(q, "max-size"), *files = log_option(q, "max-file");
	uint64_t n;

	p->log = MONITOR_LOG_JSON_FILE;
	if (engine_mode_is(q->log_driver, "none"))
		p->log = MONITOR_LOG_NONE;
	else if (engine_mode_is(q->log_driver, "journald"))
		p->log = MONITOR_LOG_JOURNALD;
	p->log_path = s->log;
	p->log_max_files = 1;
	if (size && engine_size_parse(size, &n) == 0)
		p->log_max_size = n;
	if (files && str_to_u64(files, 10, &n) == 0)
		p->log_max_files = (uint32_t)n;
	p->log_labels = s->log_labels;
}

/* An image may say anything: no end that clocks cannot be added to, and not one check after the other. */
static int64_t health_ns(int64_t ns, int64_t usual)
{
	return MIN_OF(MAX_OF(ns ? ns : usual, ENGINE_NS_SECOND / 1000), INT64_MAX / 4);
}

static void plan_health(const struct oci_healthcheck *h, struct monitor_plan *p)
{
	if (!h || h->test.n == 0 || streq(h->test.v[0], "NONE"))
		return;
	p->health_test = h->test;
	p->health_interval = health_ns(h->interval, 30 * ENGINE_NS_SECOND);
	p->health_timeout = health_ns(h->timeout, 30 * ENGINE_NS_SECOND);
	p->health_start_period = h->start_period;
	p->health_start_interval = health_ns(h->start_interval, 5 * ENGINE_NS_SECOND);
	p->health_retries = h->retries > 0 ? (uint32_t)MIN_OF(h->retries, (int64_t)INT32_MAX) : 3;
}

static int plan_dns(struct engine_starting *s, struct monitor_plan *p, struct err *err)
{
	if (!s->has_net || !s->result.needs_dns)
		return 0;
	const char **v = calloc(s->result.endpoints.n, sizeof(*v));
	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < s->result.endpoints.n; i++)
		v[i] = s->result.endpoints.v[i].network_id;
	s->dns_networks = (str_list){.v = v, .n = s->result.endpoints.n};
	p->dns_networks = s->dns_networks;
	p->dns_servers = s->upstreams;
	return 0;
}

int engine_start_plan(struct engine_starting *s, struct monitor_plan *ret, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	struct engine *e = s->e;
	struct monitor_plan p = {
		.id = s->c->id,
		.name = s->c->name,
		.image = s->c->image,
		.run_dir = s->run_dir,
		.runtime_root = e->rt.root,
		.isolation = rec->isolation,
		.rootless = e->o.rootless,
		.systemd_cgroup = e->o.systemd_cgroup,
		.tty = rec->q.tty,
		.open_stdin = rec->q.interactive,
		.stdin_once = rec->q.stdin_once,
		.stop_timeout = rec->q.stop_timeout >= 0 ? rec->q.stop_timeout : ENGINE_STOP_SECONDS,
	};
	const char *signal = rec->config.stop_signal;
	int r = engine_restart_parse(rec->q.restart, &p.restart, &p.restart_max, err);

	if (r == 0) {
		r = runtime_signal_number(signal && *signal ? signal : "TERM", err);
		p.stop_signal = r;
	}
	if (r >= 0)
		r = plan_log_labels(s, err);
	if (r == 0)
		r = engine_make_plan_argv(e, "make-again", s->c->id, &s->maker, err);
	if (r == 0)
		r = engine_make_plan_argv(e, "finish", s->c->id, &s->finish, err);
	if (r == 0)
		r = plan_dns(s, &p, err);
	if (r < 0)
		return r;
	if ((s->c->flags & ENGINE_AUTO_REMOVE) && !e->o.rootless) {
		s->trash = engine_trash_path(e);
		if (!s->trash)
			return err_oom(err);
	}
	p.trash = s->trash;
	plan_log(s, &p);
	plan_health(rec->config.healthcheck, &p);
	p.maker = s->maker;
	p.finish = s->finish;
	*ret = p;
	return 0;
}
