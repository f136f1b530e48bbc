/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/config.h"

#include "base/file.h"
#include "base/toml.h"
#include "front/cli/value.h"

enum { CONFIG_MAX = 1 << 20 };

static const char *const managers[] = {"cgroupfs", "systemd", NULL};
static const char *const layer_kinds[] = {"auto", "erofs", "directory", NULL};
static const char *const progress_kinds[] = {"auto", "tty", "plain", "none", NULL};
static const char *const userns_kinds[] = {"auto", "host", NULL};
static const char *const log_drivers[] = {"json-file", "journald", "none", NULL};

static const struct json_field engine_fields[] = {
	F_STR(struct config, root, "root"),
	F_STR(struct config, state, "state"),
	F_STR(struct config, cgroup_manager, "cgroup_manager", .allowed = managers),
};
static const struct json_table engine_table = JSON_TABLE(struct config, engine_fields);

static const struct json_field storage_fields[] = {
	F_STR(struct config, layers, "layers", .allowed = layer_kinds),
};
static const struct json_table storage_table = JSON_TABLE(struct config, storage_fields);

static const struct json_field cli_fields[] = {
	F_STR(struct config, progress, "progress", .allowed = progress_kinds),
	F_STR(struct config, containers.detach_keys, "detach_keys"),
};
static const struct json_table cli_table = JSON_TABLE(struct config, cli_fields);

static const struct json_field containers_fields[] = {
	F_STR(struct config_containers, isolation, "isolation"),
	F_STR(struct config_containers, userns, "userns", .allowed = userns_kinds),
	F_STR(struct config_containers, log_driver, "log_driver", .allowed = log_drivers),
	F_PAIRS(struct config_containers, log_opts, "log_opts", struct oci_pair),
	F_STRS(struct config_containers, ulimits, "ulimits"),
	F_STR(struct config_containers, shm_size, "shm_size"),
	F_STRS(struct config_containers, dns, "dns"),
	F_STRS(struct config_containers, dns_search, "dns_search"),
	F_STRS(struct config_containers, dns_options, "dns_options"),
	F_BOOL(struct config_containers, init, "init"),
};
static const struct json_table containers_table = JSON_TABLE(struct config_containers, containers_fields);

static const struct json_field network_fields[] = {
	F_STR(struct config_network, default_network, "default"),
	F_STRS(struct config_network, address_pools, "address_pools"),
	F_STRS(struct config_network, cni_config_dirs, "cni_config_dirs"),
	F_STRS(struct config_network, cni_plugin_dirs, "cni_plugin_dirs"),
};
static const struct json_table network_table = JSON_TABLE(struct config_network, network_fields);

static const struct json_field host_fields[] = {
	F_BOOL(struct config_host, insecure, "insecure"),
	F_STR(struct config_host, ca_file, "ca_file"),
	F_STR(struct config_host, ca_dir, "ca_dir"),
	F_STR(struct config_host, client_cert, "client_cert"),
	F_STR(struct config_host, client_key, "client_key"),
	F_STRS(struct config_host, mirrors, "mirrors"),
};
static const struct json_table host_table =
	JSON_TABLE(struct config_host, host_fields, .key = offsetof(struct config_host, host));

static const struct json_field registries_fields[] = {
	F_STR(struct config_registries, short_names, "short_names"),
	F_PAIRS(struct config_registries, aliases, "aliases", struct oci_pair),
	F_STR(struct config_registries, certs_dir, "certs_dir"),
	F_U32(struct config_registries, parallel, "parallel", .min = 1, .max = 32),
	F_U32(struct config_registries, retries, "retries", .min = 1, .max = 100),
	F_U32(struct config_registries, stall_seconds, "stall_seconds", .min = 1, .max = 3600),
	F_OBJECT_MAP(struct config_registries, hosts, "hosts", struct config_host, &host_table),
};
static const struct json_table registries_table = JSON_TABLE(struct config_registries, registries_fields);

static const struct json_field formats_fields[] = {
	F_STR(struct config_formats, ps, "ps"),		  F_STR(struct config_formats, images, "images"),
	F_STR(struct config_formats, volumes, "volumes"), F_STR(struct config_formats, networks, "networks"),
	F_STR(struct config_formats, stats, "stats"),	  F_STR(struct config_formats, history, "history"),
	F_STR(struct config_formats, events, "events"),	  F_STR(struct config_formats, version, "version"),
	F_STR(struct config_formats, info, "info"),
};
static const struct json_table formats_table = JSON_TABLE(struct config_formats, formats_fields);

static const struct json_field config_fields[] = {
	F_SPREAD("engine", &engine_table),
	F_SPREAD("storage", &storage_table),
	F_SPREAD("cli", &cli_table),
	F_OBJECT(struct config, containers, "containers", struct config_containers, &containers_table),
	F_OBJECT(struct config, network, "network", struct config_network, &network_table),
	F_OBJECT(struct config, registries, "registries", struct config_registries, &registries_table,
		 .present = JSON_PRESENT(struct config, registries.set)),
	F_OBJECT(struct config, formats, "formats", struct config_formats, &formats_table),
	F_OBJECT(struct config, vm, "vm", struct vm_settings, &vm_settings_table),
};
static const struct json_table config_table = JSON_TABLE(struct config, config_fields);

static int absolute(const char *where, const char *key, const char *path, struct err *err)
{
	if (!path || *path == '/')
		return 0;
	return err_set(err, EINVAL, "%s: %s must be an absolute path, not \"%s\"", where, key, path);
}

static int check_config(const struct config *c, const char *where, struct err *err)
{
	int r = absolute(where, "engine.root", c->root, err);

	if (r == 0)
		r = absolute(where, "engine.state", c->state, err);
	if (r == 0)
		r = absolute(where, "registries.certs_dir", c->registries.certs_dir, err);
	if (r == 0) {
		/* The runtime reads [vm] itself (isolate/vm/settings.h): here it is only held to be right. */
		struct vm_settings vm = c->vm;
		r = vm_settings_complete(&vm, where ? where : "coffer.toml", err);
	}
	for (size_t i = 0; r == 0 && i < c->registries.hosts.n; i++) {
		const struct config_host *h = &c->registries.hosts.v[i];
		const char *const paths[] = {h->ca_file, h->ca_dir, h->client_cert, h->client_key};
		for (size_t k = 0; r == 0 && k < ARRAY_LEN(paths); k++)
			r = absolute(where, h->host, paths[k], err);
		if (r == 0 && !h->client_cert != !h->client_key)
			r = err_set(err, EINVAL,
				    "%s: client_cert and client_key of %s belong together: give both", where,
				    h->host);
	}
	return r;
}

int config_decode(const char *text, size_t len, const char *where, struct config *ret, struct err *err)
{
	struct config c = {0};
	int r = toml_decode(&c.memory, text, len, where, &config_table, &c, err);

	if (r == 0)
		r = check_config(&c, where, err);
	if (r < 0) {
		json_doc_free(&c.memory);
		return r;
	}
	*ret = c;
	return 0;
}

char *config_default_path(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return strdup("/etc/coffer/coffer.toml");
	if (config && *config == '/')
		return str_format("%s/coffer/coffer.toml", config);
	return str_format("%s/.config/coffer/coffer.toml", home && *home == '/' ? home : "");
}

int config_load(const char *path, struct config *ret, struct err *err)
{
	autofree char *usual = path ? NULL : config_default_path(), *text = NULL;
	const char *where = path ? path : usual;
	size_t len;

	if (!where)
		return err_oom(err);
	int r = path ? file_read_named(where, CONFIG_MAX, &text, &len)
		     : file_read_at(AT_FDCWD, where, CONFIG_MAX, &text, &len);
	if (!path && (r == -ENOENT || r == -ENOTDIR)) {
		*ret = (struct config){0};
		return 0;
	}
	if (r == -EFBIG)
		return err_set(err, EFBIG, "cannot read the configuration \"%s\": more than %d bytes", where,
			       CONFIG_MAX);
	if (r < 0)
		return err_num(err, r, "cannot read the configuration \"%s\"", where);
	r = config_decode(text, len, where, ret, err);
	if (r == 0)
		ret->path = memory_text(&ret->memory, where);
	return r;
}

void config_free(struct config *c)
{
	json_doc_free(&c->memory);
	*c = (struct config){0};
}

static void write_host(struct json_out *out, const struct config_host *h)
{
	json_begin_object(out, NULL);
	json_put_str(out, "host", h->host);
	json_put_bool(out, "insecure", h->insecure);
	json_put_opt_str(out, "ca_file", h->ca_file);
	json_put_opt_str(out, "ca_dir", h->ca_dir);
	json_put_opt_str(out, "client_cert", h->client_cert);
	json_put_opt_str(out, "client_key", h->client_key);
	json_put_strs(out, "mirrors", h->mirrors.v, h->mirrors.n);
	json_end(out);
}

int config_fetch_settings(const struct config *c, char **ret_json, struct err *err)
{
	const struct config_registries *r = &c->registries;
	struct json_out out autojsonout = {0};

	*ret_json = NULL;
	if (!r->set && !c->layers)
		return 0;
	json_begin_object(&out, NULL);
	json_begin_list(&out, "hosts");
	for (size_t i = 0; i < r->hosts.n; i++)
		write_host(&out, &r->hosts.v[i]);
	json_end(&out);
	json_put_opt_str(&out, "certs_dir", r->certs_dir);
	json_put_opt_str(&out, "layers", c->layers);
	json_put_opt_str(&out, "short_names", r->short_names);
	if (r->parallel)
		json_put_u64(&out, "parallel", r->parallel);
	if (r->retries)
		json_put_u64(&out, "retries", r->retries);
	if (r->stall_seconds)
		json_put_u64(&out, "stall_seconds", r->stall_seconds);
	json_end(&out);
	*ret_json = json_take(&out);
	return *ret_json ? 0 : err_oom(err);
}

/* "sha256:…", or hex digits as ids have them. */
static bool looks_like_id(const char *name)
{
	size_t len = strspn(name, "0123456789abcdef");

	return str_starts(name, "sha256:") || (name[len] == '\0' && (len == 12 || len == 64));
}

const char *config_image_name(const struct config *c, struct json_doc *memory, const char *name)
{
	const struct config_registries *r = &c->registries;
	size_t len = strcspn(name, ":@");
	struct str full autostr = {0};

	if (!r->set || !*name || looks_like_id(name))
		return name;
	for (size_t i = 0; i < r->aliases.n; i++) {
		if (strlen(r->aliases.v[i].key) != len || memcmp(r->aliases.v[i].key, name, len) != 0)
			continue;
		str_putf(&full, "%s%s", r->aliases.v[i].value, name + len);
		return memory_take(memory, &full);
	}
	/* A first part with a dot or a port, or localhost, is a registry; all else is a short name. */
	const char *slash = strchr(name, '/');
	bool has_host =
		slash && (memchr(name, '.', (size_t)(slash - name)) ||
			  memchr(name, ':', (size_t)(slash - name)) || str_starts(name, "localhost/"));
	if (has_host || !r->short_names || streq(r->short_names, "docker.io"))
		return name;
	str_putf(&full, "%s/%s", r->short_names, name);
	return memory_take(memory, &full);
}
