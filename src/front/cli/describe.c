/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/describe.h"

#include "front/cli/units.h"
#include "image/content.h"

static struct value *pairs_value(struct json_doc *m, const pair_list *pairs)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	autofree const struct oci_pair **sorted = pairs_by_key(pairs);

	if (!sorted)
		return NULL; /* as of all that had no memory */
	for (size_t i = 0; sorted[i]; i++)
		value_put(m, v, memory_text(m, sorted[i]->key), memory_text(m, sorted[i]->value));
	return v;
}

/* "docker.io/library/nginx:1.25" -> "nginx:1.25" */
static const char *familiar_name(struct json_doc *m, const char *full)
{
	struct reference r autoreference = {0};
	struct err ignored = {0};

	if (reference_parse(full, &r, &ignored) < 0)
		return memory_text(m, full);
	autofree char *text = reference_familiar(&r);
	return memory_text(m, text ? text : full);
}

static struct value *names_value(struct json_doc *m, const str_list *names)
{
	struct value *list = value_new(m, VALUE_LIST);

	for (size_t i = 0; i < names->n; i++)
		value_add(list, NULL, value_string(m, familiar_name(m, names->v[i])));
	return list;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct value *rootfs_value(struct json_doc *m, const struct image *i)
{
	struct value *v = value_new(m, VALUE_OBJECT), *layers = value_new(m, VALUE_LIST);

	for (size_t k = 0; k < i->diff_ids.n; k++)
		value_add(layers, NULL, value_string(m, memory_text(m, i->diff_ids.v[k])));
	value_put(m, v, "Type", "layers");
	value_add(v, "Layers", layers);
	return v;
}

int describe_image(struct json_doc *m, struct image_store *s, const struct image *i, struct value **ret,
		   struct err *err)
{
	struct json_out out autojsonout = {0};
	struct value *v = value_new(m, VALUE_OBJECT), *config = NULL, *meta = value_new(m, VALUE_OBJECT);

	(void)s;
	oci_image_config_write_config(&out, NULL, &i->config);
	autofree char *text = json_take(&out);
	if (!text || !v || !meta)
		return err_oom(err);
	int r = value_read(m, text, strlen(text), "the image's configuration", &config, err);
	if (r < 0)
		return r;
	value_put(m, v, "Id", memory_text(m, i->id));
	value_add(v, "RepoTags", names_value(m, &i->tags));
	value_add(v, "RepoDigests", names_value(m, &i->digests));
	value_put(m, v, "Parent", "");
	value_put(m, v, "Comment",
		  i->config.history.n && i->config.history.v[i->config.history.n - 1].comment
			  ? memory_text(m, i->config.history.v[i->config.history.n - 1].comment)
			  : "");
	value_put(m, v, "Created", i->config.created ? memory_text(m, i->config.created) : "");
	value_put(m, v, "DockerVersion", "");
	value_put(m, v, "Author", i->config.author ? memory_text(m, i->config.author) : "");
	value_add(v, "Config", config);
	value_put(m, v, "Architecture", i->config.architecture ? memory_text(m, i->config.architecture) : "");
	if (i->config.variant && *i->config.variant)
		value_put(m, v, "Variant", memory_text(m, i->config.variant));
	value_put(m, v, "Os", i->config.os ? memory_text(m, i->config.os) : "");
	value_add(v, "Size", value_number(m, (int64_t)i->size));
	value_put(m, v, "ManifestDigest", i->manifest_digest ? memory_text(m, i->manifest_digest) : "");
	value_add(v, "RootFS", rootfs_value(m, i));
	value_put(m, meta, "LastTagTime", memory_text(m, moment_rfc3339(ns_of(i->pulled)).s));
	value_add(v, "Metadata", meta);
	*ret = v;
	return 0;
}

/* ---- networks ---- */

/* Containers on it, from the descriptions of those that run. */
static int network_containers(struct json_doc *m, struct engine *e, const char *id, struct value *ret,
			      struct err *err)
{
	const struct engine_list q = {0};
	struct engine_rows rows;
	int r = engine_list(e, &q, &rows, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < rows.rows.n; i++) {
		autofree char *json = NULL;
		struct value *doc;
		r = engine_inspect(e, rows.rows.v[i].id, false, &json, err);
		if (r == -ENOENT) { /* it went meanwhile */
			r = 0;
			continue;
		}
		if (r == 0)
			r = value_read(m, json, strlen(json), "the container's description", &doc, err);
		const struct value *on = r == 0 ? value_path(doc, "NetworkSettings.Networks") : NULL;
		for (const struct value *n = on ? on->first : NULL; n; n = n->next) {
			struct str v4 autostr = {0}, v6 autostr = {0};
			struct value *c = value_new(m, VALUE_OBJECT);
			const char *ip = value_text(value_member(n, "IPAddress"));
			const char *ip6 = value_text(value_member(n, "GlobalIPv6Address"));
			if (!streq(value_text(value_member(n, "NetworkID")), id))
				continue;
			str_putf(&v4, *ip ? "%s/%s" : "%s%s", ip,
				 *ip ? value_text(value_member(n, "IPPrefixLen")) : "");
			str_putf(&v6, *ip6 ? "%s/%s" : "%s%s", ip6,
				 *ip6 ? value_text(value_member(n, "GlobalIPv6PrefixLen")) : "");
			value_put(m, c, "Name", memory_text(m, rows.rows.v[i].name));
			value_put(m, c, "EndpointID", value_text(value_member(n, "EndpointID")));
			value_put(m, c, "MacAddress", value_text(value_member(n, "MacAddress")));
			value_put(m, c, "IPv4Address", memory_take(m, &v4));
			value_put(m, c, "IPv6Address", memory_take(m, &v6));
			value_add(ret, memory_text(m, rows.rows.v[i].id), c);
		}
	}
	engine_rows_free(&rows);
	return r;
}

static struct value *ipam_value(struct json_doc *m, const struct net_network *n)
{
	struct value *ipam = value_new(m, VALUE_OBJECT), *list = value_new(m, VALUE_LIST);

	for (size_t i = 0; i < n->subnets.n; i++) {
		const struct net_subnet *s = &n->subnets.v[i];
		struct value *v = value_new(m, VALUE_OBJECT);
		value_put(m, v, "Subnet", memory_text(m, s->subnet ? s->subnet : ""));
		if (s->ip_range)
			value_put(m, v, "IPRange", memory_text(m, s->ip_range));
		if (s->gateway)
			value_put(m, v, "Gateway", memory_text(m, s->gateway));
		value_add(list, NULL, v);
	}
	value_put(m, ipam, "Driver", "default");
	value_add(ipam, "Options", value_new(m, streq(n->name, "bridge") ? VALUE_NULL : VALUE_OBJECT));
	value_add(ipam, "Config", list);
	return ipam;
}

int describe_network(struct json_doc *m, struct engine *e, const char *name, struct value **ret,
		     struct err *err)
{
	struct value *v = value_new(m, VALUE_OBJECT), *containers = value_new(m, VALUE_OBJECT),
		     *from = value_new(m, VALUE_OBJECT);
	network_list found = {0};
	struct net *net;
	int r = v && containers && from ? engine_net_get(e, &net, err) : err_oom(err);

	if (r == 0)
		r = net_find(net, name, &found, err);
	if (r < 0)
		return r;
	const struct net_network *n = &found.v[0];
	value_put(m, v, "Name", memory_text(m, n->name));
	value_put(m, v, "Id", memory_text(m, n->id));
	value_put(m, v, "Created", memory_text(m, n->created ? n->created : ""));
	value_put(m, v, "Scope", "local");
	value_put(m, v, "Driver", memory_text(m, streq(n->driver, "none") ? "null" : n->driver));
	value_add(v, "EnableIPv6", value_bool(m, n->ipv6));
	value_add(v, "IPAM", ipam_value(m, n));
	value_add(v, "Internal", value_bool(m, n->internal));
	value_add(v, "Attachable", value_bool(m, n->attachable));
	value_add(v, "Ingress", value_bool(m, false));
	value_put(m, from, "Network", "");
	value_add(v, "ConfigFrom", from);
	value_add(v, "ConfigOnly", value_bool(m, false));
	r = network_containers(m, e, n->id, containers, err);
	value_add(v, "Containers", containers);
	value_add(v, "Options", pairs_value(m, &n->options));
	value_add(v, "Labels", pairs_value(m, &n->labels));
	net_list_free(&found);
	if (r == 0)
		*ret = v;
	return r;
}

/* ---- volumes ---- */

static struct value *volume_value(struct json_doc *m, const struct engine_volume *x)
{
	struct value *v = value_new(m, VALUE_OBJECT);

	value_put(m, v, "CreatedAt", memory_text(m, x->created ? x->created : ""));
	value_put(m, v, "Driver", memory_text(m, x->driver ? x->driver : "local"));
	value_add(v, "Labels", x->labels.n ? pairs_value(m, &x->labels) : value_new(m, VALUE_NULL));
	value_put(m, v, "Mountpoint", memory_text(m, x->mountpoint));
	value_put(m, v, "Name", memory_text(m, x->name));
	value_add(v, "Options", x->options.n ? pairs_value(m, &x->options) : value_new(m, VALUE_NULL));
	value_put(m, v, "Scope", "local");
	return v;
}

int describe_volume(struct json_doc *m, struct engine *e, const char *name, struct value **ret,
		    struct err *err)
{
	volume_list list = {0};
	struct value *v = NULL;
	int r = engine_volume_list(e, false, &list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; !v && i < list.n; i++)
		if (streq(list.v[i].name, name))
			v = volume_value(m, &list.v[i]);
	engine_volume_list_free(&list);
	if (!v)
		return err_set(err, ENOENT, "No such volume: %s", name);
	*ret = v;
	return 0;
}
