/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of the Container Network Interface, by configuration: a list of
 * plugins in a file, run one after the other (CNI specification 1.1, and 0.3
 * to 1.0, whose protocol is the same to a runtime).
 *
 * ADD goes forwards, each plugin given the result of the one before; DEL goes
 * backwards with the result that ADD ended with, and with the configuration as
 * it was then: both are kept in RUN_ROOT/net/cni/NETWORK/, beside the port
 * mappings.  DEL is given no namespace, which the specification allows: it is
 * run when the container is gone.  CHECK goes forwards, with the same: `system check` asks it of what runs.
 */
#include "base/file.h"
#include "base/hash.h"
#include "base/json_write.h"
#include "base/proc.h"
#include "base/str.h"
#include "net/net_int.h"

#include <dirent.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { CONF_MAX = 1 << 20, OUTPUT_MAX = 1 << 20, PLUGINS_MAX = 32, PLUGIN_MS = 120000, FILES_MAX = 1024 };

/* ---- Configurations ---- */

struct capability_set {
	bool port_mappings;
};
struct plugin {
	const char *type;
	struct capability_set capabilities;
	const char *text; /* the object as it stands; `len` bytes */
	size_t len;
};
struct conf {
	const char *version, *name, *type; /* `type`: a single plugin, not a list */
	LIST_OF(struct plugin) plugins;
	struct capability_set capabilities;
	bool disable_check;
};

static const struct json_field capability_fields[] = {
	F_BOOL(struct capability_set, port_mappings, "portMappings")};
static const struct json_table capability_table = JSON_TABLE(struct capability_set, capability_fields);
static const struct json_field plugin_fields[] = {
	F_STR(struct plugin, type, "type", .required = true),
	F_OBJECT(struct plugin, capabilities, "capabilities", struct capability_set, &capability_table)};
static const struct json_table plugin_table = JSON_TABLE(struct plugin, plugin_fields);
static const struct json_field conf_fields[] = {
	F_STR(struct conf, version, "cniVersion"),
	F_STR(struct conf, name, "name", .required = true),
	F_STR(struct conf, type, "type"),
	F_BOOL(struct conf, disable_check, "disableCheck"),
	F_OBJECT(struct conf, capabilities, "capabilities", struct capability_set, &capability_table),
	F_OBJECTS(struct conf, plugins, "plugins", struct plugin, &plugin_table)};
static const struct json_table conf_table = JSON_TABLE(struct conf, conf_fields);

/* Behind the value that begins at `p`, in text that is known to be JSON. */
static const char *cni_skip_value(const char *p)
{
	unsigned depth = 0;

	for (;; p++) {
		if (*p == '"') {
			for (p++; *p != '"'; p++)
				p += *p == '\\';
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			depth--;
		}
		if (depth == 0)
			return p + 1;
	}
}

/* The member `key` of the outermost object; NULL. */
static const char *find_member(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = strchr(text, '{') + 1;;) {
		p += strspn(p, " \t\r\n,");
		if (*p != '"')
			return NULL;
		const char *name = p + 1;
		p = cni_skip_value(p);
		bool is = (size_t)(p - 1 - name) == n && memcmp(name, key, n) == 0;
		p += strspn(p, " \t\r\n:");
		if (is)
			return p;
		if (*p == '{' || *p == '[' || *p == '"')
			p = cni_skip_value(p);
		else
			p += strcspn(p, ",}");
	}
}

static int split_plugins(struct conf *c, const char *text, struct err *err)
{
	const char *p = find_member(text, "plugins");

	if (!p || *p != '[')
		return err_set(err, EINVAL, "the list of plugins is written in an unusual way");
	p++;
	for (size_t i = 0; i < c->plugins.n; i++) {
		p += strspn(p, " \t\r\n,");
		const char *end = cni_skip_value(p);
		c->plugins.v[i].text = p;
		c->plugins.v[i].len = (size_t)(end - p);
		p = end;
	}
	return 0;
}

/* `text` is NUL-terminated and lives as long as `c`. */
static int parse_conf(struct json_doc *doc, const char *text, const char *where, struct conf *c,
		      struct err *err)
{
	int r = json_decode(doc, text, strlen(text), where, &conf_table, c, err);

	if (r < 0)
		return r;
	if (c->type) {
		struct plugin *one = json_doc_alloc(doc, sizeof(*one));
		if (!one)
			return err_oom(err);
		*one = (struct plugin){
			.type = c->type, .capabilities = c->capabilities, .text = strchr(text, '{')};
		one->len = (size_t)(cni_skip_value(one->text) - one->text);
		c->plugins.v = one;
		c->plugins.n = 1;
		return 0;
	}
	if (c->plugins.n == 0 || c->plugins.n > PLUGINS_MAX)
		return err_set(err, EINVAL, "%s: a network has from 1 to %d plugins", where, PLUGINS_MAX);
	r = split_plugins(c, text, err);
	return r < 0 ? err_prefix(err, "%s", where) : 0;
}

/* ---- Finding ---- */

/* 64 digits that are the same each time. */
static void make_id(const char *name, char ret[static 65])
{
	for (unsigned k = 0; k < 4; k++) {
		uint64_t h = fnv_bytes(FNV_START + k, name, strlen(name));
		(void)snprintf(ret + 16 * k, 17, "%016llx", (unsigned long long)h);
	}
}

struct conf_walk {
	struct net *n;
	const char *wanted; /* name, or id; NULL = all */
	/* 0 = go on. */
	int (*each)(void *data, const struct conf *c, const char *text, struct err *err);
	void *data;
};

static int walk_file(const struct conf_walk *w, const char *dir, const char *name, struct err *err)
{
	autofree char *path = str_format("%s/%s", dir, name), *text = NULL;
	struct json_doc doc autojson = {0};
	struct conf c = {0};
	struct err e = {0};
	char id[65];
	size_t len;

	if (!path)
		return err_oom(err);
	int r = file_read_named(path, CONF_MAX, &text, &len);
	if (r < 0 || parse_conf(&doc, text, path, &c, &e) < 0) {
		/* One bad file does not take away the networks of the others. */
		if (!w->wanted)
			net_warn(w->n, "CNI: %s", r < 0 ? path : e.msg);
		return 0;
	}
	make_id(c.name, id);
	if (w->wanted && !streq(w->wanted, c.name) && !streq(w->wanted, id))
		return 0;
	return w->each(w->data, &c, text, err);
}

static int only_confs(const struct dirent *e)
{
	return str_ends(e->d_name, ".conflist") || str_ends(e->d_name, ".conf") ||
	       str_ends(e->d_name, ".json");
}

static int walk_conf_dir(const struct conf_walk *w, const char *dir, struct err *err)
{
	struct dirent **list;
	int n = scandir(dir, &list, only_confs, alphasort);
	int r = 0;

	if (n < 0)
		return 0; /* no such directory, no networks */
	for (int i = 0; i < n; i++) {
		if (r == 0 && i < FILES_MAX)
			r = walk_file(w, dir, list[i]->d_name, err);
		free(list[i]);
	}
	free(list);
	return r;
}

static int walk_confs(const struct conf_walk *w, struct err *err)
{
	int r = 0;

	if (w->n->o.cni_config_dirs.n == 0)
		return walk_conf_dir(w, "/etc/cni/net.d", err);
	for (size_t i = 0; r == 0 && i < w->n->o.cni_config_dirs.n; i++)
		r = walk_conf_dir(w, w->n->o.cni_config_dirs.v[i], err);
	return r;
}

static int to_network(const struct conf *c, struct network *ret, struct err *err)
{
	struct network w = {.q = {.driver = "cni", .created = "0001-01-01T00:00:00Z"}};
	char id[65];

	make_id(c->name, id);
	w.q.id = net_keep(&w.doc, id);
	w.q.name = net_keep(&w.doc, c->name);
	if (!w.q.id || !w.q.name) {
		network_free(&w);
		return err_oom(err);
	}
	*ret = w;
	return 0;
}

struct lister {
	int (*each)(void *data, struct network *w, struct err *err);
	void *data;
};

static int list_one(void *data, const struct conf *c, const char *text unused, struct err *err)
{
	const struct lister *l = data;
	struct network w autonetwork = {0};
	int r = to_network(c, &w, err);

	return r < 0 ? r : l->each(l->data, &w, err);
}

int cni_list(struct net *n, int (*each)(void *data, struct network *w, struct err *err), void *data,
	     struct err *err)
{
	struct lister l = {.each = each, .data = data};
	struct conf_walk w = {.n = n, .each = list_one, .data = &l};

	return n->o.rootless ? 0 : walk_confs(&w, err);
}

static int find_one(void *data, const struct conf *c, const char *text unused, struct err *err)
{
	int r = to_network(c, data, err);

	return r < 0 ? r : 1;
}

int cni_find(struct net *n, const char *name, struct network *ret, struct err *err)
{
	struct conf_walk w = {.n = n, .wanted = name, .each = find_one, .data = ret};

	return n->o.rootless ? 0 : walk_confs(&w, err);
}

/* ---- Running a plugin ---- */

struct job {
	struct net *n;
	const char *command, *id, *interface, *netns; /* netns "" = none */
};

static char *plugin_path(const struct net *n)
{
	static const char *const usual[] = {"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"};
	const char *const *v = n->o.cni_plugin_dirs.n ? n->o.cni_plugin_dirs.v : usual;
	size_t count = n->o.cni_plugin_dirs.n ? n->o.cni_plugin_dirs.n : ARRAY_LEN(usual);
	struct str s autostr = {0};

	for (size_t i = 0; i < count; i++)
		str_putf(&s, "%s%s", i ? ":" : "", v[i]);
	return str_take(&s);
}

/* The program in one of the directories of `dirs` ("a:b"); the caller frees. */
static char *find_program(const char *dirs, const char *type)
{
	if (strchr(type, '/') || streq(type, ".") || streq(type, ".."))
		return NULL;
	while (*dirs) {
		size_t n = strcspn(dirs, ":");
		char *path = str_format("%.*s/%s", (int)n, dirs, type);
		if (!path || access(path, X_OK) == 0)
			return path;
		free(path);
		dirs += n + (dirs[n] == ':');
	}
	return NULL;
}

static int memory_file(const char *text)
{
	autoclose int fd = memfd_create("cni", MFD_CLOEXEC);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return take_fd(&fd);
}

static void exec_plugin(const char *path, char *const *env, int in, int out, int log)
{
	char *argv[] = {(char *)path, NULL};

	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(log, 2) >= 0 &&
	    fd_close_from(3, NULL, 0, false) == 0)
		(void)execve(path, argv, env);
	_exit(127);
}

/* The raw wait status; -ETIMEDOUT and other -errno. */
static int wait_plugin(pid_t pid)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r = fd < 0 ? 1 : poll(&p, 1, PLUGIN_MS);

	if (r <= 0)
		(void)kill(pid, SIGKILL); /* still our child */
	int status = proc_wait(pid);
	return r == 0 ? -ETIMEDOUT : status;
}

static char *read_memory(int fd)
{
	char *text = NULL;
	size_t len;

	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, OUTPUT_MAX, &text, &len) < 0)
		return strdup("");
	return text;
}

struct cni_error {
	const char *msg, *details;
};
static const struct json_field error_fields[] = {F_STR(struct cni_error, msg, "msg"),
						 F_STR(struct cni_error, details, "details")};
static const struct json_table error_table = JSON_TABLE(struct cni_error, error_fields);

static int plugin_failed(const struct job *j, const char *type, int status, const char *out, const char *log,
			 struct err *err)
{
	struct json_doc doc autojson = {0};
	struct cni_error e = {0};
	struct err ignored = {0};

	if (status < 0)
		return err_num(err, status, "CNI plugin %s (%s)", type, j->command);
	if (json_decode(&doc, out, strlen(out), "error", &error_table, &e, &ignored) == 0 && e.msg)
		return err_set(err, EIO, "CNI plugin %s failed (%s): %s%s%s", type, j->command, e.msg,
			       e.details ? "; " : "", e.details ? e.details : "");
	const char *text = *log ? log : out;
	return err_set(err, EIO, "CNI plugin %s failed (%s) with status %d: %.*s", type, j->command,
		       proc_exit_code(status), (int)strcspn(text, "\n"), text);
}

static int start_plugin(const struct job *j, const char *path, const char *dirs, const char *input, int out,
			int log, struct err *err)
{
	autofree char *command = str_format("CNI_COMMAND=%s", j->command);
	autofree char *id = str_format("CNI_CONTAINERID=%s", j->id);
	autofree char *netns = str_format("CNI_NETNS=%s", j->netns);
	autofree char *interface = str_format("CNI_IFNAME=%s", j->interface);
	autofree char *where = str_format("CNI_PATH=%s", dirs);
	autoclose int in = memory_file(input);
	char *env[] = {command, id, netns, interface, where, (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		       NULL};

	if (!command || !id || !netns || !interface || !where)
		return err_oom(err);
	if (in < 0)
		return err_num(err, in, "cannot make a file in memory");
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0)
		exec_plugin(path, env, in, out, log);
	return wait_plugin(pid);
}

static int run_plugin(const struct job *j, const struct plugin *p, const char *input, char **ret_output,
		      struct err *err)
{
	autofree char *dirs = plugin_path(j->n), *path = dirs ? find_program(dirs, p->type) : NULL;
	autoclose int out = memory_file(""), log = memory_file("");

	if (!dirs)
		return err_oom(err);
	if (!path)
		return err_set(
			err, ENOENT,
			"CNI plugin \"%s\" is not in %s: install the package containernetworking-plugins, or "
			"set network.cni_plugin_dirs in coffer.toml",
			p->type, dirs);
	if (out < 0 || log < 0)
		return err_num(err, MIN_OF(out, log), "cannot make a file in memory");
	int status = start_plugin(j, path, dirs, input, out, log, err);
	if (status < 0 && status != -ETIMEDOUT)
		return status;
	autofree char *text = read_memory(out), *noise = read_memory(log);
	if (!text || !noise)
		return err_oom(err);
	if (status != 0)
		return plugin_failed(j, p->type, status, text, noise, err);
	*ret_output = take_ptr(&text);
	return 0;
}

/* The plugin's object with what the specification adds to it. */
static char *plugin_input(const struct conf *c, const struct plugin *p, const char *prev, const char *ports)
{
	struct str s autostr = {0};

	str_put(&s, "{");
	if (!c->type) {
		str_put(&s, "\"cniVersion\":");
		json_quote(&s, c->version ? c->version : "0.2.0");
		str_put(&s, ",\"name\":");
		json_quote(&s, c->name);
		str_put(&s, ",");
	}
	if (p->capabilities.port_mappings && ports && *ports)
		str_putf(&s, "\"runtimeConfig\":{\"portMappings\":%s},", ports);
	if (prev && *prev)
		str_putf(&s, "\"prevResult\":%s,", prev);
	str_put_n(&s, p->text + 1, p->len - 1);
	return str_take(&s);
}

/* ---- What is kept ---- */

static char *kept_path(struct net *n, const char *network, const char *id, const char *what)
{
	return str_format("%s/cni/%s/%s.%s", n->dir, network, id, what);
}

static int keep_file(struct net *n, const char *network, const char *id, const char *what, const char *text,
		     struct err *err)
{
	autofree char *dir = str_format("%s/cni/%s", n->dir, network),
		      *path = kept_path(n, network, id, what);

	if (!dir || !path)
		return err_oom(err);
	int r = file_mkdir_all(dir, 0700);
	if (r == 0)
		r = file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, false);
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

/* NULL where there is none. */
static char *kept(struct net *n, const char *network, const char *id, const char *what)
{
	autofree char *path = kept_path(n, network, id, what);
	char *text = NULL;
	size_t len;

	return path && file_read_named(path, OUTPUT_MAX, &text, &len) == 0 ? text : NULL;
}

static void drop_kept(struct net *n, const char *network, const char *id)
{
	static const char *const all[] = {"conf", "result", "ports", "interface", "netns"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		autofree char *path = kept_path(n, network, id, all[i]);
		if (path)
			ignore_result(unlink(path) < 0); /* not there is what is wanted */
	}
}

/* ---- ADD ---- */

static char *ports_json(const struct net_attach *a)
{
	struct json_out out autojsonout = {0};

	json_begin_list(&out, NULL);
	for (size_t i = 0; i < a->n_ports; i++)
		for (unsigned k = 0; k < a->ports[i].count; k++) {
			const struct net_port *p = &a->ports[i];
			json_begin_object(&out, NULL);
			json_put_u64(&out, "hostPort",
				     p->host_port ? p->host_port + k : p->container_port + k);
			json_put_u64(&out, "containerPort", p->container_port + k);
			json_put_str(&out, "protocol", p->proto);
			json_put_opt_str(&out, "hostIP", p->host_ip);
			json_end(&out);
		}
	json_end(&out);
	return json_take(&out);
}

struct adding {
	struct job job;
	const char *network_id, *ports;
};

static int add_chain(void *data, const struct conf *c, const char *text, struct err *err)
{
	const struct adding *x = data;
	struct net *n = x->job.n;
	autofree char *result = NULL;
	int r = keep_file(n, x->network_id, x->job.id, "conf", text, err);

	if (r == 0)
		r = keep_file(n, x->network_id, x->job.id, "ports", x->ports, err);
	if (r == 0)
		r = keep_file(n, x->network_id, x->job.id, "interface", x->job.interface, err);
	if (r == 0)
		r = keep_file(n, x->network_id, x->job.id, "netns", x->job.netns, err);
	for (size_t i = 0; r == 0 && i < c->plugins.n; i++) {
		autofree char *input = plugin_input(c, &c->plugins.v[i], result, x->ports);
		char *output = NULL;
		r = input ? run_plugin(&x->job, &c->plugins.v[i], input, &output, err) : err_oom(err);
		if (r < 0)
			break;
		free(result);
		result = output;
	}
	if (r == 0)
		r = keep_file(n, x->network_id, x->job.id, "result", result ? result : "{}", err);
	return r < 0 ? r : 1;
}

int cni_add(struct net *n, const struct net_attach *a, struct net_result *r, size_t index, struct err *err)
{
	const struct net_endpoint *e = &r->endpoints.v[index];
	char netns[64];
	autofree char *ports = ports_json(a);
	struct adding x = {
		.job = {.n = n, .command = "ADD", .id = a->id, .interface = e->interface, .netns = netns},
		.network_id = e->network_id,
		.ports = ports};
	struct conf_walk w = {.n = n, .wanted = e->network_id, .each = add_chain, .data = &x};

	if (!ports)
		return err_oom(err);
	(void)snprintf(netns, sizeof(netns), "/proc/%d/fd/%d", getpid(), a->netns_fd); /* fits */
	int s = walk_confs(&w, err);
	if (s == 0)
		return err_set(err, ENOENT, "the configuration of the CNI network %s is gone", e->network);
	if (s < 0) {
		struct err ignored = {0};
		ignore_result(cni_del(n, a->id, e->network_id, &ignored) < 0); /* the first error counts */
		return err_prefix(err, "network %s", e->network);
	}
	cni_cached(n, a->id, r, index);
	return 0;
}

/* ---- DEL ---- */

int cni_del(struct net *n, const char *id, const char *network, struct err *err)
{
	autofree char *text = kept(n, network, id, "conf"), *result = kept(n, network, id, "result");
	autofree char *ports = kept(n, network, id, "ports"), *interface = kept(n, network, id, "interface");
	struct json_doc doc autojson = {0};
	struct conf c = {0};
	struct job job = {
		.n = n, .command = "DEL", .id = id, .interface = interface ? interface : "eth0", .netns = ""};

	if (!text)
		return 0;
	if (parse_conf(&doc, text, "kept CNI configuration", &c, err) < 0)
		c.plugins.n = 0;
	for (size_t i = c.plugins.n; i-- > 0;) {
		autofree char *input = plugin_input(&c, &c.plugins.v[i], result, ports), *output = NULL;
		struct err e = {0};
		if (!input)
			return err_oom(err);
		/* The others still have their part to undo; and a container must not become immortal by one.
		 */
		if (run_plugin(&job, &c.plugins.v[i], input, &output, &e) < 0)
			net_warn(n, "%s", e.msg);
	}
	drop_kept(n, network, id);
	return 0;
}

/* ---- CHECK ---- */

/* The verb is of version 0.4. */
static bool knows_check(const struct conf *c)
{
	const char *v = c->version ? c->version : "0.1.0";

	return !c->disable_check && !str_starts(v, "0.1.") && !str_starts(v, "0.2.") &&
	       !str_starts(v, "0.3.");
}

/*
 * The kept result with the namespace's present name: ADD was given a descriptor of a process that is gone,
 * and plugins compare.
 */
static char *renamed_netns(const char *result, const char *was, const char *is)
{
	autofree char *quoted = str_format("\"%s\"", was);
	struct str s autostr = {0};

	for (const char *at; quoted && (at = strstr(result, quoted)); result = at + strlen(quoted)) {
		str_put_n(&s, result, (size_t)(at - result));
		str_putf(&s, "\"%s\"", is);
	}
	str_put(&s, result);
	return quoted ? str_take(&s) : NULL;
}

int cni_check(struct net *n, const char *id, const char *network, pid_t pid, struct err *err)
{
	autofree char *text = kept(n, network, id, "conf"), *result = kept(n, network, id, "result");
	autofree char *ports = kept(n, network, id, "ports"), *interface = kept(n, network, id, "interface");
	autofree char *netns = str_format("/proc/%d/ns/net", (int)pid), *was = kept(n, network, id, "netns");
	struct json_doc doc autojson = {0};
	struct conf c = {0};
	struct job job = {.n = n,
			  .command = "CHECK",
			  .id = id,
			  .interface = interface ? interface : "eth0",
			  .netns = netns};

	if (!text || !result || !was)
		return 0;
	autofree char *prev = netns ? renamed_netns(result, was, netns) : NULL;
	int r = prev ? parse_conf(&doc, text, "kept CNI configuration", &c, err) : err_oom(err);
	for (size_t i = 0; r == 0 && knows_check(&c) && i < c.plugins.n; i++) {
		/* Up to 1.1 at least it looks for chains of ip6tables that it makes for IPv6 addresses alone.
		 */
		if (streq(c.plugins.v[i].type, "portmap"))
			continue;
		autofree char *input = plugin_input(&c, &c.plugins.v[i], prev, ports), *output = NULL;
		r = input ? run_plugin(&job, &c.plugins.v[i], input, &output, err) : err_oom(err);
	}
	return r;
}

/* ---- Results ---- */

struct cni_ip {
	const char *address, *gateway;
};
struct cni_interface {
	const char *name, *mac, *sandbox;
};
struct cni_result {
	LIST_OF(struct cni_ip) ips;
	LIST_OF(struct cni_interface) interfaces;
};
static const struct json_field ip_fields[] = {F_STR(struct cni_ip, address, "address", .required = true),
					      F_STR(struct cni_ip, gateway, "gateway")};
static const struct json_table ip_table = JSON_TABLE(struct cni_ip, ip_fields);
static const struct json_field interface_fields[] = {F_STR(struct cni_interface, name, "name"),
						     F_STR(struct cni_interface, mac, "mac"),
						     F_STR(struct cni_interface, sandbox, "sandbox")};
static const struct json_table interface_table = JSON_TABLE(struct cni_interface, interface_fields);
static const struct json_field result_fields[] = {
	F_OBJECTS(struct cni_result, ips, "ips", struct cni_ip, &ip_table),
	F_OBJECTS(struct cni_result, interfaces, "interfaces", struct cni_interface, &interface_table)};
static const struct json_table result_table = JSON_TABLE(struct cni_result, result_fields);

static void take_ip(struct json_doc *doc, struct net_endpoint *e, const struct cni_ip *a)
{
	struct cidr c;
	struct ip ip;

	if (!cidr_parse(a->address, &c, &ip))
		return;
	if (ip.family == AF_INET && !e->ip) {
		e->ip = net_keep(doc, ip_text(&ip).s);
		e->prefix = c.prefix;
		e->gateway = net_keep(doc, a->gateway);
	} else if (ip.family == AF_INET6 && !e->ip6) {
		e->ip6 = net_keep(doc, ip_text(&ip).s);
		e->prefix6 = c.prefix;
		e->gateway6 = net_keep(doc, a->gateway);
	}
}

void cni_cached(struct net *n, const char *id, struct net_result *r, size_t index)
{
	struct net_endpoint *e = &r->endpoints.v[index];
	struct result_memory *m = result_memory(r);
	struct json_doc doc autojson = {0};
	struct cni_result x = {0};
	struct err ignored = {0};

	if (!streq(m->plugs[index].driver, "cni"))
		return;
	autofree char *text = kept(n, e->network_id, id, "result");
	if (!text || json_decode(&doc, text, strlen(text), "result", &result_table, &x, &ignored) < 0)
		return;
	for (size_t i = 0; i < x.ips.n; i++)
		take_ip(&m->doc, e, &x.ips.v[i]);
	for (size_t i = 0; i < x.interfaces.n; i++)
		if (x.interfaces.v[i].sandbox && x.interfaces.v[i].mac && !e->mac)
			e->mac = net_keep(&m->doc, x.interfaces.v[i].mac);
}
