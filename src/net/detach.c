/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting go of what a container had.  The kernel's things first, the rows
 * last: who is killed in between leaves rows that lead the next one here.
 * The devices of a container that ended went with its namespace.
 */
#include "base/fd.h"
#include "base/str.h"
#include "host/netlink_int.h"
#include "net/batch.h"
#include "net/conntrack.h"
#include "net/net_int.h"
#include "net/nft.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <time.h>

struct gone {
	char network[65], name[256], driver[16], veth[IFNAMSIZ], ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];
};
struct gone_list {
	struct gone *v;
	size_t n;
};

static void set_gone_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from); /* the database's are no longer than ours were */
}

static int load_gone(struct net *n, const char *id, const char *network, struct gone_list *ret,
		     struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err,
			 "SELECT e.network, e.veth, e.ip4, e.ip6, n.name, n.driver FROM net_endpoint AS e"
			 " LEFT JOIN net_network AS n ON n.id = e.network WHERE e.container = ?1"
			 " AND (?2 IS NULL OR e.network = ?2) ORDER BY e.position DESC",
			 "ss", id, network);

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		struct gone *v = realloc(ret->v, (ret->n + 1) * sizeof(*v));
		if (!v)
			return err_oom(err);
		ret->v = v;
		v += ret->n++;
		set_gone_text(v->network, sizeof(v->network), db_text(&q, 0));
		set_gone_text(v->veth, sizeof(v->veth), db_text(&q, 1));
		set_gone_text(v->ip4, sizeof(v->ip4), db_text(&q, 2));
		set_gone_text(v->ip6, sizeof(v->ip6), db_text(&q, 3));
		set_gone_text(v->name, sizeof(v->name), db_text(&q, 4));
		set_gone_text(v->driver, sizeof(v->driver), db_text(&q, 5));
		r = 0;
	}
	return r;
}

/* Those ports that lead to the endpoints that go; with all of them, all. */
static void keep_ports_of(struct port_rows *ports, const struct gone_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < ports->n; i++) {
		struct ip_text t = ip_text(&ports->v[i].to);
		bool ours = false;
		for (size_t k = 0; k < l->n; k++)
			ours |= streq(t.s, l->v[k].ip4) || streq(t.s, l->v[k].ip6);
		if (ours)
			ports->v[n++] = ports->v[i];
	}
	ports->n = n;
}

static int unpublish(struct net *n, const struct port_rows *ports, struct err *err)
{
	struct elements l autoelements = {0};

	if (ports->n == 0)
		return 0;
	if (rules_ports(ports, &l) < 0)
		return err_oom(err);
	int nft = net_nft(n, err);
	if (nft < 0)
		return nft;
	int r = nft_apply(nft, NFT_DESTROY, &l);
	conntrack_forget(nft, ports);
	net_nft_done(n);
	/* -ENOENT: the whole table is gone. */
	return r < 0 && r != -ENOENT ? err_num(err, r, "cannot take the container's ports out of nftables")
				     : 0;
}

static void remove_veth(const char *veth)
{
	struct batch b autobatch = {0};
	struct ifinfomsg m = {0};
	autoclose int fd = netlink_open(NETLINK_ROUTE);

	if (fd < 0 || !*veth)
		return;
	batch_message(&b, RTM_DELLINK, NLM_F_ACK, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, veth);
	ignore_result(batch_send(&b, fd, NULL) < 0); /* not there is what is wanted */
}

static int forget_rows(struct net *n, const char *id, const char *network, const struct port_rows *ports,
		       struct err *err)
{
	struct db *db = n->o.db;
	int r = db_begin(db, err);

	if (r < 0)
		return r;
	r = MIN_OF(db_exec(db, err,
			   "DELETE FROM net_endpoint WHERE container = ?1 AND (?2 IS NULL OR network = ?2)",
			   "ss", id, network),
		   0);
	if (r == 0 && !network)
		r = MIN_OF(db_exec(db, err, "DELETE FROM net_port WHERE container = ?", "s", id), 0);
	for (size_t i = 0; network && r == 0 && i < ports->n; i++)
		r = MIN_OF(db_exec(db, err, "DELETE FROM net_port WHERE container = ? AND ip = ?", "ss", id,
				   ip_text(&ports->v[i].to).s),
			   0);
	if (r == 0)
		r = db_commit(db, err);
	db_rollback(db);
	return r;
}

static void tell_left(struct net *n, const char *id, struct gone *g)
{
	struct network w autonetwork = {0};
	struct err gone = {0};

	/* One of CNI's is a file, and no row; without that file it has no name any more. */
	if (!*g->name && network_get(n, g->network, &w, &gone) == 0) {
		set_gone_text(g->name, sizeof(g->name), w.q.name);
		set_gone_text(g->driver, sizeof(g->driver), w.q.driver);
	}
	n->o.left(n->o.left_data, &(struct net_told){id, g->network, g->name, g->driver});
}

static int detach_list(struct net *n, const char *id, const char *network, const struct gone_list *l,
		       struct port_rows *ports, struct err *err)
{
	int r = 0;

	if (network)
		keep_ports_of(ports, l);
	if (l->n == 0 && ports->n == 0)
		return 0;
	if (!n->o.rootless)
		r = unpublish(n, ports, err);
	for (size_t i = 0; r == 0 && i < l->n; i++) {
		names_remove(n, l->v[i].network, id);
		if (network)
			remove_veth(l->v[i].veth);
		r = cni_del(n, id, l->v[i].network, err);
	}
	if (r == 0)
		r = forget_rows(n, id, network, ports, err);
	for (size_t i = 0; r == 0 && n->o.left && i < l->n; i++)
		tell_left(n, id, &l->v[i]);
	return r;
}

int net_detach(struct net *n, const char *id, const char *network, struct err *err)
{
	struct gone_list l = {0};
	struct port_rows ports = {0};
	struct network w autonetwork = {0};
	int r = network ? network_get(n, network, &w, err) : 0;

	if (n->o.rootless && !network)
		user_detach(n, id);
	if (r == 0)
		r = load_gone(n, id, network ? w.q.id : NULL, &l, err);
	if (r == 0)
		r = ports_load(n, id, &ports, err);
	if (r == 0)
		r = detach_list(n, id, network ? w.q.id : NULL, &l, &ports, err);
	free(l.v);
	free(ports.v);
	return r;
}

/* ---- `system check` ---- */

struct checking {
	struct net *n;
	net_alive_fn alive;
	void *data;
	bool repair;
	void (*finding)(void *data, const char *line);
	uint64_t findings;
	struct strange {
		char name[IFNAMSIZ];
	} * strange;
	size_t n_strange;
};

static void found(struct checking *c, const char *fmt, ...) printf_like(2, 3);
static void found(struct checking *c, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* cut where too long */
	va_end(ap);
	c->findings++;
	if (c->finding)
		c->finding(c->data, line);
}

/* Owned ids of everybody who has a lease. */
static int load_holders(struct net *n, str_list *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err,
			 "SELECT container FROM net_endpoint UNION SELECT container FROM net_port", "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		const char **v = realloc(ret->v, (ret->n + 1) * sizeof(*v));
		if (!v)
			return err_oom(err);
		ret->v = v;
		v[ret->n] = strdup(db_text(&q, 0));
		if (!v[ret->n])
			return err_oom(err);
		ret->n++;
		r = 0;
	}
	return r;
}

/* Networks of plugins are asked whether all is as they made it. */
static int check_plugins(struct checking *c, const char *id, pid_t pid, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(c->n->o.db, &q, err, "SELECT network FROM net_endpoint WHERE container = ?", "s",
			 id);

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		struct err why = {0};
		if (cni_check(c->n, id, db_text(&q, 0), pid, &why) < 0)
			found(c, "network: container %.12s: %.200s", id, why.msg);
		r = 0;
	}
	return r;
}

static int check_leases(struct checking *c, struct err *err)
{
	str_list ids = {0};
	int r = load_holders(c->n, &ids, err);

	for (size_t i = 0; i < ids.n; i++) {
		pid_t pid = 0;
		bool alive = c->alive(c->data, ids.v[i], &pid);
		if (r == 0 && alive && pid > 0)
			r = check_plugins(c, ids.v[i], pid, err);
		if (r == 0 && !alive) {
			found(c,
			      "network: addresses or ports are leased to container %.12s, which does not run",
			      ids.v[i]);
			if (c->repair)
				r = net_detach(c->n, ids.v[i], NULL, err);
		}
		free((char *)ids.v[i]);
	}
	free(ids.v);
	return r;
}

static bool known_device(struct net *n, const char *name)
{
	struct db_row q autodbrow;
	struct err ignored = {0};

	if (db_query(n->o.db, &q, &ignored,
		     "SELECT 1 FROM net_network WHERE bridge = ?1 UNION SELECT 1 FROM net_endpoint WHERE "
		     "veth = ?1",
		     "s", name) < 0)
		return true;
	return db_next(&q, &ignored) != 0;
}

/* Names as we make them: "cf" and 12 digits of a bridge, "ve" and 13 of a container's device. */
static bool our_name(const char *name)
{
	size_t digits = strspn(name + 2, "0123456789abcdef");

	return (str_starts(name, "cf") && digits == 12 && name[14] == '\0') ||
	       (str_starts(name, "ve") && digits == 13);
}

static int take_strange(void *data, const struct nl_message *m)
{
	struct checking *c = data;
	struct nl_link link;

	if (nl_parse_link(m, &link) < 0 || strlen(link.name) < 3 || !our_name(link.name) ||
	    known_device(c->n, link.name))
		return 0;
	struct strange *v = realloc(c->strange, (c->n_strange + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->strange = v;
	set_gone_text(v[c->n_strange++].name, sizeof(v->name), link.name);
	return 0;
}

static int check_strange(struct checking *c, struct err *err)
{
	struct batch b autobatch = {0};
	struct ifinfomsg m = {0};
	autoclose int fd = netlink_open(NETLINK_ROUTE);

	if (fd < 0)
		return err_num(err, fd, "cannot make a netlink socket");
	batch_message(&b, RTM_GETLINK, NLM_F_DUMP, &m, sizeof(m));
	int r = batch_ask(&b, fd, take_strange, c);
	if (r < 0)
		return err_num(err, r, "cannot list network devices");
	/* The kernel takes a namespace down in its own time: what goes by itself is no finding. */
	if (c->n_strange)
		(void)nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	for (size_t i = 0; i < c->n_strange; i++) {
		if (!bridge_there(c->strange[i].name))
			continue;
		found(c, "network: device %s belongs to no network or container", c->strange[i].name);
		if (c->repair)
			remove_veth(c->strange[i].name);
	}
	return 0;
}

static int check_rules(struct checking *c, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(
		c->n->o.db, &q, err,
		"SELECT 1 FROM net_endpoint JOIN net_network ON id = network WHERE driver = 'bridge' LIMIT 1",
		"");

	if (r == 0)
		r = db_next(&q, err);
	if (r <= 0)
		return r;
	int nft = net_nft(c->n, err);
	if (nft < 0)
		return nft;
	if (rules_there(nft) > 0)
		return 0;
	found(c, "network: the nftables table \"inet coffer\" is gone; containers are cut off");
	return c->repair ? rules_install(c->n, nft, err) : 0;
}

int net_check(struct net *n, net_alive_fn alive, void *data, bool repair,
	      void (*finding)(void *data, const char *line), uint64_t *ret_findings, struct err *err)
{
	struct checking c = {.n = n, .alive = alive, .data = data, .repair = repair, .finding = finding};
	int r = check_leases(&c, err);

	if (r == 0 && !n->o.rootless)
		r = check_rules(&c, err);
	if (r == 0 && !n->o.rootless)
		r = check_strange(&c, err);
	free(c.strange);
	if (r == 0)
		*ret_findings = c.findings;
	return r;
}

void net_advise(struct net *n, void (*line)(void *data, const char *text), void *data)
{
	if (!n->o.rootless)
		rules_foreign(n, "coffer0", line, data);
}
