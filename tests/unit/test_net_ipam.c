/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks in a database of our own; nothing of the kernel's but its routes is asked. */
#include "test.h"

#include "base/db.h"
#include "base/fd.h"
#include "base/file.h"
#include "net/net_int.h"

#include <sched.h>

static struct err err;
static struct net *net;
static struct db *db;

#define OK(expr) CHECK_INT(ok(expr), 0)
static int ok(int r)
{
	if (r < 0)
		fprintf(stderr, "  %s\n", err.msg);
	return r;
}

static void test_addr(void)
{
	struct cidr c, d;
	struct ip ip;

	CHECK(cidr_parse("10.1.2.3/20", &c, &ip));
	CHECK_STR(cidr_text(&c).s, "10.1.0.0/20");
	CHECK_STR(ip_text(&ip).s, "10.1.2.3");
	CHECK_INT(cidr_offset(&c, &ip), 0x203);
	struct ip last = cidr_last(&c), third = cidr_at(&c, 3);
	CHECK_STR(ip_text(&last).s, "10.1.15.255");
	CHECK_STR(ip_text(&third).s, "10.1.0.3");
	CHECK_INT(cidr_count(&c), 4096);
	CHECK(cidr_contains(&c, &last) && ip_parse("10.1.16.0", &ip) && !cidr_contains(&c, &ip));
	CHECK(!cidr_parse("10.0.0.0", &c, NULL) && !cidr_parse("10.0.0.0/33", &c, NULL) &&
	      !cidr_parse("x/8", &c, NULL) && !cidr_parse("10.0.0/8", &c, NULL) &&
	      !cidr_parse("::/129", &c, NULL) && !cidr_parse("/8", &c, NULL));
	CHECK(cidr_parse("fd00::/48", &c, NULL) && cidr_nth(&c, 64, 3, &d));
	CHECK_STR(cidr_text(&d).s, "fd00:0:0:3::/64");
	CHECK(cidr_overlap(&c, &d) && cidr_inside(&c, &d) && !cidr_inside(&d, &c));
	CHECK(cidr_parse("10.0.0.0/30", &c, NULL) && cidr_nth(&c, 32, 3, &d) && !cidr_nth(&c, 32, 4, &d) &&
	      !cidr_nth(&c, 24, 0, &d));
}

static int create(const char *name, const char *subnet, const char *gateway, const char *range)
{
	struct net_subnet s = {subnet, gateway, range};
	struct net_network q = {.name = name, .driver = "bridge", .subnets = {&s, subnet ? 1 : 0}};
	char *id = NULL;
	int r = net_create(net, &q, &id, &err);

	free(id);
	return r;
}

static const char *created(const char *name, const char *subnet, const char *gateway, const char *range)
{
	return create(name, subnet, gateway, range) < 0 ? err.msg : "ok";
}

static void test_create(void)
{
	network_list l = {0};

	CHECK_STR(created("red", NULL, NULL, NULL), "ok");
	CHECK_STR(created("blue", NULL, NULL, NULL), "ok");
	CHECK_STR(created("red", NULL, NULL, NULL), "network with name red already exists");
	CHECK_STR(created("bridge", NULL, NULL, NULL),
		  "operation is not permitted on predefined bridge network");
	CHECK_STR(created("x y", NULL, NULL, NULL),
		  "invalid network name \"x y\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
	CHECK_STR(created("g", "10.50.0.1/24", NULL, NULL),
		  "invalid subnet 10.50.0.1/24: it should be 10.50.0.0/24");
	CHECK_STR(created("g", "10.50.0.0/35", NULL, NULL),
		  "invalid subnet 10.50.0.0/35: invalid CIDR block notation");
	CHECK_STR(created("g", "10.50.0.0/24", "10.51.0.1", NULL),
		  "no matching subnet for gateway 10.51.0.1");
	CHECK_STR(created("g", "10.50.0.0/24", NULL, "10.60.0.0/28"),
		  "no matching subnet for range 10.60.0.0/28");
	CHECK_STR(created("small", "10.50.0.0/29", "10.50.0.3", NULL), "ok");
	CHECK_STR(created("h", "10.0.0.0/8", NULL, NULL),
		  "Pool overlaps with other one on this address space");
	OK(net_list(net, &l, &err));
	CHECK_INT(l.n, 6);
	net_list_free(&l);
	OK(net_find(net, "red", &l, &err));
	CHECK_STR(l.v[0].subnets.v[0].subnet, "10.210.0.0/24");
	CHECK_STR(l.v[0].subnets.v[0].gateway, "10.210.0.1");
	char prefix[9];
	memcpy(prefix, l.v[0].id, 8);
	prefix[8] = '\0';
	CHECK(str_starts(l.v[0].bridge, "cf") && strlen(l.v[0].id) == 64);
	net_list_free(&l);
	OK(net_find(net, prefix, &l, &err));
	CHECK_STR(l.v[0].name, "red");
	net_list_free(&l);
	OK(net_find(net, "blue", &l, &err));
	CHECK_STR(l.v[0].subnets.v[0].subnet, "10.210.1.0/24");
	net_list_free(&l);
	CHECK_INT(net_find(net, "nosuch", &l, &err), -ENOENT);
	CHECK_STR(err.msg, "network nosuch not found");
	CHECK_INT(net_remove(net, "host", NULL, &err), -EPERM);
	CHECK_STR(err.msg, "host is a pre-defined network and cannot be removed");
	struct net_network mac = {.name = "m", .driver = "macvlan"};
	char *id;
	CHECK_INT(net_create(net, &mac, &id, &err), -EINVAL);
}

static const char *take(struct network *w, int f, const char *wanted)
{
	static struct ip_text t;
	struct ip ip;

	if (ipam_take(net, w, f, wanted, &ip, &err) < 0)
		return err.msg;
	t = ip_text(&ip);
	/* The lease: an endpoint. */
	static int n;
	CHECK(db_exec(db, &err, "INSERT INTO net_endpoint (container, network, ip4) VALUES (?, ?, ?)", "sss",
		      (char[8]){(char)('a' + n++)}, w->q.id, t.s) == 1);
	return t.s;
}

static void test_take(void)
{
	struct network w autonetwork = {0};

	OK(network_get(net, "small", &w, &err));
	/* .0 network, .3 gateway, .7 broadcast: five are left. */
	CHECK_STR(take(&w, V4, NULL), "10.50.0.1");
	CHECK_STR(take(&w, V4, NULL), "10.50.0.2");
	CHECK_STR(take(&w, V4, "10.50.0.5"), "10.50.0.5");
	CHECK_STR(take(&w, V4, "10.50.0.5"), "Address already in use");
	CHECK_STR(take(&w, V4, "10.50.0.3"), "Address already in use");
	CHECK_STR(take(&w, V4, "10.51.0.5"),
		  "Invalid address 10.51.0.5: It does not belong to any of this network's subnets");
	CHECK_STR(take(&w, V4, "x"), "invalid IPv4 address: x");
	CHECK_STR(take(&w, V4, NULL), "10.50.0.4");
	/* One that is given back is not the next. */
	CHECK(db_exec(db, &err, "DELETE FROM net_endpoint WHERE ip4 = '10.50.0.1'", "") == 1);
	CHECK_STR(take(&w, V4, NULL), "10.50.0.6");
	CHECK_STR(take(&w, V4, NULL), "10.50.0.1");
	CHECK(str_starts(take(&w, V4, NULL),
			 "no available IPv4 addresses on this network's address pools: small ("));
	CHECK_INT(net_remove(net, "small", NULL, &err), -EBUSY);
}

/* Without a container yet, the default network goes where the pools of the configuration are. */
static void test_outdated(void)
{
	struct network w autonetwork = {0};
	const char *pools[] = {"10.99.0.0/16"};

	CHECK(db_exec(db, &err,
		      "UPDATE net_network SET subnet4 = '10.220.0.0/16', gateway4 = '10.220.0.1' WHERE name "
		      "= 'bridge'",
		      "") == 1);
	OK(network_get(net, "bridge", &w, &err));
	CHECK_INT(ipam_outdated(net, &w, &err), 0);
	net->o.pools = (str_list){pools, 1};
	CHECK_INT(ipam_outdated(net, &w, &err), 1);
	w.ip[V4].set = false;
	OK(ipam_choose(net, &w, &err));
	CHECK_STR(cidr_text(&w.ip[V4].subnet).s, "10.99.0.0/20");
	net->o.pools = (str_list){0};
}

static int scene(void)
{
	char dir[] = "/tmp/coffer-ipam-XXXXXX";

	/* A namespace without routes: what this machine has of its own is no matter. */
	if (geteuid() == 0 && unshare(CLONE_NEWNET) < 0)
		printf("with this machine's routes\n");
	CHECK(mkdtemp(dir) != NULL);
	autoclose int dirfd = open(dir, O_PATH | O_CLOEXEC);
	OK(db_open(dirfd, dir, "coffer.db", DB_FAST, &db, &err));
	struct net_options o = {.db = db, .run_root = dir, .data_root = dir};
	const char *confs[] = {dir};
	o.cni_config_dirs = (str_list){confs, 1};
	OK(net_open(&o, &net, &err));
	test_create();
	test_take();
	test_outdated();
	net_close(net);
	db_close(db);
	autoclose int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	return test_end();
}

int main(void)
{
	test_addr();
	return scene();
}
