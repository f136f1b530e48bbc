/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/settings.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <strings.h>

static const struct json_field host_fields[] = {
	F_STR(struct host_settings, host, "host", .required = true),
	F_BOOL(struct host_settings, insecure, "insecure"),
	F_STR(struct host_settings, ca_file, "ca_file", .empty_is_null = true),
	F_STR(struct host_settings, ca_dir, "ca_dir", .empty_is_null = true),
	F_STR(struct host_settings, client_cert, "client_cert", .empty_is_null = true),
	F_STR(struct host_settings, client_key, "client_key", .empty_is_null = true),
	F_STRS(struct host_settings, mirrors, "mirrors"),
};
static const struct json_table host_table = JSON_TABLE(struct host_settings, host_fields);

static const char *const layer_kinds[] = {"auto", "erofs", "directory", NULL};
static const struct json_field settings_fields[] = {
	F_OBJECTS(struct settings, hosts, "hosts", struct host_settings, &host_table),
	F_STR(struct settings, certs_dir, "certs_dir"),
	F_STR(struct settings, layers, "layers", .allowed = layer_kinds),
	F_STR(struct settings, rules.default_domain, "default_registry", .empty_is_null = true),
	F_STR(struct settings, rules.default_domain, "short_names", .empty_is_null = true),
	F_PAIRS(struct settings, rules.aliases, "aliases", struct oci_pair),
	F_U32(struct settings, parallel, "parallel", .min = 1, .max = SETTINGS_PARALLEL_MAX),
	F_U32(struct settings, retries, "retries", .min = 1, .max = 100),
	F_U32(struct settings, stall_seconds, "stall_seconds", .min = 1, .max = 3600),
};
static const struct json_table settings_table = JSON_TABLE(struct settings, settings_fields);

static int check_host(const struct host_settings *h, struct err *err)
{
	const struct {
		const char *key, *path;
	} paths[] = {{"ca_file", h->ca_file},
		     {"ca_dir", h->ca_dir},
		     {"client_cert", h->client_cert},
		     {"client_key", h->client_key}};

	if (!h->host || !*h->host || strchr(h->host, '/'))
		return err_set(err, EINVAL, "settings: \"%s\" is no registry host: write HOST or HOST:PORT",
			       h->host ? h->host : "");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (paths[i].path && paths[i].path[0] != '/')
			return err_set(err, EINVAL, "settings: %s of %s must be an absolute path, not \"%s\"",
				       paths[i].key, h->host, paths[i].path);
	if (!h->client_cert != !h->client_key)
		return err_set(err, EINVAL,
			       "settings: client_cert and client_key of %s belong together: give both",
			       h->host);
	return 0;
}

int settings_decode(const char *text, size_t len, struct settings *ret, struct err *err)
{
	struct settings s = {
		.certs_dir = "/etc/coffer/certs.d", .parallel = 6, .retries = 5, .stall_seconds = 30};
	struct json_doc doc autojson = {0};

	if (text) {
		int r = json_decode(&doc, text, len, "settings", &settings_table, &s, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < s.hosts.n; i++) {
		int r = check_host(&s.hosts.v[i], err);
		if (r < 0)
			return r;
	}
	s.doc = doc;
	doc = (struct json_doc){0};
	*ret = s;
	return 0;
}

void settings_free(struct settings *s)
{
	json_doc_free(&s->doc);
	*s = (struct settings){0};
}

const struct host_settings *settings_host(const struct settings *s, const char *host)
{
	for (size_t i = 0; i < s->hosts.n; i++)
		if (strcasecmp(s->hosts.v[i].host, host) == 0)
			return &s->hosts.v[i];
	return NULL;
}

bool host_is_loopback(const char *host)
{
	bool bracket = *host == '[';
	size_t len = bracket ? strcspn(host + 1, "]") : strcspn(host, ":");
	if (bracket && host[1 + len] != ']')
		return false;
	autofree char *name = strndup(host + bracket, len);
	struct in_addr v4;
	struct in6_addr v6;

	if (!name)
		return false;
	if (strcasecmp(name, "localhost") == 0)
		return true;
	if (!bracket && inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return bracket && inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
