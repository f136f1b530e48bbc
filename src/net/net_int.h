/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this room. */
#pragma once

#include "net/addr.h"
#include "net/net.h"

struct net {
	struct net_options o;
	char *dir; /* RUN_ROOT/net */
	int nft;   /* a netfilter socket, or -1: see net_nft() */
	bool nft_destroyed;
};

enum { V4, V6, FAMILIES };
static inline int family_index(uint8_t family)
{
	return family == AF_INET ? V4 : V6;
}

/* A network as the database has it, with what its texts mean. */
struct network {
	struct net_network q; /* strings in `doc` */
	struct json_doc doc;
	struct {
		bool set;
		struct cidr subnet;
		struct ip gateway;
		struct cidr range; /* prefix 0 = the whole subnet */
		int64_t cursor;	   /* where the search for a free address begins */
	} ip[FAMILIES];
	bool routed; /* com.docker.network.bridge.enable_ip_masquerade=false */
	bool closed; /* …enable_icc=false: containers do not see one another */
};
static inline void network_free(struct network *w)
{
	json_doc_free(&w->doc);
}
#define autonetwork __attribute__((cleanup(network_free)))

/*
 * One netfilter socket for all: closing one waits for whatever the kernel has
 * still to destroy for anybody, so it is closed once, by net_close().
 * Borrowed; -errno with the error set.
 */
must_use int net_nft(struct net *n, struct err *err);
/* After elements were removed. */
void net_nft_done(struct net *n);

void net_warn(const struct net *n, const char *fmt, ...) printf_like(2, 3);

/* ---- network.c ---- */
/* By name, id or a prefix of an id that is one network's alone; "network x not found" (-ENOENT). */
must_use int network_get(struct net *n, const char *name, struct network *ret, struct err *err);
/* Each network of the database; the callback's result ends the walk where it is negative. */
must_use int network_each(struct net *n, int (*each)(void *data, struct network *w, struct err *err),
			  void *data, struct err *err);
bool network_is_bridge(const struct network *w);
/* Networks that make names known: those of the user's. */
bool network_has_names(const struct network *w);
char *net_keep(struct json_doc *doc, const char *text); /* NULL for NULL, and for lack of memory */
bool net_option_false(const pair_list *options, const char *key);

/* ---- ipam.c ---- */
/* Subnets that a network has not been given are chosen; within the caller's transaction. */
must_use int ipam_choose(struct net *n, struct network *w, struct err *err);
/*
 * 1: the default network's subnet fits this machine no more (one of its routes
 * leads there, or the pools are others now), and no container has an address
 * of it; 0 = good.  Asked where the bridge is not there.
 */
must_use int ipam_outdated(struct net *n, const struct network *w, struct err *err);
/* "Pool overlaps with other one on this address space"; `except`: an id, NULL. */
must_use int ipam_check_free(struct net *n, const struct cidr *c, const char *except, struct err *err);
/* A free address, or the one that is wanted; moves the cursor.  Within the caller's transaction. */
must_use int ipam_take(struct net *n, struct network *w, int family, const char *wanted, struct ip *ret,
		       struct err *err);

/* ---- ports.c ---- */
struct port_row {
	char proto[5];
	struct ip host; /* unspecified = all addresses of the family */
	uint16_t host_port;
	struct ip to;
	uint16_t to_port;
};
struct port_rows {
	struct port_row *v;
	size_t n;
};
/* Leases and reserves; r->ports and r->held get theirs.  Within the caller's transaction. */
must_use int ports_lease(struct net *n, const struct net_attach *a, const struct ip to[static FAMILIES],
			 struct net_result *r, struct err *err);
must_use int ports_load(struct net *n, const char *container, struct port_rows *ret, struct err *err);

/* ---- bridge.c ---- */
/* The network's bridge is there, up, with its part of the rules; cheap where it is so already. */
must_use int bridge_ensure(struct net *n, const struct network *w, struct err *err);
must_use int bridge_remove(struct net *n, const struct network *w, struct err *err);
bool bridge_there(const char *name);
must_use int net_lock(struct net *n, struct err *err); /* a descriptor: one process at a time */

/* ---- rules.c ---- */
struct elements;
/* 1: the rules of this version are loaded; 0: not. */
must_use int rules_there(int nft);
/* The base rules, and the elements of all networks and ports that the database knows. */
must_use int rules_install(struct net *n, int nft, struct err *err);
must_use int rules_network(const struct network *w, struct elements *ret);
must_use int rules_ports(const struct port_rows *ports, struct elements *ret);
/* Others' rules that stand against forwarding: told through net_warn(), or to `finding`. */
void rules_foreign(struct net *n, const char *bridge, void (*finding)(void *data, const char *line),
		   void *data);

/* ---- names.c ---- */
/*
 * The file of one endpoint, RUN_ROOT/net/NETWORK/CONTAINER: a line "IP4 IP6
 * out" ("-" for what there is not; "out": the container is on a network
 * without names, too, that leads outside), then a line a name.
 */
struct names_entry {
	const char *network, *container;
	const struct ip *ip4, *ip6;
	const char *const *names;
	size_t n_names;
	bool internal, outside;
};
must_use int names_write(struct net *n, const struct names_entry *q, struct err *err);
/* `container` NULL: the directory of a network that has no more of them. */
void names_remove(struct net *n, const char *network, const char *container);

/* ---- user.c: rootless ---- */
must_use int user_lease(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err);
must_use int user_plug(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err);
void user_detach(struct net *n, const char *id);
/* The first network's address and way out; the others have none. */
void user_endpoint(struct net_endpoint *e, bool first);

/* ---- cni.c ---- */
must_use int cni_list(struct net *n, int (*each)(void *data, struct network *w, struct err *err), void *data,
		      struct err *err);
must_use int cni_find(struct net *n, const char *name, struct network *ret, struct err *err);
must_use int cni_add(struct net *n, const struct net_attach *a, struct net_result *r, size_t index,
		     struct err *err);
must_use int cni_del(struct net *n, const char *id, const char *network, struct err *err);
/* Of a container that runs: what the network's plugins find wrong.  0 also where it is no CNI network. */
must_use int cni_check(struct net *n, const char *id, const char *network, pid_t pid, struct err *err);
/* What ADD told, into the endpoint. */
void cni_cached(struct net *n, const char *id, struct net_result *r, size_t index);

/* ---- result.c ---- */
/* What a result owns; r->memory. */
struct result_memory {
	struct json_doc doc;
	struct plug {
		char bridge[16], veth[16], id[65];
		const char *driver;
		uint32_t mtu;
		bool internal, isolated, hairpin, names;
	} * plugs;		/* one an endpoint */
	struct port_rows ports; /* of the endpoint that they go to */
};
/* r->ports from what was leased. */
must_use int result_ports(struct net_result *r, struct err *err);
must_use int result_new(struct net_result *r, size_t n_endpoints, struct err *err);
static inline struct result_memory *result_memory(const struct net_result *r)
{
	return r->memory;
}
/* Runs body with the calling (single) thread in another network namespace, and comes back. */
must_use int net_visit(int netns_fd, int (*body)(void *data, struct err *err), void *data, struct err *err);
