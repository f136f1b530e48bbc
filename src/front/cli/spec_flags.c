/* SPDX-License-Identifier: Apache-2.0 */
/* Values with a form of their own: ulimits, devices, networks, ports, hosts. */
#include "front/cli/create_flags.h"

#include "base/file.h"
#include "front/cli/units.h"
#include "host/landlock.h"

#include <arpa/inet.h>

enum { LANDLOCK_FILE_MAX = 1 << 20 };

static bool limit_parse(const char *text, int64_t *ret)
{
	if (streq(text, "unlimited")) {
		*ret = -1;
		return true;
	}
	return str_to_i64(text, ret) == 0 && *ret >= -1;
}

int ulimit_parse(struct json_doc *memory, const char *text, struct engine_ulimit *ret, struct err *err)
{
	struct oci_pair p = pair_cut(memory, text);
	struct oci_pair limits;
	size_t colon = strcspn(p.value, ":");

	limits.key = memory_text_n(memory, p.value, colon);
	limits.value = p.value[colon] ? p.value + colon + 1 : limits.key;
	struct engine_ulimit u = {.name = p.key};
	if (!*p.key || !*p.value || !limit_parse(limits.key, &u.soft) || !limit_parse(limits.value, &u.hard))
		return err_set(err, EINVAL,
			       "invalid ulimit argument: %s (write NAME=SOFT[:HARD], as nofile=1024:2048)",
			       text);
	*ret = u;
	return 0;
}

static bool is_access(const char *s)
{
	return *s && s[strspn(s, "rwm")] == '\0' && strlen(s) <= 3;
}

int device_parse(struct json_doc *memory, const char *text, struct engine_device *ret, struct err *err)
{
	size_t first = strcspn(text, ":");
	struct engine_device d = {.host = memory_text_n(memory, text, first), .access = "rwm"};
	const char *second = text[first] ? text + first + 1 : NULL;

	d.container = d.host;
	if (second) {
		size_t n = strcspn(second, ":");
		const char *word = memory_text_n(memory, second, n);
		if (second[n]) {
			d.container = word;
			d.access = second + n + 1;
		} else if (is_access(word)) {
			d.access = word;
		} else {
			d.container = word;
		}
	}
	if (*d.host != '/' && strchr(d.host, '='))
		return err_set(err, EOPNOTSUPP,
			       "CDI device \"%s\" is not supported: name device files, as --device /dev/fuse",
			       text);
	if (*d.host != '/')
		return err_set(err, EINVAL, "%s is not an absolute path (in --device %s)", d.host, text);
	if (*d.container != '/')
		return err_set(err, EINVAL, "%s is not an absolute path (in --device %s)", d.container, text);
	if (!is_access(d.access))
		return err_set(err, EINVAL, "bad mode specified: %s (in --device %s: of r, w and m)",
			       d.access, text);
	*ret = d;
	return 0;
}

int blkio_parse(struct json_doc *memory, const char *text, bool bytes, struct engine_blkio *ret,
		struct err *err)
{
	const char *colon = strrchr(text, ':');
	int64_t v = 0;

	if (!colon || *text != '/' ||
	    (bytes ? bytes_parse(colon + 1, false, &v) : str_to_i64(colon + 1, &v)) < 0 || v < 0)
		return err_set(err, EINVAL, "bad format: \"%s\": write /DEVICE:%s", text,
			       bytes ? "RATE, as /dev/sda:1mb" : "NUMBER");
	*ret = (struct engine_blkio){memory_text_n(memory, text, (size_t)(colon - text)), (uint64_t)v};
	return 0;
}

static int network_key(struct json_doc *memory, const char *word, const char *text, struct net_join *j,
		       struct err *err)
{
	struct oci_pair p = pair_cut(memory, word);
	const char **alias;

	if (streq(p.key, "name"))
		j->network = p.value;
	else if (streq(p.key, "ip"))
		j->ip = p.value;
	else if (streq(p.key, "ip6"))
		j->ip6 = p.value;
	else if (streq(p.key, "mac-address") || streq(p.key, "mac"))
		j->mac = p.value;
	else if (streq(p.key, "alias")) {
		alias = memory_push(memory, &j->aliases, sizeof(*alias));
		if (!alias)
			return err_oom(err);
		*alias = p.value;
	} else if (streq(p.key, "driver-opt") || streq(p.key, "link-local-ip") ||
		   streq(p.key, "gw-priority")) {
		return err_set(err, EOPNOTSUPP, "%s of --network %s is not supported", p.key, text);
	} else {
		return err_set(err, EINVAL,
			       "unknown option '%s' in --network %s: name, alias, ip, ip6, mac-address",
			       p.key, text);
	}
	return *p.value ? 0 : err_set(err, EINVAL, "%s without a value in --network %s", p.key, text);
}

int network_flag_parse(struct json_doc *memory, const char *text, struct net_join *ret, const char **ret_mode,
		       struct err *err)
{
	struct net_join j = {0};
	str_list words = {0};
	size_t name = strcspn(text, ":,=");
	const char *rest = NULL;
	int r;

	*ret_mode = NULL;
	if (streq(text, "none") || streq(text, "host") || str_starts(text, "container:")) {
		*ret_mode = text;
		return streq(text, "container:")
			       ? err_set(err, EINVAL,
					 "--network container: needs the name of a container behind it")
			       : 0;
	}
	if (!*text)
		return err_set(err, EINVAL, "--network needs the name of a network");
	if (text[name] == ':' || !text[name]) { /* "net" and "net:alias=a" */
		j.network = memory_text_n(memory, text, name);
		rest = text[name] ? text + name + 1 : NULL;
	} else {
		rest = text;
	}
	r = rest ? csv_parse(memory, rest, &words, err) : 0;
	for (size_t i = 0; r == 0 && i < words.n; i++)
		r = network_key(memory, words.v[i], text, &j, err);
	if (r == 0 && !j.network)
		r = err_set(err, EINVAL, "network name is not specified in --network %s: name=NETWORK,…",
			    text);
	if (r < 0)
		return r;
	if (streq(j.network, "default"))
		j.network = "bridge";
	*ret = j;
	return 0;
}

int port_flag_parse(struct json_doc *memory, const char *text, struct net_port *ret, struct err *err)
{
	autofree char *ip = NULL;
	struct net_port p;
	int r = net_port_parse(text, &p, &ip, err);

	if (r < 0)
		return r;
	p.host_ip = ip ? memory_text(memory, ip) : NULL;
	*ret = p;
	return 0;
}

int add_host_parse(struct json_doc *memory, const char *text, const char **ret, struct err *err)
{
	size_t n = strcspn(text, ":=");
	const char *ip = text[n] ? text + n + 1 : "";
	size_t len = strlen(ip);
	struct in6_addr v6;
	struct in_addr v4;
	struct str whole autostr = {0};

	if (len > 2 && ip[0] == '[' && ip[len - 1] == ']')
		ip = memory_text_n(memory, ip + 1, len - 2);
	if (n == 0 || (!streq(ip, "host-gateway") && inet_pton(AF_INET, ip, &v4) != 1 &&
		       inet_pton(AF_INET6, ip, &v6) != 1))
		return err_set(err, EINVAL, "bad format for add-host: \"%s\": write HOST:ADDRESS", text);
	str_putf(&whole, "%.*s:%s", (int)n, text, ip);
	*ret = memory_take(memory, &whole);
	return 0;
}

/* Said now rather than by the runtime when the container starts. */
static int landlock_checked(const char *json, const char **ret, struct err *err)
{
	static const char before[] = "annotation \"dev.coffer.landlock\": ";
	struct landlock_rules rules = {0};
	struct err why = {0};
	int r = landlock_parse(json, &rules, &why);

	landlock_rules_free(&rules);
	if (r < 0)
		return err_set(err, -r, "invalid Landlock rules: %s",
			       str_starts(why.msg, before) ? why.msg + strlen(before) : why.msg);
	*ret = json;
	return 0;
}

int landlock_flag_read(struct json_doc *memory, const char *text, const char **ret, struct err *err)
{
	autofree char *content = NULL;
	size_t len;

	if (text[strspn(text, " \t\n")] == '{')
		return landlock_checked(text, ret, err);
	int r = file_read_named(text, LANDLOCK_FILE_MAX, &content, &len);
	if (r < 0)
		return err_num(err, r,
			       "cannot read the Landlock rules \"%s\" (a file, or a JSON object itself)",
			       text);
	if (memchr(content, '\0', len))
		return err_set(err, EINVAL, "the Landlock rules \"%s\" are no text", text);
	return landlock_checked(memory_text_n(memory, content, len), ret, err);
}
