/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--link CONTAINER[:ALIAS]`: a line of /etc/hosts for a container that runs.
 *
 * The record has "ID:ALIAS", for a container may be renamed.  The address is
 * looked up at each start of who links.  That the other one may get another
 * address when it is started again is why networks with names are better.
 */
#include "engine/create.h"
#include "engine/files.h"

static bool is_alias(const char *text)
{
	size_t n = strlen(text);

	return n > 0 && n <= 63 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

int engine_links_settle(struct engine_making *m, struct err *err)
{
	str_list *l = &m->c.record.q.links;

	if (l->n == 0)
		return 0;
	if (m->c.record.q.networks.n == 0)
		return err_set(
			err, EINVAL,
			"conflicting options: links need a network of bridges, not the mode \"%.128s\"",
			m->q->network_mode ? m->q->network_mode : "");
	const char **v = engine_keep(m, l->n * sizeof(*v));
	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < l->n; i++) {
		size_t n = strcspn(l->v[i], ":");
		autofree char *name = strndup(l->v[i], n), *id = NULL;
		const char *alias = l->v[i][n] ? l->v[i] + n + 1 : name;
		if (!name)
			return err_oom(err);
		if (!*name || !is_alias(alias))
			return err_set(err, EINVAL, "bad format for links: %.128s", l->v[i]);
		int r = engine_resolve(m->e, name, &id, err);
		if (r < 0)
			return r;
		autofree char *text = str_format("%s:%s", id, alias);
		v[i] = text ? engine_keep_text(m, text) : NULL;
		if (!v[i])
			return err_oom(err);
	}
	l->v = v;
	return 0;
}

/* "ID:ALIAS" of the record: the container, and where the alias begins. */
static int load_linked(struct engine *e, const char *link, struct engine_container *ret,
		       const char **ret_alias, struct err *err)
{
	autofree char *id = strndup(link, strcspn(link, ":"));

	if (!id)
		return err_oom(err);
	*ret_alias = link[strlen(id)] ? link + strlen(id) + 1 : id;
	return engine_load(e, id, ret, err);
}

static bool joins_network(const struct engine_container *c, const struct net_endpoint *p)
{
	for (size_t i = 0; i < c->record.q.networks.n; i++) {
		const char *network = c->record.q.networks.v[i].network;
		if (streq(network, p->network) || streq(network, p->network_id))
			return true;
	}
	return false;
}

static int put_linked(struct str *out, struct engine *e, const struct engine_container *c, const char *link,
		      struct err *err)
{
	struct engine_container other autocontainer_row = {.lock = -1};
	struct net_result net = {.dns_udp = -1, .dns_tcp = -1};
	struct monitor_status st;
	struct net *n;
	const char *alias;
	bool found = false;
	int r = load_linked(e, link, &other, &alias, err);

	if (r < 0)
		return err_prefix(err, "cannot link");
	if (!engine_runs(e, other.id, &st))
		return err_set(err, EINVAL, "Cannot link to a non running container: /%s AS /%s/%s",
			       other.name, c->name, alias);
	r = engine_net_get(e, &n, err);
	if (r == 0)
		r = net_endpoints(n, other.id, &net, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < net.endpoints.n; i++) {
		const struct net_endpoint *p = &net.endpoints.v[i];
		const char *address[] = {p->ip, p->ip6};
		if (!joins_network(c, p))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(address); k++)
			if (address[k])
				str_putf(out, "%s\t%s %.12s%s%s\n", address[k], alias, other.id,
					 streq(alias, other.name) ? "" : " ",
					 streq(alias, other.name) ? "" : other.name);
		found = true;
	}
	net_result_free(&net);
	return found ? 0
		     : err_set(err, EINVAL, "cannot link to %s: it is on no network of %s", other.name,
			       c->name);
}

int engine_links_text(struct engine *e, const struct engine_container *c, char **ret, struct err *err)
{
	struct str out autostr = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->record.q.links.n; i++)
		r = put_linked(&out, e, c, c->record.q.links.v[i], err);
	str_put(&out, "");
	if (r < 0)
		return r;
	*ret = str_take(&out);
	return *ret ? 0 : err_oom(err);
}

void engine_links_show(struct engine *e, struct engine_container *c)
{
	str_list *l = &c->record.q.links;
	const char **v = l->n ? json_doc_alloc(&c->doc, l->n * sizeof(*v)) : NULL;

	for (size_t i = 0; v && i < l->n; i++) {
		struct engine_container other autocontainer_row = {.lock = -1};
		struct err gone = {0};
		const char *alias;
		v[i] = l->v[i];
		if (load_linked(e, l->v[i], &other, &alias, &gone) < 0)
			continue;
		size_t size = strlen(other.name) + strlen(c->name) + strlen(alias) + sizeof("/:///");
		char *text = json_doc_alloc(&c->doc, size);
		if (text && snprintf(text, size, "/%s:/%s/%s", other.name, c->name, alias) > 0)
			v[i] = text;
	}
	if (v)
		l->v = v;
}
