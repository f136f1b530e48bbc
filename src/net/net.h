/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of containers: bridges, addresses, published ports, names.
 *
 * Theory of operation.  A network is a row of the database (net_create); its
 * bridge and its part of the nftables rules appear with the first container
 * and are made again after a reboot.  Addresses and host ports are leased in
 * the same database, by transaction, so that any number of processes may
 * attach at once.  A container's end of the veth lives in the container's
 * network namespace and dies with it; what does not die by itself (elements of
 * nftables sets, leases) is released by net_detach(), which is idempotent and
 * needs the container's id alone, so that whoever cleans up after a crash can
 * call it.
 *
 * Everything is done in the network namespace of the caller ("the host's").
 */
#pragma once

#include "base/db.h"
#include "base/err.h"
#include "oci/config.h"

#include <netinet/in.h>

struct net;

/* Of a container on a network, as events have it. */
struct net_told {
	const char *container, *id, *name, *driver; /* id, name: the network's */
};

struct net_options {
	struct db *db;	       /* borrowed */
	const char *run_root;  /* "/run/coffer": net/ below it is ours */
	const char *data_root; /* "/var/lib/coffer" */
	bool rootless;
	str_list cni_config_dirs; /* "/etc/cni/net.d"; empty = that */
	str_list cni_plugin_dirs; /* "/opt/cni/bin", "/usr/lib/cni" */
	str_list pools; /* "10.210.0.0/16" …: where subnets of networks without one are taken from; empty =
			   default */
	void (*warn)(void *data, const char *text);
	void *warn_data;
	/* Of each network that net_detach() has taken a container from; may be NULL. */
	void (*left)(void *data, const struct net_told *told);
	void *left_data;
};
must_use int net_open(const struct net_options *o, struct net **ret, struct err *err);
void net_close(struct net *n);

/* ---- networks ---- */

struct net_subnet {
	const char *subnet, *gateway, *ip_range; /* "10.1.0.0/24", "10.1.0.1", NULL = whole */
};
struct net_network {
	const char *id, *name; /* id: 64 hex digits */
	const char *driver;    /* "bridge", "host", "none", "cni" */
	const char *bridge;  /* interface name; NULL = "cf" and 12 digits of the id ("coffer0" for the network
				"bridge") */
	const char *created; /* RFC 3339 */
	LIST_OF(struct net_subnet) subnets; /* at most one of each family; empty = one of the pools */
	pair_list options; /* com.docker.network.bridge.name, com.docker.network.driver.mtu, isolate, … */
	pair_list labels;
	bool internal, ipv6, attachable;
	uint32_t mtu; /* 0 = 1500 */
};
/* Strings of the returned ones are owned by the list. */
typedef LIST_OF(struct net_network) network_list;
must_use int net_create(struct net *n, const struct net_network *q, char **ret_id, struct err *err);
/* "bridge" (the default one), "host" and "none" are always there.  By name, id or prefix of an id. */
must_use int net_find(struct net *n, const char *name, network_list *ret_one, struct err *err);
must_use int net_list(struct net *n, network_list *ret, struct err *err);
void net_list_free(network_list *l);
/* -EBUSY with active endpoints, in Docker's words. */
must_use int net_remove(struct net *n, const char *name, char **ret_name, struct err *err);
/* Names of the user's networks that no container is attached to are removed; told one by one. */
must_use int net_prune(struct net *n, void (*told)(void *data, const char *name), void *data,
		       struct err *err);

/* ---- containers ---- */

enum { NET_PORTS_MAX = 65536, NET_HELD_MAX = 200 /* fit one SCM_RIGHTS message with others */ };
struct net_port {
	const char *host_ip; /* NULL or "" = all addresses */
	uint16_t host_port;  /* 0 = any free one, told in the result */
	uint16_t container_port;
	uint16_t count; /* of a range; 1 = a single port */
	char proto[5];	/* "tcp", "udp", "sctp" */
	/* > 1: `host_port` and those behind it are a choice for one container port ("8000-8010:80") */
	uint16_t host_choices;
};

struct net_join {
	const char *network; /* name or id */
	str_list aliases;
	const char *ip, *ip6, *mac; /* wanted; NULL = any */
};

struct net_attach {
	const char *id;	  /* of the container */
	const char *name; /* its name: a DNS name on networks that are not the default one */
	const char *hostname;
	const struct net_join *networks;
	size_t n_networks;
	const struct net_port *ports;
	size_t n_ports;
	int netns_fd;	 /* the container's network namespace */
	int first_index; /* interfaces are called eth<first_index> … */
			 /* User ids of the container for who listens in its namespace; may be 0. */
};

struct net_endpoint {
	const char *network, *network_id, *driver, *interface; /* "bridge", …, "eth0" */
	const char *mac;
	const char *ip, *gateway, *ip6, *gateway6; /* NULL = none */
	uint8_t prefix, prefix6;
	str_list aliases;
};
struct net_result {
	LIST_OF(struct net_endpoint) endpoints;
	LIST_OF(struct net_port)
	ports;		/* every range taken apart, host ports settled, one entry each family that is bound */
	bool needs_dns; /* on a network with names: resolv.conf must say 127.0.0.11 */
	int dns_udp, dns_tcp; /* sockets that listen inside, for net/dns.h; -1 = none; owned */
	/*
	 * Sockets that are bound to the host's ports and keep other programs from
	 * them, at most NET_HELD_MAX; owned.  Whoever lives as long as the container
	 * (its monitor) should hold copies, read nothing from them, and close them
	 * when the container ends, *before* it is made again.  Where nobody does,
	 * ports are still published and leased, but not reserved.
	 */
	LIST_OF(int) held;
	void *memory; /* owns the strings */
};
/*
 * Leases addresses and ports (step one: what resolv.conf, hosts and `ps` need
 * is known then, nothing of the kernel is touched) ...
 */
must_use int net_lease(struct net *n, const struct net_attach *a, struct net_result *ret, struct err *err);
/* ... and plugs in (step two: a->netns_fd is used).  On failure the leases stay until net_detach(). */
must_use int net_plug(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err);
void net_result_free(struct net_result *r);
/* Everything of the container on all its networks (network NULL), or on one.  Idempotent. */
must_use int net_detach(struct net *n, const char *id, const char *network, struct err *err);
/* The endpoints that a running container has now. */
must_use int net_endpoints(struct net *n, const char *id, struct net_result *ret, struct err *err);
/* Whether there is such a container; *ret_pid is its first process where it runs, and stays 0 where not. */
typedef bool (*net_alive_fn)(void *data, const char *id, pid_t *ret_pid);
/*
 * `system check`: rules, bridges and leases of containers that `alive` denies; `repair` removes them.  The
 * plugins of CNI networks are asked about containers that run (CHECK).
 */
must_use int net_check(struct net *n, net_alive_fn alive, void *data, bool repair,
		       void (*finding)(void *data, const char *line), uint64_t *ret_findings,
		       struct err *err);
/* For `doctor`: what of this machine stands against containers' traffic (others' firewalls), a line each. */
void net_advise(struct net *n, void (*line)(void *data, const char *text), void *data);

/* Parses "[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTO]" (`-p`), with Docker's messages.  `ret->host_ip`
 * is *ret_host_ip, which the caller frees. */
must_use int net_port_parse(const char *text, struct net_port *ret, char **ret_host_ip, struct err *err);
