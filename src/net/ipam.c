/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: subnets for networks, addresses for containers.
 *
 * A network's cursor moves on with each address that is given away, and wraps
 * at the end: an address is not used again at once, so that what others still
 * remember of it (neighbour caches, open connections) does not hit a new
 * container.  The endpoint's row is the lease; UNIQUE indexes guard it.
 */
#include "base/file.h"
#include "base/str.h"
#include "host/netlink_int.h"
#include "net/batch.h"
#include "net/net_int.h"

#include <sys/random.h>

/* Apart from what Docker (172.17-31/16, 192.168/20) and Podman (10.88/16, 10.89-255/24 upwards) begin with.
 */
static const char *const default_pools[] = {"10.210.0.0/15", "10.212.0.0/14"};
enum { SUBNET_PREFIX = 24, BIG_PREFIX = 16, PREFIX6 = 64, TRIES = 65536 };

/* ---- Subnets that are taken ---- */

struct taken {
	struct cidr *v;
	size_t n;
};

static int taken_add(struct taken *t, const struct cidr *c)
{
	struct cidr *v = realloc(t->v, (t->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->v = v;
	v[t->n++] = *c;
	return 0;
}

static bool taken_has(const struct taken *t, const struct cidr *c)
{
	for (size_t i = 0; i < t->n; i++)
		if (cidr_overlap(&t->v[i], c))
			return true;
	return false;
}

static int take_route(void *data, const struct nl_message *m)
{
	struct rtmsg r;
	struct nl_span dst;
	struct cidr c = {0};

	if (m->type != RTM_NEWROUTE || m->body.len < sizeof(r))
		return 0;
	memcpy(&r, m->body.p, sizeof(r));
	if (r.rtm_dst_len == 0 || (r.rtm_family != AF_INET && r.rtm_family != AF_INET6) ||
	    r.rtm_type != RTN_UNICAST || !nl_attr(m, sizeof(r), RTA_DST, &dst) ||
	    dst.len != ip_size(r.rtm_family))
		return 0;
	c.ip.family = r.rtm_family;
	c.prefix = r.rtm_dst_len;
	memcpy(c.ip.b, dst.p, dst.len);
	return taken_add(data, &c);
}

static int read_routes(struct taken *ret)
{
	autoclose int fd = netlink_open(NETLINK_ROUTE);
	struct batch b autobatch = {0};
	struct rtmsg m = {0};

	if (fd < 0)
		return fd;
	batch_message(&b, RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m));
	return batch_ask(&b, fd, take_route, ret);
}

struct overlap {
	const struct cidr *c;
	const char *except;
};

static int check_overlap(void *data, struct network *w, struct err *err)
{
	const struct overlap *o = data;

	if (o->except && streq(o->except, w->q.id))
		return 0;
	for (int f = 0; f < FAMILIES; f++)
		if (w->ip[f].set && cidr_overlap(&w->ip[f].subnet, o->c))
			return err_set(err, EEXIST, "Pool overlaps with other one on this address space");
	return 0;
}

int ipam_check_free(struct net *n, const struct cidr *c, const char *except, struct err *err)
{
	struct overlap o = {.c = c, .except = except};

	return network_each(n, check_overlap, &o, err);
}

/* ---- Choosing ---- */

static int add_network(void *data, struct network *w, struct err *err)
{
	for (int f = 0; f < FAMILIES; f++)
		if (w->ip[f].set && taken_add(data, &w->ip[f].subnet) < 0)
			return err_oom(err);
	return 0;
}

static void set_subnet(struct network *w, int f, const struct cidr *c)
{
	w->ip[f].set = true;
	w->ip[f].subnet = *c;
	w->ip[f].gateway = cidr_at(c, 1);
	w->ip[f].cursor = 0;
}

/* The default network is for many containers: a /16, or a good part of a pool that is no bigger. */
static uint8_t wanted_prefix(const struct network *w, const struct cidr *pool)
{
	if (!streq(w->q.name, "bridge"))
		return (uint8_t)MAX_OF(pool->prefix, SUBNET_PREFIX);
	return pool->prefix < BIG_PREFIX ? BIG_PREFIX : (uint8_t)MIN_OF(pool->prefix + 4, 28);
}

static int choose_from(struct network *w, const char *text, const struct taken *t, struct err *err)
{
	struct cidr pool, c;

	if (!cidr_parse(text, &pool, NULL) || pool.prefix > 28)
		return err_set(err, EINVAL,
			       "\"%s\" is no pool of addresses: expected a subnet such as \"10.210.0.0/16\"",
			       text);
	if (pool.ip.family != AF_INET)
		return 0;
	uint8_t prefix = wanted_prefix(w, &pool);
	for (uint64_t i = 0; i < TRIES && cidr_nth(&pool, prefix, i, &c); i++) {
		if (taken_has(t, &c))
			continue;
		set_subnet(w, V4, &c);
		return 1;
	}
	return 0;
}

static int choose4(struct net *n, struct network *w, const struct taken *t, struct err *err)
{
	const char *const *pools = n->o.pools.n ? n->o.pools.v : default_pools;
	size_t n_pools = n->o.pools.n ? n->o.pools.n : ARRAY_LEN(default_pools);

	for (size_t i = 0; i < n_pools; i++) {
		int r = choose_from(w, pools[i], t, err);
		if (r != 0)
			return MIN_OF(r, 0);
	}
	return err_set(err, EADDRNOTAVAIL,
		       "could not find an available, non-overlapping IPv4 address pool among the defaults "
		       "to assign to the network: give --subnet, remove unused networks, or set "
		       "network.pools in coffer.toml");
}

/* A /64 of a random site prefix (RFC 4193); from a pool where the user has one. */
static int choose6(struct net *n, struct network *w, const struct taken *t, struct err *err)
{
	struct cidr c = {.ip = {.family = AF_INET6, .b = {0xfd}}, .prefix = PREFIX6};

	for (size_t i = 0; i < n->o.pools.n; i++) {
		struct cidr pool;
		if (!cidr_parse(n->o.pools.v[i], &pool, NULL) || pool.ip.family != AF_INET6)
			continue;
		for (uint64_t k = 0; k < TRIES && cidr_nth(&pool, MAX_OF(pool.prefix, PREFIX6), k, &c); k++)
			if (!taken_has(t, &c)) {
				set_subnet(w, V6, &c);
				return 0;
			}
	}
	do {
		if (getrandom(c.ip.b + 1, 7, 0) != 7)
			return err_sys(err, "cannot get random bytes");
	} while (taken_has(t, &c));
	set_subnet(w, V6, &c);
	return 0;
}

int ipam_choose(struct net *n, struct network *w, struct err *err)
{
	struct taken t = {0};
	int r = 0;
	bool want4 = !w->ip[V4].set && !w->ip[V6].set;
	bool want6 = w->q.ipv6 && !w->ip[V6].set;

	want4 |= !w->ip[V4].set && w->q.ipv6 && want6;
	if (!want4 && !want6)
		return 0;
	int routes = read_routes(&t);
	if (routes < 0)
		r = err_num(err, routes, "cannot read this machine's routes");
	if (r == 0)
		r = network_each(n, add_network, &t, err);
	if (r == 0 && want4)
		r = choose4(n, w, &t, err);
	if (r == 0 && want6)
		r = choose6(n, w, &t, err);
	free(t.v);
	return r;
}

static bool in_pools(const struct net *n, const struct cidr *c)
{
	struct cidr pool;

	for (size_t i = 0; i < n->o.pools.n; i++)
		if (cidr_parse(n->o.pools.v[i], &pool, NULL) && cidr_inside(&pool, c))
			return true;
	return n->o.pools.n == 0;
}

static int has_endpoints(struct net *n, const struct network *w, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err, "SELECT 1 FROM net_endpoint WHERE network = ? LIMIT 1", "s",
			 w->q.id);

	return r < 0 ? r : db_next(&q, err);
}

int ipam_outdated(struct net *n, const struct network *w, struct err *err)
{
	struct taken t = {0};
	int r = has_endpoints(n, w, err);

	if (r != 0)
		return MIN_OF(r, 0);
	int routes = read_routes(&t);
	r = routes < 0 ? err_num(err, routes, "cannot read this machine's routes")
		       : !in_pools(n, &w->ip[V4].subnet) || taken_has(&t, &w->ip[V4].subnet);
	free(t.v);
	return r;
}

/* ---- Addresses ---- */

static int is_free(struct net *n, const struct network *w, int f, const struct ip *ip, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err,
			 f == V4 ? "SELECT 1 FROM net_endpoint WHERE network = ? AND ip4 = ?"
				 : "SELECT 1 FROM net_endpoint WHERE network = ? AND ip6 = ?",
			 "ss", w->q.id, ip_text(ip).s);

	if (r == 0)
		r = db_next(&q, err);
	return r < 0 ? r : r == 0;
}

static bool reserved(const struct network *w, int f, const struct ip *ip)
{
	struct ip last = cidr_last(&w->ip[f].subnet);

	return ip_equal(ip, &w->ip[f].gateway) || ip_equal(ip, &w->ip[f].subnet.ip) ||
	       (f == V4 && ip_equal(ip, &last));
}

static int take_wanted(struct net *n, const struct network *w, int f, const char *wanted, struct ip *ret,
		       struct err *err)
{
	struct ip ip;

	if (!ip_parse(wanted, &ip) || family_index(ip.family) != f)
		return err_set(err, EINVAL, "invalid IPv%d address: %s", f == V4 ? 4 : 6, wanted);
	if (streq(w->q.name, "bridge"))
		return err_set(err, EINVAL,
			       "user specified IP address is supported on user defined networks only");
	if (!w->ip[f].set || !cidr_contains(&w->ip[f].subnet, &ip))
		return err_set(err, EINVAL,
			       "Invalid address %s: It does not belong to any of this network's subnets",
			       wanted);
	if (reserved(w, f, &ip))
		return err_set(err, EADDRINUSE, "Address already in use");
	int r = is_free(n, w, f, &ip, err);
	if (r == 0)
		return err_set(err, EADDRINUSE, "Address already in use");
	if (r > 0)
		*ret = ip;
	return MIN_OF(r, 0);
}

int ipam_take(struct net *n, struct network *w, int f, const char *wanted, struct ip *ret, struct err *err)
{
	const struct cidr *range = w->ip[f].range.ip.family ? &w->ip[f].range : &w->ip[f].subnet;
	uint64_t count = cidr_count(range), at = (uint64_t)w->ip[f].cursor;

	if (wanted && *wanted)
		return take_wanted(n, w, f, wanted, ret, err);
	for (uint64_t tries = 0; tries < MIN_OF(count, (uint64_t)1 << 20); tries++, at++) {
		at &= count - 1;
		struct ip ip = cidr_at(range, at);
		if (reserved(w, f, &ip))
			continue;
		int r = is_free(n, w, f, &ip, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		w->ip[f].cursor = (int64_t)((at + 1) & (count - 1));
		*ret = ip;
		return MIN_OF(db_exec(n->o.db, err,
				      f == V4 ? "UPDATE net_network SET cursor4 = ? WHERE id = ?"
					      : "UPDATE net_network SET cursor6 = ? WHERE id = ?",
				      "is", w->ip[f].cursor, w->q.id),
			      0);
	}
	return err_set(err, EADDRNOTAVAIL,
		       "no available IPv%d addresses on this network's address pools: %s (%s)",
		       f == V4 ? 4 : 6, w->q.name, w->q.id);
}
