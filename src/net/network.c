/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as rows of the database: made, found, listed, removed. */
#include "base/json_write.h"
#include "base/str.h"
#include "net/net_int.h"

#include <net/if.h>
#include <sys/random.h>
#include <time.h>

enum { ID_LEN = 64, NAME_MAX_LEN = 255 };

bool network_is_bridge(const struct network *w)
{
	return streq(w->q.driver, "bridge");
}

bool network_has_names(const struct network *w)
{
	return network_is_bridge(w) && !streq(w->q.name, "bridge");
}

bool net_option_false(const pair_list *options, const char *key)
{
	const char *v = pair_find(options, key);

	return v && (streq(v, "false") || streq(v, "0") || streq(v, "False") || streq(v, "FALSE"));
}

/* ---- Rows ---- */

#define COLUMNS                                                                                              \
	"id, name, driver, bridge, created, internal, ipv6, attachable, mtu, options, labels,"               \
	" subnet4, gateway4, range4, cursor4, subnet6, gateway6, range6, cursor6"
enum { FIRST_OF_SUBNETS = 11, COLUMNS_OF_SUBNET = 4 };

struct pairs_box {
	pair_list pairs;
};
static const struct json_field pairs_fields[] = {F_PAIRS(struct pairs_box, pairs, "v", struct oci_pair)};
static const struct json_table pairs_table = JSON_TABLE(struct pairs_box, pairs_fields);

static int read_pairs(struct json_doc *doc, const char *text, pair_list *ret, struct err *err)
{
	struct pairs_box box = {0};

	if (!*text)
		return 0;
	int r = json_decode(doc, text, strlen(text), "network in the database", &pairs_table, &box, err);
	if (r == 0)
		*ret = box.pairs;
	return r;
}

static char *write_pairs(const pair_list *l)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_begin_object(&out, "v");
	for (size_t i = 0; i < l->n; i++)
		json_put_str(&out, l->v[i].key, l->v[i].value);
	json_end(&out);
	json_end(&out);
	return json_take(&out);
}

/* The texts of a subnet into what they mean; false where the database has nonsense. */
static bool read_subnet(struct network *w, int f, const struct db_row *row)
{
	int c = FIRST_OF_SUBNETS + f * COLUMNS_OF_SUBNET;

	if (db_is_null(row, c) || !*db_text(row, c))
		return true;
	if (!cidr_parse(db_text(row, c), &w->ip[f].subnet, NULL) ||
	    !ip_parse(db_text(row, c + 1), &w->ip[f].gateway))
		return false;
	if (*db_text(row, c + 2) && !cidr_parse(db_text(row, c + 2), &w->ip[f].range, NULL))
		return false;
	w->ip[f].cursor = db_int(row, c + 3);
	w->ip[f].set = true;
	return true;
}

static int read_subnets(struct network *w, const struct db_row *row, struct err *err)
{
	struct net_subnet *v = json_doc_alloc(&w->doc, FAMILIES * sizeof(*v));

	if (!v)
		return err_oom(err);
	w->q.subnets.v = v;
	for (int f = 0; f < FAMILIES; f++) {
		int c = FIRST_OF_SUBNETS + f * COLUMNS_OF_SUBNET;
		if (!read_subnet(w, f, row))
			return err_set(err, EUCLEAN, "the database has no valid subnet of network \"%s\"",
				       w->q.name);
		if (!w->ip[f].set)
			continue;
		v[w->q.subnets.n++] = (struct net_subnet){
			.subnet = net_keep(&w->doc, db_text(row, c)),
			.gateway = net_keep(&w->doc, db_text(row, c + 1)),
			.ip_range = *db_text(row, c + 2) ? net_keep(&w->doc, db_text(row, c + 2)) : NULL};
	}
	return 0;
}

static int read_row(const struct db_row *row, struct network *ret, struct err *err)
{
	struct network w = {0};

	w.q.id = net_keep(&w.doc, db_text(row, 0));
	w.q.name = net_keep(&w.doc, db_text(row, 1));
	w.q.driver = net_keep(&w.doc, db_text(row, 2));
	w.q.bridge = db_is_null(row, 3) ? NULL : net_keep(&w.doc, db_text(row, 3));
	w.q.created = net_keep(&w.doc, db_text(row, 4));
	w.q.internal = db_int(row, 5);
	w.q.ipv6 = db_int(row, 6);
	w.q.attachable = db_int(row, 7);
	w.q.mtu = (uint32_t)db_int(row, 8);
	int r = w.q.id && w.q.name && w.q.driver ? 0 : err_oom(err);
	if (r == 0)
		r = read_pairs(&w.doc, db_text(row, 9), &w.q.options, err);
	if (r == 0)
		r = read_pairs(&w.doc, db_text(row, 10), &w.q.labels, err);
	if (r == 0)
		r = read_subnets(&w, row, err);
	if (r < 0) {
		network_free(&w);
		return r;
	}
	w.routed = net_option_false(&w.q.options, "com.docker.network.bridge.enable_ip_masquerade");
	w.closed = net_option_false(&w.q.options, "com.docker.network.bridge.enable_icc") ||
		   (pair_find(&w.q.options, "isolate") && streq(pair_find(&w.q.options, "isolate"), "true"));
	*ret = w;
	return 0;
}

static int not_found(const char *name, struct err *err)
{
	return err_set(err, ENOENT, "network %s not found", name);
}

/* 1: found, 0: not. */
static int find_exact(struct net *n, const char *name, struct network *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err,
			 "SELECT " COLUMNS " FROM net_network WHERE name = ?1 OR id = ?1"
			 " ORDER BY name = ?1 DESC",
			 "s", name);

	if (r == 0)
		r = db_next(&q, err);
	if (r <= 0)
		return r;
	r = read_row(&q, ret, err);
	return r < 0 ? r : 1;
}

static int find_prefix(struct net *n, const char *name, struct network *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r;

	if (!*name || strspn(name, "0123456789abcdef") != strlen(name))
		return 0;
	r = db_query(n->o.db, &q, err,
		     "SELECT " COLUMNS " FROM net_network WHERE id >= ?1 AND id < ?1 || 'g'", "s", name);
	if (r == 0)
		r = db_next(&q, err);
	if (r <= 0)
		return r;
	struct network w autonetwork = {0};
	r = read_row(&q, &w, err);
	if (r < 0)
		return r;
	r = db_next(&q, err);
	if (r > 0)
		return err_set(err, EINVAL, "network %s is ambiguous (more than one id begins so)", name);
	if (r < 0)
		return r;
	*ret = w;
	w = (struct network){0};
	return 1;
}

int network_get(struct net *n, const char *name, struct network *ret, struct err *err)
{
	int r = find_exact(n, name, ret, err);

	if (r == 0)
		r = cni_find(n, name, ret, err);
	if (r == 0)
		r = find_prefix(n, name, ret, err);
	if (r < 0)
		return r;
	return r > 0 ? 0 : not_found(name, err);
}

int network_each(struct net *n, int (*each)(void *data, struct network *w, struct err *err), void *data,
		 struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err, "SELECT " COLUMNS " FROM net_network ORDER BY name", "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		struct network w autonetwork = {0};
		r = read_row(&q, &w, err);
		if (r == 0)
			r = each(data, &w, err);
	}
	return r;
}

/* ---- Lists that are handed out ---- */

/* Stands before the elements of a network_list. */
struct list_head {
	struct json_doc *docs;
	size_t n;
	struct net_network v[];
};

static int list_add_network(network_list *l, struct network *w, struct err *err)
{
	struct list_head *old = l->v ? (void *)((char *)l->v - offsetof(struct list_head, v)) : NULL;
	size_t n = old ? old->n : 0;
	struct json_doc *docs = realloc(old ? old->docs : NULL, (n + 1) * sizeof(*docs));

	if (!docs)
		return err_oom(err);
	if (old)
		old->docs = docs;
	struct list_head *h = realloc(old, sizeof(*h) + (n + 1) * sizeof(h->v[0]));
	if (!h) {
		if (!old)
			free(docs);
		return err_oom(err);
	}
	h->docs = docs;
	h->docs[n] = w->doc;
	h->v[n] = w->q;
	h->n = n + 1;
	w->doc = (struct json_doc){0};
	l->v = h->v;
	l->n = n + 1;
	return 0;
}

void net_list_free(network_list *l)
{
	if (!l->v)
		return;
	struct list_head *h = (void *)((char *)l->v - offsetof(struct list_head, v));
	for (size_t i = 0; i < h->n; i++)
		json_doc_free(&h->docs[i]);
	free(h->docs);
	free(h);
	*l = (network_list){0};
}

int net_find(struct net *n, const char *name, network_list *ret, struct err *err)
{
	struct network w autonetwork = {0};
	network_list l = {0};
	int r = network_get(n, name, &w, err);

	if (r == 0)
		r = list_add_network(&l, &w, err);
	if (r == 0)
		*ret = l;
	return r;
}

static int list_each(void *data, struct network *w, struct err *err)
{
	return list_add_network(data, w, err);
}

int net_list(struct net *n, network_list *ret, struct err *err)
{
	network_list l = {0};
	int r = network_each(n, list_each, &l, err);

	if (r == 0)
		r = cni_list(n, list_each, &l, err);
	if (r < 0) {
		net_list_free(&l);
		return r;
	}
	*ret = l;
	return 0;
}

/* ---- Making ---- */

static bool valid_network_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > NAME_MAX_LEN ||
	    !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", s[0]))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

static bool predefined(const char *name)
{
	return streq(name, "bridge") || streq(name, "host") || streq(name, "none");
}

static int check_name(struct net *n, const struct net_network *q, struct err *err)
{
	struct network w autonetwork = {0};

	if (!q->name || !*q->name)
		return err_set(err, EINVAL, "invalid name: name is empty");
	if (!valid_network_name(q->name))
		return err_set(err, EINVAL,
			       "invalid network name \"%s\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			       q->name);
	if (predefined(q->name) || streq(q->name, "default") || streq(q->name, "container"))
		return err_set(err, EPERM, "operation is not permitted on predefined %s network", q->name);
	if (!q->driver || streq(q->driver, "bridge"))
		;
	else if (streq(q->driver, "host") || streq(q->driver, "none") || streq(q->driver, "null"))
		return err_set(err, EPERM, "only one instance of \"%s\" network is allowed", q->driver);
	else if (streq(q->driver, "cni"))
		return err_set(err, EINVAL,
			       "networks of CNI are not created here: put a configuration list of that name "
			       "into the CNI directory (/etc/cni/net.d)");
	else
		return err_set(err, EINVAL,
			       "network driver \"%s\" is not supported: use bridge, or CNI plugins "
			       "through a configuration list in /etc/cni/net.d",
			       q->driver);
	int r = find_exact(n, q->name, &w, err);
	if (r == 0)
		r = cni_find(n, q->name, &w, err);
	return r > 0 ? err_set(err, EEXIST, "network with name %s already exists", q->name) : r;
}

static int check_options(const struct net_network *q, uint32_t *ret_mtu, struct err *err)
{
	static const char *const known[] = {"com.docker.network.bridge.name",
					    "com.docker.network.driver.mtu",
					    "com.docker.network.bridge.enable_icc",
					    "com.docker.network.bridge.enable_ip_masquerade",
					    "isolate",
					    "mtu"};
	uint64_t mtu = q->mtu;

	for (size_t i = 0; i < q->options.n; i++) {
		const char *key = q->options.v[i].key;
		bool is_known = false;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			is_known |= streq(known[k], key);
		if (!is_known)
			return err_set(err, EINVAL, "network option \"%s\" is not supported", key);
		if ((streq(key, "com.docker.network.driver.mtu") || streq(key, "mtu")) &&
		    (str_to_u64(q->options.v[i].value, 10, &mtu) < 0 || mtu == 0))
			return err_set(err, EINVAL, "invalid MTU \"%s\"", q->options.v[i].value);
	}
	if (mtu && (mtu < 68 || mtu > 65535))
		return err_set(err, EINVAL, "invalid MTU %llu: from 68 to 65535", (unsigned long long)mtu);
	*ret_mtu = (uint32_t)mtu;
	return 0;
}

static int check_bridge_name(struct net *n, const char *name, struct err *err)
{
	struct db_row q autodbrow;
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || streq(name, ".") || streq(name, "..") ||
	    name[strcspn(name, "/: \t\n\v\f\r%\"")] != '\0')
		return err_set(err, EINVAL, "invalid name of a bridge: \"%s\"", name);
	int r = db_query(n->o.db, &q, err, "SELECT name FROM net_network WHERE bridge = ?", "s", name);
	if (r == 0)
		r = db_next(&q, err);
	if (r > 0)
		return err_set(err, EEXIST, "bridge name \"%s\" belongs to network %s already", name,
			       db_text(&q, 0));
	if (r == 0 && bridge_there(name))
		return err_set(err, EEXIST, "there is an interface \"%s\" on this machine already", name);
	return r;
}

/* One of the caller's subnets into the network. */
static int take_subnet(struct network *w, const struct net_subnet *s, struct err *err)
{
	struct cidr c;
	struct ip given, gateway;

	if (!s->subnet || !*s->subnet)
		return err_set(err, EINVAL, "a gateway or a range needs a subnet (--subnet)");
	if (!cidr_parse(s->subnet, &c, &given))
		return err_set(err, EINVAL, "invalid subnet %s: invalid CIDR block notation", s->subnet);
	if (!ip_equal(&given, &c.ip))
		return err_set(err, EINVAL, "invalid subnet %s: it should be %s", s->subnet, cidr_text(&c).s);
	int f = family_index(c.ip.family);
	if (w->ip[f].set)
		return err_set(err, EINVAL, "a network has at most one subnet of each family");
	if (c.prefix > ip_size(c.ip.family) * 8 - 2)
		return err_set(err, EINVAL, "invalid subnet %s: too small for a gateway and a container",
			       s->subnet);
	if (ip_loopback(&c.ip) || (f == V4 && (c.ip.b[0] >= 224 || c.ip.b[0] == 0)) ||
	    (f == V6 && c.ip.b[0] == 0xff))
		return err_set(err, EINVAL, "invalid subnet %s: not for hosts", s->subnet);
	gateway = cidr_at(&c, 1);
	if (s->gateway && *s->gateway) {
		if (!ip_parse(s->gateway, &gateway))
			return err_set(err, EINVAL, "invalid gateway address %s", s->gateway);
		if (!cidr_contains(&c, &gateway))
			return err_set(err, EINVAL, "no matching subnet for gateway %s", s->gateway);
	}
	if (s->ip_range && *s->ip_range) {
		if (!cidr_parse(s->ip_range, &w->ip[f].range, NULL))
			return err_set(err, EINVAL, "invalid ip-range %s: invalid CIDR block notation",
				       s->ip_range);
		if (!cidr_inside(&c, &w->ip[f].range))
			return err_set(err, EINVAL, "no matching subnet for range %s", s->ip_range);
	}
	w->ip[f].set = true;
	w->ip[f].subnet = c;
	w->ip[f].gateway = gateway;
	return 0;
}

static int new_id(char ret[static ID_LEN + 1], struct err *err)
{
	uint8_t bytes[ID_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_sys(err, "cannot get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static const char *opt_cidr(const struct cidr *c, bool set, struct ip_text *buf)
{
	if (!set)
		return NULL;
	*buf = cidr_text(c);
	return buf->s;
}

static int insert(struct net *n, const struct network *w, struct err *err)
{
	autofree char *options = write_pairs(&w->q.options), *labels = write_pairs(&w->q.labels);
	struct ip_text t[FAMILIES][3];
	const char *subnet[FAMILIES], *gateway[FAMILIES], *range[FAMILIES];
	char created[40];
	struct timespec now;
	struct tm tm;

	if (!options || !labels)
		return err_oom(err);
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	if (!gmtime_r(&now.tv_sec, &tm) || !strftime(created, 24, "%Y-%m-%dT%H:%M:%S", &tm))
		return err_set(err, EINVAL, "the clock has no date");
	(void)snprintf(created + strlen(created), 16, ".%09ldZ", now.tv_nsec); /* fits */
	for (int f = 0; f < FAMILIES; f++) {
		subnet[f] = opt_cidr(&w->ip[f].subnet, w->ip[f].set, &t[f][0]);
		t[f][1] = ip_text(&w->ip[f].gateway);
		gateway[f] = w->ip[f].set ? t[f][1].s : NULL;
		range[f] = opt_cidr(&w->ip[f].range, w->ip[f].range.ip.family != 0, &t[f][2]);
	}
	return MIN_OF(db_exec(n->o.db, err,
			      "INSERT INTO net_network (id, name, driver, bridge, created, internal, ipv6, "
			      "attachable,"
			      " mtu, subnet4, gateway4, range4, subnet6, gateway6, range6, options, labels)"
			      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			      "sssssiiiissssssss", w->q.id, w->q.name, w->q.driver, w->q.bridge, created,
			      (int64_t)w->q.internal, (int64_t)w->q.ipv6, (int64_t)w->q.attachable,
			      (int64_t)w->q.mtu, subnet[V4], gateway[V4], range[V4], subnet[V6], gateway[V6],
			      range[V6], options, labels),
		      0);
}

static int create_in(struct net *n, struct network *w, const char *bridge, struct err *err)
{
	int r = check_name(n, &w->q, err);

	w->q.driver = "bridge";
	if (r == 0)
		r = check_bridge_name(n, bridge, err);
	w->q.bridge = bridge;
	for (int f = 0; r == 0 && f < FAMILIES; f++)
		if (w->ip[f].set)
			r = ipam_check_free(n, &w->ip[f].subnet, NULL, err);
	if (r == 0)
		r = ipam_choose(n, w, err);
	if (r == 0)
		r = insert(n, w, err);
	return r;
}

int net_create(struct net *n, const struct net_network *q, char **ret_id, struct err *err)
{
	struct network w = {.q = *q};
	char id[ID_LEN + 1], bridge[IFNAMSIZ];
	int r = new_id(id, err);

	w.q.id = id;
	if (r == 0)
		r = check_options(q, &w.q.mtu, err);
	for (size_t i = 0; r == 0 && i < q->subnets.n; i++)
		r = take_subnet(&w, &q->subnets.v[i], err);
	if (r < 0)
		return r;
	const char *wanted = q->bridge && *q->bridge
				     ? q->bridge
				     : pair_find(&q->options, "com.docker.network.bridge.name");
	(void)snprintf(bridge, sizeof(bridge), "cf%.12s", id); /* fits */
	w.q.ipv6 |= w.ip[V6].set;
	autofree char *copy = strdup(id);
	if (!copy)
		return err_oom(err);
	r = db_begin(n->o.db, err);
	if (r < 0)
		return r;
	r = create_in(n, &w, wanted && *wanted ? wanted : bridge, err);
	if (r == 0)
		r = db_commit(n->o.db, err);
	db_rollback(n->o.db);
	if (r == 0)
		*ret_id = take_ptr(&copy);
	return r;
}

/* ---- Removing ---- */

static int refuse_in_use(struct net *n, const struct network *w, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err, "SELECT 1 FROM net_endpoint WHERE network = ? LIMIT 1", "s",
			 w->q.id);

	if (r == 0)
		r = db_next(&q, err);
	return r > 0 ? err_set(err, EBUSY,
			       "error while removing network: network %s id %s has active endpoints",
			       w->q.name, w->q.id)
		     : r;
}

/*
 * The kernel's things first, the row last: who is killed in between leaves a network that is as if nobody had
 * used it yet.  All in one transaction, so that no container joins it meanwhile.
 */
static int remove_all_of(struct net *n, const struct network *w, struct err *err)
{
	int r = db_begin(n->o.db, err);

	if (r < 0)
		return r;
	r = refuse_in_use(n, w, err);
	if (r == 0 && !n->o.rootless)
		r = bridge_remove(n, w, err);
	if (r == 0)
		names_remove(n, w->q.id, NULL);
	if (r == 0)
		r = MIN_OF(db_exec(n->o.db, err, "DELETE FROM net_network WHERE id = ?", "s", w->q.id), 0);
	if (r == 0)
		r = db_commit(n->o.db, err);
	db_rollback(n->o.db);
	return r;
}

int net_remove(struct net *n, const char *name, char **ret_name, struct err *err)
{
	struct network w autonetwork = {0};
	int r = network_get(n, name, &w, err);

	if (r < 0)
		return r;
	if (predefined(w.q.name))
		return err_set(err, EPERM, "%s is a pre-defined network and cannot be removed", w.q.name);
	if (streq(w.q.driver, "cni"))
		return err_set(err, EPERM,
			       "network %s comes from a configuration list of CNI: remove its file instead",
			       w.q.name);
	autofree char *copy = strdup(w.q.name);
	if (!copy)
		return err_oom(err);
	r = remove_all_of(n, &w, err);
	if (r == 0 && ret_name)
		*ret_name = take_ptr(&copy);
	return r;
}

struct prune {
	struct net *n;
	str_list names; /* owned */
};

static int prune_each(void *data, struct network *w, struct err *err)
{
	struct prune *p = data;

	if (predefined(w->q.name))
		return 0;
	const char **v = realloc(p->names.v, (p->names.n + 1) * sizeof(*v));
	if (!v)
		return err_oom(err);
	p->names.v = v;
	v[p->names.n] = strdup(w->q.name);
	if (!v[p->names.n])
		return err_oom(err);
	p->names.n++;
	return 0;
}

int net_prune(struct net *n, void (*told)(void *data, const char *name), void *data, struct err *err)
{
	struct prune p = {.n = n};
	int r = network_each(n, prune_each, &p, err);

	for (size_t i = 0; i < p.names.n; i++) {
		int e = r == 0 ? net_remove(n, p.names.v[i], NULL, err) : 0;
		if (e == 0 && r == 0)
			told(data, p.names.v[i]);
		else if (e < 0 && e != -EBUSY && e != -ENOENT) /* in use; removed by another */
			r = e;
		free((char *)p.names.v[i]);
	}
	free(p.names.v);
	return r;
}
