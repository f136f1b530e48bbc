/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step one of attaching: addresses and ports, in one transaction.  What is
 * leased is known to all before anything of the kernel's is made for it, and
 * stays known until net_detach(): nothing is left that no row tells of.
 */
#include "base/fd.h"
#include "base/json_write.h"
#include "base/str.h"
#include "net/net_int.h"

#include <net/if.h>
#include <sys/random.h>

enum { INTERFACES_MAX = 64, SHORT_ID = 12, NAMES_MAX = 200 };

struct leasing_in {
	struct net *n;
	const struct net_attach *a;
	struct net_result *r;
	struct network *networks; /* one an endpoint */
	struct ip (*ips)[FAMILIES];
};

/* ---- Endpoints ---- */

static int parse_mac(const char *text, uint8_t ret[static 6], struct err *err)
{
	char two[3] = "";
	uint64_t v = 0;

	for (size_t i = 0; i < 6; i++) {
		bool good = strlen(text) >= 2 && text[2] == (i < 5 ? ':' : '\0');
		memcpy(two, text, good ? 2 : 0);
		if (!good || str_to_u64(two, 16, &v) < 0)
			return err_set(err, EINVAL,
				       "invalid MAC address: expected six pairs such as 02:42:ac:11:00:02");
		ret[i] = (uint8_t)v;
		text += 3;
	}
	if (ret[0] & 1)
		return err_set(err, EINVAL, "invalid MAC address: it is one of a group (multicast)");
	return 0;
}

/* 02:42 and the address, as Docker makes them: a neighbour cache that is old is right all the same. */
static int make_mac(const struct net_join *j, const struct ip ips[static FAMILIES], char ret[static 18],
		    struct err *err)
{
	uint8_t m[6] = {0x02, 0x42};
	int r = 0;

	if (j->mac && *j->mac)
		r = parse_mac(j->mac, m, err);
	else if (ips[V4].family)
		memcpy(m + 2, ips[V4].b, 4);
	else
		memcpy(m + 2, ips[V6].b + 12, 4);
	(void)snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]); /* 17 */
	return r;
}

static int make_veth(const char *id, char ret[static IFNAMSIZ], struct err *err)
{
	uint8_t b[3];

	/* Not by the id alone: the one of the container's last run may be going still. */
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_sys(err, "cannot get random bytes");
	(void)snprintf(ret, IFNAMSIZ, "ve%.7s%02x%02x%02x", id, b[0], b[1], b[2]); /* 15 */
	return 0;
}

static char *aliases_text(const str_list *l)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < l->n; i++)
		str_putf(&s, "%s%s", i ? "\n" : "", l->v[i]);
	str_put(&s, "");
	return str_take(&s);
}

static int read_aliases(struct json_doc *doc, const char *text, str_list *ret, struct err *err)
{
	size_t n = *text ? 1 : 0, i = 0;

	for (const char *p = text; *p; p++)
		n += *p == '\n';
	const char **v = json_doc_alloc(doc, MAX_OF(n, (size_t)1) * sizeof(*v));
	char *copy = net_keep(doc, text);
	if (!v || !copy)
		return err_oom(err);
	while (i < n) {
		v[i++] = copy;
		copy += strcspn(copy, "\n");
		*copy++ = '\0';
	}
	*ret = (str_list){.v = v, .n = n};
	return 0;
}

struct endpoint_row {
	int position;
	const char *interface, *veth, *mac, *ip4, *ip6, *aliases;
};

/* What an endpoint is, from its row and its network. */
static int fill_endpoint(struct net_result *r, size_t i, const struct network *w,
			 const struct endpoint_row *row, struct err *err)
{
	struct result_memory *m = result_memory(r);
	struct net_endpoint *e = &r->endpoints.v[i];
	struct plug *p = &m->plugs[i];

	*e = (struct net_endpoint){
		.network = net_keep(&m->doc, w->q.name),
		.network_id = net_keep(&m->doc, w->q.id),
		.interface = row->interface && *row->interface ? net_keep(&m->doc, row->interface) : NULL,
		.mac = row->mac && *row->mac ? net_keep(&m->doc, row->mac) : NULL};
	e->driver = p->driver = net_keep(&m->doc, w->q.driver);
	(void)snprintf(p->bridge, sizeof(p->bridge), "%s", w->q.bridge ? w->q.bridge : ""); /* checked */
	(void)snprintf(p->veth, sizeof(p->veth), "%s", row->veth ? row->veth : "");
	(void)snprintf(p->id, sizeof(p->id), "%s", w->q.id);
	p->mtu = w->q.mtu;
	p->internal = w->q.internal;
	p->isolated = w->closed;
	p->names = network_has_names(w);
	if (row->ip4 && *row->ip4 && w->ip[V4].set) {
		e->ip = net_keep(&m->doc, row->ip4);
		e->prefix = w->ip[V4].subnet.prefix;
		if (!w->q.internal)
			e->gateway = net_keep(&m->doc, ip_text(&w->ip[V4].gateway).s);
	}
	if (row->ip6 && *row->ip6 && w->ip[V6].set) {
		e->ip6 = net_keep(&m->doc, row->ip6);
		e->prefix6 = w->ip[V6].subnet.prefix;
		if (!w->q.internal)
			e->gateway6 = net_keep(&m->doc, ip_text(&w->ip[V6].gateway).s);
	}
	r->needs_dns |= p->names;
	return e->network && e->network_id && p->driver
		       ? read_aliases(&m->doc, row->aliases, &e->aliases, err)
		       : err_oom(err);
}

static int refuse_second(struct leasing_in *l, const struct network *w, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(l->n->o.db, &q, err,
			 "SELECT 1 FROM net_endpoint WHERE container = ? AND network = ?", "ss", l->a->id,
			 w->q.id);

	if (r == 0)
		r = db_next(&q, err);
	return r > 0 ? err_set(err, EEXIST, "endpoint with name %s already exists in network %s",
			       l->a->name ? l->a->name : l->a->id, w->q.name)
		     : r;
}

static int check_join(const struct net_join *j, const struct network *w, struct err *err)
{
	if (streq(w->q.name, "bridge") && j->aliases.n)
		return err_set(err, EINVAL,
			       "network-scoped aliases are only supported for user-defined networks");
	for (size_t i = 0; i < j->aliases.n; i++)
		if (!*j->aliases.v[i] || strlen(j->aliases.v[i]) > 253 || strpbrk(j->aliases.v[i], " \t\n"))
			return err_set(err, EINVAL, "invalid alias \"%s\"", j->aliases.v[i]);
	return 0;
}

/* The default network has no subnet before its first container, and another one where it fits no more. */
static int give_subnets(struct net *n, struct network *w, struct err *err)
{
	int r = 0;

	if (w->ip[V4].set && streq(w->q.name, "bridge") && !bridge_there(w->q.bridge)) {
		r = ipam_outdated(n, w, err);
		w->ip[V4].set = r <= 0;
	}
	if (r < 0 || w->ip[V4].set || w->ip[V6].set)
		return r;
	r = ipam_choose(n, w, err);
	if (r < 0)
		return r;
	return MIN_OF(db_exec(n->o.db, err, "UPDATE net_network SET subnet4 = ?, gateway4 = ? WHERE id = ?",
			      "sss", cidr_text(&w->ip[V4].subnet).s, ip_text(&w->ip[V4].gateway).s, w->q.id),
		      0);
}

static int take_addresses(struct leasing_in *l, size_t i, struct err *err)
{
	const struct net_join *j = &l->a->networks[i];
	struct network *w = &l->networks[i];
	const char *wanted[FAMILIES] = {j->ip, j->ip6};
	int r = give_subnets(l->n, w, err);

	for (int f = 0; r == 0 && f < FAMILIES; f++)
		if (w->ip[f].set || (wanted[f] && *wanted[f]))
			r = ipam_take(l->n, w, f, wanted[f], &l->ips[i][f], err);
	return r;
}

/* "ethN": at the start in order; later the first that none of the container's others has. */
static int name_interface(struct leasing_in *l, int *number, char ret[static IFNAMSIZ], struct err *err)
{
	if (l->a->first_index > 0)
		*number = 0;
	for (;; ++*number) {
		struct db_row q autodbrow;
		(void)snprintf(ret, IFNAMSIZ, "eth%d", *number); /* few: it fits */
		if (l->a->first_index == 0)
			return 0;
		int r = db_query(l->n->o.db, &q, err,
				 "SELECT 1 FROM net_endpoint WHERE container = ? AND interface = ?", "ss",
				 l->a->id, ret);
		if (r == 0)
			r = db_next(&q, err);
		if (r <= 0)
			return r;
	}
}

static int new_endpoint(struct leasing_in *l, size_t i, struct err *err)
{
	const struct net_join *j = &l->a->networks[i];
	struct network *w = &l->networks[i];
	char interface[IFNAMSIZ] = "", veth[IFNAMSIZ] = "", mac[18] = "";
	struct ip_text t[FAMILIES] = {0};
	bool bridge = network_is_bridge(w);
	bool device = bridge || streq(w->q.driver, "cni");
	autofree char *aliases = aliases_text(&j->aliases);
	int r = aliases ? check_join(j, w, err) : err_oom(err);

	if (r == 0 && bridge)
		r = take_addresses(l, i, err);
	if (r == 0 && bridge)
		r = make_mac(j, l->ips[i], mac, err);
	if (r == 0 && bridge)
		r = make_veth(l->a->id, veth, err);
	if (r < 0)
		return r;
	int number = l->a->first_index + (int)i;
	if (device)
		r = name_interface(l, &number, interface, err);
	if (r < 0)
		return r;
	for (int f = 0; f < FAMILIES; f++)
		t[f] = ip_text(&l->ips[i][f]);
	struct endpoint_row row = {.interface = interface,
				   .veth = veth,
				   .mac = mac,
				   .ip4 = t[V4].s,
				   .ip6 = t[V6].s,
				   .aliases = aliases};
	r = fill_endpoint(l->r, i, w, &row, err);
	if (r < 0)
		return r;
	return MIN_OF(db_exec(l->n->o.db, err, "INSERT INTO net_endpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			      "ssissssss", l->a->id, w->q.id, (int64_t)number, *interface ? interface : NULL,
			      *veth ? veth : NULL, *mac ? mac : NULL, *t[V4].s ? t[V4].s : NULL,
			      *t[V6].s ? t[V6].s : NULL, aliases),
		      0);
}

static int lease_endpoint(struct leasing_in *l, size_t i, struct err *err)
{
	const struct net_join *j = &l->a->networks[i];
	int r = network_get(l->n, j->network, &l->networks[i], err);

	for (size_t k = 0; r == 0 && k < i; k++)
		if (streq(l->networks[k].q.id, l->networks[i].q.id))
			r = err_set(err, EINVAL, "network %s is given twice", l->networks[i].q.name);
	if (r == 0)
		r = refuse_second(l, &l->networks[i], err);
	return r < 0 ? r : new_endpoint(l, i, err);
}

/* ---- Ports ---- */

/* Published ports go to the first network that leads outside. */
static int lease_ports(struct leasing_in *l, struct err *err)
{
	struct ip to[FAMILIES] = {0};
	struct result_memory *m = result_memory(l->r);
	bool any = false;

	for (size_t i = 0; i < l->a->n_networks; i++) {
		if (!network_is_bridge(&l->networks[i]) || l->networks[i].q.internal)
			continue;
		for (int f = 0; f < FAMILIES; f++) {
			if (to[f].family || !l->ips[i][f].family)
				continue;
			to[f] = l->ips[i][f];
			m->plugs[i].hairpin = any = true;
		}
	}
	for (size_t i = 0; !any && i < l->a->n_networks; i++)
		if (streq(l->networks[i].q.driver, "cni"))
			return 0; /* its portmap plugin publishes */
	if (!any) {
		net_warn(l->n,
			 "Published ports are discarded: no network of container %s leads outside through a "
			 "bridge",
			 l->a->name ? l->a->name : l->a->id);
		return 0;
	}
	return ports_lease(l->n, l->a, to, l->r, err);
}

/* ---- The whole ---- */

static int lease_all(struct leasing_in *l, struct err *err)
{
	struct db *db = l->n->o.db;
	int r = db_begin(db, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < l->a->n_networks; i++)
		r = lease_endpoint(l, i, err);
	if (r == 0 && l->a->first_index == 0 && l->a->n_ports)
		r = lease_ports(l, err);
	if (r == 0)
		r = result_ports(l->r, err);
	if (r == 0)
		r = db_commit(db, err);
	db_rollback(db);
	return r;
}

static int announce_names(struct leasing_in *l, size_t i, bool outside, struct err *err)
{
	const struct net_join *j = &l->a->networks[i];
	const struct network *w = &l->networks[i];
	char short_id[SHORT_ID + 1];
	const char *names[3 + NAMES_MAX];
	size_t n = 0;

	(void)snprintf(short_id, sizeof(short_id), "%s", l->a->id); /* cut on purpose */
	autofree char *full = str_format("%s.%s", l->a->name ? l->a->name : short_id, w->q.name);
	if (!full)
		return err_oom(err);
	if (l->a->name)
		names[n++] = l->a->name;
	names[n++] = short_id;
	for (size_t k = 0; k < j->aliases.n && k < NAMES_MAX; k++)
		names[n++] = j->aliases.v[k];
	names[n++] = full;
	struct names_entry q = {.network = w->q.id,
				.container = l->a->id,
				.ip4 = &l->ips[i][V4],
				.ip6 = &l->ips[i][V6],
				.names = names,
				.n_names = n,
				.internal = w->q.internal,
				.outside = outside};
	return names_write(l->n, &q, err);
}

/* What others, and the kernel, must know before the container runs. */
static int announce(struct leasing_in *l, struct err *err)
{
	bool outside = false;
	int r = 0;

	for (size_t i = 0; i < l->a->n_networks; i++)
		outside |= !network_has_names(&l->networks[i]) && !l->networks[i].q.internal &&
			   !streq(l->networks[i].q.driver, "none");
	for (size_t i = 0; r == 0 && i < l->a->n_networks; i++) {
		if (network_is_bridge(&l->networks[i]))
			r = bridge_ensure(l->n, &l->networks[i], err);
		if (r == 0 && network_has_names(&l->networks[i]))
			r = announce_names(l, i, outside, err);
	}
	return r;
}

int net_lease(struct net *n, const struct net_attach *a, struct net_result *ret, struct err *err)
{
	struct net_result res;

	if (a->n_networks > INTERFACES_MAX)
		return err_set(err, E2BIG, "a container has at most %d networks", INTERFACES_MAX);
	if (n->o.rootless)
		return user_lease(n, a, ret, err);
	/* What a start had that was interrupted goes first, as nobody has cleaned up after it. */
	int r = a->first_index == 0 ? net_detach(n, a->id, NULL, err) : 0;
	if (r == 0)
		r = result_new(&res, a->n_networks, err);
	if (r < 0)
		return r;
	struct leasing_in l = {.n = n,
			       .a = a,
			       .r = &res,
			       .networks = calloc(MAX_OF(a->n_networks, (size_t)1), sizeof(*l.networks)),
			       .ips = calloc(MAX_OF(a->n_networks, (size_t)1), sizeof(*l.ips))};
	r = l.networks && l.ips ? lease_all(&l, err) : err_oom(err);
	if (r == 0)
		r = announce(&l, err);
	for (size_t i = 0; l.networks && i < a->n_networks; i++)
		network_free(&l.networks[i]);
	free(l.networks);
	free(l.ips);
	if (r < 0) {
		net_result_free(&res);
		return r;
	}
	*ret = res;
	return 0;
}

/* ---- Asking ---- */

static int count_endpoints(struct net *n, const char *id, size_t *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err, "SELECT count(*) FROM net_endpoint WHERE container = ?", "s", id);

	if (r == 0)
		r = db_next(&q, err);
	if (r >= 0)
		*ret = r > 0 ? (size_t)db_int(&q, 0) : 0;
	return MIN_OF(r, 0);
}

static int load_endpoints(struct net *n, const char *id, struct net_result *res, struct err *err)
{
	struct db_row q autodbrow;
	size_t i = 0;
	int r = db_query(n->o.db, &q, err,
			 "SELECT position, interface, veth, mac, ip4, ip6, aliases, network FROM net_endpoint"
			 " WHERE container = ? ORDER BY position",
			 "s", id);

	while (r == 0 && i < res->endpoints.n && (r = db_next(&q, err)) > 0) {
		struct network w autonetwork = {0};
		struct endpoint_row row = {.position = (int)db_int(&q, 0),
					   .interface = db_text(&q, 1),
					   .veth = db_text(&q, 2),
					   .mac = db_text(&q, 3),
					   .ip4 = db_text(&q, 4),
					   .ip6 = db_text(&q, 5),
					   .aliases = db_text(&q, 6)};
		r = network_get(n, db_text(&q, 7), &w, err);
		if (r == -ENOENT) { /* a network of CNI whose file is gone */
			r = 0;
			continue;
		}
		if (r == 0)
			r = fill_endpoint(res, i, &w, &row, err);
		if (r == 0)
			cni_cached(n, id, res, i);
		if (r == 0 && n->o.rootless && network_is_bridge(&w))
			user_endpoint(&res->endpoints.v[i], i == 0);
		i++;
	}
	res->endpoints.n = i;
	return r;
}

int net_endpoints(struct net *n, const char *id, struct net_result *ret, struct err *err)
{
	struct net_result res;
	size_t count = 0;
	int r = count_endpoints(n, id, &count, err);

	if (r == 0)
		r = result_new(&res, count, err);
	if (r < 0)
		return r;
	r = load_endpoints(n, id, &res, err);
	if (r == 0)
		r = ports_load(n, id, &result_memory(&res)->ports, err);
	if (r == 0)
		r = result_ports(&res, err);
	if (r < 0) {
		net_result_free(&res);
		return r;
	}
	*ret = res;
	return 0;
}
